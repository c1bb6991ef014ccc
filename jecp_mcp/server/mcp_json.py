"""From the bridge's own result shapes to MCP's wire form. Pure."""

from __future__ import annotations

from typing import Any, Final, assert_never

from jecp_mcp.tools.types import (
    Audio,
    Block,
    Embedded,
    Image,
    Link,
    Text,
    ToolCard,
    ToolResult,
)


def tool(card: ToolCard, *, outputs: bool = True) -> dict[str, Any]:
    """One entry of ``tools/list``.

    Args:
        outputs: whether a client that was given an output schema is always given structured content.
    """
    entry: dict[str, Any] = {
        "name": card.name,
        "description": card.description,
        "inputSchema": dict(card.input_schema),
        "annotations": {
            "readOnlyHint": card.read_only,
            "destructiveHint": card.destructive,
            "idempotentHint": card.idempotent,
            "openWorldHint": card.open_world,
        },
    }
    if card.title:
        entry["title"] = card.title
    if outputs and card.output_schema is not None:
        entry["outputSchema"] = dict(card.output_schema)
    if card.meta:
        entry["_meta"] = dict(card.meta)
    return entry


def block(part: Block) -> dict[str, Any]:
    """One content block of a tool result."""
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            return {"type": "image", "data": part.data, "mimeType": part.mime_type}
        case Audio():
            return {"type": "audio", "data": part.data, "mimeType": part.mime_type}
        case Embedded():
            return {"type": "resource", "resource": {"uri": part.uri, "mimeType": part.mime_type, "blob": part.data}}
        case Link():
            return {
                "type": "resource_link",
                "uri": part.uri,
                "name": part.name,
                "mimeType": part.mime_type,
                "size": part.size,
            }
        case _:
            assert_never(part)


LINKS_SINCE: Final = "2025-06-18"
"""The first protocol that has blocks which link to a resource."""


def result(given: ToolResult, *, links: bool = True) -> dict[str, Any]:
    """The result of ``tools/call``.

    Args:
        links: whether the client knows such blocks: one that it does not know would cost it the whole result.
    """
    known = [part for part in given.blocks if links or not isinstance(part, Link)]
    answer: dict[str, Any] = {"content": [block(part) for part in known], "isError": given.is_error}
    if given.structured is not None:
        answer["structuredContent"] = dict(given.structured)
    if given.meta:
        answer["_meta"] = dict(given.meta)
    return answer
