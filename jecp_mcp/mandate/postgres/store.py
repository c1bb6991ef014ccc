"""Between what a batch fetches and stores in PostgreSQL and what the rules decide on. No rule stands here.

The head is locked from the first statement of a batch to its end, so what was read stays right.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import bound_text, read_call, read_grant, read_meter, read_names, read_stored_grants
from jecp_mcp.mandate.counting import FEED_AT_ONCE, new_meter, reading
from jecp_mcp.mandate.grant_rules import LAPSED_AT_ONCE, LAPSED_MS
from jecp_mcp.mandate.grants import GrantKind, GrantRef
from jecp_mcp.mandate.needs import Needs
from jecp_mcp.mandate.postgres.leases import DEAD_MS, RENEW_MS
from jecp_mcp.mandate.records import Meter, MeterReading
from jecp_mcp.mandate.rules import UNDELIVERED_MS, Batch
from jecp_mcp.mandate.windows import SLOT_MS, WINDOW_MS, Window, earliest
from jecp_mcp.mandate.working_set import Feed, MeterState, WorkingSet

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.connection import Connection

_FEEDS = """
SELECT jecp_mcp.feed(principal, session, length, behind, upto, since)
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
  WITH ORDINALITY AS asked(principal, session, length, behind, upto, since, place)
ORDER BY place
"""
METER: Final = 'SELECT id, key, "window", principal, pattern, session, since, fed, used FROM jecp_mcp.meter'
"""A meter, for `read_meter`."""
# Where the clock went back, time stands still.
_INSTANT = """
SELECT greatest(jecp_mcp.now_ms(), jecp_mcp.last_at()), (SELECT coalesce(max(id), 0) FROM jecp_mcp.call)
"""
_SLOTS = "SELECT start, amount FROM jecp_mcp.slot WHERE meter = %s AND (expires IS NULL OR expires > %s)"

# Where a window has more calls than may be looked at here, its meter begins with the first call of all.
_FIRST = """
SELECT min(id), count(*) FROM (SELECT id FROM jecp_mcp.call WHERE sent_at >= %s ORDER BY sent_at LIMIT %s) AS found
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a batch begins with.

    Attributes:
        mine: whether the process session is this process's; None where that was not asked.
        kept: how many bytes of requests and answers there are.
    """

    batch: Batch
    mine: bool | None
    kept: int


_KEPT_BESIDE_OPEN: Final = """
SELECT kept - (SELECT coalesce(sum(coalesce((SELECT size FROM jecp_mcp.request WHERE call = c.id), 0)
                                  + coalesce((SELECT size FROM jecp_mcp.answer WHERE call = c.id), 0)), 0)::bigint
               FROM jecp_mcp.call AS c WHERE c.ended_at IS NULL)
