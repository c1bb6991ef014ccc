"""Paid HTTP to try out: a merchant, the facilitator who checks its payments, and the chain on which they happen."""
