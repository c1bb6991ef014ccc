"""The codes in the data of a JSON-RPC error; nothing is charged."""

from __future__ import annotations

from typing import Final

RESOURCE_TOO_LARGE: Final = "RESOURCE_TOO_LARGE"
"""The resource is larger than a message may be; the error says how to have it."""
