"""The shapes of JECP, and pure functions on them."""
