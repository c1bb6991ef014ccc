"""The server as the ledger uses it: batches in one transaction each, reads beside them, faults outlived.

Blocking; `jecp_mcp.mandate.writer` and the ledger's reading thread wait. A batch is retried for as long as it is
proven that nothing of it was written. When the connection breaks during COMMIT, the batch is looked up before anything
else is done: by its last event's digest, under the lock that the lost transaction held, so that it has ended by then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate import commands
from jecp_mcp.mandate.needs import NOTHING, needs_of
from jecp_mcp.mandate.postgres import bodies
from jecp_mcp.mandate.postgres.connection_errors import ConnectionLost, RolledBack
from jecp_mcp.mandate.postgres.leases import RenewLease
from jecp_mcp.mandate.postgres.shared_connection import SharedConnection
from jecp_mcp.mandate.working_set import Repeats
from jecp_mcp.mandate.writer import Contended

if TYPE_CHECKING:
    from pydantic import SecretStr

    from jecp_mcp.mandate.commands import Command
    from jecp_mcp.mandate.postgres.connection import Connection
    from jecp_mcp.mandate.postgres.store import Loaded

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

LONGEST_WAIT = 5.0
"""How long a batch is tried again, in seconds; while the server is known to be away, it is tried once."""

_MOST_REMEMBERED = 4_096
"""How many steps of batches that turned out to be written are remembered until they come again."""

_MOST_METERS = 1_000
"""How many limits one transaction asks: the other replicas wait meanwhile."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A batch whose COMMIT was not answered.

    Attributes:
        number, digest: of its last event; the chain has it exactly if the batch was written.
    """

    number: int
    digest: bytes
    steps: Sequence[Any]
    outcomes: Sequence[Any]


class Server:
    """One process's connections to the ledger: one that writes, one that reads, one that sends what is large.

    Attributes:
        fault: why the ledger cannot be used now, or None.
        kept_bytes: how many bytes of requests and answers the ledger had when it was last written.
        reader, uploader: the connections beside the one that writes.
    """

    def __init__(self, url: SecretStr, session: str, token: str) -> None:
        self.fault: LedgerError | None = None
        self.kept_bytes = 0
        self.reader = SharedConnection(self._open)
        self.uploader = SharedConnection(self._open)
        self._url = url
        self._session = session
        self._token = token
        self._mutex = threading.Lock()
        self._connection: Connection | None = None
        self._unknown: _Unknown | None = None
        self._remembered: dict[int, tuple[Any, Any]] = {}
        self._undo: list[Command[Any]] = []
        self._since: float | None = None
        self._closed = False

    def open(self) -> None:
        """Connect, and lay out the tables where there are none. A fault is kept and logged, not raised."""
        try:
            self.read(lambda _connection: None)
        except LedgerError as exc:
            _LOG.error("nothing can be bought: %s", exc)

    @property
    def unsettled(self) -> bool:
        """Whether a batch is to be looked up, or a call of it to be taken back."""
        return self._unknown is not None or bool(self._undo)

    def commit(self, steps: Sequence[Any], *, wait: bool) -> list[Any]:
        """Make every step, all in one durable transaction but for those that must be alone.

        Returns:
            For each step what it returned, or the `LedgerError` it met.

        Raises:
            Contended: not `wait`: a server is always waited for.
            LedgerUnavailable: the ledger cannot be written now; if a step was made, it is taken back later.
            LedgerDamaged: the tables are not what was written; no step was made.
        """
        if not wait:
            raise Contended("a server is waited for")
        deadline = time.monotonic() + LONGEST_WAIT
        outcomes: list[Any] = []
        with self._mutex:
            if self._closed:
                raise LedgerUnavailable("the ledger is closed")
            self._since = time.monotonic()
            try:
                for group in _groups(steps):
                    outcomes += self._transact(group, deadline)
            except LedgerError as exc:
                if not outcomes:
                    raise
                return [*outcomes, *[exc] * (len(steps) - len(outcomes))]
            finally:
                self._since = None
        return outcomes

    def read(self, reading: Callable[[Connection], _T], line: SharedConnection | None = None) -> _T:
        """Read with a connection beside the one that writes; that of who reads, where no other is given.

        Raises:
            LedgerUnavailable: the server cannot be read.
            LedgerDamaged: what is there is no ledger.
            LedgerError: it is asked for what no column can hold.
        """
        try:
            found = (line or self.reader).use(reading)
        except ValueError as exc:
            raise self._note_fault(LedgerDamaged(f"the ledger is damaged: {exc}")) from exc
        except (LedgerUnavailable, LedgerDamaged) as exc:
            raise self._note_fault(exc) from exc
        self._note_fault(None)
        return found

    def leave(self) -> None:
        """Say that this session has ended."""
        self.read(lambda connection: connection.query("SELECT jecp_mcp.leave(%s, %s)", (self._session, self._token)))

    def break_off_after(self, seconds: float) -> None:
        """Give up a server that has not answered a batch for so long. From any thread."""
        since, connection = self._since, self._connection
        if since is not None and connection is not None and time.monotonic() - since > seconds:
            connection.break_off()

    def close(self) -> None:
        """Let go of the connections."""
        self._closed = True
        with self._mutex:
            self._drop()
        self.reader.close()
        self.uploader.close()

    def _transact(self, steps: Sequence[Any], deadline: float) -> list[Any]:
        pause = _FIRST_PAUSE
        while True:
            # A server that is known to be away is not waited for by every call anew.
            last = self.fault is not None or time.monotonic() + pause > deadline
            try:
                outcomes = self._try(steps)
            except (ConnectionLost, RolledBack) as exc:
                self._after(exc)
                if last or time.monotonic() + pause > deadline:
                    raise self._note_fault(exc) from exc
            except (LedgerUnavailable, LedgerDamaged) as exc:
                self._after(exc)
                raise self._note_fault(exc) from exc
            except LedgerError as exc:
                self._after(exc)
                if len(steps) == 1:
                    return [exc]
                # One of them cannot be stored: the others are written one by one.
                return [outcome for step in steps for outcome in self._transact([step], deadline)]
            else:
                self._note_fault(None)
                return outcomes
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _try(self, steps: Sequence[Any]) -> list[Any]:
        needs = needs_of(steps)
        if not self.unsettled and all(one is NOTHING for one in needs):
            return [None] * len(steps)
        if self._connection is None:
            self._connection = self._open()
        if self._unknown is not None:
            self._look_up(self._connection, self._unknown, steps)
        known = {id(step): self._remembered[id(step)][1] for step in steps if id(step) in self._remembered}
        fresh = [*self._undo, *(step for step in steps if id(step) not in known)]
        if fresh:
            made = self._make(self._connection, fresh)
            for step, outcome in zip(fresh, made, strict=True):
                known[id(step)] = outcome
                if step in self._undo and isinstance(outcome, LedgerError):
                    _LOG.warning("a call that was not sent could not be released: %s", outcome)
            self._undo.clear()
        for step in steps:
            self._remembered.pop(id(step), None)
        return [known[id(step)] for step in steps]

    def _make(self, connection: Connection, steps: Sequence[Any]) -> list[Any]:
        """Make the steps in one transaction."""
        from jecp_mcp.mandate.postgres.bind_values import append_arguments
        from jecp_mcp.mandate.postgres.ledger_queries import NUMBERED, LedgerQueries, by_number
        from jecp_mcp.mandate.postgres.store import Store

        needs = needs_of(steps)
        loaded = Store(connection, self._session, self._token).load(needs)
        self.kept_bytes = loaded.kept
        outcomes = [self._run(step, loaded, connection) for step in steps]
        changes = loaded.batch.finish()
        repeats = [outcome.number for outcome in outcomes if isinstance(outcome, Repeats)]
        if not changes.events and not all(one.keeps for one in needs):
            # What left no event changed nothing but slots that were found expired: by a clock that may be wrong.
            rows = LedgerQueries(connection).numbers(repeats) if repeats else {}
            connection.rollback()
            return [one.kind(rows[one.number]) if isinstance(one, Repeats) else one for one in outcomes]
        try:
            values = append_arguments(changes) if changes.events else None
            rows = by_number(connection.commit(values, NUMBERED, repeats))
        except ConnectionLost:
            if changes.events:
                self._unknown = _Unknown(loaded.batch.events.number, loaded.batch.events.digest, steps, outcomes)
            raise
        return [one.kind(rows[one.number]) if isinstance(one, Repeats) else one for one in outcomes]

    def _run(self, step: Any, loaded: Loaded, connection: Connection) -> Any:
        """What a step comes to, or the `LedgerError` it met."""
        if loaded.mine is False and getattr(step, "needs", NOTHING).lives and not isinstance(step, RenewLease):
            return LedgerError(f"the session {self._session} is another process")
        try:
            return step(loaded.batch, loaded.batch.at)
        except LedgerError as exc:
            if connection.failed:
                raise
            return exc

    def _look_up(self, connection: Connection, unknown: _Unknown, steps: Sequence[Any]) -> None:
        """Find out whether a batch was written; what nobody waits for any more is then taken back."""
        from jecp_mcp.mandate.postgres.ledger_queries import LedgerQueries

        connection.lock()
        found = connection.query("SELECT digest FROM jecp_mcp.event WHERE id = %s", (unknown.number,))
        written = [bytes(digest) for (digest,) in found] == [unknown.digest]
        repeats = [one.number for one in unknown.outcomes if isinstance(one, Repeats)] if written else []
        rows = LedgerQueries(connection).numbers(repeats) if repeats else {}
        connection.rollback()
        self._unknown = None
        _LOG.warning("the connection was lost during a commit; looked up: it was %swritten", "" if written else "not ")
        if not written:
            return
        waited_for = {id(step) for step in steps}
        undone = {id(step) for step in self._undo}
        self._undo = [step for step in self._undo if not any(step is made for made in unknown.steps)]
        for step, outcome in zip(unknown.steps, unknown.outcomes, strict=True):
            undo = None if id(step) in waited_for or not hasattr(step, "undo") else step.undo(outcome)
            if undo is not None:
                self._undo.append(undo)
            elif id(step) not in undone:
                repeat = isinstance(outcome, Repeats)
                self._remembered[id(step)] = (step, outcome.kind(rows[outcome.number]) if repeat else outcome)
        # Whoever was told that it could not be written does not come again: the oldest are forgotten in the end.
        for forgotten in list(self._remembered)[:-_MOST_REMEMBERED]:
            del self._remembered[forgotten]

    def _open(self) -> Connection:
        try:
            from jecp_mcp.mandate.postgres.connection import Connection
        except ImportError as exc:
            raise LedgerUnavailable(f"the ledger cannot be reached: psycopg does not load ({exc})") from exc
        return Connection.open(self._url.get_secret_value())

    def _after(self, exc: LedgerError) -> None:
        """Leave the transaction; a connection that may be part of the trouble is not used again."""
        if self._connection is None:
            return
        self._connection.rollback()
        if isinstance(exc, ConnectionLost | LedgerDamaged) or self._connection.broken:
            self._drop()

    def _note_fault(self, exc: LedgerError | None) -> LedgerError:
        """Remember what is wrong, as it is told to whoever asked."""
        told: LedgerError | None = exc
        if isinstance(exc, ConnectionLost | RolledBack):
            told = LedgerUnavailable(exc.cause, exc.mend)
        if not isinstance(exc, RolledBack):
            self.fault = told
        return told or LedgerError("nothing is wrong")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _groups(steps: Sequence[Any]) -> Iterator[list[Any]]:
    """The steps in order, those that must be alone apart, and no more at once than keeps the others waiting long."""
    group: list[Any] = []
    size = 0
    keys: set[str] = set()
    for step, needs in zip(steps, needs_of(steps), strict=True):
        here, more = _size(step), {meter.key for meter in needs.meters}
        if group and (needs.alone or size + here > bodies.BATCH or len(keys | more) > _MOST_METERS):
            yield group
            group, size, keys = [], 0, set()
        group.append(step)
        size += here
        keys |= more
        if needs.alone:
            yield group
            group, size, keys = [], 0, set()
    if group:
        yield group


def _size(step: Any) -> int:
    """How many bytes of bodies go with a step."""
    match step:
        case commands.Reserve():
            body: bytes | None = step.reservation.request
        case commands.Conclude():
            body = step.conclusion.answer
        case commands.WriteGrant():
            body = step.grant.body
        case _:
            return 0
    return 0 if body is None or isinstance(body, bodies.UploadedBody) else len(body)
