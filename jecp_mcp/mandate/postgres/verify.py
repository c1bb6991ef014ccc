"""Showing an audit a whole ledger in PostgreSQL, as it is at one instant, page by page. Bodies stay where they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.mandate.audit import Audit, Bodies
from jecp_mcp.mandate.columns import read_call_fields, read_meter
from jecp_mcp.mandate.grants import Grant
from jecp_mcp.mandate.postgres.ledger_queries import COLUMNS, LedgerQueries
from jecp_mcp.mandate.postgres.store import METER
from jecp_mcp.mandate.records import AuditReport

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.connection import Connection

_PAGE: Final = 2_000
_PAGE_OF_GRANTS: Final = 20
"""How many grants are read at once: each may have megabytes."""

_DIGEST = """
CASE WHEN {0}.body IS NOT NULL THEN encode(sha256({0}.body), 'hex')
     WHEN {0}.upload IS NOT NULL THEN encode(sha256(coalesce(
       (SELECT string_agg(p.body, ''::bytea ORDER BY p.number) FROM jecp_mcp.part AS p WHERE p.upload = {0}.upload), ''
     )), 'hex') END
"""
_KEPT = f"""
{COLUMNS}, {_DIGEST.format("r")}, {_DIGEST.format("a")}, coalesce(r.size, 0) + coalesce(a.size, 0)
FROM jecp_mcp.call AS c LEFT JOIN jecp_mcp.request AS r ON r.call = c.id LEFT JOIN jecp_mcp.answer AS a ON a.call = c.id
WHERE c.id > %s ORDER BY c.id LIMIT %s
"""

_SLOTS = "SELECT meter, start, expires, amount FROM jecp_mcp.slot"
_WRONG = """
SELECT count(*) FROM jecp_mcp.meter AS m
LEFT JOIN (SELECT meter, sum(amount) AS amount FROM jecp_mcp.slot GROUP BY meter) AS s ON s.meter = m.id
WHERE m.used <> coalesce(s.amount, 0)
"""
_TALLY = "SELECT state, calls, held, charged, refunded FROM jecp_mcp.tally"


def verify(connection: Connection, head: str | None) -> AuditReport:
    """Go over everything, as it was at one instant."""
    walk = Audit(head)
    connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        walk.events(_events(connection))
        walk.meters(map(read_meter, connection.query(METER)))
        _walk_calls(connection, walk)
        walk.grants(_grants(connection))
        walk.slots((meter, start, end, amount) for meter, start, end, amount in connection.query(_SLOTS))
        sums = {state: rest for state, *rest in connection.query(_TALLY)}
        ((kept,),) = connection.query("SELECT kept FROM jecp_mcp.head")
        walk.tally(sums, kept)
    finally:
        connection.rollback()
    return walk.report()


def _events(connection: Connection) -> Iterator[tuple[int, int | None, bytes, bytes]]:
    after = 0
    asked = "SELECT id, call, body, digest FROM jecp_mcp.event WHERE id > %s ORDER BY id LIMIT %s"
    while page := connection.query(asked, (after, _PAGE)):
        for number, call, body, digest in page:
            yield number, call, bytes(body), bytes(digest)
        after = page[-1][0]


def _walk_calls(connection: Connection, walk: Audit) -> None:
    after = 0
    while page := connection.query(_KEPT, (after, _PAGE)):
        events: defaultdict[int, list[tuple[int, int, bytes]]] = defaultdict(list)
        for call, number, body in connection.query(
            "SELECT call, id, body FROM jecp_mcp.event WHERE call > %s AND call <= %s ORDER BY call, id",
            (after, page[-1][0]),
        ):
            events[call].append((call, number, bytes(body)))
        for *columns, request, answer, size in page:
            walk.call(read_call_fields(columns), events[columns[0]], Bodies(request, answer, size))
        after = page[-1][0]


def _grants(connection: Connection) -> Iterator[Grant]:
    after = 0
    while page := LedgerQueries(connection).grant_page(after, _PAGE_OF_GRANTS):
        yield from (grant for _, grant in page)
        after = page[-1][0]


def check(connection: Connection) -> None:
    """Look for damage to what decides about money: every meter against its slots.

    Raises:
        LedgerDamaged: something is not what was written.
    """
    ((wrong,),) = connection.query(_WRONG)
    if wrong:
        raise LedgerDamaged(f"{wrong} of the ledger's meters do not agree with what they counted")
