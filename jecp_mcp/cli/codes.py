"""The codes that only commands print, and no model reads; nothing is charged."""

from __future__ import annotations

from typing import Final

NOT_HELD: Final = "NOT_HELD"
"""No action of this key waits for approval."""

SANDBOX_FAILED: Final = "SANDBOX_FAILED"
"""The sandbox's Hub did not start."""
