"""The bridge's own tools."""
