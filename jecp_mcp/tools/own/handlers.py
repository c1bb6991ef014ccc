"""What the bridge's own tools do. None of them can change the policy, approve a spend or choose an idempotency key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import anyio

from jecp_mcp import jsontext
from jecp_mcp.calls.codes import CALL_OVER
from jecp_mcp.calls.execution import is_pending
from jecp_mcp.calls.pipeline import STATUS_SECONDS, Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Decision, Reply
from jecp_mcp.calls.stored import is_copy
from jecp_mcp.catalog.search import Finder
from jecp_mcp.catalog.sources import AllOffers
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.errors import SettingsError, ToolFault
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.money import format_usdc
from jecp_mcp.rails.jecp.codes import CREDENTIALS_MISSING, HUB_MISBEHAVED
from jecp_mcp.settings.command_lines import PLAIN, CommandLine
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.codes import ALREADY_REGISTERED, CALL_NOT_FOUND, CREDENTIALS_NOT_STORED
from jecp_mcp.tools.error_results import message_of, next_action_object
from jecp_mcp.tools.next_actions.alternatives import Alternatives
from jecp_mcp.tools.next_actions.case import Context
from jecp_mcp.tools.next_actions.selection import choose
from jecp_mcp.tools.own import browse, files, refunds
from jecp_mcp.tools.own.definitions import DEFAULT_CALLS, MOST_CALLS, by_name, own_cards
from jecp_mcp.tools.own.history import arguments_in_short, latest_calls
from jecp_mcp.tools.own.hubs import HubAccess, Hubs
from jecp_mcp.tools.own.left_out import left_out_words
from jecp_mcp.tools.own.lookup import Lookup
from jecp_mcp.tools.own.outages import outage_notices
from jecp_mcp.tools.own.wallet import Wallet, call_summary
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.tools.publishing.views import Views
from jecp_mcp.tools.receipts import History
from jecp_mcp.tools.results import Results
from jecp_mcp.tools.schemas.arguments import ArgumentChecks
from jecp_mcp.tools.types import NextAction, Text, ToolResult

if TYPE_CHECKING:
    from jecp_mcp.tools.own.paid_http import PaidHttpTools

REGISTERED: Final = "There is an agent account already. Nothing was changed or charged."

_LOOK_SECONDS: Final = 1.0
"""How long a question for a call waits first before its payee is asked anew."""

_GIVE_LINK: Final = "Give this link to the user."
_THEN: Final = (
    "When they say that they have paid, repeat the call that needed money, if one did; its answer has the new balance."
)
_TOPUP_NOTE: Final = "It raises no limit: those are the operator's. The link works once, as a rule for a day."
_HELD: Final = frozenset({"held_usdc", "in_doubt_usdc", "open_holds"})
_NOTHING_HELD: Final[tuple[object, ...]] = (format_usdc(0), [])
_AFTER_LINK: Final = {
    Decision.ACCEPTED: (
        "await_payment",
        f"The payment page is open at the user's. {_THEN}",
    ),
    Decision.DECLINED: ("stop", "The user does not want to pay now. Stop here."),
}


@dataclass(frozen=True, slots=True)
class ToolDeps:
    """Everything the own tools reach; `commands` is what a person is told to run."""

    registry: ToolRegistry
    offers: AllOffers
    views: Views
    finder: Finder
    calls: Calls
    wallet: Wallet
    results: Results
    store: ArtifactStore
    hubs: Hubs
    links: LinkPolicy
    clock: Clock
    paid_http: PaidHttpTools | None = None
    commands: CommandLine = PLAIN

    @property
    def merchants(self) -> Sequence[str] | None:
        """The merchants that can be paid; None where none can."""
        return None if self.paid_http is None else self.paid_http.merchants


class OwnTools:
    """The own tools but ``jecp_call``, which is the dispatcher's."""

    def __init__(self, deps: ToolDeps, check: ArgumentChecks, lookup: Lookup, alternatives: Alternatives) -> None:
        self._deps = deps
        self._failed = alternatives.failed_lately
        self._check = check
        self._lookup = lookup
        self.cards = by_name(deps.hubs.names)
        self._names = {
            known: frozenset(card.name for card in own_cards(registered=known, merchants=deps.merchants))
            for known in (True, False)
        }

    def names(self) -> frozenset[str]:
        """The own tools offered now."""
        return self._names[self._deps.hubs.registered]

    async def run(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        """Run one of them with checked arguments.

        Raises:
            ToolFault: the request cannot be met.
            PayeeError: the Hub could not or would not do its part.
            LedgerError: the books cannot be read.
        """
        match name:
            case "jecp_search":
                deps = self._deps
                await deps.offers.look_again()
                held = deps.views.listed(caller.host) if caller.holds_list else frozenset[str]()
                made = await browse.search(
                    deps.registry,
                    deps.finder,
                    deps.wallet,
                    deps.offers,
                    arguments,
                    caller.principal,
                    held,
                    self._failed,
                )
                self._mark(made["results"], caller)
            case "jecp_describe":
                made = await self.describe(arguments["tool"], caller)
            case "jecp_status":
                if "call_id" in arguments:
                    return await self.status(arguments["call_id"], caller)
                limit = min(arguments.get("limit", DEFAULT_CALLS), MOST_CALLS)
                made = await self.latest(caller, limit=limit, offset=arguments.get("offset", 0))
            case "jecp_file":
                deps = self._deps
                made = await files.piece(deps.calls, deps.store, deps.results, arguments, caller)
            case "jecp_wallet":
                made = await self.wallet(caller.principal)
            case "jecp_refund":
                made = await self._refund(arguments, caller)
            case "jecp_topup":
                made = await self._topup(self._deps.hubs.named(arguments.get("hub")), arguments["amount_usd"], caller)
            case "jecp_register":
                made = await self._register(arguments.get("hub"), arguments.get("name"))
            case _:
                raise self._lookup.missing(name)
        return free_result(made)

    async def describe(self, tool: str, caller: Caller) -> dict[str, Any]:
        """One tool or action: what it does, takes and costs, and whether the limits allow it now.

        Raises:
            ToolFault: there is none of this name, as far as is known.
            LedgerError: the books cannot be read.
        """
        if tool in self.names():
            card = self.cards[tool]
            return {"tool": tool, "summary": card.description, "input_schema": card.input_schema}
        await self._deps.offers.look_again()
        on_shelf = await self._lookup.find(tool)
        left = self._check.left(on_shelf.name, on_shelf.card.input_schema)
        action, wallet = on_shelf.action, self._deps.wallet
        allowed = await wallet.allowance(action, on_shelf.name, caller.principal)
        most = wallet.most(action, on_shelf.name)
        made = browse.description(
            on_shelf, self._deps.registry, left, allowed=allowed, most=most, brief=caller.holds_list
        )
        self._mark([made], caller)
        if self._failed(action):
            made["failed_lately"] = True
        if caller.holds_list and made["tool"] == tool:
            # It stands in the question.
            del made["tool"]
        away = [one for one in self._deps.offers.outages if one.source == action.source]
        if away:
            made["unreachable"] = outage_notices(away)
        return made

    async def wallet(self, principal: Principal) -> dict[str, Any]:
        """The wallet and its limits, and where nothing can be bought because a source is away.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        await self._deps.offers.look_again()
        whole = await self._deps.wallet.overview(principal)
        # That nothing is held goes without saying.
        made = {name: one for name, one in whole.items() if name not in _HELD or one not in _NOTHING_HELD}
        away, left_out = self._deps.offers.outages, left_out_words(self._deps.offers.current)
        if left_out is not None:
            made["left_out"] = left_out
        return made | ({"unreachable": outage_notices(away)} if away else {})

    def _mark(self, hits: Sequence[dict[str, Any]], caller: Caller) -> None:
        """Say of what this host is not shown as a tool why that is so."""
        call_only = self._deps.views.call_only(caller.host)
        for hit in hits:
            if hit["tool"] in call_only:
                hit["call_only"] = call_only[hit["tool"]]

    async def status(self, call_id: str, caller: Caller, offer: Offer | None = None) -> ToolResult:
        """How a call stands, finished if it can be.

        Args:
            offer: what was bought, where that stands in no catalog.

        Raises:
            ToolFault: the caller has no call of this id.
            LedgerError: the ledger cannot be read.
        """
        row = await self._row(call_id, caller)
        end = None if row is None else await self._resolve(call_id, caller)
        if row is None or end is None:
            raise ToolFault(CALL_NOT_FOUND, "No call has this id. Nothing was charged for asking.")
        action = self._deps.registry.find(row.offer)
        if end.answer is not None:
            bought = offer or action or _offer_of(row)
            end = replace(end, offer=bought, stored=True)
            labelled = is_copy(row.fingerprint)
            end, left = await self._deps.wallet.after(end, (bought, row.tool), caller, labelled=labelled)
            given = await arguments_in_short(self._deps.calls.reader(caller.principal), row)
            listed = None if row.kind == QuoteKind.UNKNOWN else row.quoted
            result = await self._deps.results.render(end, caller, remaining=left, history=History(given, listed))
            if await caller.listening():
                self._deps.calls.delivered(end)
            return result
        # Resolving may have moved the row on.
        row = await self._row(call_id, caller) or row
        made = call_summary(row)
        made["charged"] = end.charge.value
        if (given := await arguments_in_short(self._deps.calls.reader(caller.principal), row)) is not None:
            made["asked"] = given
        if end.refusal is not None:
            made["message"] = message_of(end, self._deps.links)
            context = Context(row.tool, None, self.names(), self._deps.links, self._deps.clock.now(), action=action)
            over = end.refusal.code == CALL_OVER and end.charge is Charge.NO
            step = None if over else choose(end, context)
            if step is not None:
                made["next_action"] = next_action_object(step)
        return free_result(made)

    async def _resolve(self, call_id: str, caller: Caller) -> CallEnd | None:
        """How a call ended, or stands when nobody waits any longer: one that its payee works on is waited for.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        ends, step = anyio.current_time() + min(STATUS_SECONDS, caller.patience), _LOOK_SECONDS
        while True:
            end = await self._deps.calls.resolve(call_id, max(0.0, ends - anyio.current_time()))
            if end is None or end.answer is not None or end.charge is not Charge.UNKNOWN:
                return end
            row = await self._row(call_id, caller)
            if row is None or not is_pending(row) or anyio.current_time() + step > ends:
                return end
            await anyio.sleep(step)
            step *= 1.5

    async def _row(self, call_id: str, caller: Caller) -> CallRow | None:
        return await self._deps.calls.reader(caller.principal).call(call_id)

    async def latest(self, caller: Caller, *, limit: int = DEFAULT_CALLS, offset: int = 0) -> dict[str, Any]:
        """The caller's latest calls, newest first, with a total; and why there can be no others, where all is left out.

        Args:
            limit, offset: as `latest_calls` has them.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        deps = self._deps
        reader = deps.calls.reader(caller.principal)
        made = await latest_calls(reader, deps.store, caller, limit=limit, offset=offset)
        current = deps.offers.current
        left_out = None if current.actions else left_out_words(current)
        return made | ({} if left_out is None else {"left_out": left_out})

    async def _refund(self, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """As `refunds.refund`, at the Hub of the call; without one, of every Hub that answers."""
        deps, call_id = self._deps, arguments.get("call_id")
        if not deps.hubs.names:
            return await refunds.refund(deps.calls, deps.hubs.first.client, arguments, caller, deps.links)
        if call_id is None:
            return await refunds.all_refunds(deps.calls, deps.hubs, deps.links)
        row = await self._row(call_id, caller)
        hub = deps.hubs.first if row is None else deps.hubs.paying(row.account)
        return await refunds.refund(deps.calls, hub.client, arguments, caller, deps.links)

    async def _topup(self, hub: HubAccess, amount_usd: int, caller: Caller) -> dict[str, Any]:
        where = f" at the Hub {hub.called}" if self._deps.hubs.names else ""
        if not hub.account.present():
            raise ToolFault(
                CREDENTIALS_MISSING,
                f"There is no agent account{where} yet, so there is no wallet. Nothing was charged.",
                details=self._deps.hubs.label(hub),
            )

        async def checkout() -> str:
            return await self._checkout(hub, amount_usd)

        if caller.asker is None:
            reply = Reply(Decision.UNABLE, url=await checkout())
        else:
            message = f"Open the Hub's payment page, to put {amount_usd} USD into the wallet{where}?"
            question = " ".join(["topup", str(amount_usd), *([hub.called] if where else [])])
            reply = await caller.asker.show_link(question, message, checkout)
        type_, hint = _AFTER_LINK.get(reply.decision, ("open_url", f"{_GIVE_LINK} {_THEN}"))
        step = NextAction(type=type_, actor="human", hint=hint, source="bridge", url=reply.url)
        made = {"amount_usd": amount_usd, **self._deps.hubs.label(hub), "note": _TOPUP_NOTE}
        return made | {"next_action": next_action_object(step)}

    async def _checkout(self, hub: HubAccess, amount_usd: int) -> str:
        url = self._deps.links.checkout((await hub.client.topup(amount_usd)).url)
        if url is None:
            raise ToolFault(
                HUB_MISBEHAVED,
                "The Hub's payment link leads to a place the operator has not allowed, so it is not shown. "
                "Nothing was charged.",
            )
        return url

    async def _register(self, called: str | None, name: str | None) -> dict[str, Any]:
        hubs = self._deps.hubs
        hub = hubs.lacking if called is None else hubs.named(called)
        if hub is None or hub.account.present():
            raise ToolFault(
                ALREADY_REGISTERED,
                REGISTERED,
            )
        try:
            made = await hub.account.register(name)
        except (OSError, SettingsError) as exc:
            why = exc.reason if isinstance(exc, SettingsError) else exc.strerror or type(exc).__name__
            raise ToolFault(
                CREDENTIALS_NOT_STORED,
                f"The new account's key could not be stored: {why}. Nothing was charged.",
            ) from exc
        shown: dict[str, Any] = {"agent_id": made.agent_id, **hubs.label(hub), "credentials": made.kept_in}
        if made.free_calls is not None:
            shown["free_calls_remaining"] = made.free_calls
        return shown


def _offer_of(row: CallRow) -> Offer:
    """What was bought, as far as the books know it: it stands in no catalog, or not any more."""
    capability, _, action = row.offer.rpartition(":")
    return Offer(capability, action, row.payee, Price(None), row.version, source=row.source)


def free_result(structured: Mapping[str, Any]) -> ToolResult:
    """What a free tool of our own says."""
    return ToolResult((Text(jsontext.dumps(structured).decode()),), structured=structured)
