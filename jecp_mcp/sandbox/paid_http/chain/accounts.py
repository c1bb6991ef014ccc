"""Addresses of the test chain that nobody has a key to: each is the start of a hash. Pure: no I/O."""

from __future__ import annotations

from typing import Final

SUPPLY: Final = 1_000_000_000_000_000
"""All of the token that there is and ever will be, in millionths."""
TREASURY: Final = "0x53af5806912b3918ae64c275556a3ef88889833c"
"""Holds what nobody was given yet."""
RELAY: Final = "0x94943c204ff0a19c2c0bcf8378aaf75d11214f1b"
"""Who brings signed transfers to the chain."""
MERCHANT: Final = "0x333b966c24d49957a43591d600f211dbdbe61937"
"""Whom the merchant lets its buyers pay."""
