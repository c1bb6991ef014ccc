"""A ledger as the first version of its tables kept it, with a call in every state it knew."""

from pathlib import Path

import apsw

from jecp_mcp.mandate import schema
from tests.unit.mandate.reservations import START

TABLES = """
CREATE TABLE meter(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, used INTEGER NOT NULL CHECK (used >= 0)) STRICT;
CREATE TABLE slot(id INTEGER PRIMARY KEY AUTOINCREMENT, meter INTEGER NOT NULL, start INTEGER NOT NULL, expires INTEGER,
  amount INTEGER NOT NULL CHECK (amount >= 0), UNIQUE (meter, start)) STRICT;
CREATE INDEX slot_expires ON slot(expires) WHERE expires IS NOT NULL;
CREATE TABLE call(id INTEGER PRIMARY KEY, call_id TEXT NOT NULL UNIQUE, principal TEXT NOT NULL, session TEXT NOT NULL,
  tool TEXT NOT NULL, payee TEXT NOT NULL, capability TEXT NOT NULL, action TEXT NOT NULL, version TEXT,
  fingerprint TEXT NOT NULL, state TEXT NOT NULL, quoted INTEGER NOT NULL, held INTEGER NOT NULL CHECK (held >= 0),
  charged INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0), balance_after INTEGER, transaction_id TEXT, evidence TEXT,
  attempts INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, ended_at INTEGER,
  answered INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0, slots TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX call_open ON call(fingerprint) WHERE state IN ('reserved', 'sent', 'in_doubt');
CREATE INDEX call_undelivered ON call(fingerprint)
  WHERE state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered = 1 AND delivered = 0;
CREATE TABLE request(call INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE answer(call INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE event(id INTEGER PRIMARY KEY, call INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL, before TEXT,
  after TEXT NOT NULL, held INTEGER NOT NULL, charged INTEGER NOT NULL, session TEXT NOT NULL, evidence TEXT) STRICT;
CREATE INDEX event_call ON event(call);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
"""

DAY, HOUR = "the first daily limit", '["hour","local",null]'
TOTAL, SESSION = '["total","local",null]', '["session","local",null,"s1"]'
EARLIER = START - 2 * 3_600_000

# call id: created, hold, the events after the reservation as (event, state, charged, session), charged, delivered.
LIVES: dict[str, tuple[int, int, tuple[tuple[str, str, int, str], ...], bool]] = {
    "early": (EARLIER, 500, (("settle", "settled", 400, "s1"),), True),
    "reserved": (START, 10, (), False),
    "sent": (START, 20, (), False),
    "in doubt": (START, 30, (("doubt", "in_doubt", 0, "s1"), ("doubt", "in_doubt", 0, "s1")), False),
    "adopted": (START, 40, (("doubt", "in_doubt", 0, "s2"),), False),
    "settled": (START, 50, (("settle", "settled", 45, "s1"),), True),
    "undelivered": (START, 60, (("settle", "settled", 55, "s1"),), False),
    "released": (START, 70, (("release", "released", 0, "s1"),), False),
    "proven": (START, 80, (("doubt", "in_doubt", 0, "s1"), ("prove_charged", "reconciled_charged", 80, "s1")), True),
    "free": (START, 90, (("doubt", "in_doubt", 0, "s1"), ("prove_free", "reconciled_free", 0, "s1")), False),
    "written off": (START, 100, (("doubt", "in_doubt", 0, "s1"), ("write_off", "written_off", 0, "s1")), False),
}
USED = {DAY: 0, HOUR: 0, TOTAL: 0, SESSION: 0}
for _at, _hold, _events, _ in LIVES.values():
    _state, _charged = (_events[-1][1], _events[-1][2]) if _events else ("sent", 0)
    _counts = _hold if _state in {"sent", "in_doubt", "written_off"} else _charged
    for _key in (DAY, TOTAL, SESSION) if _at == EARLIER else USED:
        USED[_key] += _counts


def write(path: Path) -> None:
    """Write the file. The early call's hour has passed, and its slot is gone, as the first version left it."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    with connection:
        connection.execute(TABLES)
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", 1)
        connection.executemany("INSERT INTO meter(key, used) VALUES (?, ?)", list(USED.items()))
        early = 400
        connection.executemany(
            "INSERT INTO slot(id, meter, start, expires, amount) VALUES (?, ?, ?, ?, ?)",
            [
                (2, 1, EARLIER, EARLIER + 600_000 + 86_400_000, early),
                (3, 3, 0, None, USED[TOTAL]),
                (4, 4, 0, None, USED[SESSION]),
                (5, 1, START, START + 600_000 + 86_400_000, USED[DAY] - early),
                (6, 2, START, START + 60_000 + 3_600_000, USED[HOUR]),
            ],
        )
        for number, (name, life) in enumerate(LIVES.items(), 1):
            _write_call(connection, number, name, *life)
    connection.close()


def _write_call(
    connection: apsw.Connection,
    number: int,
    name: str,
    created: int,
    hold: int,
    events: tuple[tuple[str, str, int, str], ...],
    delivered: bool,
) -> None:
    begun = "reserved" if name == "reserved" else "sent"
    state, charged = (events[-1][1], events[-1][2]) if events else (begun, 0)
    ended = created + 1_000 * len(events) if state not in {"reserved", "sent", "in_doubt"} else None
    answered = bool(charged)
    connection.execute(
        "INSERT INTO call VALUES (?, ?, 'local', ?, 'docs_pdf_make', 'jecp', 'docs/pdf', 'make', '1.0.0', ?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            name,
            "s2" if name == "adopted" else "s1",
            f"print of {name}",
            state,
            hold,
            hold,
            charged,
            77 if answered else None,
            f"tx {name}" if answered else None,
            "what was known" if events else None,
            len(events) * 2,
            created,
            ended,
            answered,
            delivered,
            "1,2,3,4" if created == EARLIER else "5,6,3,4",
        ),
    )
    connection.execute("INSERT INTO request VALUES (?, ?)", (number, f"request of {name}".encode()))
    if answered:
        connection.execute("INSERT INTO answer VALUES (?, ?)", (number, f"answer of {name}".encode()))
    told = [("reserve", None, begun, created, hold, 0, "s1", None)]
    before = begun
    for index, (event, after, charge, session) in enumerate(events, 1):
        told.append((event, before, after, created + 1_000 * index, hold, charge, session, "what was known"))
        before = after
    connection.executemany(
        'INSERT INTO event(call, event, "before", "after", at, held, charged, session, evidence) '
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(number, *one) for one in told],
    )
