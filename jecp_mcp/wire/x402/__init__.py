"""The shapes of x402, versions 1 and 2, for the scheme ``exact`` on EVM chains. Pure: no I/O."""
