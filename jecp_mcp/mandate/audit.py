"""Does the ledger agree with itself? The chain, each call against its events, each meter against its calls.

Pure: no I/O, no clock. Whoever keeps the ledger feeds it, in order, and reads what was found. Nothing is remembered of
an event or a call but what later ones are compared with, so that millions of them can be gone over.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from jecp_mcp.domain.outcomes import Mark
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.counting import applies
from jecp_mcp.mandate.grants import Grant
from jecp_mcp.mandate.records import AuditReport, CallRow
from jecp_mcp.mandate.states import OPEN, Event, State, counted_amount
from jecp_mcp.mandate.windows import Window, earliest, slot_expiry, slot_start
from jecp_mcp.mandate.working_set import MeterState

MOST_FINDINGS: Final = 100
"""How many findings are kept in words; one would do."""

_STANDING: Final = (
    "created_at", "sent_at", "held", "session", "owner", "claim", "attempts", "balance_after", "reference", "evidence",
    "look_again_at", "ended_at", "answered", "delivered", "mark", "state", "charged", "refunded",
)  # fmt: skip
_BODIES: Final = ("request", "answer")
_FIELDS: Final = [field.name for field in fields(CallRow)]


def _of_call(*names: str) -> itemgetter[Any]:
    """What reads some fields of a call that stand in the order of `CallRow`."""
    return itemgetter(*map(_FIELDS.index, names))


_identity = _of_call(*chain.IDENTITY)
_standing = _of_call(*_STANDING)
_counted = _of_call(
    "number", "call_id", "principal", "session", "names", "state", "held", "charged", "refunded", "sent_at"
)
_ending = _of_call("ended_at", "delivered")
_NO_LOOK: Final = frozenset({Event.REFUND, Event.CORRECTED, chain.NOTE})
"""Events that say nothing of when the payee is asked again."""
_ENDING: Final = frozenset({Event.WAIT, Event.CONFIRM})
"""Events that may leave a charge turning, or let it stand, without another state."""


class Bodies(NamedTuple):
    """The digests of what a call's bodies are now, None where there is none; and how many bytes they have."""

    request: str | None
    answer: str | None
    size: int


@dataclass(frozen=True, slots=True)
class _Dropping:
    """Bodies were dropped at an event: of calls that had ended before `before`, or, where None, of any that had."""

    number: int
    before: int | None


