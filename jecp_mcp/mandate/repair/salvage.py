"""A new ledger from what can still be read of a damaged one. Nothing that counted as spent may count less.

Rows are read one by one where a table breaks off. A call whose row is lost is made anew from its events, which carry
its amounts, whose it was and by which names the limits counted it; while it was open it is written off, for its request
is lost too. Meters are not taken over: a meter that is new counts the calls its window holds. What the old ones had
counted beyond every call that can be read is written off as calls of its own. Prepared calls and approvals are not
taken over either: what was agreed must not rest on damaged ground, and can be agreed again. The events are written
anew, as a chain of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import apsw

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import row_values
from jecp_mcp.mandate.records import CallRow, EventRow, Meter
from jecp_mcp.mandate.repair import read_damaged
from jecp_mcp.mandate.repair.read_damaged import Table
from jecp_mcp.mandate.repair.unaccounted import Part, Unexplained
from jecp_mcp.mandate.sqlite import schema
from jecp_mcp.mandate.sqlite.store import INSERT
from jecp_mcp.mandate.states import OPEN, Event, State, counted_amount
from jecp_mcp.mandate.windows import Window, slot_start
from jecp_mcp.mandate.working_set import MeterState
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.plurals import counted

UNREADABLE = "unreadable"
"""What stands for a text that is lost."""

LIMITS_UNKNOWN = "what the limits had counted is lost with the ledger before, so that each counts as used up"
"""Why a new ledger begins with a call that nobody made."""

_NAMED = 5
"""How many calls are named where many have lost the same."""

_SUMS = """
UPDATE tally SET (calls, held, charged, refunded) =
  (SELECT count(*), coalesce(sum(held), 0), coalesce(sum(charged), 0), coalesce(sum(refunded), 0)
   FROM call WHERE call.state = tally.state);
UPDATE kept SET bytes = (SELECT coalesce(sum(length(body)), 0) FROM request)
  + (SELECT coalesce(sum(length(body)), 0) FROM answer);
"""

_ENDS: Mapping[State, Event] = {
    State.SETTLED: Event.SETTLE,
    State.RELEASED: Event.RELEASE,
    State.IN_DOUBT: Event.DOUBT,
    State.RECONCILED_CHARGED: Event.PROVE_CHARGED,
    State.RECONCILED_FREE: Event.PROVE_FREE,
    State.WRITTEN_OFF: Event.WRITE_OFF,
}


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was saved.

    Attributes:
        calls: how many calls are in the new ledger.
        rebuilt: the calls whose rows were lost, made anew from their events.
        unexplained: what the limits had counted beyond every call that can be read, micro-USDC; written off.
        lost: what could not be read, in words.
    """

    calls: int
    rebuilt: tuple[str, ...]
    unexplained: int
    lost: tuple[str, ...]


def salvage(ledger: Path, made: Path, clock: Clock) -> Salvaged:
    """Write what can be read of `ledger` into `made`, an empty file.

    Raises:
        LedgerDamaged: nothing can be read.
        LedgerUnavailable: `made` cannot be written, or `ledger` not be opened.
    """
    try:
        with closing(apsw.Connection(str(ledger), flags=apsw.SQLITE_OPEN_READONLY)) as old:
            # SQLite opens a truncated file only for whoever says that it may be damaged.
            old.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
            old.config(apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1)
            calls, events = read_damaged.calls(old), read_damaged.events(old)
            if not calls.rows and not events.rows:
                raise LedgerDamaged(
                    f"nothing can be read of {ledger} any more; restore a backup, or begin a new ledger"
                )
            with closing(apsw.Connection(str(made), flags=apsw.SQLITE_OPEN_READWRITE)) as new:
                schema.configure(new)
                schema.create(new)
                new.execute("BEGIN")
                saved = _Salvage(old, new, calls, events, read_damaged.meters(old)).run(clock.now())
                new.execute("COMMIT")
                # One file, without a journal beside it, is put in the place of the other.
                new.pragma("journal_mode", "delete")
                return saved
    except apsw.Error as exc:
        raise LedgerUnavailable(f"what can be read of {ledger} cannot be written beside it: {exc}") from exc


def begin_with_limits_used_up(made: Path, meters: Sequence[Meter], clock: Clock) -> MicroUSDC:
    """Begin a ledger in `made`, an empty file, in which each meter has counted up to its limit.

    Returns what is written off for that, in one call for each principal, micro-USDC.

    Raises:
        LedgerUnavailable: `made` cannot be written.
    """
    now = clock.now()
    # Everything of a session's own ended with it.
    lasting = [meter for meter in meters if meter.window is not Window.SESSION]
    states = [
        MeterState(number, one.key, one.window, one.principal, one.pattern, None, 0, 0, one.limit)
        for number, one in enumerate(lasting, 1)
    ]
    slots = [(state.number, slot_start(state.window, now), state.used) for state in states]
    nothing = Table({}, whole=True)
    try:
        with (
            closing(apsw.Connection(":memory:")) as none,
            closing(apsw.Connection(str(made), flags=apsw.SQLITE_OPEN_READWRITE)) as new,
        ):
            schema.create(none)
            schema.configure(new)
            schema.create(new)
            with new:
                begun = _Salvage(none, new, nothing, nothing, Unexplained(slots, states), LIMITS_UNKNOWN).run(now)
            new.pragma("journal_mode", "delete")
            return MicroUSDC(begun.unexplained)
    except apsw.Error as exc:
        raise LedgerUnavailable(f"a new ledger cannot be written to {made.parent}: {exc}") from exc


