"""Asking the person behind the host, in both protocol eras.

2025-era hosts are asked over the connection while the tool call waits. 2026-era hosts are asked with the answer to
the call (``input_required``); they make the call again with the person's word and the state that goes with it, which
`RequestStateBoundary` seals and binds to the tool, its arguments and the principal. Beyond that seal an answer counts
only for the question its state names, and only while that state is outstanding in this process: it is forgotten when
it comes back, so that no answer serves twice. Every doubt is a no.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams, ElicitResult
from pydantic import ValidationError

from jecp_mcp.calls.ports import Decision, Question, Reply
from jecp_mcp.server.request_context import Context, is_modern
from jecp_mcp.tools.approval_form import TOO_LONG, form, judge, wording

log = logging.getLogger(__name__)

STATE_SECONDS: Final = 600.0
"""How long a 2026-era host may take to come back with an answer."""

_OUTSTANDING: Final = 1_024
"""The most questions open at once; the oldest are forgotten beyond that, and so cannot be answered any more."""

PERSON_SECONDS: float = 1.0
"""A no that comes sooner is the host's own: the person, who has not read the question, can be asked outside it."""

_NO_FORM: Final = "this host cannot ask"
_NO_LINK: Final = "this host cannot open links"


def boundary(name: str) -> RequestStateBoundary:
    """The middleware that seals the state of a question, under a key only this process has."""
    return RequestStateBoundary(RequestStateSecurity.ephemeral(ttl=STATE_SECONDS), default_audience=name)


class OutstandingStates:
    """The states that were given out and have not come back."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, float] = OrderedDict()

    def issue(self) -> str:
        """A new one."""
        made = secrets.token_urlsafe(16)
        self._states[made] = anyio.current_time()
        if len(self._states) > _OUTSTANDING:
            self._states.popitem(last=False)
        return made

    def redeem(self, state: object) -> float | None:
        """For how long this one was outstanding, in seconds, or None; it no longer is."""
        issued = self._states.pop(state, None) if isinstance(state, str) else None
        return None if issued is None else anyio.current_time() - issued


class RequestAsker:
    """Asks over the connection, while the tool call waits. For 2025-era hosts."""

    def __init__(self, ctx: Context, patience: float) -> None:
        self._ctx = ctx
        self._patience = patience

    @property
    def can_ask(self) -> bool:
        """As `jecp_mcp.calls.ports.Asker.can_ask`."""
        return _modes(self._ctx)[0] and self._ctx.session.can_send_request

    def question(self) -> dict[str, Any] | None:
        """Nothing is ever left to ask with the answer."""
        return None

    async def approve(self, question: Question) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.approve`."""
        if not _modes(self._ctx)[0]:
            return Reply(Decision.UNABLE, _NO_FORM)
        message = wording(question)
        if message is None:
            return Reply(Decision.UNABLE, TOO_LONG)
        session, related, asked_at = self._ctx.session, self._ctx.request_id, anyio.current_time()
        said = await self._send(lambda: session.elicit_form(message, form(question), related))
        if isinstance(said, Reply):
            return said
        return _by_a_person(judge(question, said.action, said.content), anyio.current_time() - asked_at)

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.show_link`."""
        del purpose
        url = await make()
        if not _modes(self._ctx)[1]:
            return Reply(Decision.UNABLE, _NO_LINK, url)
        session, related = self._ctx.session, self._ctx.request_id
        said = await self._send(lambda: session.elicit_url(message, url, secrets.token_urlsafe(16), related))
        return Reply(said.decision, said.reason, url) if isinstance(said, Reply) else _link_reply(said, url)

    async def _send(self, send: Callable[[], Awaitable[ElicitResult]]) -> ElicitResult | Reply:
        if not self._ctx.session.can_send_request:
            return Reply(Decision.UNABLE, "this host leaves no way to ask")
        try:
            with anyio.fail_after(self._patience):
                return await send()
        except TimeoutError:
            return Reply(Decision.CANCELLED, "nobody answered in time")
        except MCPError as exc:
            log.debug("the host did not ask: %s", exc)
            return Reply(Decision.UNABLE, "this host declined to ask")
        except ValidationError:
            return Reply(Decision.UNABLE, "this host's answer could not be read")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return Reply(Decision.UNABLE, "this host has gone")


class InputRequiredAsker:
    """Asks with the answer to the tool call, and reads the word that comes with the next one. For 2026-era hosts."""

    def __init__(self, ctx: Context, params: CallToolRequestParams, outstanding: OutstandingStates) -> None:
        self._ctx = ctx
        self._outstanding = outstanding
        self._waiting: tuple[str, dict[str, Any]] | None = None
        state = _state(params.request_state)
        asked = state.get("asked")
        self._answer: ElicitResult | None = None
        # What was answered in earlier rounds stands in the state: the host sends only the latest answers.
        self._answers: dict[str, str] = {}
        self._links: dict[str, str] = {}
        self._question_key: str | None = None
        self._seconds = outstanding.redeem(state.get("nonce"))
        if self._seconds is not None and isinstance(asked, str):
            answer = (params.input_responses or {}).get(asked)
            self._question_key = asked
            self._answer = answer if isinstance(answer, ElicitResult) else None
            self._answers, self._links = dict(state["told"]), dict(state["links"])

    @property
    def can_ask(self) -> bool:
        """As `jecp_mcp.calls.ports.Asker.can_ask`."""
        return _modes(self._ctx)[0]

    def question(self) -> dict[str, Any] | None:
        """The result that asks, in place of the call's own; None when nobody has to be asked."""
        if self._waiting is None:
            return None
        asked, request = self._waiting
        state = {"nonce": self._outstanding.issue(), "asked": asked, "told": self._answers, "links": self._links}
        return {
            "resultType": "input_required",
            "inputRequests": {asked: {"method": "elicitation/create", "params": request}},
            "requestState": json.dumps(state, separators=(",", ":")),
        }

    async def approve(self, question: Question) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.approve`."""
        if not _modes(self._ctx)[0]:
            return Reply(Decision.UNABLE, _NO_FORM)
        message = wording(question)
        if message is None:
            return Reply(Decision.UNABLE, TOO_LONG)
        key = question.digest
        said = self._take_answer(key)
        if said is not None:
            reply = _by_a_person(judge(question, said.action, said.content), self._seconds or 0.0)
        elif key in self._answers:
            return Reply(Decision(self._answers[key]))
        else:
            request = {"mode": "form", "message": message, "requestedSchema": form(question)}
            return self._ask(key, request)
        self._answers[key] = reply.decision.value
        return reply

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.show_link`."""
        if not _modes(self._ctx)[1]:
            return Reply(Decision.UNABLE, _NO_LINK, await make())
        key = f"link:{purpose}"
        url = self._links.get(key)
        if url is None:
            self._links[key] = url = await make()
        said = self._take_answer(key)
        if said is not None:
            reply = _link_reply(said, url)
            self._answers[key] = reply.decision.value
            return reply
        if key in self._answers:
            return Reply(Decision(self._answers[key]), url=url)
        return self._ask(key, {"mode": "url", "message": message, "url": url})

    def _take_answer(self, key: str) -> ElicitResult | None:
        """The answer of this round, if it is one to `key`; it is read once."""
        if self._question_key != key or self._answer is None:
            return None
        said, self._answer = self._answer, None
        return said

    def _ask(self, key: str, request: dict[str, Any]) -> Reply:
        if self._waiting is None:
            self._waiting = (key, request)
        return Reply(Decision.WAITING, "the question is on its way to the person")


