"""Does the ledger agree with itself? The chain, each call against its events, each meter against its calls.

Pure: no I/O, no clock. Whoever keeps the ledger feeds it, in order, and reads what was found. Nothing is remembered of
an event or a call but what later ones are compared with, so that millions of them can be gone over.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from jecp_mcp.mandate import chain
from jecp_mcp.mandate.counting import applies
from jecp_mcp.mandate.ledger import AuditReport, CallRow
from jecp_mcp.mandate.page import MeterState
from jecp_mcp.mandate.slips import Slip
from jecp_mcp.mandate.states import OPEN, Event, State, counted
from jecp_mcp.mandate.windows import slot_expiry, slot_start

MOST_FINDINGS: Final = 100
"""How many findings are kept in words; one would do."""

_STANDING: Final = (
    "created_at", "sent_at", "held", "session", "owner", "claim", "attempts", "balance_after", "reference", "evidence",
    "look_again_at", "ended_at", "answered", "delivered", "state", "charged", "refunded",
)  # fmt: skip
_BODIES: Final = ("request", "answer")
_standing = attrgetter(*_STANDING)
_decode = json.JSONDecoder().raw_decode
_MONEY_ALONE: Final = frozenset({Event.REFUND, Event.CORRECTED})
"""Events that say nothing of when the payee is asked again."""


@dataclass(frozen=True, slots=True)
class Bodies:
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

    `event` for every event; then `meters`; then `call` for every call; then `slips`, `slots` and `tally`.
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
        self._slips: dict[tuple[object, object], dict[str, object]] = {}
        self._states: dict[int, MeterState] = {}
        self._by: defaultdict[tuple[str, str | None], list[MeterState]] = defaultdict(list)
        self._at = 0
        self._counted: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._bytes = 0
        self._last = b""

    def event(self, number: int, call: int | None, body: bytes, digest: bytes) -> None:
        """The next event of the chain; `call` is the number of the call it is kept under."""
        if number != self._number + 1:
            self._find(f"events {self._number + 1} to {number - 1} are missing")
        if chain.digest(self._previous, body) != digest:
            self._find(f"event {number} was changed, or one before it was")
        self._number, self._previous = number, digest
        if self._asked is not None:
            self._anchored = self._anchored or digest.hex() == self._asked
        if call is None:
            self._of_the_ledger(number, body)
        self._last = body

    def meters(self, states: Iterable[MeterState]) -> None:
        """Every meter as it stands."""
        self._at = int(json.loads(self._last)[1]) if self._number else 0
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

    def call(self, row: CallRow, bodies: Sequence[tuple[int, bytes]], kept: Bodies) -> None:
        """A call against its own events.

        Args:
            row: the call as it stands.
            bodies: the number and canonical bytes of each of its events, oldest first.
            kept: what its bodies are now.
        """
        self._calls += 1
        self._last_call = row.number
        self._bytes += kept.size
        sums = self._sums[row.state.value]
        for index, by in enumerate((1, row.held, row.charged, row.refunded)):
            sums[index] += by
        events = [event for number, body in bodies if (event := self._parsed(number, body, row.number)) is not None]
        if not events or events[0][2] != chain.RESERVE:
            self._find(f"the call {row.call_id} has no reservation among its events")
            return
        if events[0][11].get("identity") != chain.identity_of(row) or events[0][11].get("call_id") != row.call_id:
            self._find(f"the call {row.call_id} is not the one that its reservation wrote")
        expected, written = _fold(events)
        found = _standing(row)
        if found != expected:
            wrong = [name for name, is_, was in zip(_STANDING, found, expected, strict=True) if is_ != was]
            self._find(f"the call {row.call_id} is not what its events say: {', '.join(wrong)}")
        now = {"request": kept.request, "answer": kept.answer}
        wrong = [name for name, digest in now.items() if digest != written.get(name)]
        for name in wrong:
            if now[name] is not None or not (self._dropped_since(row, events[-1][0]) or self._may_lack(name, events)):
                self._find(f"the {name} of the call {row.call_id} was changed")
        amount = counted(row.state, row.held, row.charged, row.refunded)
        if amount:
            for state in self._meters_of(row):
                start = slot_start(state.window, row.sent_at)
                if not self._has_left(state, start):
                    self._counted[state.number, start] += amount

    def stray(self, call: object) -> None:
        """Events are kept under the number of a call that is not there."""
        self._find(f"the call {call} is missing, and there are events of it")

    def slips(self, slips: Iterable[Slip]) -> None:
        """Every slip against its events."""
        missing = dict(self._slips)
        for slip in slips:
            told = missing.pop((slip.kind.value, slip.slip_id), {})
            found: dict[str, object] = {
                "state": slip.state.value,
                "principal": slip.principal,
                "subject": slip.subject,
                "body": chain.body_digest(slip.body),
                "created_at": slip.created_at,
                "expires_at": slip.expires_at,
                "call_id": slip.call_id,
                "note": slip.note,
            }
            if found != {name: told.get(name) for name in found}:
                self._find(f"the {slip.kind.value} slip {slip.slip_id} is not what its events say")
        for kind, slip_id in missing:
            self._find(f"the {kind} slip {slip_id} is missing")

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
            elif not self._has_left(state, start) and self._counted.get((meter, start), 0) != amount:
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
            if list(sums.get(state.value, ())) != self._sums[state.value]:
                self._find(f"the sums of the calls that are {state.value} are not those of the calls")
        if kept != self._bytes:
            self._find(f"{self._bytes} bytes of requests and answers are kept, the ledger says {kept}")

    def report(self) -> AuditReport:
        """What was found."""
        anchored = None if self._asked is None else self._anchored
        return AuditReport(self._number, self._calls, self._previous.hex(), tuple(self._findings), anchored)

    def _of_the_ledger(self, number: int, body: bytes) -> None:
        event = self._parsed(number, body, None)
        if event is None:
            return
        _, at, kind, *_, evidence, facts = event
        if kind == chain.PRUNE:
            self._droppings.append(_Dropping(number, _whole(facts.get("before"))))
        elif kind == chain.TRIM:
            self._droppings.append(_Dropping(number, None))
        elif kind == chain.METER:
            self._made[facts.get("meter")] = facts
        elif kind == chain.SLIP:
            known = self._slips.setdefault((facts.get("kind"), facts.get("slip")), {"created_at": at})
            known.update(facts)
            if evidence is not None:
                known["note"] = evidence
        elif kind == chain.SLIPS_DROPPED:
            for slip in facts.get("slips", ()):
                self._slips.pop((facts.get("kind"), slip), None)

    def _parsed(self, number: int, body: bytes, call: int | None) -> list[Any] | None:
        """An event's fields; None where they are not those of an event of this number and call."""
        try:
            text = body.decode("ascii")
            event: list[Any]
            event, end = _decode(text)
            if end == len(text) and event[0] == number and event[3] == call and isinstance(event[11], dict):
                return event
        except (ValueError, LookupError, TypeError, AttributeError):
            # Said below: what stands there is no event.
            pass
        self._find(f"event {number} is not kept where its bytes say")
        return None

    def _meters_of(self, row: CallRow) -> Iterator[MeterState]:
        for session in (None, row.session):
            for state in self._by.get((row.principal, session), ()):
                if state.since < row.number <= state.fed and applies(state, row.names):
                    yield state

    def _dropped_since(self, row: CallRow, number: int) -> bool:
        """Whether the bodies of a call were dropped since its last event, as most of an old ledger's were."""
        if not self._droppings or row.ended_at is None:
            return False
        latest = self._droppings[-1]
        return latest.number > number and (latest.before is None or (row.delivered and row.ended_at < latest.before))

    def _may_lack(self, name: str, events: Sequence[list[Any]]) -> bool:
        """Whether bodies of the call were dropped since `name` was last written."""
        lacks = answered = delivered = False
        ended_at: int | None = None
        for index, (number, at, kind, _, before, after, *_, facts) in enumerate(events):
            answered, delivered = answered or "answer" in facts, delivered or kind == chain.DELIVER
            if before != after:
                ended_at = None if after in OPEN else at
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

    def _has_left(self, state: MeterState, start: int) -> bool:
        """Whether a slot had left its window when the last event was written."""
        expires = slot_expiry(state.window, start)
        return expires is not None and expires <= self._at

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
        attempts += _whole(facts.get("attempts"))
        balance_after = facts.get("balance_after", balance_after)
        reference = facts.get("reference", reference)
        bodies |= {name: facts[name] for name in _BODIES if name in facts}
        if kind == chain.DELIVER:
            delivered = True
        elif kind == Event.RESEND:
            sent_at = at
        elif kind == chain.ADOPT:
            owner, claim = who, facts.get("claim")
        elif kind not in _MONEY_ALONE:
            look_again_at = facts.get("look_again_at")
        if before != after:
            ended_at = None if after in OPEN else at
    standing = (
        created_at, sent_at, held, session, owner, claim, attempts, balance_after, reference, evidence,
        look_again_at, ended_at, "answer" in bodies, delivered, last[5], last[7], last[8],
    )  # fmt: skip
    return standing, bodies


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
