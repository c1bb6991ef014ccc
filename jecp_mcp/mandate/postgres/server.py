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
from typing import TYPE_CHECKING, Any

from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate.file import Contended
from jecp_mcp.mandate.postgres.faults import Lost, RolledBack
from jecp_mcp.mandate.postgres.leases import DEAD_MS, RENEW_MS

if TYPE_CHECKING:
    from pydantic import SecretStr

    from jecp_mcp.mandate.postgres.link import Link
    from jecp_mcp.mandate.postgres.steps import Needs, Step

_LOG = logging.getLogger(__name__)

LONGEST_WAIT = 5.0
"""How long a batch is tried again, in seconds; while the server is known to be away, it is tried once."""

_MOST_REMEMBERED = 4_096
"""How many steps of batches that turned out to be written are remembered until they come again."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A batch whose COMMIT was not answered.

    Attributes:
        number, digest: of its last event; the chain has it exactly if the batch was written.
    """

    number: int
    digest: str
    steps: Sequence[Any]
    outcomes: Sequence[Any]


class Server:
    """One process's connections to the ledger: one that writes, one that reads.

    Attributes:
        fault: why the ledger cannot be used now, or None.
    """

    def __init__(self, url: SecretStr, session: str, token: str) -> None:
        self.fault: LedgerError | None = None
        self._url = url
        self._session = session
        self._token = token
        self._mutex = threading.Lock()
        self._reading_mutex = threading.Lock()
        self._link: Link | None = None
        self._reader: Link | None = None
        self._unknown: _Unknown | None = None
        self._remembered: dict[int, tuple[Any, Any]] = {}
        self._undo: list[Step] = []
        self._since: float | None = None
        self._closed = False

    def open(self) -> None:
        """Connect, and lay out the tables where there are none. A fault is kept and logged, not raised."""
        try:
            self.read(lambda _link: None)
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

    def read(self, reading: Callable[[Link], Any]) -> Any:
        """Read with a connection of its own, which is opened anew once if it was lost.

        Raises:
            LedgerUnavailable: the server cannot be read.
            LedgerDamaged: what is there is no ledger.
        """
        with self._reading_mutex:
            try:
                found = self._read(reading)
            except ValueError as exc:
                raise self._noted(LedgerDamaged(f"the ledger is damaged: {exc}")) from exc
            except LedgerError as exc:
                raise self._noted(exc) from exc
            self._noted(None)
            return found

    def claim(self) -> list[str]:
        """Claim the dead sessions for this one; those that others are claiming are left to them."""
        claimed: list[tuple[str]] = self.read(
            lambda link: link.query("SELECT * FROM jecp_mcp.claim(%s, %s, %s)", (self._session, self._token, DEAD_MS))
        )
        return [session for (session,) in claimed]

    def leave(self) -> None:
        """Say that this session has ended."""
        self.read(lambda link: link.query("SELECT jecp_mcp.leave(%s, %s)", (self._session, self._token)))

    def break_off_after(self, seconds: float) -> None:
        """Give up a server that has not answered a batch for so long. From any thread."""
        since, link = self._since, self._link
        if since is not None and link is not None and time.monotonic() - since > seconds:
            link.break_off()

    def break_off_reading(self) -> None:
        """Give up a server that does not answer whoever reads. From any thread."""
        if self._reader is not None:
            self._reader.break_off()

    def close(self) -> None:
        """Let go of the connections."""
        self._closed = True
        with self._mutex:
            self._drop()
        with self._reading_mutex:
            self._drop_reader()

    def _read(self, reading: Callable[[Link], Any]) -> Any:
        while True:
            new = self._reader is None
            try:
                if self._reader is None:
                    self._reader = self._open()
                return reading(self._reader)
            except Lost:
                self._drop_reader()
                if new:
                    raise

    def _transact(self, steps: Sequence[Any], deadline: float) -> list[Any]:
        pause = _FIRST_PAUSE
        while True:
            # A server that is known to be away is not waited for by every call anew.
            last = self.fault is not None or time.monotonic() + pause > deadline
            try:
                outcomes = self._try(steps)
            except (Lost, RolledBack) as exc:
                self._after(exc)
                if last or time.monotonic() + pause > deadline:
                    raise self._noted(exc) from exc
            except (LedgerUnavailable, LedgerDamaged) as exc:
                self._after(exc)
                raise self._noted(exc) from exc
            except LedgerError as exc:
                self._after(exc)
                if len(steps) == 1:
                    return [exc]
                # One of them cannot be stored: the others are written one by one.
                return [outcome for step in steps for outcome in self._transact([step], deadline)]
            else:
                self._noted(None)
                return outcomes
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _try(self, steps: Sequence[Any]) -> list[Any]:
        from jecp_mcp.mandate.postgres.steps import NOTHING, needs_of

        if not self.unsettled and all(needs is NOTHING for needs in needs_of(steps)):
            return [None] * len(steps)
        if self._link is None:
            self._link = self._open()
        if self._unknown is not None:
            self._look_up(self._link, self._unknown, steps)
        known = {id(step): self._remembered[id(step)][1] for step in steps if id(step) in self._remembered}
        fresh = [*self._undo, *(step for step in steps if id(step) not in known)]
        if fresh:
            made = self._make(self._link, fresh)
            for step, outcome in zip(fresh, made, strict=True):
                known[id(step)] = outcome
                if step in self._undo and isinstance(outcome, LedgerError):
                    _LOG.warning("a call that was not sent could not be released: %s", outcome)
            self._undo.clear()
        for step in steps:
            self._remembered.pop(id(step), None)
        return [known[id(step)] for step in steps]

    def _make(self, link: Link, steps: Sequence[Any]) -> list[Any]:
        """Make the steps in one transaction."""
        from jecp_mcp.mandate.postgres import records
        from jecp_mcp.mandate.postgres.books import Books
        from jecp_mcp.mandate.postgres.page import Repeats
        from jecp_mcp.mandate.postgres.steps import needs_of

        needs = needs_of(steps)
        page, new_meters = self._gather(link, needs)
        books = Books(link, page, self._session, new_meters)
        outcomes: list[Any] = []
        for step in steps:
            try:
                outcomes.append(step(books, books.at))
            except LedgerError as exc:
                if link.failed:
                    raise
                outcomes.append(exc)
        written = books.written()
        repeats = [outcome.number for outcome in outcomes if isinstance(outcome, Repeats)]
        if not written.happened and not any(one.keeps for one in needs):
            # What left no event changed nothing but slots that were found expired: by a clock that may be wrong.
            rows = records.read_numbers(link, repeats) if repeats else {}
            link.rollback()
            return [one.kind(rows[one.number]) if isinstance(one, Repeats) else one for one in outcomes]
        try:
            rows = records.by_number(link.commit(written, records.NUMBERED, repeats))
        except Lost:
            if written.happened:
                self._unknown = _Unknown(*books.last, steps, outcomes)
            raise
        return [one.kind(rows[one.number]) if isinstance(one, Repeats) else one for one in outcomes]

    def _gather(self, link: Link, needs: Sequence[Needs]) -> tuple[dict[str, Any], list[str]]:
        """Begin the transaction, and fetch everything its steps depend on; also the facts of meters that are new."""
        from jecp_mcp.mandate.books import UNDELIVERED_MS
        from jecp_mcp.mandate.postgres import meters
        from jecp_mcp.mandate.postgres.link import newer
        from jecp_mcp.mandate.postgres.schema import VERSION

        wanted = {meter.key: meter for one in needs for meter in one.meters}
        asked = (
            self._session,
            self._token,
            any(one.lives for one in needs),
            RENEW_MS,
            DEAD_MS,
            UNDELIVERED_MS,
            max((one.orphans for one in needs), default=0),
            sorted({name for one in needs for name in one.fingerprints}),
            sorted({name for one in needs for name in one.ids}),
            sorted(wanted),
        )
        page = link.gather(asked)
        if page["version"] != VERSION:
            raise newer(page["version"])
        known = {key for _, key, *_ in page["meters"]}
        missing = [meter for key, meter in sorted(wanted.items()) if key not in known]
        made = [meters.make(link, meter, max(page["now"], page["last_at"])) for meter in missing]
        if made:
            page = link.gather(asked, begin=False)
        return page, made

    def _look_up(self, link: Link, unknown: _Unknown, steps: Sequence[Any]) -> None:
        """Find out whether a batch was written; what nobody waits for any more is then taken back."""
        from jecp_mcp.mandate.postgres import records
        from jecp_mcp.mandate.postgres.page import Repeats

        link.lock()
        found = link.query("SELECT digest FROM jecp_mcp.event WHERE id = %s", (unknown.number,))
        written = found == [(unknown.digest,)]
        repeats = [one.number for one in unknown.outcomes if isinstance(one, Repeats)] if written else []
        rows = records.read_numbers(link, repeats) if repeats else {}
        link.rollback()
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

    def _open(self) -> Link:
        try:
            from jecp_mcp.mandate.postgres.link import Link
        except ImportError as exc:
            raise LedgerUnavailable(f"the ledger cannot be reached: psycopg does not load ({exc})") from exc
        return Link.open(self._url.get_secret_value())

    def _after(self, exc: LedgerError) -> None:
        """Leave the transaction; a connection that may be part of the trouble is not used again."""
        if self._link is None:
            return
        self._link.rollback()
        if isinstance(exc, Lost | LedgerDamaged) or self._link.broken:
            self._drop()

    def _noted(self, exc: LedgerError | None) -> LedgerError:
        """Remember what is wrong, as it is told to whoever asked."""
        told: LedgerError | None = exc
        if isinstance(exc, Lost | RolledBack):
            told = LedgerUnavailable(str(exc))
        if not isinstance(exc, RolledBack):
            self.fault = told
        return told or LedgerError("nothing is wrong")

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _drop_reader(self) -> None:
        link, self._reader = self._reader, None
        if link is not None:
            link.close()


def _groups(steps: Sequence[Any]) -> Iterator[list[Any]]:
    """The steps in order, those that must be alone apart."""
    from jecp_mcp.mandate.postgres.steps import needs_of

    group: list[Any] = []
    for step, needs in zip(steps, needs_of(steps), strict=True):
        if needs.alone:
            if group:
                yield group
            yield [step]
            group = []
        else:
            group.append(step)
    if group:
        yield group
