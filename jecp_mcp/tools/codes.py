"""The codes of the tools, resources and prompts: the meaning, what is charged, and who acts next.

A code without the last two is in no refused call: it is an issue that ``jecp_prepare`` names, or of a resource or a
prompt, and costs nothing.
"""

from __future__ import annotations

from typing import Final

TOOL_NOT_FOUND: Final = "TOOL_NOT_FOUND"
"""There is no tool or action of this name. Charged: no. Next: agent, human."""

VERSION_NOT_AVAILABLE: Final = "VERSION_NOT_AVAILABLE"
"""The action is not sold at the version that was named; the one that is stands beside. Charged: no. Next: agent."""

ACTION_LEFT_OUT: Final = "ACTION_LEFT_OUT"
"""The action exists, and the operator's settings leave it out of the catalog. Charged: no. Next: operator."""

TOOL_QUARANTINED: Final = "TOOL_QUARANTINED"
"""The action is set aside: it changed, or cannot be published. Charged: no. Next: agent, human."""

INVALID_ARGUMENTS: Final = "INVALID_ARGUMENTS"
"""The arguments do not fit the tool's schema. Charged: no. Next: agent."""

PREPARED_INCOMPLETE: Final = "PREPARED_INCOMPLETE"
"""What was prepared lacks what its merchant says that it needs. Charged: no. Next: agent."""

CALL_NOT_FOUND: Final = "CALL_NOT_FOUND"
"""Whoever asks has no call of this id. Charged: no. Next: agent."""

NOT_CHARGED: Final = "NOT_CHARGED"
"""No money can be asked back, because the call was free. Charged: no. Next: nobody."""

CHARGE_NOT_PROVEN: Final = "CHARGE_NOT_PROVEN"
"""No money can be asked back before it is known whether the call was charged. Charged: no. Next: agent."""

NOT_REFUNDABLE: Final = "NOT_REFUNDABLE"
"""No money can be asked back, because the payee named no payment. Charged: no. Next: human."""

ALREADY_REGISTERED: Final = "ALREADY_REGISTERED"
"""There is an agent account already. Charged: no. Next: nobody."""

CREDENTIALS_NOT_STORED: Final = "CREDENTIALS_NOT_STORED"
"""An account was made, and its key could not be stored. Charged: no. Next: operator."""

NOT_CHECKED_HERE: Final = "NOT_CHECKED_HERE"
"""Only the Hub can check a part of the arguments."""

RESOURCE_NOT_FOUND: Final = "RESOURCE_NOT_FOUND"
"""There is no resource of this address."""

ARTIFACT_NOT_FOUND: Final = "ARTIFACT_NOT_FOUND"
"""Whoever asks has no stored file of this address or call, or not any more. Charged: no. Next: agent."""

ARTIFACT_NOT_STORED: Final = "ARTIFACT_NOT_STORED"
"""The file is too large to be stored, or the disk refuses it. Charged: no. Next: operator."""

INVALID_CURSOR: Final = "INVALID_CURSOR"
"""The cursor is none that the listing gave out."""

PROMPT_NOT_FOUND: Final = "PROMPT_NOT_FOUND"
"""There is no prompt of this name."""
