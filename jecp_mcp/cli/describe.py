"""``jecp-mcp describe``: one action, as far as it is known before it is bought."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from jecp_mcp.cli.completion import complete_tools
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.offer_words import ending, price_of
from jecp_mcp.cli.options import as_json, common_options, start_from
from jecp_mcp.settings.command_lines import CommandLine

_LONGEST_EXAMPLE: Final = 600


@click.command(
    "describe",
    epilog=examples("jecp-mcp describe text-stats_count", "jecp-mcp describe inkwell/invoice:render --json"),
)
@click.argument("tool", shell_complete=complete_tools)
@common_options
@as_json
def command(tool: str, as_json: bool, **given: Any) -> None:
    """Show what TOOL does, takes and costs, and whether your limits allow it now. Free.

    TOOL is a tool's name or an action in any notation, as for `jecp-mcp call`.
    """
    from jecp_mcp.cli.own_tools import ask

    at = start_from(given)
    found = ask(at, "jecp_describe", {"tool": tool}, catalog=True, as_json=as_json)
    if not as_json:
        _print(found, at.commands)


def _print(found: Mapping[str, Any], commands: CommandLine) -> None:
    from rich.text import Text

    from jecp_mcp.calls.codes import APPROVAL_REQUIRED
    from jecp_mcp.cli import rich_output

    limits, blocked = Text("yes", rich_output.OK), found.get("blocked_by", ())
    if blocked == [APPROVAL_REQUIRED]:
        limits = Text("yes, when a person has approved it", rich_output.WARNING)
    elif blocked:
        limits = Text(f"no: {', '.join(blocked)} {found.get('limit', '')}".rstrip(), rich_output.FAULT)
    told: dict[str, Any] = {"tool": found["tool"], "action": found.get("action"), "version": found.get("version")}
    told |= {
        "provider": found.get("provider") or _provider(found),
        "tier": found.get("tier"),
        "price": found.get("price") or _exact(found),
    }
    told |= {"what it does": found.get("providers_words") or found.get("summary")}
    told |= {"effects": ", ".join(found.get("side_effects", ())), "streams": "yes" if found.get("streaming") else None}
    told |= {"gives back": found.get("returns"), "on its way out": ending(found)}
    told |= {"within your limits": limits if "blocked_by" in found else None}
    told |= {"only the Hub checks": ", ".join(found.get("checked_by_hub_only", ()))}
    told |= {"in hosts": found.get("call_only") and f"bought with jecp_call: {found['call_only']}"}
    rich_output.show(rich_output.Facts(told))
    if found.get("caution"):
        rich_output.say(found["caution"], rich_output.WARNING)
    columns: list[rich_output.Column] = [("argument", "left"), ("type", "left"), ("needed", "left"), ("what", "prose")]
    rows = list(_arguments(found["input_schema"]))
    if rows:
        rich_output.show(rich_output.Listing("\nArguments", columns, rows))
    for one in found.get("examples", ())[:1]:
        given = json.dumps(one.get("input", one) if isinstance(one, dict) else one, ensure_ascii=False)
        if len(given) <= _LONGEST_EXAMPLE:
            rich_output.say(f"\nExample\n  {commands.line('call', found['tool'], given)}")


def _provider(found: Mapping[str, Any]) -> str | None:
    """The provider, whose name begins that of the action where it is not told."""
    return str(found["action"]).partition("/")[0] if "action" in found else None


def _exact(found: Mapping[str, Any]) -> str | None:
    """The price where there is no more to say of it than an amount; None for what is not bought."""
    return f"{price_of(found)} USDC" if "price_usdc" in found else None


def _arguments(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """A row for each property at the schema's root."""
    needed = schema.get("required", ())
    properties = schema.get("properties")
    for name, one in properties.items() if isinstance(properties, dict) else ():
        said = one if isinstance(one, dict) else {}
        words = str(said.get("description", ""))
        if "enum" in said:
            words = f"{words} One of {json.dumps(said['enum'], ensure_ascii=False)}.".strip()
        kind = said.get("type", "")
        yield name, "/".join(kind) if isinstance(kind, list) else str(kind), "yes" if name in needed else "", words
