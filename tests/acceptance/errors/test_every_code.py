"""Every code of the protocol, from a Hub of either dialect through a real server to a real client of either era.

All calls of one server run side by side, once for the whole module: the Hub first refuses every one of them as its
script says, then turns honest, and every ready call that the errors gave is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.wire.jecp.codes import CODES
from tests.acceptance.errors.codes import (
    DETAILS,
    DOCUMENTED,
    LONGER_THAN_IS_WAITED_FOR,
    PAYMENT,
    ROWS,
    SAME,
    SAME_WORD,
    UNKNOWN_CODE,
    WORDS,
    Row,
    Step,
)
from tests.acceptance.errors.seats import ERAS, ledger, seated, total
from tests.acceptance.errors.snapshot import read, told
from tests.acceptance.errors.stage import (
    AGENT,
    KEY,
    PLAIN,
    REFERENCE,
    SPEC,
    STREAMING,
    Stage,
    either,
    open_stage,
    refusal,
    stream_of,
)
from tests.acceptance.roads import error_of

SIDE_BY_SIDE = 96
SPELLINGS = {spelling: row for row in ROWS for spelling in (row.code, *row.aliases)}


@dataclass(frozen=True)
class Case:
    """One refusal: as what it comes, how it is spelled, and the Hub's own next_action."""

    form: str
    spelling: str
    word: str | None
    status: int

    @property
    def label(self) -> str:
        return f"{self.form} {self.spelling} {self.status} {self.word}"

    @property
    def tool(self) -> str:
        return STREAMING if self.form == "stream" else PLAIN


@dataclass
class Seen:
    """What came of a case: the error, and of the ready call it gave."""

    error: dict[str, Any]
    followed: Any = None


@dataclass
class Performance:
    """One server's whole run."""

    hub: Stage
    seen: dict[Case, Seen]
    attempts: dict[str, list[bytes]]
    rows: list[dict[str, Any]]


def cases() -> Iterator[Case]:
    for spelling, row in SPELLINGS.items():
        for word in (None, row.word):
            for status in row.statuses:
                yield Case("envelope", spelling, word, status)
            if spelling == row.code:
                yield Case("stream", spelling, word, 200)
        if spelling == row.code:
            yield Case("inside a 200", spelling, None, 200)
    for word in WORDS:
        yield Case("envelope", "PAYMENT_REQUIRED", word, 402)


def script(hub: Stage, case: Case) -> None:
    row = SPELLINGS[case.spelling]
    details = dict(DETAILS.get(row.code, {}))
    word: dict[str, Any] | None = None
    # With its own word the Hub also says how long to wait; without, the call itself does what waiting is worth it. A
    # stream in progress is waited for very long: see the last test.
    wait = None
    if case.word is not None or row.code == "STREAM_IN_PROGRESS":
        wait = details["retry_after_seconds"] = LONGER_THAN_IS_WAITED_FOR
    if case.word is not None:
        word = {"type": case.word, "hint": "Raise your limit.", "ui": "https://evil.example/", "spec": "JECP 03-errors"}
        word["retry_after_seconds"] = wait
    payment = PAYMENT if case.status == 402 else None
    documented = hub.dialect == SPEC and row.code in DOCUMENTED
    more = {"documentation_url": f"{hub.url}/docs"} if documented else {}
    plain = refusal(case.spelling, case.status, word=word, details=details or None, payment=payment, wait=wait, **more)
    if case.form != "stream":
        hub.refuses(case.label, plain)
        return
    error = {"code": case.spelling, "message": "It cannot be done now"} | ({"details": details} if details else {})
    beside = {} if word is None else {"next_action": word}
    said = {"error": error, **beside} if hub.dialect == REFERENCE else {**error, **beside}
    hub.refuses(case.label, either(stream_of(("open", {}), ("error", said)), plain))


async def perform(hub: Stage, era: str, state: Path) -> Performance:
    """Meet every refusal, then follow every ready call."""
    every = list(dict.fromkeys(cases()))
    for case in every:
        script(hub, case)
    seen: dict[Case, Seen] = {}
    room = anyio.CapacityLimiter(SIDE_BY_SIDE)
    settings = {"mandate__daily_usdc": "100", "hub__timeout_seconds": "20"}
    async with seated(hub.url, state, era, agent=(AGENT, KEY), awaits=PLAIN, **settings) as client:

        async def meet(case: Case) -> None:
            async with room:
                seen[case] = Seen(error_of(await client.call_tool(case.tool, {"text": case.label})))

        async def follow(one: Seen) -> None:
            step = one.error["next_action"]
            if "tool" in step:
                async with room:
                    one.followed = await client.call_tool(step["tool"], step["arguments"])

        async with anyio.create_task_group() as tasks:
            for case in every:
                tasks.start_soon(meet, case)
        attempts = {label: list(bodies) for label, bodies in hub.bodies.items()}
        hub.accepting = True
        async with anyio.create_task_group() as tasks:
            for one in seen.values():
                tasks.start_soon(follow, one)
    rows = await anyio.to_thread.run_sync(ledger, hub.url, state)
    return Performance(hub, seen, attempts, rows)


PAIRS = [
    pytest.param((dialect, year), marks=pytest.mark.slow) for dialect in (REFERENCE, SPEC) for year in ("2025", "2026")
]


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def performance(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Performance]:
    """A Hub's dialect before a client's era."""
    dialect, year = request.param
    with open_stage(dialect) as hub:
        yield anyio.run(perform, hub, ERAS[year], tmp_path_factory.mktemp("every-code"))


