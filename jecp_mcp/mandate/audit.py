"""Does the ledger agree with itself? The chain, each call against its events, each meter against its calls.

Pure: no I/O, no clock. Whoever keeps the ledger feeds it, in order, and reads what was found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jecp_mcp.mandate import chain
from jecp_mcp.mandate.chain import Identity
from jecp_mcp.mandate.ledger import AuditReport, CallRow, EventRow
from jecp_mcp.mandate.slips import Slip
from jecp_mcp.mandate.states import OPEN, State, counted

MOST_FINDINGS = 100
"""How many findings are kept in words; one would do."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """The digests of what a call's bodies are now; None where there is none."""

    request: str | None
    answer: str | None


class Audit:
    """One walk over a ledger, then `report`.

    `event` for every event, `call` for every call, `meter` and `slot` for every one whose making left an event, and
    `slips` and `meters` once.
    """

    def __init__(self, head: str | None = None) -> None:
        """Start at the first event; `head` is a digest to look for."""
        self._previous = chain.GENESIS
        self._number = 0
        self._at = 0
        self._calls = 0
        self._asked = head
        self._anchored = head == chain.GENESIS
        self._prunes: list[tuple[int, int]] = []
        self._made: dict[int, Mapping[str, object]] = {}
        self._filled: defaultdict[int, list[int]] = defaultdict(list)
        self._findings: list[str] = []
        self._slips: dict[tuple[object, object], dict[str, object]] = {}
        self._counted: defaultdict[tuple[int, int], int] = defaultdict(int)

    def event(self, event: EventRow, identity: Identity) -> None:
        """The next event of the chain, and for a reservation the identity its call's row has now."""
        if event.number != self._number + 1:
            self._find(f"events {self._number + 1} to {event.number - 1} are missing")
        if chain.digest_of(self._previous, event, identity) != event.digest:
            about = "" if event.call_id is None else f" or its call {event.call_id}"
            self._find(f"event {event.number}{about} was changed, or one before it was")
        self._number, self._at, self._previous = event.number, event.at, event.digest
        self._anchored = self._anchored or event.digest == self._asked
        if event.event == chain.PRUNE:
            self._prunes.append((event.number, _whole(_facts(event).get("before"))))
        elif event.event == chain.METER:
            self._meter_made(_facts(event))
        elif event.event == chain.SLIP:
            self._slip_told(event)

    def call(
        self,
        row: CallRow,
        events: Sequence[EventRow],
        bodies: Bodies,
        slots: Iterable[tuple[int, int]],
        listed: str,
    ) -> None:
        """A call against its own events, oldest first.

        Args:
            row: the call as it stands.
            events: its events.
            bodies: what its bodies are now.
            slots: the meter and start of each slot that it is counted in.
            listed: the meters its row lists.
        """
        self._calls += 1
        if not events or events[0].event != chain.RESERVE:
            self._find(f"the call {row.call_id} has no reservation among its events")
            return
        expected = _fold(events)
        found = _standing(row)
        wrong = [name for name, value in expected.items() if name in found and found[name] != value]
        if wrong:
            self._find(f"the call {row.call_id} is not what its events say: {', '.join(wrong)}")
        self._bodies(row, events, expected, bodies)
        told = [str(_facts(events[0]).get("meters", "")), *map(str, self._filled.get(row.number, ()))]
        if listed != ",".join(filter(None, told)):
            self._find(f"the call {row.call_id} is counted in other meters than its events say")
        for slot in slots:
            self._counted[slot] += counted(row.state, row.held, row.charged, row.refunded)

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

    def meter(self, number: int, key: str, slot_ms: int | None, window_ms: int | None) -> None:
        """A meter as it stands."""
        made = self._made.pop(number, None)
        now: dict[str, object] = {"key": key, "slot_ms": slot_ms, "window_ms": window_ms}
        if made is None or now != {name: made.get(name) for name in now}:
            self._find(f"meter {number} is not what its event says")

    def slot(self, meter: int, start: int, expires: int | None, lengths: tuple[int | None, int | None] | None) -> None:
        """A slot as it stands, and the lengths of its meter's slots and window; None when there is no such meter."""
        slot_ms, window_ms = lengths or (None, None)
        if lengths is None:
            right = False
        elif slot_ms is None or window_ms is None:
            right = start == 0 and expires is None
        else:
            right = start % slot_ms == 0 and expires == start + slot_ms + window_ms
        if not right:
            self._find(f"meter {meter} has a slot that starts at {start} and ends at {expires}, which cannot be")

    def meters(self, slots: Mapping[tuple[int, int], int], meters: Mapping[int, tuple[int, int | None]]) -> None:
        """Every slot against the calls it counts, and every meter against its slots.

        Args:
            slots: the amount of each slot, by meter and start, micro-USDC.
            meters: how much each meter has counted, micro-USDC, and how long after its start a slot stays in it, in
                milliseconds; None for ever.
        """
        sums: defaultdict[int, int] = defaultdict(int)
        for (meter, start), amount in slots.items():
            sums[meter] += amount
            if self._counted.get((meter, start), 0) != amount:
                self._find(f"meter {meter} counts {amount} micro-USDC from {start}, its calls come to another sum")
        for (meter, start), amount in self._counted.items():
            lasting = meters.get(meter, (0, None))[1]
            if amount and (meter, start) not in slots and (lasting is None or start + lasting > self._at):
                self._find(f"meter {meter} has lost the {amount} micro-USDC of its calls from {start}")
        for meter, (used, _) in meters.items():
            if sums[meter] != used:
                self._find(f"meter {meter} stands at {used} micro-USDC, its slots at {sums[meter]}")

    def report(self) -> AuditReport:
        """What was found."""
        for number in self._made:
            self._find(f"meter {number} is missing")
        anchored = None if self._asked is None else self._anchored
        return AuditReport(self._number, self._calls, self._previous, tuple(self._findings), anchored)

    def _slip_told(self, event: EventRow) -> None:
        told = _facts(event)
        known = self._slips.setdefault((told.get("kind"), told.get("slip")), {"created_at": event.at})
        known.update(told)
        if event.evidence is not None:
            known["note"] = event.evidence

    def _meter_made(self, told: Mapping[str, object]) -> None:
        meter, calls = _whole(told.get("meter")), told.get("calls")
        self._made[meter] = told
        for call in calls if isinstance(calls, list) else ():
            self._filled[_whole(call)].append(meter)

    def _bodies(self, row: CallRow, events: Sequence[EventRow], expected: Mapping[str, object], bodies: Bodies) -> None:
        for name, now in (("request", bodies.request), ("answer", bodies.answer)):
            if now != expected.get(name) and not (now is None and self._may_lack(name, events)):
                self._find(f"the {name} of the call {row.call_id} was changed")

    def _may_lack(self, name: str, events: Sequence[EventRow]) -> bool:
        """Whether bodies of the call were dropped since `name` was last written."""
        written = max((index for index, event in enumerate(events) if name in _facts(event)), default=0)
        for index in range(written, len(events)):
            until = events[index + 1].number if index + 1 < len(events) else None
            then = _fold(events[: index + 1])
            ended_at = then["ended_at"]
            waiting = then["answered"] and not then["delivered"] and then["state"] is not State.WRITTEN_OFF
            if not isinstance(ended_at, int) or waiting:
                continue
            # The latest goes furthest, as a rule.
            for number, before in reversed(self._prunes):
                if number > events[index].number and (until is None or number < until) and ended_at < before:
                    return True
        return False

    def _find(self, words: str) -> None:
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(words)