class Askers:
    """Makes the asker of each tool call. One per server."""

    def __init__(self, *, patience: float) -> None:
        """Wait `patience` seconds for the answer of a 2025-era host."""
        self._patience = patience
        self._outstanding = OutstandingStates()

    def of(self, ctx: Context, params: CallToolRequestParams) -> RequestAsker | InputRequiredAsker:
        """The asker of one request."""
        if is_modern(ctx):
            return InputRequiredAsker(ctx, params, self._outstanding)
        return RequestAsker(ctx, self._patience)


def _modes(ctx: Context) -> tuple[bool, bool]:
    """Whether the host can ask by form and open links; a bare ``elicitation: {}`` means forms only."""
    capabilities = ctx.session.client_capabilities
    elicitation = None if capabilities is None else capabilities.elicitation
    if elicitation is None:
        return False, False
    return elicitation.form is not None or elicitation.url is None, elicitation.url is not None


def _by_a_person(reply: Reply, seconds: float) -> Reply:
    """A reply as it counts that took so long: no person reads a question and refuses it at once."""
    if reply.decision is Decision.DECLINED and seconds < PERSON_SECONDS:
        return Reply(Decision.CANCELLED, "the host declined by itself, sooner than a person can")
    return reply


def _link_reply(said: ElicitResult, url: str) -> Reply:
    match said.action:
        case "accept":
            return Reply(Decision.ACCEPTED, url=url)
        case "decline":
            return Reply(Decision.DECLINED, url=url)
        case _:
            return Reply(Decision.CANCELLED, "the question was dismissed", url)


def _state(text: str | None) -> Mapping[str, Any]:
    """The state as `InputRequiredAsker.question` wrote it; the boundary lets no other through."""
    if text is None:
        return {}
    read: Mapping[str, Any] = json.loads(text)
    return read
