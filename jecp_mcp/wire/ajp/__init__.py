"""The Agent Job Protocol, version 0.1: offers, reports, declarations, and what is signed of each. Pure: no I/O."""
