"""``jecp-mcp reconcile``: an operator's ruling on a call that nobody can find out about any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start
from jecp_mcp.errors import JecpMcpError

if TYPE_CHECKING:
    from jecp_mcp.clock import UnixMs
    from jecp_mcp.mandate.ledger import Ledger
    from jecp_mcp.mandate.records import CallRow, Conclusion
    from jecp_mcp.money import MicroUSDC

_MOST = 100_000
_THE_HOLD = "the hold"
_ENDED = ("settled", "reconciled_charged")
_LONGEST_REASON = 400


class NotRuled(JecpMcpError):
    """Nothing was ruled; its message says why."""


@click.command(
    "reconcile",
    epilog=examples(
        "jecp-mcp reconcile",
        """jecp-mcp reconcile call_5f2c --charged 0.05 --reason "on the Hub's statement of 3 November\"""",
        'jecp-mcp reconcile call_77ab --free --reason "not on the statement"',
    ),
)
@click.argument("call_id", required=False)
@click.option(
    "--charged",
    is_flag=False,
    flag_value=_THE_HOLD,
    metavar="[AMOUNT]",
    help="It cost AMOUNT in USDC; without one, all that is held.",
)
@click.option("--free", is_flag=True, help="It cost nothing; what is held can be spent again.")
@click.option("--reason", help="How you know; kept in the ledger, with your user name.")
@common_options
@as_json
def command(
    call_id: str | None,
    charged: str | None,
    free: bool,
    reason: str | None,
    hub: str | None,
    config: Path | None,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Rule whether a call whose outcome was lost was charged; without CALL_ID, list the calls that need it.

    Until you rule, such a call counts as spent. Proof of a charge that comes later overrules "free". A call that cost
    more than it was allowed to, by the word of who was paid, is listed too; a ruling moves what it counts for.
    """
    given = start(hub, config, state_dir)
    if call_id is None:
        if charged is not None or free or reason is not None:
            raise click.UsageError(f"a ruling needs a CALL_ID; `{given.commands.line('reconcile')}` lists them")
        _list(anyio.run(calls_to_rule, given), given, json_wanted=as_json)
        return
    if free == (charged is not None):
        raise click.UsageError("say either --charged or --free")
    if reason is None or not reason.strip():
        raise click.UsageError("say how you know, with --reason TEXT")
    if len(reason) > _LONGEST_REASON:
        raise click.UsageError(f"a reason has at most {_LONGEST_REASON} characters")
    _tell(anyio.run(rule, given, call_id, charged, " ".join(reason.split())), json_wanted=as_json)


async def calls_to_rule(given: Start) -> dict[str, list[dict[str, Any]]]:
    """The calls that need a ruling, and those that can be found out without one, oldest first, as JSON.

    Of these ``hub_in_settings`` is false where that takes a Hub that is not among the settings any more.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from jecp_mcp.cli.call_rows import of_hub_gone
    from jecp_mcp.cli.ledger_tasks import open_ledger
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.mandate.naming import Naming
    from jecp_mcp.mandate.states import HOLDING

    if given.settings.ledger.url is None and not given.ledger.exists():
        return {"needs_ruling": [], "still_found_out": []}
    now = SystemClock().now()
    async with open_ledger(given) as ledger:
        held = await ledger.rows(limit=_MOST, states=HOLDING)
        rows = sorted([*held, *await ledger.excessive(limit=_MOST)], key=lambda row: row.number)
    if given.asked_hub is not None:
        rows = [row for row in rows if row.source == given.settings.every_hub[given.asked_hub].base_url]
    needs: list[dict[str, Any]] = []
    found_out: list[dict[str, Any]] = []
    naming = Naming.from_settings(given.settings)
    for row in rows:
        told = _call_json(naming.row(row), now)
        if _needs_ruling(row, now):
            needs.append(told)
        else:
            found_out.append(told | {"hub_in_settings": not of_hub_gone(given, row)})
    return {"needs_ruling": needs, "still_found_out": found_out}


async def rule(given: Start, call_id: str, charged: str | None, reason: str) -> dict[str, Any]:
    """Write a ruling, durably; returns the call as JSON.

    Args:
        given: where the ledger is.
        call_id: the call.
        charged: what it cost, as decimal text in USDC, or `_THE_HOLD`; None for nothing.
        reason: how the operator knows.

    Raises:
        NotRuled: the call cannot be ruled on, or not now.
        LedgerError: the ruling cannot be written.
    """
    from jecp_mcp.cli.ledger_tasks import open_ledger
    from jecp_mcp.cli.other_books import call_elsewhere
    from jecp_mcp.clock import SystemClock

    if not given.ledger.exists() and (elsewhere := await call_elsewhere(given, call_id, "reconcile")):
        raise NotRuled(f"no call is known here yet.{elsewhere}")
    async with open_ledger(given) as ledger:
        row = await _find_call(ledger, call_id, given)
        amount = _amount(row, charged)
        evidence = _evidence(charged, amount, reason)
        if _excessive(row):
            await ledger.correct(call_id, amount, evidence)
        else:
            await ledger.conclude_now(_conclusion(row, charged, amount, evidence, SystemClock().now()))
        ruled = await ledger.row(call_id)
        assert ruled is not None
        return _call_json(ruled, SystemClock().now()) | {"reason": ruled.evidence}


async def _find_call(ledger: Ledger, call_id: str, given: Start) -> CallRow:
    from jecp_mcp.cli.other_books import call_elsewhere
    from jecp_mcp.mandate.states import State

    row = await ledger.row(call_id)
    if row is not None and row.state in {State.RESERVED, State.SENT}:
        # Its process may be dead; then it is nobody's, and in doubt. This one finishes none.
        await ledger.adopt_orphans(lambda _rail, _account, _authorized: False)
        row = await ledger.row(call_id)
    if row is None:
        listing, elsewhere = given.commands.line("ledger"), await call_elsewhere(given, call_id, "reconcile")
        raise NotRuled(f"the ledger knows no call {call_id[:80]}; `{listing}` lists them.{elsewhere}")
    return row


def _evidence(charged: str | None, amount: MicroUSDC, reason: str) -> str:
    from jecp_mcp.cli.approve import user
    from jecp_mcp.mandate.records import RULED
    from jecp_mcp.money import format_usdc

    how = "free" if charged is None else f"charged {format_usdc(amount)} USDC"
    return f"{RULED}{how} by {user()}: {reason}"


def _conclusion(row: CallRow, charged: str | None, amount: MicroUSDC, evidence: str, now: UnixMs) -> Conclusion:
    """The ruling on an open call or one that was written off as the ledger takes it, if it may be made.

    Raises:
        NotRuled: it may not.
    """
    from jecp_mcp.clock import iso
    from jecp_mcp.domain.outcomes import Verdict
    from jecp_mcp.mandate.records import Conclusion
    from jecp_mcp.mandate.states import CHARGED, State, event_of
    from jecp_mcp.money import format_usdc

    verdict = Verdict.NOT_CHARGED if charged is None else Verdict.CHARGED
    if row.state in {State.RESERVED, State.SENT}:
        raise NotRuled(f"the call {row.call_id} is being paid by a running process; wait until that has ended")
    if row.state in CHARGED or event_of(row.state, verdict) is None:
        at = f" at {format_usdc(row.charged)} USDC" if row.charged else ""
        raise NotRuled(f"the call {row.call_id} is {row.state.value}{at} already; nothing was changed")
    until = _found_out_until(row, now)
    if verdict is Verdict.NOT_CHARGED and until is not None:
        raise NotRuled(
            f"the bridge may still find out about the call {row.call_id} by itself, until {iso(until)}; "
            "it can be ruled free after that"
        )
    return Conclusion(row.call_id, verdict, amount, evidence=evidence, attempts=0)


def _amount(row: CallRow, charged: str | None) -> MicroUSDC:
    from jecp_mcp.errors import MoneyError
    from jecp_mcp.money import ZERO, parse_usdc

    if charged is None:
        return ZERO
    if charged == _THE_HOLD:
        return row.held
    try:
        return parse_usdc(charged)
    except MoneyError as exc:
        raise NotRuled(f"--charged takes an amount in USDC such as 0.05: {exc}") from exc


def _found_out_until(row: CallRow, now: UnixMs) -> int | None:
    """Until when the bridge may send the call again to find out, or None when it will not any more."""
    from jecp_mcp.mandate.states import OPEN

    until = None if row.awaits_ruling else row.provable_until
    return until if row.state in OPEN and until is not None and now < until else None


def _excessive(row: CallRow) -> bool:
    """Whether the payee says that it took more than the call was allowed to cost."""
    from jecp_mcp.mandate.states import CHARGED

    return row.state in CHARGED and row.charged > row.held


def _needs_ruling(row: CallRow, now: UnixMs) -> bool:
    from jecp_mcp.mandate.states import State

    if row.state in {State.SENT, State.IN_DOUBT}:
        return _found_out_until(row, now) is None
    return row.state is State.WRITTEN_OFF or _excessive(row)


def _call_json(row: CallRow, now: UnixMs) -> dict[str, Any]:
    from jecp_mcp.cli.call_rows import call_json
    from jecp_mcp.clock import iso

    until = _found_out_until(row, now)
    return call_json(row) | {"found_out_until": None if until is None else iso(until)}


def _tell(ruled: dict[str, Any], *, json_wanted: bool) -> None:
    if json_wanted:
        print(json.dumps(ruled, indent=2))
    elif ruled["state"] == "reconciled_free" or (ruled["state"] in _ENDED and ruled["charged_usdc"] == "0"):
        print(f"Ruled: the call {ruled['call_id']} cost nothing; {ruled['reserved_usdc']} USDC can be spent again.")
    else:
        print(f"Ruled: the call {ruled['call_id']} was charged {ruled['charged_usdc']} USDC.")


def _list(found: dict[str, list[dict[str, Any]]], given: Start, *, json_wanted: bool) -> None:
    if json_wanted:
        print(json.dumps(found, indent=2))
        return
    from jecp_mcp.cli import rich_output

    needs, found_out = found["needs_ruling"], found["still_found_out"]
    if not needs and not found_out:
        print("No call needs a ruling.")
        return
    columns: list[rich_output.Column] = [("call", "left"), ("reserved", "left"), ("tool", "left"), ("state", "left")]
    columns += [("held", "right"), ("until", "left"), ("evidence", "prose")]
    here, gone = ([one for one in found_out if one["hub_in_settings"] is wanted] for wanted in (True, False))
    for title, rows in (
        ("Needs a ruling (USDC, UTC)", needs),
        ("Will still be found out (USDC, UTC)", here),
        ("Found out only with a Hub that is not in the settings (USDC, UTC)", gone),
    ):
        cells = [
            (
                one["call_id"],
                one["created_at"][:19].replace("T", " "),
                one["tool"],
                rich_output.state(one["state"]),
                one["held_usdc"] if one["state"] not in _ENDED else f"{one['charged_usdc']} taken",
                (one["found_out_until"] or "")[:19].replace("T", " "),
                one["evidence"] or "",
            )
            for one in rows
        ]
        if cells:
            rich_output.show(rich_output.Listing(title, columns, cells))
    if needs:
        ruling = given.commands.line("reconcile", needs[0]["call_id"], "--free", "--reason", "TEXT")
        print(f"Ask whoever was to be paid; then rule, such as: {ruling} (or --charged, or --charged AMOUNT)")
