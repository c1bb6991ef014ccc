"""The words that all rooms share: what is on offer, what was delivered, why not. Pure: no I/O."""
