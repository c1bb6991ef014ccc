"""``paid_http_prepare``, ``_execute``, ``_result``: buying from the HTTP merchants of the operator's list.

What a merchant says of its input or of itself is a stranger's word: bounded, cleaned, and marked as its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls import consent_refusals
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.calls.prepared import Preparation, PreparedCall
from jecp_mcp.clock import Clock, UnixMs, iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import MoneyError, ToolFault, WireError
from jecp_mcp.mandate.grants import Grant, GrantState
from jecp_mcp.money import format_usdc, parse_usdc
from jecp_mcp.rails.codes import INVALID_REQUEST
from jecp_mcp.rails.paid_http.hints import find_issues, with_known
from jecp_mcp.rails.paid_http.refusals import not_listed
from jecp_mcp.rails.paid_http.request import PaidRequest, listed_by, read_request
from jecp_mcp.rails.paid_http.roads import PriceSummary, Road
from jecp_mcp.settings.command_lines import CommandLine
from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.tools.codes import INVALID_ARGUMENTS, PREPARED_INCOMPLETE
from jecp_mcp.tools.error_results import error_result, next_action_object
from jecp_mcp.tools.next_actions.case import Context
from jecp_mcp.tools.next_actions.selection import PREPARE_ANEW
from jecp_mcp.tools.own import preparation
from jecp_mcp.tools.own.definitions import PAID_HTTP_EXECUTE, PAID_HTTP_PREPARE, PAID_HTTP_RESULT
from jecp_mcp.tools.own.wallet import Wallet
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.results import Results
from jecp_mcp.tools.types import NextAction, Text, ToolResult

_HINTS: Final = 3_000
_OTHERS: Final = 1_200
_WARNINGS: Final = 600
_LATEST: Final = 50
"""How many of the latest calls tell how a merchant has kept to it."""

_UNREAD: Final = PriceSummary(version=0, where="", payment={}, asked_at=0)

ContextOf = Callable[[str, Mapping[str, Any]], Context]
StatusOf = Callable[[str, Caller, Offer], Awaitable[ToolResult]]


class PaidHttpTools:
    """The three tools, where merchants are listed and there is a road to pay them by."""

    def __init__(
        self,
        calls: Calls,
        wallet: Wallet,
        results: Results,
        links: LinkPolicy,
        roads: Sequence[Road],
        clock: Clock,
        commands: CommandLine,
    ) -> None:
        self._calls = calls
        self._wallet = wallet
        self._results = results
        self._links = links
        self._roads = roads
        self._clock = clock
        self._commands = commands

    @property
    def merchants(self) -> Sequence[str]:
        """Who may be bought from, as the operator wrote it."""
        return [merchant for road in self._roads for merchant in road.merchants]

    async def prepare(self, arguments: Mapping[str, Any], caller: Caller, context: ContextOf) -> ToolResult:
        """Ask for a price, and say what it is and what stands in the way.

        Raises:
            ToolFault: the arguments contradict each other.
            LedgerError: the ledger cannot be read, or the price not be kept.
        """
        asked = (PAID_HTTP_PREPARE, arguments)
        try:
            request = read_request(_flat(arguments))
            most = None if "max_usdc" not in arguments else parse_usdc(arguments["max_usdc"])
        except WireError as exc:
            return _refuse(_unwritable(exc), context(*asked))
        except MoneyError as exc:
            raise ToolFault(INVALID_ARGUMENTS, f"max_usdc: {exc}. Nothing was charged.") from exc
        if listed_by(self.merchants, request.place) is None:
            return _refuse(not_listed(), context(*asked))
        purchase = Purchase(PAID_HTTP_EXECUTE, request.offer, request.arguments, most)
        made = await self._calls.prepare(purchase, caller)
        if isinstance(made, CallEnd):
            return await self._concluded(replace(made, offer=request.offer), caller, context(*asked))
        if "replaces" in arguments and arguments["replaces"] != made.grant.grant_id:
            await self._calls.withdraw(arguments["replaces"], caller.principal)
        if made.approval is not None:
            preparation.note_question(request.offer, made.approval[1].grant_id, self._commands)
        step = _next(made, context(*asked).page, can_ask=caller.can_ask)
        told = self._summary(request, made, arguments.get("known_fields", ()), step)
        strikes = await self._strikes(request.offer, caller)
        if strikes:
            told["warnings"] = [*told.get("warnings", ()), *strikes]
        return _free(told)

    async def execute(self, arguments: Mapping[str, Any], caller: Caller, context: ContextOf) -> ToolResult:
        """Buy what was prepared, once.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        asked = (PAID_HTTP_EXECUTE, arguments)
        known = await self._prepared(arguments["prepared_id"], caller)
        if isinstance(known, CallEnd):
            return error_result(known, context(*asked))
        (grant, call), request, price = known
        again = (PAID_HTTP_PREPARE, _written(request))
        if grant.call_id is None and (lacking := find_issues(request, price.hints)):
            return _refuse(_incomplete(lacking), context(*again))
        end = await self._calls.execute((grant, call), Purchase(call.tool, request.offer, call.arguments), caller)
        stale = end.refusal is not None and end.refusal.code in PREPARE_ANEW
        return await self._concluded(end, caller, context(*(again if stale else asked)))

    async def result(
        self, arguments: Mapping[str, Any], caller: Caller, context: ContextOf, status: StatusOf
    ) -> ToolResult:
        """What became of what was prepared; finishes what can be finished.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        asked = (PAID_HTTP_RESULT, arguments)
        known = await self._prepared(arguments["prepared_id"], caller)
        if isinstance(known, CallEnd):
            return error_result(known, context(*asked))
        (grant, _), request, price = known
        if grant.call_id is not None:
            return await status(grant.call_id, caller, request.offer)
        state = _state(grant, self._clock.now())
        told: dict[str, Any] = {"prepared_id": grant.grant_id, "state": state, "charged": Charge.NO.value}
        step = NextAction("execute", "agent", "Execute it to buy it.", "bridge", PAID_HTTP_EXECUTE, dict(arguments))
        if state != "prepared":
            step = NextAction("prepare", "agent", "Prepare it again.", "bridge", PAID_HTTP_PREPARE, _written(request))
        elif lacking := find_issues(request, price.hints):
            told |= {"state": "incomplete", "validation_issues": self._links.data(lacking, _HINTS)}
            step = _revise()
        return _free(told | {"next_action": next_action_object(step)})

    async def _prepared(
        self, prepared_id: str, caller: Caller
    ) -> tuple[tuple[Grant, PreparedCall], PaidRequest, PriceSummary] | CallEnd:
        found = await self._calls.prepared(prepared_id, caller.principal)
        if isinstance(found, CallEnd):
            return found
        _, call = found
        if call.source != PAID_HTTP:
            return CallEnd(Charge.NO, refusal=consent_refusals.prepared_unknown())
        grant, _ = found
        try:
            price = self._price(call.quote.payload)
        except WireError:
            # The settings pay its merchant otherwise since. What was bought is still found.
            if grant.call_id is None:
                return CallEnd(Charge.NO, refusal=consent_refusals.prepared_unknown())
            price = _UNREAD
        return found, read_request(call.arguments), price

    def _price(self, payload: bytes) -> PriceSummary:
        """What a quote's payload says, by whichever road it is of.

        Raises:
            WireError: it is of no road that is there now.
        """
        fault = WireError("no road is configured that it was prepared for")
        for road in self._roads:
            try:
                return road.summarise(payload)
            except WireError as exc:
                fault = exc
        raise fault

    async def _strikes(self, offer: Offer, caller: Caller) -> Sequence[str]:
        """What is worth knowing of a merchant's latest paid requests."""
        paid, proven = await self._calls.reader(caller.principal).receipts(offer, among=_LATEST)
        if paid == proven:
            return ()
        return (f"Paid requests here that came back without a valid receipt: {paid - proven} of the latest {paid}.",)

    async def _concluded(self, end: CallEnd, caller: Caller, context: Context) -> ToolResult:
        if end.answer is None:
            return error_result(end, context)
        bought = None if end.offer is None else (end.offer, PAID_HTTP_EXECUTE)
        end, left = await self._wallet.after(end, bought, caller)
        result = await self._results.render(end, caller, remaining=left)
        # An answer that reaches nobody stays for whoever asks the same again.
        if await caller.listening():
            self._calls.delivered(end)
        return result

    def _summary(
        self, request: PaidRequest, made: Preparation, known: Sequence[Mapping[str, Any]], whole: NextAction
    ) -> dict[str, Any]:
        """A prepared request as the model sees it; amounts are decimal text in USDC.

        Args:
            whole: the next step where the request lacks nothing.
        """
        call, grant, links = made.call, made.grant, self._links
        priced = self._price(call.quote.payload)
        hints = with_known(priced.hints, known)
        issues = find_issues(request, hints)
        price = format_usdc(call.quote.amount)
        told: dict[str, Any] = {
            "prepared_id": grant.grant_id,
            "kind": "incomplete" if issues else "ready",
            "protocol": "x402",
            "x402_version": priced.version,
            "cost_summary": f"Costs {price} USDC on {priced.where} ({call.quote.kind.value}).",
            "payment": {"amount_usdc": price, **priced.payment},
            "expires_at": iso(grant.expires_at),
            "probe": {"status": 402, "at": iso(UnixMs(priced.asked_at))},
        }
        if priced.others:
            told["other_offers"] = links.data(list(priced.others), _OTHERS)
        if hints:
            told["hints"] = links.data(hints, _HINTS)
        if issues:
            told["validation_issues"] = links.data(issues, _HINTS)
        if priced.warnings:
            told["warnings"] = links.data(list(priced.warnings), _WARNINGS)
        standing = preparation.standing_issues(made)
        if standing:
            told["issues"] = standing
        step = _revise() if issues else whole
        return told | {"charged": Charge.NO.value, "next_action": next_action_object(step)}


