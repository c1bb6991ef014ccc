"""A ledger as years of use leave it: written in bulk through the schema, with a chain that holds."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.caps import meter_key
from jecp_mcp.mandate.columns import row_values
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.sqlite import schema
from jecp_mcp.mandate.sqlite.store import INSERT
from jecp_mcp.mandate.sqlite.write_lock import MARK
from jecp_mcp.mandate.states import Event, State
from jecp_mcp.mandate.windows import SLOT_MS, WINDOW_MS, Window, slot_expiry, slot_start
from jecp_mcp.money import ZERO, MicroUSDC

OF_A_SESSION = 200
OFFERS = 40
APART_MS = 15_000
KEPT_BYTES = 300 * 2**20
_AT_ONCE = 10_000


def write(path: Path, calls: int, kept: int = KEPT_BYTES) -> None:
    """Write a ledger of so many calls, the latest of which have bodies of `kept` bytes together.

    Meters count the calls of a day and a month, and of each process session; nothing counts them all.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA auto_vacuum = incremental; PRAGMA synchronous = off; PRAGMA journal_mode = off")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute(schema.TABLES)
        connection.execute("BEGIN")
        _Writing(connection, calls, kept).run()
        connection.execute("COMMIT")
    path.chmod(0o600)
    Path(f"{path}.lock").write_bytes(MARK)


