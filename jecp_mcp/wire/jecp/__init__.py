"""The shapes of JECP in both dialects. Pure: no I/O."""