class _Salvage:
    """One salvage under way."""

    def __init__(
        self,
        old: apsw.Connection,
        new: apsw.Connection,
        calls: Table,
        events: Table,
        unexplained: Unexplained,
        why: str = "the limits had counted it, and no call that can be read explains it",
    ) -> None:
        self._old = old
        self._new = new
        self._calls = calls
        self._events = events
        self._session = secrets.token_hex(8)
        self._number = 0
        self._head = chain.GENESIS
        self._bodies: dict[str, list[str]] = {"request": [], "answer": []}
        self._rebuilt: list[str] = []
        self._unexplained = unexplained
        self._why = why

    def run(self, now: UnixMs) -> Salvaged:
        """Write every call, and that it was saved."""
        by_call: dict[int, list[EventRow]] = {}
        for event in self._events.rows.values():
            if event.call is not None:
                by_call.setdefault(event.call, []).append(event)
        last = max((*self._calls.rows, *by_call), default=0)
        traceless = [number for number in range(1, last + 1) if not self._call(number, by_call.get(number, []))]
        lost = [f"the {name}s of {_few(calls)}" for name, calls in self._bodies.items() if calls]
        if traceless:
            lost.append(f"of the calls number {_ranges(traceless)} nothing is left, nor what they cost")
        if not self._calls.whole and not self._events.whole:
            lost.append(f"whether there were calls after number {last} is not known")
        unexplained = self._unexplained.rest(now)
        for number, part in enumerate(unexplained, last + 1):
            self._save(self._written_off(number, part))
        self._new.execute(_SUMS)
        instants = [event.at for event in self._events.rows.values()]
        calls = self._new.execute("SELECT count(*) FROM call").get
        told: dict[str, object] = {"calls": calls, "rebuilt": len(self._rebuilt), "traceless": len(traceless)}
        if self._events.rows:
            told["head"] = self._events.rows[max(self._events.rows)].digest
        self._write(max((now, *instants)), chain.SALVAGE, None, (None, None, 0, 0, 0), facts=told)
        return Salvaged(calls, tuple(self._rebuilt), sum(part.amount for part in unexplained), tuple(lost))

    def _call(self, number: int, events: list[EventRow]) -> bool:
        """Save one call; False when nothing of it can be read."""
        row: CallRow | None = self._calls.rows.get(number)
        if row is not None and self._save(_at_least(row, events), events):
            return True
        if not events:
            return False
        rebuilt = self._from_events(number, events)
        if not self._save(rebuilt):
            return False
        self._rebuilt.append(rebuilt.call_id)
        return True

    def _save(self, row: CallRow, events: Sequence[EventRow] = ()) -> bool:
        """Write a call with its bodies and events; False when what was read cannot be a call."""
        request, answer = self._body("request", row), self._body("answer", row)
        row = replace(row, answered=answer is not None)
        if row.state in OPEN:
            row = replace(row, ended_at=None)
        else:
            row = replace(row, look_again_at=None, ended_at=row.created_at if row.ended_at is None else row.ended_at)
        try:
            with self._new:
                self._new.execute(INSERT, row_values(row))
                for table, body in (("request", request), ("answer", answer)):
                    if body is not None:
                        self._new.execute(f"INSERT INTO {table} VALUES (?, ?)", (row.number, body))  # noqa: S608 two constants
        except apsw.ConstraintError:
            return False
        self._tell(row, request, answer, _notes(row, events))
        self._unexplained.explain(row)
        return True

    def _body(self, table: str, row: CallRow) -> bytes | None:
        try:
            body = self._old.execute(f"SELECT body FROM {table} WHERE call = ?", (row.number,)).get  # noqa: S608 two constants
        except apsw.Error:
            # One that is not there, without an error, was dropped in time.
            if table == "request" or row.answered:
                self._bodies[table].append(row.call_id)
            return None
        return body if isinstance(body, bytes) else None

    def _tell(
        self, row: CallRow, request: bytes | None, answer: bytes | None, notes: Sequence[Mapping[str, object]]
    ) -> None:
        """The events that lead to the call as it stands."""
        first = chain.reservation(row, None if request is None else chain.body_digest(request))
        last = chain.facts(
            attempts=row.attempts or None,
            balance_after=row.balance_after,
            reference=row.reference,
            answer=None if answer is None else chain.body_digest(answer),
            look_again_at=row.look_again_at,
        )
        end = _ENDS.get(row.state)
        state, now = (row.state if end is None else State.SENT), (row.held, row.charged, row.refunded)
        begun = (state, *now) if end is None else (state, row.held, 0, 0)
        evidence = row.evidence if end is None else None
        told = first | last if end is None else first
        self._write(row.created_at, chain.RESERVE, row, (None, *begun), facts=told, evidence=evidence)
        if row.sent_at != row.created_at:
            self._write(row.sent_at, Event.RESEND.value, row, (state, *begun))
        if row.owner != row.session or row.claim:
            self._write(row.sent_at, chain.ADOPT, row, (state, *begun), facts={"claim": row.claim}, session=row.owner)
        for note in notes:
            self._write(row.sent_at, chain.NOTE, row, (state, *begun), facts=note)
        ended = row.sent_at if row.ended_at is None else row.ended_at
        if end is not None:
            standing = (state, row.state, *now)
            self._write(ended, end.value, row, standing, facts=last, evidence=row.evidence)
        if row.delivered:
            self._write(ended, chain.DELIVER, row, (row.state, row.state, *now))

    def _from_events(self, number: int, events: list[EventRow]) -> CallRow:
        """A call whose row is lost; while it was open it is written off."""
        first, last = events[0], events[-1]
        state = last.after or State.WRITTEN_OFF
        call_id, principal, names = (first.facts.get(name) for name in ("call_id", "principal", "names"))
        row = self._written_off(number, Part(first.at, last.held, principal if isinstance(principal, str) else "local"))
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            row = replace(row, names=tuple(names))
        sent = [event.at for event in events if event.event == Event.RESEND]
        return replace(
            row,
            call_id=call_id if isinstance(call_id, str) else f"lost_{number}",
            state=State.WRITTEN_OFF if state in OPEN else state,
            charged=last.charged,
            refunded=last.refunded,
            evidence="its row was lost to damage, and made anew from its events",
            sent_at=max((first.at, *sent)),
            ended_at=last.at,
        )

    def _written_off(self, number: int, part: Part) -> CallRow:
        """What counts as spent until an operator rules, by whatever call it was."""
        amount = MicroUSDC(part.amount)
        return CallRow(
            number=number,
            call_id=f"unexplained_{number}",
            principal=part.principal,
            team=None,
            session=self._session,
            owner=self._session,
            claim=0,
            rail=UNREADABLE,
            account=UNREADABLE,
            tool=UNREADABLE,
            payee=UNREADABLE,
            source=UNREADABLE,
            offer=UNREADABLE,
            names=(UNREADABLE, *self._unexplained.names(part.principal)),
            version=None,
            fingerprint=f"{UNREADABLE} {number}",
            kind=UNREADABLE,
            terms="",
            state=State.WRITTEN_OFF,
            quoted=amount,
            held=amount,
            charged=ZERO,
            refunded=ZERO,
            balance_after=None,
            reference=None,
            evidence=self._why,
            attempts=0,
            created_at=part.at,
            sent_at=part.at,
            look_again_at=None,
            provable_until=None,
            ended_at=part.at,
            answered=False,
            delivered=False,
            mark=None,
            request=b"",
            answer=None,
        )

    def _write(
        self,
        at: int,
        event: str,
        row: CallRow | None,
        standing: tuple[State | None, State | None, int, int, int],
        *,
        facts: Mapping[str, object] | None = None,
        evidence: str | None = None,
        session: str | None = None,
    ) -> None:
        self._number += 1
        call = None if row is None else row.number
        who = session or (self._session if row is None else row.session)
        body = chain.write(self._number, at, event, call, standing, who, evidence, facts or {})
        self._head = chain.digest(self._head, body)
        self._new.execute("INSERT INTO event VALUES (?, ?, ?, ?)", (self._number, call, body, self._head))


