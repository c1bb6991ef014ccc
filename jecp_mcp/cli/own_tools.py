"""The bridge's own tools as commands: the code that answers a host answers a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import anyio

from jecp_mcp.cli.advice import advice, for_person, problems
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.settings.command_lines import CommandLine

if TYPE_CHECKING:
    from jecp_mcp.cli.options import Start
    from jecp_mcp.tools.types import ToolResult


class CallFailed(JecpMcpError):
    """The call was refused or failed; its message says so."""


def ask(
    given: Start,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    catalog: bool = False,
    from_books: bool = False,
    as_json: bool,
) -> dict[str, Any]:
    """Call one of the own tools that cost nothing, and return what it says; with `as_json` that is printed.

    Args:
        given: where to ask.
        tool: its name, such as ``jecp_status``.
        arguments: as the tool's schema has them; what is None or empty is left out.
        catalog: whether to fetch the Hub's catalog first.
        from_books: whether all that it says is in the books, so that no sandbox Hub need run.
        as_json: print the answer, or the error, for programs.

    Raises:
        CallFailed: it was refused.
        PayeeError: the sandbox Hub that is to be asked does not run.
        PinsUnusable: what was seen of the catalog before cannot be read.
    """
    wanted = {name: value for name, value in arguments.items() if value}
    result = anyio.run(_ask, given, tool, wanted, catalog, from_books)
    told = dict(result.structured or {})
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    if result.is_error and (call_id := wanted.get("call_id")) is not None:
        options = [word for name in wanted.keys() - {"call_id"} for word in (f"--{name}", str(wanted[name]))]
        words = (tool.removeprefix("jecp_"), call_id, *options)
        raise CallFailed(anyio.run(why_or_where, given, result, call_id, *words))
    if result.is_error:
        raise CallFailed(why(result, given.commands))
    return told


async def _ask(given: Start, tool: str, arguments: dict[str, Any], catalog: bool, from_books: bool) -> ToolResult:
    from jecp_mcp.calls.ports import Caller
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.cli.hub_process import at_hub
    from jecp_mcp.cli.pins_check import check_pins
    from jecp_mcp.cli.terminal import Terminal
    from jecp_mcp.domain.purchases import LOCAL

    async with nullcontext(given) if from_books else at_hub(given) as at, build(at) as bridge:
        if catalog:
            # A catalog of an earlier run will do; what is not in it is refused with the reason.
            await bridge.source.refresh()
            check_pins(bridge)
        return await bridge.dispatcher.call(tool, arguments, Caller(LOCAL, asker=Terminal(at.settings.every_hub)))


async def why_or_where(given: Start, result: ToolResult, call_id: str, *words: str) -> str:
    """As `why`; of a call that these books do not know, also whether others of this user do, and the command there."""
    from jecp_mcp.cli.other_books import call_elsewhere
    from jecp_mcp.tools.codes import CALL_NOT_FOUND

    told = why(result, given.commands)
    if (result.structured or {}).get("error", {}).get("code") != CALL_NOT_FOUND:
        return told
    return told + await call_elsewhere(given, call_id, *words)


def why(result: ToolResult, commands: CommandLine) -> str:
    """The error, all that is wrong with the arguments, and what the person can do, in one line."""
    shown = dict(result.structured or {})
    error, wrong = shown.get("error", {}), problems(shown)
    said = f"{error.get('code')}: {for_person(str(error.get('message')))}"
    parts = [said, wrong and f"{wrong}.", advice(shown, commands)]
    return " ".join(str(part) for part in parts if part)