FROM jecp_mcp.head
"""


class Store:
    """The tables of one transaction, for one process session."""

    def __init__(self, connection: Connection, session: str, token: str) -> None:
        self._connection = connection
        self._session = session
        self._token = token

    def load(self, needs: Sequence[Needs]) -> Loaded:
        """Begin a transaction that holds the head, and fetch everything its changes depend on.

        Raises:
            LedgerUnavailable: the tables are of another version.
        """
        wanted = {meter.key: meter for one in needs for meter in one.meters}
        found = self._connection.gather(self._gather_arguments(needs, wanted))
        loaded = WorkingSet(
            found["number"],
            bytes.fromhex(found["digest"]) if found["digest"] else chain.GENESIS,
            found["stored"],
            lambda meter: self._connection.query("SELECT start, amount FROM jecp_mcp.slot WHERE meter = %s", (meter,)),
        )
        for row in found["calls"]:
            loaded.add(read_call(row))
        for row in found["meters"]:
            state = read_meter(row)
            loaded.meters[state.key] = state
        for key, upto, amounts in found["feeds"]:
            loaded.feeds[key] = Feed(upto, _amounts(amounts))
        for row in found["slips"]:
            grant = read_grant(row)
            loaded.grants[GrantRef(grant.kind, grant.grant_id)] = grant
        loaded.stored_grants = read_stored_grants(found["shelf"])
        loaded.lapsed = [GrantRef(GrantKind(kind), grant_id) for kind, grant_id in found["lapsed"]]
        ids = {call.number: call.call_id for call in loaded.calls.values()}
        loaded.orphans = [ids[number] for number in found["orphans"]]
        missing = [meter for key, meter in wanted.items() if key not in loaded.meters]
        at = max(found["now"], found["last_at"])
        if missing:
            self._make(loaded, missing, found["last_meter"], at)
        now = UnixMs(found["now"])
        batch = Batch(loaded, self, self._session, now, found["last_at"], "the server's")
        return Loaded(batch, found["mine"], found["kept"])

    def prune(self, before: int, behind: int, most: int) -> int:
        """As `jecp_mcp.mandate.rules.Bulk.prune`."""
        ((calls,),) = self._connection.query("SELECT jecp_mcp.prune(%s, %s, %s)", (before, behind, most))
        return int(calls)

    def trim(self, bound: int, most: int) -> tuple[int, int]:
        """As `jecp_mcp.mandate.rules.Bulk.trim`."""
        # What open calls keep cannot be dropped; that answers go for it would not bring it below any bound.
        ((kept,),) = self._connection.query(_KEPT_BESIDE_OPEN)
        chosen: list[int] = []
        size = 0
        for delivered in (True, False):
            if kept - size <= bound or len(chosen) == most:
                break
            for number, length in self._connection.query(
                "SELECT * FROM jecp_mcp.oldest(%s, %s)", (delivered, most - len(chosen))
            ):
                if kept - size <= bound:
                    break
                chosen.append(number)
                size += length
        if chosen:
            self._connection.query("SELECT jecp_mcp.forget(%s)", (chosen,))
        return len(chosen), size

    def recount(self, at: int) -> None:
        """As `jecp_mcp.mandate.rules.Bulk.recount`."""
        ((last,),) = self._connection.query("SELECT coalesce(max(id), 0) FROM jecp_mcp.call")
        self._connection.query("DELETE FROM jecp_mcp.slot")
        for window in Window:
            fed = self._fed_from(window, at, last)
            asked = (fed, window.value)
            self._connection.query(
                'UPDATE jecp_mcp.meter SET used = 0, fed = greatest(since, %s) WHERE "window" = %s',
                asked,
            )

    def readings(self, meters: Sequence[Meter]) -> list[MeterReading]:
        """How full each cap is now, what a meter has yet to count included."""
        ((at, last),) = self._connection.query(_INSTANT)
        found = self._connection.query(f"{METER} WHERE key = ANY (%s)", ([meter.key for meter in meters],))
        known = {state.key: state for state in map(read_meter, found)}
        readings = []
        for meter in meters:
            state = known.get(meter.key)
            slots: list[Any] = []
            if state is None:
                fed = self._fed_from(meter.window, at, last)
                state = new_meter(meter, 0, self._session, last=last, fed=fed)
            else:
                slots = self._connection.query(_SLOTS, (state.number, at))
            (missed,) = self._feeds([state], [state.fed], [last], [earliest(state.window, at)])
            readings.append(reading(meter, state, slots, missed))
        return readings

    def _gather_arguments(self, needs: Sequence[Needs], wanted: dict[str, Meter]) -> str:
        orphans = next((one.orphans for one in needs if one.orphans is not None), None)
        stored = next((one.stored_grants for one in needs if one.stored_grants is not None), None)
        principals = {one.principal for one in needs} | {meter.principal for meter in wanted.values()}
        return json.dumps(
            {
                "me": self._session,
                "token": self._token,
                # What leaves no event must not forget what was spent: the clock may be wrong.
                "expire": not all(one.keeps for one in needs),
                "live": any(one.lives for one in needs),
                "renew_ms": RENEW_MS,
                "dead_ms": DEAD_MS,
                "undelivered_ms": UNDELIVERED_MS,
                "feed": FEED_AT_ONCE,
                "fingerprints": sorted({name for one in needs for name in one.fingerprints}),
                "ids": sorted({name for one in needs for name in one.ids}),
                "references": [
                    {"call_id": call_id, "reference": bound_text(one.reference)}
                    for one in needs
                    if one.reference is not None
                    for call_id in one.ids
                ],
                "principals": sorted(name for name in principals if name is not None),
                "meters": [
                    {"key": key, "slot_ms": SLOT_MS.get(meter.window), "window_ms": WINDOW_MS.get(meter.window)}
                    for key, meter in sorted(wanted.items())
                ],
                "slips": [
                    {"kind": ref.kind.value, "slip_id": ref.grant_id}
                    for ref in sorted({ref for one in needs for ref in one.grants}, key=lambda ref: ref.grant_id)
                ],
                "subjects": [
                    {"kind": one.subject[0].value, "subject": one.subject[1]}
                    for one in needs
                    if one.subject is not None
                ],
                "shelf": None
                if stored is None
                else {
                    "kinds": stored[0],
                    "principal": stored[1],
                    "lapsed_ms": LAPSED_MS,
                    "at_once": LAPSED_AT_ONCE,
                },
                "orphans": None
                if orphans is None
                else {
                    "dead": orphans.dead,
                    "running": orphans.running,
                    "behind": orphans.behind,
                    "most": orphans.most,
                },
            }
        )

    def _make(self, loaded: WorkingSet, meters: Sequence[Meter], last: int, at: int) -> None:
        """Meters that are new, numbered from the one behind `last`, with what they have yet to count."""
        fed = {window: self._fed_from(window, at, loaded.stored) for window in {meter.window for meter in meters}}
        states = [
            new_meter(meter, number, self._session, last=loaded.stored, fed=fed[meter.window])
            for number, meter in enumerate(meters, last + 1)
        ]
        loaded.meters.update((state.key, state) for state in states)
        lagging = [state for state in states if state.fed < loaded.stored]
        if lagging:
            upto = [min(state.fed + FEED_AT_ONCE, loaded.stored) for state in lagging]
            since = [earliest(state.window, at) for state in lagging]
            behind = [state.fed for state in lagging]
            for state, number, amounts in zip(lagging, upto, self._feeds(lagging, behind, upto, since), strict=True):
                loaded.feeds[state.key] = Feed(number, amounts)

    def _fed_from(self, window: Window, at: int, stored: int) -> int:
        """A number up to which no call can be in a window that ends at `at`."""
        if window not in SLOT_MS:
            return 0
        ((first, looked_at),) = self._connection.query(_FIRST, (earliest(window, at), FEED_AT_ONCE + 1))
        if first is None:
            return stored
        return int(first) - 1 if looked_at <= FEED_AT_ONCE else 0

    def _feeds(
        self, states: Sequence[MeterState], behind: Sequence[int], upto: Sequence[int], since: Sequence[int]
    ) -> list[list[tuple[tuple[str, ...], int, int]]]:
        """What each meter's calls behind one number and up to another come to, whatever its pattern."""
        asked = (
            [state.principal for state in states],
            [state.session for state in states],
            [SLOT_MS.get(state.window) for state in states],
            behind,
            upto,
            since,
        )
        return [_amounts(found) for (found,) in self._connection.query(_FEEDS, asked)]


def _amounts(found: Sequence[tuple[str, int, int]]) -> list[tuple[tuple[str, ...], int, int]]:
    return [(read_names(names), start, amount) for names, start, amount in found]