def _fold(events: Sequence[EventRow]) -> dict[str, object]:
    """What the events of a call come to, by the names of `_standing` and of the bodies."""
    first, last = events[0], events[-1]
    made: dict[str, object] = {
        "created_at": first.at,
        "held": first.held,
        "session": first.session,
        "attempts": 0,
        "balance_after": None,
        "transaction_id": None,
        "evidence": None,
        "ended_at": None,
        "answered": False,
        "delivered": False,
        "state": last.after,
        "charged": last.charged,
        "refunded": last.refunded,
    }
    for event in events:
        told = _facts(event)
        made["attempts"] = _whole(made["attempts"]) + _whole(told.get("attempts"))
        for name in ("balance_after", "transaction_id", "request", "answer"):
            made[name] = told.get(name, made.get(name))
        if event.evidence is not None:
            made["evidence"] = event.evidence
        if "answer" in told:
            made["answered"] = True
        if event.event == chain.ADOPT:
            made["session"] = event.session
        elif event.event == chain.DELIVER:
            made["delivered"] = True
        elif event.before != event.after:
            made["ended_at"] = None if event.after in OPEN else event.at
    return made


def _standing(row: CallRow) -> dict[str, object]:
    return {
        "created_at": row.created_at,
        "held": row.held,
        "session": row.session,
        "attempts": row.attempts,
        "balance_after": row.balance_after,
        "transaction_id": row.transaction_id,
        "evidence": row.evidence,
        "ended_at": row.ended_at,
        "answered": row.answered,
        "delivered": row.delivered,
        "state": State(row.state),
        "charged": row.charged,
        "refunded": row.refunded,
    }


def _facts(event: EventRow) -> Mapping[str, object]:
    try:
        return chain.read_facts(event)
    except ValueError:
        # The chain has said by now that this event was changed.
        return {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
