"""What the bridge's own tools do. None of them can change the policy, approve a spend or choose an idempotency key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls.codes import CALL_OVER
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller, Charge, Decision, Reply
from jecp_mcp.catalog.search import Finder
from jecp_mcp.clock import Clock
from jecp_mcp.errors import SettingsError, ToolFault
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.codes import CREDENTIALS_MISSING, HUB_MISBEHAVED
from jecp_mcp.settings.command_lines import PLAIN, CommandLine
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.codes import (
    ALREADY_REGISTERED,
    CALL_NOT_FOUND,
    CREDENTIALS_NOT_STORED,
    TOOL_NOT_FOUND,
    TOOL_QUARANTINED,
)
from jecp_mcp.tools.error_results import message_of, next_action_object
from jecp_mcp.tools.next_actions.case import Context
from jecp_mcp.tools.next_actions.selection import choose
from jecp_mcp.tools.own import browse, files, refunds
from jecp_mcp.tools.own.definitions import OWN, own_cards
from jecp_mcp.tools.own.registration import AgentAccount
from jecp_mcp.tools.own.wallet import Wallet, call_summary
from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.publishing.naming import notations
from jecp_mcp.tools.publishing.tool_registry import PublishedTool, ToolRegistry
from jecp_mcp.tools.publishing.views import Views
from jecp_mcp.tools.results import Results
from jecp_mcp.tools.schemas.arguments import ArgumentChecks
from jecp_mcp.tools.types import NextAction, Text, ToolResult

REGISTERED: Final = "There is an agent account already. Nothing was changed or charged. Go on with that one."

_GIVE_LINK: Final = "Give this link to the user. When they have paid, repeat the call that needed money."
_AFTER_LINK: Final = {
    Decision.ACCEPTED: (
        "await_payment",
        "The payment page is open at the user's. When they say that they have paid, repeat the call that needed money.",
    ),
    Decision.DECLINED: ("stop", "The user does not want to pay now. Stop here."),
}

_LATEST: Final = 10
_KEY: Final = 80


@dataclass(frozen=True, slots=True)
class ToolDeps:
    """Everything the own tools reach; `commands` is what a person is told to run."""

    registry: ToolRegistry
    views: Views
    finder: Finder
    calls: Calls
    wallet: Wallet
    results: Results
    store: ArtifactStore
    hub: HubClient
    account: AgentAccount
    links: LinkPolicy
    clock: Clock
    commands: CommandLine = PLAIN


class OwnTools:
    """The own tools but ``jecp_call``, which is the dispatcher's."""

    def __init__(self, deps: ToolDeps, check: ArgumentChecks) -> None:
        self._deps = deps
        self._check = check
        self._names = {known: frozenset(card.name for card in own_cards(registered=known)) for known in (True, False)}

    def names(self) -> frozenset[str]:
        """The own tools offered now."""
        return self._names[self._deps.account.present()]

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
                made = await browse.search(deps.registry, deps.finder, deps.wallet, arguments, caller.principal)
                self._mark(made["results"], caller)
            case "jecp_describe":
                made = await self.describe(arguments["tool"], caller)
            case "jecp_status":
                if "call_id" in arguments:
                    return await self._status(arguments["call_id"], caller)
                made = await self.latest(caller)
            case "jecp_file":
                deps = self._deps
                made = await files.piece(deps.calls, deps.store, deps.results, arguments, caller)
            case "jecp_wallet":
                made = await self._deps.wallet.overview(caller.principal, self._deps.account.free_calls)
            case "jecp_refund":
                deps = self._deps
                made = await refunds.refund(deps.calls, deps.hub, arguments, caller, deps.links)
            case "jecp_topup":
                made = await self._topup(arguments["amount_usd"], caller)
            case "jecp_register":
                made = await self._register(arguments.get("name"))
            case _:
                raise ToolFault(TOOL_NOT_FOUND, f"There is no tool {name}. Nothing was charged. Search for the action.")
        return free_result(made)

    async def describe(self, tool: str, caller: Caller) -> dict[str, Any]:
        """One tool or action: what it does, takes and costs, and whether the limits allow it now.

        Raises:
            ToolFault: there is none of this name.
            LedgerError: the books cannot be read.
        """
        if tool in self.names():
            card = OWN[tool]
            return {"tool": tool, "summary": card.description, "input_schema": card.input_schema}
        on_shelf = find_tool(self._deps.registry, tool)
        if on_shelf is None:
            if (aside := quarantine_message(self._deps.registry, tool)) is not None:
                raise ToolFault(TOOL_QUARANTINED, aside)
            if (otherwise := version_message(self._deps.registry, tool)) is not None:
                raise ToolFault(TOOL_NOT_FOUND, otherwise)
            raise ToolFault(TOOL_NOT_FOUND, "No action has this name. Nothing was charged. Search for the action.")
        left = self._check.left(on_shelf.name, on_shelf.card.input_schema)
        made = browse.description(on_shelf, self._deps.registry.warning(on_shelf.action), left)
        self._mark([made], caller)
        return made | await self._deps.wallet.allowance(on_shelf.action, on_shelf.name, caller.principal)

    def _mark(self, hits: Sequence[dict[str, Any]], caller: Caller) -> None:
        """Say of what this host is not shown as a tool why that is so."""
        call_only = self._deps.views.call_only(caller.host)
        for hit in hits:
            if hit["tool"] in call_only:
                hit["call_only"] = call_only[hit["tool"]]

    async def _status(self, call_id: str, caller: Caller) -> ToolResult:
        row = await self._row(call_id, caller)
        end = None if row is None else await self._deps.calls.resolve(call_id)
        if row is None or end is None:
            raise ToolFault(
                CALL_NOT_FOUND, "No call has this id. Nothing was charged. Look it up among the latest calls."
            )
        action = self._deps.registry.find(row.offer)
        if end.answer is not None:
            end = replace(end, offer=action, stored=True)
            left = None if action is None else await self._deps.wallet.remaining(end, (action, row.tool), caller)
            result = await self._deps.results.render(end, caller, remaining=left)
            if await caller.listening():
                self._deps.calls.delivered(end)
            return result
        # Resolving may have moved the row on.
        made = call_summary(await self._row(call_id, caller) or row)
        made["charged"] = end.charge.value
        if end.refusal is not None:
            made["message"] = message_of(end.refusal, self._deps.links)
            deps = self._deps
            context = Context(
                row.tool, None, self.names(), deps.links, deps.clock.now(), action=action, commands=deps.commands
            )
            if end.refusal.code != CALL_OVER or end.charge is not Charge.NO:
                made["next_action"] = next_action_object(choose(end, context))
        return free_result(made)

    async def _row(self, call_id: str, caller: Caller) -> CallRow | None:
        return await self._deps.calls.reader(caller.principal).call(call_id)

    async def latest(self, caller: Caller) -> dict[str, Any]:
        """The caller's latest calls, newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        rows = await self._deps.calls.reader(caller.principal).latest(limit=_LATEST)
        return {"calls": [call_summary(row) for row in rows]}

    async def _topup(self, amount_usd: int, caller: Caller) -> dict[str, Any]:
        if not self._deps.account.present():
            raise ToolFault(
                CREDENTIALS_MISSING,
                "There is no agent account yet, so there is no wallet. Nothing was charged. Make one first.",
            )

        async def checkout() -> str:
            return await self._checkout(amount_usd)

        if caller.asker is None:
            reply = Reply(Decision.UNABLE, url=await checkout())
        else:
            message = f"Open the Hub's payment page, to put {amount_usd} USD into the wallet?"
            reply = await caller.asker.show_link(f"topup {amount_usd}", message, checkout)
        type_, hint = _AFTER_LINK.get(reply.decision, ("open_url", _GIVE_LINK))
        step = NextAction(type=type_, actor="human", hint=hint, source="bridge", url=reply.url)
        return {"amount_usd": amount_usd, "checkout_url": reply.url, "next_action": next_action_object(step)}

    async def _checkout(self, amount_usd: int) -> str:
        url = self._deps.links.checkout(await self._deps.hub.topup(amount_usd))
        if url is None:
            raise ToolFault(
                HUB_MISBEHAVED,
                "The Hub's payment link leads to a place the operator has not allowed, so it is not shown. "
                "Nothing was charged. Tell the user.",
            )
        return url

    async def _register(self, name: str | None) -> dict[str, Any]:
        if self._deps.account.present():
            raise ToolFault(
                ALREADY_REGISTERED,
                REGISTERED,
            )
        try:
            made = await self._deps.account.register(name)
        except (OSError, SettingsError) as exc:
            why = exc.reason if isinstance(exc, SettingsError) else exc.strerror or type(exc).__name__
            raise ToolFault(
                CREDENTIALS_NOT_STORED,
                f"The new account's key could not be stored: {why}. Nothing was charged. Tell the user.",
            ) from exc
        shown: dict[str, Any] = {"agent_id": made.agent_id, "credentials": made.kept_in}
        if made.free_calls is not None:
            shown["free_calls_remaining"] = made.free_calls
        return shown


def find_tool(registry: ToolRegistry, tool: str) -> PublishedTool | None:
    """What a tool name, or an action in any notation, stands for in the registry; None for nothing."""
    found = registry.resolve(tool)
    if found is not None:
        return found
    action = registry.find(tool)
    name = registry.name_of(action) if action is not None else None
    return registry.resolve(name) if name is not None else None


def quarantine_message(registry: ToolRegistry, tool: str) -> str | None:
    """Why an action that a tool name or key means cannot be bought, as a message; None when it means no such one."""
    action = registry.find(tool)
    reason = registry.quarantined.get(action.key) if action is not None else None
    if action is None or reason is None:
        return None
    return (
        f"The action {clean(action.key, _KEY, one_line=True)} is set aside: "
        f"{clean(reason, browse.REASON_LENGTH, one_line=True)}. Nothing was charged. Search for another action."
    )


def version_message(registry: ToolRegistry, tool: str) -> str | None:
    """That an action is sold, but not at the version that was named; None where no version was, or nothing is sold."""
    pinned = ((registry.find(wanted), version) for wanted, version in notations(tool) if version is not None)
    action, version = next(((action, version) for action, version in pinned if action is not None), (None, None))
    if action is None:
        return None
    key, named, now = (clean(text, _KEY, one_line=True) for text in (action.key, version, action.version or "none"))
    return (
        f"{key} is not sold at version {named}; its version is {now}. Nothing was charged. Look at what it is now with "
        "jecp_describe, and name it without a version."
    )


def free_result(structured: Mapping[str, Any]) -> ToolResult:
    """What a free tool of our own says."""
    return ToolResult((Text(jsontext.dumps(structured).decode()),), structured=structured)
