"""Showing an audit a whole ledger in SQLite, as it is at one instant, row by row."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import apsw

from jecp_mcp.mandate import chain
from jecp_mcp.mandate.audit import Audit, Bodies
from jecp_mcp.mandate.columns import read_call_fields, read_grant, read_meter
from jecp_mcp.mandate.records import AuditReport
from jecp_mcp.mandate.sqlite.ledger_queries import COLUMNS
from jecp_mcp.mandate.sqlite.meter_backfill import METER
from jecp_mcp.mandate.sqlite.store import READ_GRANT


def verify(connection: apsw.Connection, head: str | None) -> AuditReport:
    """Go over everything, as it was at one instant."""
    walk = Audit(head)
    # A read transaction: what other processes write meanwhile must not look like a contradiction.
    connection.execute("BEGIN")
    try:
        walk.events(connection.execute("SELECT id, call, body, digest FROM event ORDER BY id"))
        walk.meters(map(read_meter, connection.execute(METER).fetchall()))
        _walk_calls(connection, walk)
        walk.grants(map(read_grant, connection.execute(f"{READ_GRANT} ORDER BY id").fetchall()))
        slots: list[Any] = connection.execute("SELECT meter, start, expires, amount FROM slot").fetchall()
        walk.slots(slots)
        sums: list[Any] = connection.execute("SELECT state, calls, held, charged, refunded FROM tally").fetchall()
        walk.tally({state: tuple(rest) for state, *rest in sums}, connection.execute("SELECT bytes FROM kept").get)
    finally:
        connection.execute("ROLLBACK")
    return walk.report()


def _walk_calls(connection: apsw.Connection, walk: Audit) -> None:
    """Calls and their events side by side, both in the order of the calls."""
    events = groupby(
        connection.execute("SELECT call, id, body FROM event WHERE call IS NOT NULL ORDER BY call, id"), itemgetter(0)
    )
    number, mine = next(events, (None, iter(())))
    for *columns, request, answer in connection.execute(
        f"{COLUMNS}, r.body, a.body FROM call AS c LEFT JOIN request AS r ON r.call = c.id "
        "LEFT JOIN answer AS a ON a.call = c.id ORDER BY c.id"
    ):
        while number is not None and number < columns[0]:
            walk.stray(number)
            number, mine = next(events, (None, iter(())))
        found: list[Any] = []
        if number == columns[0]:
            found = list(mine)
            number, mine = next(events, (None, iter(())))
        walk.call(read_call_fields(columns), found, bodies_of(request, answer))
    if number is not None:
        walk.stray(number)
    for number, _ in events:
        walk.stray(number)


def bodies_of(request: bytes | None, answer: bytes | None) -> Bodies:
    """What a call's bodies are now."""
    return Bodies(
        None if request is None else chain.body_digest(request),
        None if answer is None else chain.body_digest(answer),
        len(request or b"") + len(answer or b""),
    )
