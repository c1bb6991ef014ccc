"""A chain on this machine with one token of test money, and the nodes that answer for it."""
