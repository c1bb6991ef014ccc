"""Paying merchants through a 402flow control plane, which holds the money and its own policy."""
