"""The shapes of each protocol, a folder each. Pure: no I/O."""