def expected(row: Row, word: str | None) -> Step:
    if word is None:
        return row.ours
    return row.theirs if word == row.word else WORDS[word]


def check(case: Case, seen: Seen, step: Step) -> None:
    row, error, found = SPELLINGS[case.spelling], seen.error, seen.error["next_action"]
    tool = case.tool if step.tool == SAME else step.tool
    if tool == "jecp_search" and case.tool == STREAMING:
        # Nothing else on sale takes dictation: a search would find only what was called.
        tool = "jecp_describe"
    assert error["error"]["code"] == row.code, case
    assert error["charged"] == row.charged, case
    assert (found["type"], found["actor"], found.get("tool")) == (*step[:2], tool), case
    assert (found["actor"] == "agent") == ("tool" in found), case
    said = case.word is not None and SAME_WORD.get(case.word, case.word) == step.type
    assert found["source"] == ("hub" if said else "bridge"), case
    assert error["call_id"].startswith("call_")
    assert "evil.example" not in json.dumps(error), case
    assert "Raise" not in found["hint"]
    if step.tool == SAME:
        assert found["arguments"] == {"text": case.label}
        assert isinstance(found["retry_after_seconds"], int)
    if case.word is not None and step.tool in {SAME, "jecp_status"}:
        assert found["retry_after_seconds"] == LONGER_THAN_IS_WAITED_FOR
    if step.tool == "jecp_status":
        assert found["arguments"] == {"call_id": error["call_id"]}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_code_tells_what_became_of_the_money_and_who_does_what_next(performance: Performance, spelling: str) -> None:
    for case, seen in performance.seen.items():
        if case.spelling == spelling and case.word in (None, SPELLINGS[spelling].word):
            check(case, seen, expected(SPELLINGS[spelling], case.word))


@pytest.mark.parametrize("word", WORDS)
def test_a_hubs_own_next_action_keeps_its_type_and_gets_our_actor(performance: Performance, word: str) -> None:
    for case, seen in performance.seen.items():
        if case.spelling == "PAYMENT_REQUIRED" and case.word == word:
            check(case, seen, WORDS[word])


def test_every_error_reads_as_it_was_reviewed(performance: Performance) -> None:
    reviewed, made = read(), told(performance)
    changed = [
        (heading, manner, error, reviewed.get(heading, {}).get(manner))
        for heading, manners in made.items()
        for manner, error in manners.items()
        if reviewed.get(heading, {}).get(manner) != error
    ]
    assert not changed, f"{len(changed)} not as reviewed, such as {changed[0]}; see tests/acceptance/errors/snapshot.py"
    mine = {(heading, manner) for heading, manners in made.items() for manner in manners}
    kept = {(heading, manner) for heading, manners in reviewed.items() for manner in manners}
    assert mine == {one for one in kept if one[1].startswith(performance.hub.dialect)}


def test_every_ready_call_is_accepted_and_every_repeated_one_gets_its_answer(performance: Performance) -> None:
    followed = {case: one for case, one in performance.seen.items() if "tool" in one.error["next_action"]}
    assert {one.error["next_action"]["tool"] for one in followed.values()} >= {
        PLAIN, STREAMING, "jecp_search", "jecp_describe", "jecp_status", "jecp_topup",
    }  # fmt: skip
    for case, one in followed.items():
        result = one.followed
        assert not result.is_error, (case, result.content[0].text)
        shown = result.structured_content
        match one.error["next_action"]["tool"]:
            case "jecp_search":
                assert shown["results"], case
            case "jecp_describe":
                assert shown["examples"], case
            case "jecp_topup":
                assert shown["next_action"]["actor"] == "human"
            case _:
                assert shown["output"] == {"wrote": case.label}, case


def test_the_attempts_of_one_call_are_one_request_to_the_byte(performance: Performance) -> None:
    for case in performance.seen:
        attempts = performance.attempts[case.label]
        assert 1 <= len(attempts) <= 4
        assert len(set(attempts)) == 1, case


def test_the_ledger_ends_equal_to_the_hubs_books(performance: Performance) -> None:
    charged = {
        row["call_id"]: Decimal(row["charged_usdc"]) for row in performance.rows if row["charged_usdc"] != "0.00"
    }
    assert charged == {call: Decimal(amount) / 1_000_000 for call, amount in performance.hub.charged.items()}
    assert total(performance.rows, "held_usdc") == 0


def test_the_table_has_every_code_and_alias_of_the_catalog() -> None:
    known = {code: set(entry.aliases) for code, entry in CODES.items()}
    assert {row.code: set(row.aliases) for row in ROWS if row.code != UNKNOWN_CODE} == known


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_stream_that_was_in_progress_from_the_start_may_be_this_call(tmp_path: Path) -> None:
    with open_stage() as hub:
        hub.refuses("busy", refusal("STREAM_IN_PROGRESS", 409))
        async with seated(hub.url, tmp_path, agent=(AGENT, KEY), awaits=PLAIN) as client:
            error = error_of(await client.call_tool(PLAIN, {"text": "busy"}))
    assert (error["error"]["code"], error["charged"]) == ("HUB_LOST_ANSWER", "unknown")
    assert error["error"]["details"]["last_answer"] == "STREAM_IN_PROGRESS"