class Audit:
    """One walk over a ledger, then `report`.

    `events`, all of them; then `meters`; then `call` for every call; then `grants`, `slots` and `tally`.
    """

    def __init__(self, head: str | None = None) -> None:
        """Start at the first event; `head` is a digest to look for."""
        self._previous = chain.GENESIS
        self._number = 0
        self._calls = 0
        self._last_call = 0
        self._asked = head
        self._anchored = head == chain.GENESIS.hex()
        self._droppings: list[_Dropping] = []
        self._made: dict[object, Mapping[str, object]] = {}
        self._findings: list[str] = []
        self._grants: dict[tuple[object, object], dict[str, object]] = {}
        self._states: dict[int, MeterState] = {}
        self._by: defaultdict[tuple[str, str | None], list[MeterState]] = defaultdict(list)
        self._earliest: dict[Window, int] = {}
        self._counted: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._sums = dict.fromkeys(State, (0, 0, 0, 0))
        self._bytes = 0
        self._last = b""

    def events(self, events: Iterable[tuple[int, int | None, bytes, bytes]]) -> None:
        """The chain: each event's number, the number of the call it is kept under, canonical bytes, digest."""
        for number, call, body, digest in events:
            if number != self._number + 1:
                self._find(f"events {self._number + 1} to {number - 1} are missing")
            if chain.digest(self._previous, body) != digest:
                self._find(f"event {number} was changed, or one before it was")
            self._number, self._previous, self._last = number, digest, body
            if self._asked is not None and digest.hex() == self._asked:
                self._anchored = True
            if call is None:
                self._of_the_ledger(number, body)

    def meters(self, states: Iterable[MeterState]) -> None:
        """Every meter as it stands."""
        at = int(json.loads(self._last)[1]) if self._number else 0
        self._earliest = {window: earliest(window, at) for window in Window}
        for state in states:
            self._states[state.number] = state
            self._by[state.principal, state.session].append(state)
            made = self._made.pop(state.number, None)
            now: dict[str, object] = {
                "key": state.key,
                "window": state.window.value,
                "principal": state.principal,
                "pattern": state.pattern,
                "session": state.session,
                "since": state.since,
            }
            if made is None or now != {name: made.get(name) for name in now}:
                self._find(f"meter {state.number} is not what its event says")
        for number in self._made:
            self._find(f"meter {number} is missing")

    def call(self, row: Sequence[Any], bodies: Iterable[tuple[int, int, bytes]], kept: Bodies) -> None:
        """A call against its own events.

        Args:
            row: the call as it stands: its fields in the order of `CallRow`.
            bodies: the number of the call, and the number and canonical bytes of each of its events, oldest first.
            kept: what its bodies are now.
        """
        number, call_id, principal, session, names, state, held, charged, refunded, sent_at = _counted(row)
        self._calls += 1
        self._last_call = number
        self._bytes += kept.size
        sums = self._sums[state]
        self._sums[state] = (sums[0] + 1, sums[1] + held, sums[2] + charged, sums[3] + refunded)
        events = self._parse(bodies)
        if not events or events[0][2] != chain.RESERVE:
            self._find(f"the call {call_id} has no reservation among its events")
            return
        made = events[0][11]
        if made.get("identity") != chain.identity(_identity(row)) or made.get("call_id") != call_id:
            self._find(f"the call {call_id} is not the one that its reservation wrote")
        expected, written = _fold(events)
        found = _standing(row)
        if found != expected:
            wrong = [name for name, is_, was in zip(_STANDING, found, expected, strict=True) if is_ != was]
            self._find(f"the call {call_id} is not what its events say: {', '.join(wrong)}")
        for name, digest in zip(_BODIES, (kept.request, kept.answer), strict=True):
            if digest != written.get(name) and (
                digest is not None or not (self._dropped_since(row, events[-1][0]) or self._may_lack(name, events))
            ):
                self._find(f"the {name} of the call {call_id} was changed")
        amount = counted_amount(state, held, charged, refunded)
        if amount:
            self._count(amount, principal, session, names, number, sent_at)

    def stray(self, call: object) -> None:
        """Events are kept under the number of a call that is not there."""
        self._find(f"the call {call} is missing, and there are events of it")

    def grants(self, grants: Iterable[Grant]) -> None:
        """Every grant against its events."""
        missing = dict(self._grants)
        for grant in grants:
            told = missing.pop((grant.kind.value, grant.grant_id), {})
            found: dict[str, object] = {
                "state": grant.state.value,
                "principal": grant.principal,
                "subject": grant.subject,
                "body": chain.body_digest(grant.body),
                "created_at": grant.created_at,
                "expires_at": grant.expires_at,
                "call_id": grant.call_id,
                "note": grant.note,
            }
            if found != {name: told.get(name) for name in found}:
                self._find(f"the {grant.kind.value} grant {grant.grant_id} is not what its events say")
        for kind, grant_id in missing:
            self._find(f"the {kind} grant {grant_id} is missing")

    def slots(self, slots: Iterable[tuple[int, int, int | None, int]]) -> None:
        """Every slot (meter, start, expiry, amount) against the calls it counts, and every meter against its slots."""
        sums: defaultdict[int, int] = defaultdict(int)
        known: set[tuple[int, int]] = set()
        for meter, start, expires, amount in slots:
            known.add((meter, start))
            sums[meter] += amount
            state = self._states.get(meter)
            right = state is not None and slot_start(state.window, start) == start
            if not right or state is None or slot_expiry(state.window, start) != expires:
                self._find(f"meter {meter} has a slot that starts at {start} and ends at {expires}, which cannot be")
            elif start >= self._earliest[state.window] and self._counted.get((meter, start), 0) != amount:
                self._find(f"meter {meter} counts {amount} micro-USDC from {start}, its calls come to another sum")
        for (meter, start), amount in self._counted.items():
            if (meter, start) not in known:
                self._find(f"meter {meter} has lost the {amount} micro-USDC of its calls from {start}")
        for meter, state in self._states.items():
            if state.fed > self._last_call:
                self._find(f"meter {meter} has counted up to the call {state.fed}, which is not there")
            if sums[meter] != state.used:
                self._find(f"meter {meter} stands at {state.used} micro-USDC, its slots at {sums[meter]}")

    def tally(self, sums: Mapping[str, Sequence[int]], kept: int) -> None:
        """The sums of each state, calls, held, charged and refunded, and the bytes of bodies, against the calls."""
        for state in State:
            if tuple(sums.get(state.value, ())) != self._sums[state]:
                self._find(f"the sums of the calls that are {state.value} are not those of the calls")
        if kept != self._bytes:
            self._find(f"{self._bytes} bytes of requests and answers are kept, the ledger says {kept}")

    def report(self) -> AuditReport:
        """What was found."""
        anchored = None if self._asked is None else self._anchored
        return AuditReport(self._number, self._calls, self._previous.hex(), tuple(self._findings), anchored)

    def _of_the_ledger(self, number: int, body: bytes) -> None:
        for _, at, kind, *_, evidence, facts in self._parse([(None, number, body)]):
            if kind == chain.PRUNE:
                self._droppings.append(_Dropping(number, _whole(facts.get("before"))))
            elif kind == chain.TRIM:
                self._droppings.append(_Dropping(number, None))
            elif kind == chain.METER:
                self._made[facts.get("meter")] = facts
            elif kind == chain.GRANT:
                known = self._grants.setdefault((facts.get("kind"), facts.get("slip")), {"created_at": at})
                known.update(facts)
                if evidence is not None:
                    known["note"] = evidence
            elif kind == chain.GRANTS_DROPPED:
                for grant in facts.get("slips", ()):
                    self._grants.pop((facts.get("kind"), grant), None)

    def _parse(self, bodies: Iterable[tuple[int | None, int, bytes]]) -> list[list[Any]]:
        """The fields of events, each kept under a call and a number, without those that are no event of these."""
        events = []
        for call, number, body in bodies:
            try:
                event = from_json(body)
                right = event[0] == number and event[3] == call and isinstance(event[11], dict) and body.isascii()
            except (ValueError, LookupError, TypeError):
                right = False
            if right:
                events.append(event)
            else:
                self._find(f"event {number} is not kept where its bytes say")
        return events

    def _count(
        self, amount: int, principal: str, session: str, names: tuple[str, ...], number: int, sent_at: int
    ) -> None:
        """Count a call in every meter that counts it, unless its slot had left when the last event was written."""
        for of in (None, session):
            for state in self._by.get((principal, of), ()):
                if (
                    state.since < number <= state.fed
                    and sent_at >= self._earliest[state.window]
                    and applies(state, names)
                ):
                    self._counted[state.number, slot_start(state.window, sent_at)] += amount

    def _dropped_since(self, row: Sequence[Any], number: int) -> bool:
        """Whether the bodies of a call were dropped since its last event, as most of an old ledger's were."""
        ended_at, delivered = _ending(row)
        if not self._droppings or ended_at is None:
            return False
        latest = self._droppings[-1]
        return latest.number > number and (latest.before is None or (delivered and ended_at < latest.before))

    def _may_lack(self, name: str, events: Sequence[list[Any]]) -> bool:
        """Whether bodies of the call were dropped since `name` was last written."""
        lacks = answered = delivered = False
        ended_at: int | None = None
        for index, (number, at, kind, _, before, after, *_, facts) in enumerate(events):
            answered, delivered = answered or "answer" in facts, delivered or kind == chain.DELIVER
            if before != after or kind in _ENDING:
                ended_at = None if after in OPEN or facts.get("look_again_at") is not None else at
            lacks = lacks and name not in facts
            if ended_at is not None and not lacks:
                until = events[index + 1][0] if index + 1 < len(events) else self._number + 1
                waiting = answered and not delivered and after != State.WRITTEN_OFF
                lacks = self._dropped(number, until, None if waiting else ended_at)
        return lacks

    def _dropped(self, behind: int, until: int, ended_at: int | None) -> bool:
        """Whether an event between two numbers dropped bodies of calls that had ended then, or that wait (None)."""
        first, last = (bisect(self._droppings, number, key=attrgetter("number")) for number in (behind, until - 1))
        # The latest goes furthest, as a rule.
        return any(
            one.before is None or (ended_at is not None and ended_at < one.before)
            for one in reversed(self._droppings[first:last])
        )

    def _find(self, words: str) -> None:
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(words)


