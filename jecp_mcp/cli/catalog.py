"""``jecp-mcp catalog``: what the Hub sells, at what price, and what changed in it since it was seen before."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.advice import for_person
from jecp_mcp.cli.codes import NOT_HELD
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start
from jecp_mcp.cli.pins_check import check_pins, doctor_named
from jecp_mcp.errors import PayeeError
from jecp_mcp.plurals import counted
from jecp_mcp.settings.command_lines import CommandLine

if TYPE_CHECKING:
    from jecp_mcp.catalog.pins import Held
    from jecp_mcp.cli.assembly import Bridge
    from jecp_mcp.domain.offers import Offer

_MOST = 100_000
_WORDS = 300
_MOST_TOLD = 5


class _Listing(click.Group):
    """A group whose listing needs no name: ``catalog`` is ``catalog list``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` before options.

        Raises:
            click.UsageError: what is named is no command, as when somebody searches.
        """
        if not args or args[0] not in ctx.help_option_names:
            words = _words(ctx, args, self.commands.values())
            if words and words[0] not in self.commands:
                raise click.UsageError(f"did you mean `{_as_search(args, words)}`?", ctx)
            args = [*(words[:1] or ["list"]), *_without(args, words[:1])]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of the listing, which needs no name, and then the commands."""
        self.commands["list"].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _words(ctx: click.Context, args: list[str], commands: Iterable[click.Command]) -> list[str]:
    """Those of `args` that are no options, nor their values, of a command of the catalog or of ``search``."""
    from jecp_mcp.cli.search import command as search

    options: dict[str | None, click.Parameter] = {
        one.name: one for command in (search, *commands) for one in command.params if isinstance(one, click.Option)
    }
    parser = click.Command("catalog", params=list(options.values())).make_parser(ctx)
    parser.allow_interspersed_args = True
    try:
        return parser.parse_args(list(args))[1]
    except click.UsageError:
        # The command itself says what is wrong with its options.
        return [] if args[0].startswith("-") else args[:1]


def _as_search(args: list[str], words: list[str]) -> str:
    """The search that somebody meant who gave ``catalog`` words to look for, with the options that they gave."""
    return CommandLine.of({}).line("search", " ".join(words), *_without(args, words))


def _without(args: list[str], words: list[str]) -> list[str]:
    rest = list(args)
    for word in words:
        rest.remove(word)
    return rest


@click.group(
    "catalog",
    cls=_Listing,
    options_metavar="",
    subcommand_metavar="[OPTIONS] | approve KEY...",
    epilog=examples("jecp-mcp catalog", "jecp-mcp catalog --changes", "jecp-mcp catalog approve docs/invoice:create"),
)
def command() -> None:
    """Show everything that the Hub sells, and what it costs. Approve what changed in it."""


@command.command(
    "list", short_help="The same as without a command.", epilog=examples("jecp-mcp catalog list --limit 100 --json")
)
@common_options
@click.option("--changes", is_flag=True, help="Only what is held until you approve it, and why.")
@click.option("--limit", type=click.IntRange(1, _MOST), help="At most so many.")
@as_json
def listing(
    hub: str | None,
    config: Path | None,
    state_dir: Path | None,
    changes: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show everything that the Hub sells, by name. `jecp-mcp search` finds what you need."""
    given = start(hub, config, state_dir)
    if changes:
        _tell_changes(anyio.run(read_changes, given), as_json=as_json)
        return
    shown = anyio.run(read, given, limit or _MOST)
    if as_json:
        print(json.dumps(shown.actions, indent=2, ensure_ascii=False))
    else:
        _print(shown)


@command.command(
    "approve",
    short_help="Accept what changed of actions, after showing it.",
    epilog=examples("jecp-mcp catalog approve docs/invoice:create", "jecp-mcp catalog approve --all"),
)
@click.argument("keys", nargs=-1, metavar="KEY...")
@common_options
@click.option("--all", "everything", is_flag=True, help="Approve everything that is held.")
@click.option("--yes", is_flag=True, help="Do not ask. Approves what the Hub offers at this moment, unseen.")
def approve(
    keys: tuple[str, ...], hub: str | None, config: Path | None, state_dir: Path | None, everything: bool, yes: bool
) -> None:
    """Accept what changed of the actions KEY, such as docs/invoice:create, after showing it. Any notation will do."""
    context = click.get_current_context()
    if bool(keys) == everything:
        raise click.UsageError("name the actions to approve, or give --all", context)
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at; give --yes to approve unasked", context)
    anyio.run(_approve, start(hub, config, state_dir), keys, yes)


@dataclass(frozen=True, slots=True)
class Shown:
    """The beginning of a catalog, as JSON; prices are decimal text in USDC.

    Attributes:
        total: how many there are, of which these are the first; `agents` of them are not the Hub's.
    """

    hub: str
    actions: list[dict[str, Any]]
    total: int
    agents: int


async def read(given: Start, limit: int) -> Shown:
    """The first so many actions of the catalog.

    Where a source is away, what is known of it from before, which is said on stderr.

    Raises:
        PayeeError: a source cannot be reached, and nothing is known from before.
        PinsUnusable: what was seen before cannot be read.
    """
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.cli.hub_process import at_hub
    from jecp_mcp.tools.publishing.views import Views

    async with at_hub(given) as at, build(at) as bridge:
        await _refresh(bridge)
        check_pins(bridge)
        current = bridge.source.current
        found = [current.actions[key] for key in sorted(current.actions)[:limit]]
        aside, views = bridge.registry.quarantined, Views(bridge.registry, given.settings.tools)
        shown = [_action_json(bridge, action, aside.get(action.key)) for action in found]
        cut, clashes = set(bridge.registry.cut), {key for one in bridge.registry.collisions for key, _ in one.names}
        for entry in shown:
            entry["name_cut"], entry["name_clash"] = entry["action"] in cut, entry["action"] in clashes
            known = bridge.registry.resolve(entry["tool"]) if entry["tool"] else None
            entry["call_only"], entry["other_names"] = views.by_profile(known.card) if known is not None else ({}, {})
        hubs, every = [one.base_url for one in at.hubs.values()], current.actions.values()
        return Shown(", ".join(hubs), shown, len(every), sum(one.source not in hubs for one in every))


async def _refresh(bridge: Bridge) -> None:
    """Fetch the catalog; say on stderr which source is away, what is known of it, and what settings leave out.

    Raises:
        PayeeError: nothing is known because of that.
    """
    from jecp_mcp.tools.own.left_out import left_out_words
    from jecp_mcp.tools.own.outages import outage_words

    await bridge.source.refresh()
    away = bridge.source.outages
    if away and not bridge.source.current.actions:
        raise PayeeError(away[0].code, f"{' '.join(map(outage_words, away))} Give the same command again later.")
    for one in away:
        click.echo(f"{one.code}: {outage_words(one)}", err=True)
    left_out = left_out_words(bridge.source.current)
    if left_out is not None:
        click.echo(for_person(left_out), err=True)


async def read_changes(given: Start) -> dict[str, Any]:
    """What is held and why, what is gone, and what cannot be published, as JSON. Of a source that is away, as `read`.

    Raises:
        PayeeError: a source cannot be reached, and nothing is known from before.
        PinsUnusable: what was seen before cannot be read.
    """
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.cli.hub_process import at_hub

    async with at_hub(given) as at, build(at) as bridge:
        await _refresh(bridge)
        current = bridge.source.current
        with doctor_named(given.commands):
            held = bridge.pins.held(current)
        known = {one.key for one in held}
        # A filter hides actions that are not gone.
        whole = not given.settings.catalog.scope()
        return {
            "held": [_change(one) for one in held],
            "removed": bridge.pins.gone(current) if whole else [],
            "unfit": {key: why for key, why in bridge.registry.quarantined.items() if key not in known},
        }


async def _approve(given: Start, keys: Sequence[str], yes: bool) -> None:
    """Show, ask and pin: exactly the actions that were shown, whatever the Hub offers by then.

    Raises:
        PayeeError: one of the keys is not held, or who offers it cannot be reached.
        PinsUnusable: what was approved cannot be written down.
    """
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.cli.hub_process import at_hub

    async with at_hub(given) as at, build(at) as bridge:
        await _refresh(bridge)
        current = bridge.source.current
        with doctor_named(given.commands):
            held = {one.key: one for one in bridge.pins.held(current)}
        named = {key: found.key if (found := bridge.registry.find(key)) is not None else key for key in keys}
        strangers = [key for key in keys if named[key] not in held]
        if strangers:
            raise PayeeError(NOT_HELD, f"nothing is to be approved of {', '.join(strangers)}")
        wanted = [held[key] for key in dict.fromkeys(named.values()) or held]
        if not wanted:
            print("Nothing is held.")
            return
        actions = [current.actions[one.key] for one in wanted]
        away = {one.source: one for one in bridge.source.outages}
        unseen = [one for one in actions if one.source in away]
        if unseen:
            hidden = ", ".join(one.key for one in unseen)
            code = away[unseen[0].source].code
            raise PayeeError(code, f"what {hidden} is now cannot be seen, so nothing was approved")
        _tell_changes({"held": [_change(one) for one in wanted]}, as_json=False)
        asked = f"Approve {'this' if len(wanted) == 1 else f'these {len(wanted)} actions'} as shown?"
        if yes or await anyio.to_thread.run_sync(lambda: click.confirm(asked, default=False)):
            bridge.pins.approve(actions)
            print(f"Approved: {', '.join(one.key for one in wanted)}")
        else:
            print("Nothing was approved.")


def _change(held: Held) -> dict[str, Any]:
    """One held action: our words, and the provider's before and after, cleaned."""
    made: dict[str, Any] = {
        "action": held.key,
        "changes": [change.kind for change in held.changes],
        "reason": "; ".join(dict.fromkeys(change.words for change in held.changes)),
    }
    before, after = (None if side is None else _terms_in_words(side) for side in (held.before, held.after))
    assert after is not None
    made["before"] = (
        None if before is None else {name: said for name, said in before.items() if after.get(name) != said}
    )
    made["after"] = {name: said for name, said in after.items() if before is None or before.get(name) != said}
    return made


def _terms_in_words(document: Any) -> dict[str, Any]:
    from jecp_mcp import jsontext
    from jecp_mcp.money import MicroUSDC, format_usdc
    from jecp_mcp.tools.publishing.cleaning import clean

    def text(value: object) -> str:
        return clean(jsontext.dumps(value).decode(), _WORDS * 10, one_line=True)

    amount, model, rates = document["price"]
    made = {
        "price": "unknown" if amount is None else f"{format_usdc(MicroUSDC(amount))} USDC",
        "pricing": f"{model or 'unknown'}{f', rates {text(rates)}' if rates else ''}",
        "version": clean(document["version"], 40, one_line=True),
        "input schema": text(document["schema"]),
        "effects": text(document["effects"]),
        "sold until": text(document["end"]),
    }
    return made | {name: clean(words, _WORDS * 3, one_line=True) for name, words in document["words"].items()}


def _tell_changes(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    if not any(found.values()):
        print("Nothing is held: every action is as it was first seen or approved, or within what you tolerate.")
    for one in found["held"]:
        print(f"{one['action']}  [{', '.join(one['changes'])}]")
        print(f"  {for_person(one['reason'])}")
        for name in one["after"].keys() | (one["before"] or {}).keys():
            if one["before"] is not None:
                print(f"  - {name}: {one['before'].get(name, '(none)')}")
            print(f"  + {name}: {one['after'].get(name, '(none)')}")
    for key in found.get("removed", ()):
        print(f"{key}  [removed]")
    for key, why in found.get("unfit", {}).items():
        print(f"{key}  [cannot be published] {why}")


def _action_json(bridge: Bridge, action: Offer, aside: str | None) -> dict[str, Any]:
    from jecp_mcp.mandate.caps import tightest_per_call
    from jecp_mcp.mandate.naming import names_of
    from jecp_mcp.money import format_usdc
    from jecp_mcp.tools.publishing.cleaning import clean, provider_of, provider_words, title_of
    from jecp_mcp.tools.publishing.pricing import metering, price_kind

    name, price = bridge.registry.name_of(action), action.price
    metered = price.amount is not None and price.metered
    cap = tightest_per_call(bridge.policy.caps, names_of(action, name or ""))
    return {
        "tool": name,
        "action": action.key,
        "version": action.version,
        "provider": provider_of(action),
        "title": title_of(action) if action.title else "",
        "description": provider_words(action, _WORDS, one_line=True),
        "price_usdc": None if price.amount is None else format_usdc(price.amount),
        "price_kind": price_kind(price),
        "metering": metering(price) if metered else None,
        "at_most_usdc": format_usdc(cap.limit) if metered and cap is not None else None,
        "trust_tier": clean(action.tier, 20, one_line=True),
        "allowed": name is not None and bridge.policy.permits(action, name),
        "streaming": action.streaming,
        "sunset_at": None if action.deprecation is None else clean(action.deprecation.sunset_at, 40, one_line=True),
        "set_aside": aside,
        "caution": bridge.registry.warning(action),
    }


def _print(shown: Shown) -> None:
    from rich.text import Text

    from jecp_mcp.cli import rich_output
    from jecp_mcp.cli.offer_words import price, purpose

    def words(one: dict[str, Any]) -> Text:
        if one["set_aside"]:
            return Text(f"set aside: {one['set_aside']}", rich_output.WARNING)
        said = purpose(one["description"], one["title"])
        if one["metering"]:
            most = f", at most {one['at_most_usdc']} USDC per call" if one["at_most_usdc"] else ""
            said = f"{said}. Metered: {one['metering']}{most}"
        return Text(f"{one['caution']} {said}", rich_output.WARNING) if one["caution"] else Text(said)

    rows = [
        (
            one["tool"] or f"({one['action']})",
            price(one["price_usdc"], metered=one["price_kind"] == "metered"),
            one["trust_tier"],
            words(one),
        )
        for one in shown.actions
    ]
    columns: list[rich_output.Column] = [("tool", "left"), ("USDC", "right"), ("tier", "spare")]
    columns.append(("what it does", "prose"))
    beside = f", {counted(shown.agents, 'agent')} to hire" if shown.agents else ""
    found = f"{counted(shown.total - shown.agents, 'action')} at {shown.hub}{beside}"
    found = f"{len(rows)} of {found}" if len(rows) < shown.total else found
    rich_output.show(rich_output.Listing(found, columns, rows))
    for line in _about_hosts(shown.actions):
        rich_output.say(line)


def _about_hosts(shown: list[dict[str, Any]]) -> Iterator[str]:
    """What hosts are shown otherwise than here."""
    hashed = sum(one["name_cut"] or one["name_clash"] for one in shown)
    if hashed:
        yield f"{hashed} names are cut or told apart by a hash at their end."
    call_only = [one for one in shown if one["call_only"]]
    for one in call_only[:_MOST_TOLD]:
        reason = next(iter(one["call_only"].values()))
        yield f"{one['tool']} is bought with jecp_call in {', '.join(one['call_only'])} hosts: {reason}."
    if len(call_only) > _MOST_TOLD:
        yield f"So are {len(call_only) - _MOST_TOLD} more; --json says which and why."
