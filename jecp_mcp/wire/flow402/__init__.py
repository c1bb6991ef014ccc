"""The messages between a buyer and a 402flow control plane. Pure: no I/O."""
