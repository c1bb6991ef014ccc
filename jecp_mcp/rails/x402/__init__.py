"""Paying any HTTP merchant by x402, from a wallet of the operator's own."""