class _Writing:
    def __init__(self, connection: apsw.Connection, calls: int, kept: int) -> None:
        self._connection = connection
        self._calls = calls
        self._dice = random.Random(calls)
        self._now = int(time.time() * 1000)
        self._number = 0
        self._head = chain.GENESIS
        self._events: list[tuple[Any, ...]] = []
        self._size = 8_000
        self._first_kept = calls - kept // self._size
        self._bytes = 0
        self._tally: defaultdict[State, list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def run(self) -> None:
        sums: defaultdict[tuple[Window, int], int] = defaultdict(int)
        rows: list[CallRow] = []
        sessions: defaultdict[str, int] = defaultdict(int)
        for row in self._made():
            rows.append(row)
            counts = row.charged if row.state is State.SETTLED else 0
            sessions[row.session] += counts
            for window, length in WINDOW_MS.items():
                start = slot_start(window, row.sent_at)
                if start + length + SLOT_MS[window] > self._now:
                    sums[window, start] += counts
            for index, by in enumerate((1, row.held, row.charged, 0)):
                self._tally[row.state][index] += by
            if len(rows) == _AT_ONCE:
                self._store(rows)
                rows.clear()
        self._store(rows)
        self._meters(sums, sessions)
        self._flush()
        self._connection.executemany(
            "UPDATE tally SET calls = ?, held = ?, charged = ?, refunded = ? WHERE state = ?",
            [(*found, state.value) for state, found in self._tally.items()],
        )
        self._connection.execute("UPDATE kept SET bytes = ?", (self._bytes,))

    def _made(self) -> Iterator[CallRow]:
        for number in range(1, self._calls + 1):
            offer = self._dice.randrange(OFFERS)
            at = UnixMs(self._now - (self._calls - number + 1) * APART_MS)
            price = MicroUSDC(1_000 + 500 * offer)
            row = CallRow(
                number=number,
                call_id=f"call_{self._dice.getrandbits(128):032x}",
                principal="local",
                team=None,
                session=f"{number // OF_A_SESSION:016x}",
                owner=f"{number // OF_A_SESSION:016x}",
                claim=0,
                rail="jecp",
                account="https://hub.example/ agent_0123456789abcdef",
                tool=f"docs_invoice{offer}_create",
                payee=f"provider{offer}",
                source="https://hub.example",
                offer=f"docs/invoice{offer}:create",
                names=(f"docs/invoice{offer}:create", f"docs/invoice{offer}", f"docs_invoice{offer}_create"),
                version="1.0.0",
                fingerprint=f"{self._dice.getrandbits(256):064x}",
                kind="exact",
                terms="",
                state=State.RELEASED if number % 20 == 0 else State.SETTLED,
                quoted=price,
                held=price,
                charged=ZERO if number % 20 == 0 else price,
                refunded=ZERO,
                balance_after=MicroUSDC(5_000_000_000 - number),
                reference=None if number % 20 == 0 else f"tx_{number:012d}",
                evidence="the Hub refused it" if number % 20 == 0 else None,
                attempts=1,
                created_at=at,
                sent_at=at,
                look_again_at=None,
                provable_until=UnixMs(at + 3_300_000),
                ended_at=UnixMs(at + 400),
                answered=number % 20 != 0,
                delivered=number % 20 != 0,
                mark=None,
                request=b"",
                answer=None,
            )
            yield row

    def _store(self, rows: list[CallRow]) -> None:
        values = []
        bodies: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = ([], [])
        for row in rows:
            request, answer = self._bodies(row)
            self._tell(row, request, answer)
            values.append(row_values(row))
            if row.number > self._first_kept:
                bodies[0].append((row.number, request))
                bodies[1].extend([(row.number, answer)] if row.answered else [])
        self._connection.executemany(INSERT, values)
        for table, some in zip(("request", "answer"), bodies, strict=True):
            self._connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", some)
            self._bytes += sum(len(body) for _, body in some)
        self._flush()

    def _bodies(self, row: CallRow) -> tuple[bytes, bytes]:
        text = row.call_id.encode()
        return b'{"id":"%s","input":"%s"}' % (text, text * 20), b'{"output":"%s"}' % (text * (self._size // 45))

    def _tell(self, row: CallRow, request: bytes, answer: bytes) -> None:
        reserve = chain.reservation(row, chain.body_digest(request))
        self._write(row, row.created_at, chain.RESERVE, (None, State.SENT, row.held, 0, 0), None, reserve)
        facts = chain.facts(
            attempts=1,
            balance_after=row.balance_after,
            reference=row.reference,
            answer=chain.body_digest(answer) if row.answered else None,
        )
        event = Event.SETTLE if row.state is State.SETTLED else Event.RELEASE
        standing = (State.SENT, row.state, row.held, row.charged, 0)
        self._write(row, row.created_at + 400, event.value, standing, row.evidence, facts)
        if row.delivered:
            standing = (row.state, row.state, row.held, row.charged, 0)
            self._write(row, row.created_at + 401, chain.DELIVER, standing, None, {})
        if row.number == self._first_kept:
            pruned: dict[str, object] = {"calls": row.number, "bytes": row.number * self._size}
            self._write(None, row.created_at + 402, chain.TRIM, (None, None, 0, 0, 0), None, pruned)

    def _meters(self, sums: dict[tuple[Window, int], int], sessions: dict[str, int]) -> None:
        of_windows = [(meter_key(window, "local", None, ""), window, None, 0) for window in WINDOW_MS]
        of_sessions = [
            (meter_key(Window.SESSION, "local", None, session), Window.SESSION, session, number * OF_A_SESSION - 1)
            for number, session in enumerate(sessions)
        ]
        for number, (key, window, session, since) in enumerate([*of_windows, *of_sessions], 1):
            since = max(0, since)  # noqa: PLW2901 the first session begins before the first call
            slots = {0: sessions[session]} if session else {at: by for (of, at), by in sums.items() if of is window}
            facts = chain.facts(
                meter=number, key=key, window=window.value, principal="local", session=session, since=since
            )
            self._write(None, self._now, chain.METER, (None, None, 0, 0, 0), None, facts)
            self._connection.execute(
                "INSERT INTO meter(id, key, window, principal, pattern, session, since, fed, used) "
                "VALUES (?, ?, ?, 'local', NULL, ?, ?, ?, ?)",
                (number, key, window.value, session, since, self._calls, sum(slots.values())),
            )
            self._connection.executemany(
                "INSERT INTO slot(meter, start, expires, amount) VALUES (?, ?, ?, ?)",
                [(number, start, slot_expiry(window, start), by) for start, by in slots.items()],
            )

    def _write(
        self,
        row: CallRow | None,
        at: int,
        event: str,
        standing: tuple[State | None, State | None, int, int, int],
        evidence: str | None,
        facts: dict[str, object],
    ) -> None:
        self._number += 1
        call, session = (None, "generated") if row is None else (row.number, row.session)
        body = chain.write(self._number, at, event, call, standing, session, evidence, facts)
        self._head = chain.digest(self._head, body)
        self._events.append((self._number, call, body, self._head))

    def _flush(self) -> None:
        self._connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", self._events)
        self._events.clear()
