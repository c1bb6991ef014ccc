"""Commands for people; the only place that wires the parts together."""
