"""A manifest, read and checked before it is published. Pure: no I/O."""

from __future__ import annotations

from typing import Any

from jecp_mcp.wire.jecp.manifest import check_manifest
from jecp_mcp.wire.jecp.manifest_text import read_manifest_text


def load_manifest(text: str | bytes, *, loopback: bool = False) -> dict[str, Any]:
    """The manifest in the text of a ``jecp.yaml``, YAML or JSON, if it is of the right form (JECP 04-manifest §5.1).

    A Hub has rules beyond that, such as whose the namespace is.

    Args:
        text: what the file holds.
        loopback: whether its endpoint may be on this machine, by plain http.

    Raises:
        WireError: it cannot be read, or is not of that form; the message has each place as a JSON pointer.
        ExtraMissing: it is YAML, which ``jecp-mcp[sandbox]`` reads.
    """
    raw = read_manifest_text(text.encode() if isinstance(text, str) else text)
    check_manifest(raw, loopback=loopback)
    assert isinstance(raw, dict)
    return raw
