"""Dispatch of tools/call and tools/list: which tools there are, and what comes of calling one.

Nothing here raises but cancellation: every failure is a result in the one error shape.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.codes import APPROVAL_REQUIRED, LIMIT_REACHED
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.clock import iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError, PayeeError, ToolFault
from jecp_mcp.mandate.codes import DENIED_BY_POLICY, MANDATE_EXPIRED, PER_CALL_LIMIT, PRICE_UNKNOWN
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.tools.codes import ALREADY_REGISTERED, INVALID_ARGUMENTS, TOOL_NOT_FOUND
from jecp_mcp.tools.error_results import error_result
from jecp_mcp.tools.next_actions.alternatives import Alternatives
from jecp_mcp.tools.next_actions.case import Context
from jecp_mcp.tools.next_actions.selection import PREPARE_ANEW
from jecp_mcp.tools.own import preparation
from jecp_mcp.tools.own.definitions import (
    OURS,
    OWN,
    PAID_HTTP_EXECUTE,
    PAID_HTTP_PREPARE,
    PAID_HTTP_RESULT,
    own_cards,
)
from jecp_mcp.tools.own.handlers import REGISTERED, OwnTools, ToolDeps, free_result
from jecp_mcp.tools.own.left_out import left_out_words, unlisted_words
from jecp_mcp.tools.own.lifting import lifted_by
from jecp_mcp.tools.own.lookup import Lookup
from jecp_mcp.tools.prompts import instructions
from jecp_mcp.tools.publishing.cleaning import clean, sunset_words
from jecp_mcp.tools.publishing.host_profiles import OPEN, Profile
from jecp_mcp.tools.publishing.tool_registry import PublishedTool
from jecp_mcp.tools.publishing.views import View
from jecp_mcp.tools.requests import invalid_arguments, most_of, not_for_own, purchase_of, refusal_of
from jecp_mcp.tools.resources import Resources
from jecp_mcp.tools.results import with_notices
from jecp_mcp.tools.schemas.arguments import ArgumentChecks
from jecp_mcp.tools.types import ToolCard, ToolResult

log = logging.getLogger(__name__)

_NAME: Final = 80
_CALL: Final = "jecp_call"
_PREPARE: Final = "jecp_prepare"
_EXECUTE: Final = "jecp_execute"
_REGISTER: Final = "jecp_register"
_AGAINST: Final = frozenset(
    {DENIED_BY_POLICY, MANDATE_EXPIRED, PRICE_UNKNOWN, PER_CALL_LIMIT, LIMIT_REACHED, APPROVAL_REQUIRED}
)
"""What is refused before anything is sent, where more may stand in the way."""
_OF_PURCHASES: Final = ("max_usdc", "label")
_NO_PAID_HTTP: Final = (
    "HTTP requests cannot be paid for here: that takes a merchant whom the operator lists, and a wallet's key. "
    "Nothing was charged."
)
_PAYING: Final = frozenset({_CALL, _EXECUTE, PAID_HTTP_EXECUTE})

_PROVIDER_FAILED: Final = frozenset(
    {"PROVIDER_ERROR", "PROVIDER_UNREACHABLE", "PROVIDER_UNAVAILABLE", "PROVIDER_TIMEOUT", "PROVIDER_DISCONNECT"}
)


class ToolDispatcher:
    """What the server calls. One per process.

    Attributes:
        resources: what a host can read.
    """

    def __init__(self, deps: ToolDeps, check: ArgumentChecks) -> None:
        self._deps = deps
        self._check = check
        self._lookup = Lookup(deps.registry, deps.offers)
        self._alternatives = Alternatives(deps.registry, deps.finder, deps.clock, deps.wallet.permits)
        self._own = OwnTools(deps, check, self._lookup, self._alternatives)
        self._own_cards = {
            known: own_cards(registered=known, merchants=deps.merchants, hubs=deps.hubs.names)
            for known in (True, False)
        }
        self._own_by_profile: dict[tuple[bool, str], tuple[ToolCard, ...]] = {}
        self._buying: Final[Mapping[str, Callable[[Mapping[str, Any], Caller], Awaitable[ToolResult]]]] = {
            _CALL: self._buy_by_name,
            _PREPARE: self._prepare,
            _EXECUTE: self._execute,
            PAID_HTTP_PREPARE: self._paid_http_prepare,
            PAID_HTTP_EXECUTE: self._paid_http_execute,
            PAID_HTTP_RESULT: self._paid_http_result,
        }
        self.page: str | None = None
        self.resources = Resources(deps, self._own)
        self._lists: dict[str, tuple[View, tuple[ToolCard, ...], tuple[ToolCard, ...]]] = {}

    def instructions(self) -> str:
        """What a model is told once, as things are now."""
        registry, current = self._deps.registry, self._deps.offers.current
        left_out = None if current.actions else left_out_words(current)
        return instructions(registry.mode, unlisted_words(len(registry.cards), registry.unlisted), left_out)

    def cards(self, profile: Profile = OPEN) -> tuple[ToolCard, ...]:
        """Every tool that hosts of a profile are shown: our own first, then the catalog's, each by name.

        The same object until one of them changes.
        """
        own = self._own_shown(profile)
        view = self._deps.views.of(profile, own=len(own))
        known = self._lists.get(profile.name)
        if known is None or known[0] is not view or known[1] is not own:
            cards = (*own, *view.cards)
            if known is not None and known[2] == cards:
                cards = known[2]
            known = self._lists[profile.name] = (view, own, cards)
        return known[2]

    def _own_shown(self, profile: Profile) -> tuple[ToolCard, ...]:
        known = (self._deps.hubs.registered, profile.name)
        if known not in self._own_by_profile:
            self._own_by_profile[known] = self._deps.views.own(profile, self._own_cards[known[0]])
        return self._own_by_profile[known]

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """The input schema of a published tool, or None."""
        if name in self._own.names():
            return self._own.cards[name].input_schema
        found = self._deps.registry.resolve(name)
        return None if found is None else found.card.input_schema

    async def call_row(self, call_id: str, caller: Caller) -> CallRow | None:
        """A call of the caller's, or None.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await self._deps.calls.reader(caller.principal).call(call_id)

    async def outcome(self, call_id: str, caller: Caller) -> ToolResult:
        """What a call of the caller's came to, as its own result; an error where it brought no answer.

        Raises:
            ToolFault: the caller has no such call.
            LedgerError: the ledger cannot be read.
        """
        made = await self._own.status(call_id, caller)
        # Only an answer has a receipt.
        return made if made.notes else replace(made, is_error=True)

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        """Call a tool."""
        try:
            return await self._call(name, arguments, caller)
        except (ToolFault, PayeeError) as exc:
            target = name if exc.code == INVALID_ARGUMENTS else None
            return self._refuse(name, arguments, refusal_of(exc), target=target)
        except LedgerError as exc:
            return self._refuse(name, arguments, refusals.ledger_trouble(exc))
        except Exception:
            # The face must answer whatever happens, and an exception's text must not reach a client.
            log.exception("calling %s failed", clean(name, _NAME, one_line=True))
            free = name in OWN and name not in _PAYING
            end = CallEnd(Charge.NO if free else Charge.UNKNOWN, refusal=refusals.bridge_fault())
            return error_result(end, self._context(name, arguments))

    async def _call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        if name in self._own.names():
            checked = self._check(name, self._own.cards[name].input_schema, arguments, OURS)
            if checked.problems:
                return self._refuse(name, arguments, invalid_arguments(name, checked.problems), target=name)
            buying = self._buying.get(name)
            if buying is not None:
                result = await buying(checked.arguments, caller)
            else:
                result = await self._own.run(name, checked.arguments, caller)
            return with_notices(result, checked.notices)
        found = await self._find(name)
        if isinstance(found, Refusal):
            return self._refuse(name, arguments, found)
        return await self._buy(found, purchase_of(found, arguments, {}), caller, (name, arguments))

    async def _buy_by_name(self, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        wanted, inner = arguments["tool"], arguments["arguments"]
        if wanted != _CALL and wanted in self._own.names():
            if given := [name for name in _OF_PURCHASES if name in arguments]:
                return self._refuse(_CALL, arguments, not_for_own(_CALL, given), target=_CALL)
            return await self._call(wanted, inner, caller)
        found = await self._find(wanted)
        if isinstance(found, Refusal):
            return self._refuse(_CALL, arguments, found)
        return await self._buy(found, purchase_of(found, inner, arguments), caller, (_CALL, arguments))

    async def _find(self, wanted: str) -> PublishedTool | Refusal:
        """What a tool name or an action's key stands for, or why nothing can be bought under it."""
        if wanted == _REGISTER:
            # It is no tool any more, because nobody needs it any more.
            return Refusal(ALREADY_REGISTERED, REGISTERED, source="bridge")
        if wanted in {PAID_HTTP_PREPARE, PAID_HTTP_EXECUTE, PAID_HTTP_RESULT}:
            # It is one only where there is whom to pay, and what with.
            return Refusal(TOOL_NOT_FOUND, _NO_PAID_HTTP, source="bridge")
        try:
            return await self._lookup.find(wanted)
        except ToolFault as exc:
            return refusal_of(exc)

    async def _buy(
        self, found: PublishedTool, purchase: Purchase, caller: Caller, asked: tuple[str, Mapping[str, Any]]
    ) -> ToolResult:
        """Check, pay and render. `asked` is the call as the model made it, to be repeated in an error."""
        checked = self._check(found.name, found.card.input_schema, purchase.arguments)
        if checked.problems:
            if (forbidden := self._forbidden(found)) is not None:
                return await self._conclude(forbidden, found, caller, asked)
            refusal = invalid_arguments(found.name, checked.problems)
            return self._refuse(*asked, refusal, target=found.name, action=found.action)
        end = await self._deps.calls.pay(replace(purchase, arguments=checked.arguments), caller)
        return with_notices(await self._conclude(end, found, caller, asked, purchase.label), checked.notices)

    async def _prepare(self, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        """Check, lock the price, and say what stands in the way."""
        wanted, inner = arguments["tool"], arguments["arguments"]
        found = await self._find(wanted)
        if isinstance(found, Refusal):
            return self._refuse(_PREPARE, arguments, found)
        checked = self._check(found.name, found.card.input_schema, inner)
        if checked.problems:
            if (forbidden := self._forbidden(found)) is not None:
                return await self._conclude(forbidden, found, caller, (_PREPARE, arguments))
            return free_result(preparation.invalid_arguments(found, checked.problems))
        purchase = purchase_of(found, checked.arguments, arguments)
        made = await self._deps.calls.prepare(purchase, caller)
        if isinstance(made, CallEnd):
            result = await self._conclude(made, found, caller, (_PREPARE, arguments), purchase.label)
            return with_notices(result, checked.notices)
        if made.approval is not None:
            preparation.note_question(found.action, made.approval[1].grant_id, self._deps.commands)
        wallet, left = self._deps.wallet, checked.left
        balance = await wallet.balance(caller.principal, found.action)
        allowed = await wallet.allowance(found.action, found.name, caller.principal, purchase.most)
        told = preparation.summary(
            found, made, balance, self.page, left, offers=self._alternatives, can_ask=caller.can_ask, allowed=allowed
        )
        return with_notices(free_result(told), checked.notices)

    def _forbidden(self, found: PublishedTool) -> CallEnd | None:
        """The end of a call that the mandate does not let be bought, whatever its arguments: they need no mending."""
        against = self._deps.wallet.objections(found.action, found.name)
        return CallEnd(Charge.NO, offer=found.action, refusal=against[0]) if against else None

    async def _execute(self, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        """Buy what was prepared."""
        known = await self._deps.calls.prepared(arguments["prepared_id"], caller.principal)
        if isinstance(known, CallEnd):
            return await self._conclude(known, None, caller, (_EXECUTE, arguments))
        _, call = known
        if self._deps.paid_http is not None and call.source == PAID_HTTP:
            return await self._paid_http_execute(arguments, caller)
        found = await self._find(call.key)
        if isinstance(found, Refusal):
            return self._refuse(_PREPARE, {"tool": call.tool, "arguments": call.arguments}, found)
        purchase = Purchase(call.tool, found.action, call.arguments, label=call.label)
        end = await self._deps.calls.execute(known, purchase, caller)
        # What cannot be executed any more is prepared anew, with what it was prepared with.
        stale = end.refusal is not None and end.refusal.code in PREPARE_ANEW
        asked = (_PREPARE, call.as_asked(found.name)) if stale else (_EXECUTE, arguments)
        return await self._conclude(end, found, caller, asked, call.label)

    async def _paid_http_prepare(self, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        assert self._deps.paid_http is not None, "its tools are offered with it alone"
        return await self._deps.paid_http.prepare(arguments, caller, self._context)

    async def _paid_http_execute(self, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        assert self._deps.paid_http is not None, "its tools are offered with it alone"
        return await self._deps.paid_http.execute(arguments, caller, self._context)

    async def _paid_http_result(self, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        assert self._deps.paid_http is not None, "its tools are offered with it alone"
        return await self._deps.paid_http.result(arguments, caller, self._context, self._own.status)

    async def _conclude(
        self,
        end: CallEnd,
        found: PublishedTool | None,
        caller: Caller,
        asked: tuple[str, Mapping[str, Any]],
        label: str = "",
    ) -> ToolResult:
        name, action = (None, None) if found is None else (found.name, found.action)
        if end.answer is not None:
            bought = None if found is None else (found.action, found.name)
            ending = None if found is None else self._ending(found.action)
            if action is not None and not end.stored:
                self._alternatives.note_success(action)
            end, left = await self._deps.wallet.after(end, bought, caller, labelled=bool(label))
            result = await self._deps.results.render(end, caller, ending=ending, remaining=left)
            # An answer that reaches nobody stays for whoever asks the same again.
            if await caller.listening():
                self._deps.calls.delivered(end)
            return result
        refusal = end.refusal
        if action is not None and refusal is not None:
            if refusal.code in _PROVIDER_FAILED:
                self._alternatives.note_failure(action)
            if (code := refusal.details.get("approval_code")) is not None:
                preparation.note_question(action, str(code), self._deps.commands)
            end = self._since(end, action)
            if found is not None and refusal.code in _AGAINST:
                end = await self._with_all_against(end, found, caller, asked)
        return error_result(end, self._context(*asked, target=name, action=action, refusal=end.refusal))

    async def _with_all_against(
        self, end: CallEnd, found: PublishedTool, caller: Caller, asked: tuple[str, Mapping[str, Any]]
    ) -> CallEnd:
        """A refusal with everything that stands in the way, where that is more than what it says: not one by one."""
        most = most_of(asked[1]) if asked[0] in {_CALL, _PREPARE} else None
        made = await self._deps.wallet.allowance(found.action, found.name, caller.principal, most)
        assert end.refusal is not None
        blocked = list(dict.fromkeys([end.refusal.code, *made.get("blocked_by", ())]))
        if len(blocked) == 1:
            return end
        against = {"blocked_by": blocked, "lifted_by": lifted_by([end.refusal.code]) | made.get("lifted_by", {})}
        return replace(end, refusal=replace(end.refusal, details={**end.refusal.details, **against}))

    def _since(self, end: CallEnd, action: Offer) -> CallEnd:
        """A refusal for the same trouble that its source has, with the time since when it has."""
        refusal = end.refusal
        for away in self._deps.offers.outages:
            if away.since is None or refusal is None:
                continue
            if (away.source, away.code) == (action.source, refusal.code):
                return replace(end, refusal=replace(refusal, details={**refusal.details, "since": iso(away.since)}))
        return end

    def _refuse(
        self,
        name: str,
        arguments: Mapping[str, Any],
        refusal: Refusal,
        *,
        target: str | None = None,
        action: Offer | None = None,
    ) -> ToolResult:
        end = CallEnd(Charge.NO, offer=action, refusal=refusal)
        return error_result(end, self._context(name, arguments, target=target, action=action))

    def _context(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        target: str | None = None,
        action: Offer | None = None,
        refusal: Refusal | None = None,
    ) -> Context:
        return Context(
            tool=name,
            arguments=arguments,
            own=self._own.names(),
            links=self._deps.links,
            now=self._deps.clock.now(),
            target=target,
            action=action,
            successor=self._successor(action, refusal),
            offers=self._alternatives,
            page=self.page,
        )

    def _successor(self, action: Offer | None, refusal: Refusal | None) -> str | None:
        """The tool that takes the place of a withdrawn action, if the catalog has it."""
        said = refusal.details.get("successor") if refusal is not None else None
        if said is None and action is not None and action.deprecation is not None:
            said = action.deprecation.successor
        if not isinstance(said, str) or action is None:
            return None
        return self._deps.registry.successor(action, said)

    def _ending(self, action: Offer) -> str | None:
        """What to know of an action on its way out, in our words."""
        if action.deprecation is None or action.deprecation.status == "active":
            return None
        return sunset_words(action.deprecation, self._deps.registry.successor(action))