def _fold(events: Sequence[list[Any]]) -> tuple[tuple[Any, ...], dict[str, object]]:
    """What the events of a call come to: its row's fields in the order of `_STANDING`, and its bodies' digests."""
    first, last = events[0], events[-1]
    created_at, held, session = first[1], first[6], first[9]
    sent_at, owner = created_at, session
    claim: object = 0
    attempts = 0
    balance_after = reference = evidence = look_again_at = ended_at = None
    delivered = False
    bodies: dict[str, object] = {}
    for _, at, kind, _, before, after, _, _, _, who, words, facts in events:
        evidence = evidence if words is None else words
        if facts:
            attempts += _whole(facts.get("attempts"))
            balance_after = facts.get("balance_after", balance_after)
            reference = facts.get("reference", reference)
            for name in _BODIES:
                if name in facts:
                    bodies[name] = facts[name]
        if kind == chain.DELIVER:
            delivered = True
        elif kind == Event.RESEND:
            sent_at = at
        elif kind == chain.ADOPT:
            owner, claim = who, facts.get("claim")
        elif kind not in _NO_LOOK:
            look_again_at = facts.get("look_again_at")
        if before != after or kind in _ENDING:
            ended_at = None if after in OPEN or look_again_at is not None else at
    standing = (
        created_at, sent_at, held, session, owner, claim, attempts, balance_after, reference, evidence,
        look_again_at, ended_at, "answer" in bodies, delivered, _mark(events), last[5], last[7], last[8],
    )  # fmt: skip
    return standing, bodies


def _mark(events: Sequence[list[Any]]) -> object:
    """How far the call was written down to have come, as `jecp_mcp.mandate.states.furthest` has it."""
    mark: object = None
    for event in events:
        if event[2] == chain.NOTE and mark != Mark.INTENT:
            mark = event[11].get("mark")
    return mark


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
