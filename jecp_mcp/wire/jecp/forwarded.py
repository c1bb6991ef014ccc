"""The headers of a forwarded call, which a Hub signs as `jecp_mcp.wire.jecp.webhooks` says. Pure: no I/O."""

from __future__ import annotations

from typing import Final

SIGNATURE_HEADER: Final = "x-jecp-signature"
TIMESTAMP_HEADER: Final = "x-jecp-timestamp"
NAMESPACE_HEADER: Final = "x-jecp-namespace"
ACTION_HEADER: Final = "x-jecp-action"