def _flat(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The request in one form: JSON as the text of a body.

    Raises:
        ToolFault: there is both a body and JSON.
        WireError: the JSON cannot be written.
    """
    found = {name: arguments[name] for name in ("url", "method", "headers", "body") if name in arguments}
    if "json" not in arguments:
        return found
    if "body" in found:
        raise ToolFault(
            INVALID_ARGUMENTS, "There is both body and json, and only one of them can be sent. Nothing was charged."
        )
    headers = dict(found.get("headers") or {})
    if all(name.lower() != "content-type" for name in headers):
        headers["content-type"] = "application/json"
    method = found.get("method") or "POST"
    return found | {"method": method, "headers": headers, "body": jsontext.dumps(arguments["json"]).decode()}


def _written(request: PaidRequest) -> dict[str, Any]:
    """A request as `PAID_HTTP_PREPARE` takes it."""
    return {name: value for name, value in request.arguments.items() if value}


def _state(grant: Grant, now: UnixMs) -> str:
    if grant.state is GrantState.SUPERSEDED:
        return "superseded"
    return "expired" if grant.expires_at <= now else "prepared"


def _next(made: Preparation, page: str | None, *, can_ask: bool) -> NextAction:
    execute = (PAID_HTTP_EXECUTE, {"prepared_id": made.grant.grant_id})
    if made.approval is not None and not can_ask:
        return preparation.ask_outside(made, page)
    if any(one.meter.limit < made.call.hold for one in made.full):
        hint = "This costs more than a whole limit of the operator's. Tell the user, or find a cheaper merchant."
        return NextAction("stop", "operator", hint, "bridge")
    if made.full:
        return preparation.wait_for_room(made, execute)
    return preparation.execute_now(made, execute)


def _revise() -> NextAction:
    hint = (
        "It cannot be bought as it is: the merchant needs what validation_issues names. Prepare it again with that, "
        "and with this id as replaces."
    )
    return NextAction("revise_request", "agent", hint, "bridge", tool=None)


def _incomplete(issues: Sequence[Mapping[str, Any]]) -> Refusal:
    return Refusal(
        PREPARED_INCOMPLETE,
        "The request lacks what the merchant says that it needs, so it was not paid for. Nothing was charged.",
        details={"validation_issues": [dict(one) for one in issues]},
        source="bridge",
    )


def _unwritable(cause: WireError) -> Refusal:
    return Refusal(
        INVALID_REQUEST,
        f"The request cannot be sent: {cause}. Nothing was sent and nothing was charged.",
        source="bridge",
    )


def _refuse(refusal: Refusal, context: Context) -> ToolResult:
    return error_result(CallEnd(Charge.NO, refusal=refusal), context)


def _free(structured: Mapping[str, Any]) -> ToolResult:
    return ToolResult((Text(jsontext.dumps(structured).decode()),), structured=structured)