def _notes(row: CallRow, events: Sequence[EventRow]) -> list[Mapping[str, object]]:
    """What its rail wrote down of a call, or how far it had come at least."""
    if row.mark is None:
        return []
    told: list[Mapping[str, object]] = [
        chain.facts(mark=event.facts.get("mark"), data=event.facts.get("data"))
        for event in events
        if event.event == chain.NOTE
    ]
    known = any(note.get("mark") == row.mark for note in told)
    return told if known else [*told, {"mark": row.mark.value}]


def _at_least(row: CallRow, events: list[EventRow]) -> CallRow:
    """The call as its row has it, or as its last event has it where that counts for more."""
    if not events or events[-1].after is None:
        return row
    last = events[-1]
    state = last.after or row.state
    if counted_amount(state, last.held, last.charged, last.refunded) <= counted_amount(
        row.state, row.held, row.charged, row.refunded
    ):
        return row
    return replace(row, state=state, held=last.held, charged=last.charged, refunded=last.refunded)


def _few(calls: list[str]) -> str:
    named = ", ".join(calls[:_NAMED])
    return f"{counted(len(calls), 'call')} ({named}{', ...' if len(calls) > _NAMED else ''})"


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers in few words: ``3 to 5, 9``."""
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in _runs(numbers))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
