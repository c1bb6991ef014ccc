"""Which codes make the identical request worth sending again, for every code of the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied
from jecp_mcp.rails.jecp.retries import next_wait
from jecp_mcp.wire.jecp.codes import CODES
from jecp_mcp.wire.jecp.envelope import parse_answer
from jecp_mcp.wire.jecp.errors import parse_refusal

# JECP 03-errors, "retry": after a wait, or under the same id. Everything else stands, or needs another request.
AFTER_A_WAIT = {"RATE_LIMITED", "STREAM_IN_PROGRESS", "ROTATION_24H_CAP", "ROTATION_RACE"}
FREE = {"PROVIDER_ERROR", "PROVIDER_UNREACHABLE", "PROVIDER_UNAVAILABLE", "SERVICE_ERROR"}
OPEN = {
    "STREAM_TIMEOUT", "STREAM_INCOMPLETE", "PROVIDER_DISCONNECT", "PROVIDER_TIMEOUT", "COMPOSITE_STEP_FAILED",
    "COMPOSITE_BIND_ERROR", "COMPOSITE_DEPTH_EXCEEDED", "COMPOSITE_TIMEOUT", "COMPOSITE_REFUND_FAILED",
    "INTERNAL_ERROR", "SERVICE_DEGRADED", "EXECUTION_FAILED", "OUTPUT_INVALID",
}  # fmt: skip
SPELLINGS = [(spelling, entry.code) for entry in CODES.values() for spelling in (entry.code, *entry.aliases)]
LOST: Evidence = Lost(sent=True, reason="x")


def reference(code: str) -> Evidence:
    body = {"jecp": "1.0", "id": "c", "status": "failed", "error": {"code": code, "message": "No."}}
    reply = parse_answer(json.dumps(body).encode(), {}, 500)
    assert isinstance(reply, Refusal)
    return Replied(reply)


def flat(code: str) -> Evidence:
    return Replied(parse_refusal({"code": code, "message": "No."}, status=None))


def tries(before: list[Evidence], last: Evidence, *, replay: bool = False, provenance: bool = False) -> int:
    """How often `last` is asked for again when it is all that ever comes."""
    attempts = [*before, last]
    while next_wait(attempts, replay=replay, provenance=provenance, jitter=0.5, left=1e6) is not None:
        attempts.append(last)
        assert len(attempts) < 10
    return len(attempts) - len(before) - 1


@pytest.mark.parametrize("dialect", [reference, flat])
@pytest.mark.parametrize(("spelling", "code"), SPELLINGS)
def test_each_code_is_asked_again_as_often_as_it_makes_sense(
    spelling: str, code: str, dialect: Callable[[str], Evidence]
) -> None:
    last = dialect(spelling)
    again = code in AFTER_A_WAIT | FREE | OPEN
    assert tries([], last) == (3 if code in AFTER_A_WAIT | OPEN else 1 if code in FREE else 0)
    assert tries([], last, replay=True) == (2 if again else 0), "what was sent before counts"
    assert tries([LOST], last) == (2 if again else 0)
    assert tries([LOST, LOST, LOST], last) == 0


@pytest.mark.parametrize("code", sorted(FREE))
def test_a_proven_free_failure_under_provenance_is_left_at_that_until_something_is_open(code: str) -> None:
    assert tries([], reference(code), provenance=True) == 0
    assert tries([LOST], reference(code), provenance=True) == 2


def test_no_code_is_missing_from_the_table() -> None:
    assert set(CODES) >= AFTER_A_WAIT | FREE | OPEN
