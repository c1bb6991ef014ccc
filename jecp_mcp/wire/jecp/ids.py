"""The grammar of JECP's identifiers (JECP 01-protocol §3.3, JECP 02-authentication §3.1). Pure: no I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

from jecp_mcp.domain.versions import valid_version
from jecp_mcp.errors import WireError
from jecp_mcp.invisible import escape

_AGENT_ID = re.compile(r"[a-z]{2,8}_ag_[A-Za-z0-9]{16,}")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{4,64}")
_CAPABILITY = re.compile(r"[a-z][a-z0-9-]*(?:/[a-z][a-z0-9-]*)?")
_ACTION = re.compile(r"[a-z][a-z0-9-]*")
_REFERENCE = re.compile(r"[!-~]{1,128}")
_LABEL_LENGTH = 200
MAX_ID_LENGTH = 128
"""The longest capability or action id accepted, in characters; the grammar itself sets no bound."""


class CapabilityId(NamedTuple):
    """A capability id taken apart; `namespace` is ``""`` for a Hub's built-in."""

    namespace: str
    name: str
    version: str | None

    @property
    def capability(self) -> str:
        """The id without its version: ``namespace/name`` or ``name``."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def valid_call_id(text: object) -> bool:
    """Whether `text` may be a request's ``id``, the idempotency key."""
    return isinstance(text, str) and _CALL_ID.fullmatch(text) is not None


def valid_capability(text: object) -> bool:
    """Whether `text` is ``namespace/name`` or ``name``, without a version."""
    return isinstance(text, str) and len(text) <= MAX_ID_LENGTH and _CAPABILITY.fullmatch(text) is not None


def valid_action(text: object) -> bool:
    """Whether `text` may be an action's id."""
    return isinstance(text, str) and len(text) <= MAX_ID_LENGTH and _ACTION.fullmatch(text) is not None


def reference(value: object) -> str | None:
    """The id that a Hub gave to something of its own, such as a transaction; None for what cannot be one.

    JECP leaves its grammar to the Hub. Here it is 1 to 128 visible ASCII characters: it is shown, logged and sent back.
    """
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None


def label(value: object) -> str:
    """What stands for an id that is none, where it is told why: all of it visible, on one line, cut."""
    return escape(str(value)[:_LABEL_LENGTH], one_line=True)


def split_capability(text: str) -> CapabilityId:
    """Take ``namespace/name@1.2.3`` apart.

    Raises:
        WireError: it is no capability id.
    """
    capability, at, version = text.partition("@")
    if not valid_capability(capability) or (at and not valid_version(version)):
        raise WireError(f"'{label(text[:80])}' is not a capability id")
    namespace, _, name = capability.rpartition("/")
    return CapabilityId(namespace, name, version if at else None)


def valid_agent_id(text: object) -> bool:
    """Whether `text` is an agent id of any Hub: ``<vendor>_ag_…``."""
    return isinstance(text, str) and _AGENT_ID.fullmatch(text) is not None
