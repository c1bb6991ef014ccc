"""The handlers of prompts."""

from __future__ import annotations

from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, GetPromptRequestParams, PaginatedRequestParams

from jecp_mcp.errors import ToolFault
from jecp_mcp.server.request_context import Context, complete_result, cursor_of, unknown_cursor
from jecp_mcp.tools.prompts import PROMPTS, Prompt, fill


async def list_prompts(ctx: Context, params: PaginatedRequestParams | None) -> dict[str, Any]:
    """Every prompt; they fit on one page."""
    if cursor_of(params) is not None:
        raise unknown_cursor("prompts/list")
    return complete_result(ctx, {"prompts": [_entry(prompt) for prompt in PROMPTS.values()]})


async def get_prompt(ctx: Context, params: GetPromptRequestParams) -> dict[str, Any]:
    """One prompt with its arguments in it, as the user's message."""
    try:
        text = fill(params.name, params.arguments or {})
    except ToolFault as exc:
        raise MCPError(INVALID_PARAMS, str(exc)) from exc
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return complete_result(
        ctx, {"description": PROMPTS[params.name].description, "messages": [message]}, cacheable=False
    )


def _entry(prompt: Prompt) -> dict[str, Any]:
    arguments = [
        {"name": one.name, "description": one.description, "required": one.required} for one in prompt.arguments
    ]
    return {
        "name": prompt.name,
        "title": prompt.title,
        "description": prompt.description,
        "arguments": arguments,
    }
