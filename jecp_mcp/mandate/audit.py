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
    """One walk over a ledger: `event` for every event, `call` for every call, `slips` and `meters`, then `report`."""

    def __init__(self, head: str | None = None) -> None:
        """Start at the first event; `head` is a digest to look for."""
        self._previous = chain.GENESIS
        self._number = 0
        self._at = 0
        self._calls = 0
        self._asked = head
        self._anchored = head == chain.GENESIS
        self._pruned_before = 0
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
            self._pruned_before = max(self._pruned_before, _whole(_facts(event).get("before")))
        elif event.event == chain.SLIP:
            told = _facts(event)
            self._slips.setdefault((told.get("kind"), told.get("slip")), {}).update(told)

    def call(self, row: CallRow, events: Sequence[EventRow], bodies: Bodies, slots: Iterable[tuple[int, int]]) -> None:
        """A call against its own events, oldest first.

        Args:
            row: the call as it stands.
            events: its events.
            bodies: what its bodies are now.
            slots: the meter and start of each slot that it is counted in.
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
        self._bodies(row, expected, bodies)
        for slot in slots:
            self._counted[slot] += counted(row.state, row.held, row.charged, row.refunded)

    def slips(self, slips: Iterable[Slip]) -> None:
        """Every slip against its events."""
        missing = dict(self._slips)
        for slip in slips:
            told = missing.pop((slip.kind.value, slip.slip_id), {})
            found = (slip.state.value, slip.subject, chain.body_digest(slip.body), slip.call_id)
            if found != (told.get("state"), told.get("subject"), told.get("body"), told.get("call_id")):
                self._find(f"the {slip.kind.value} slip {slip.slip_id} is not what its events say")
        for kind, slip_id in missing:
            self._find(f"the {kind} slip {slip_id} is missing")

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
        anchored = None if self._asked is None else self._anchored
        return AuditReport(self._number, self._calls, self._previous, tuple(self._findings), anchored)

    def _bodies(self, row: CallRow, expected: Mapping[str, object], bodies: Bodies) -> None:
        dropped = row.ended_at is not None and row.ended_at < self._pruned_before
        for name, now in (("request", bodies.request), ("answer", bodies.answer)):
            if now != expected.get(name) and not (now is None and dropped):
                self._find(f"the {name} of the call {row.call_id} was changed")

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
