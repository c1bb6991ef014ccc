"""What a control plane answered, and in it a merchant: text that was decoded there, in whatever charset it was written."""

from __future__ import annotations

import json

import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.outcomes import Entry, Mark
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.http import HttpAnswer
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.base import NotNow
from jecp_mcp.rails.flow402.outcome import Decided
from jecp_mcp.rails.flow402.payload import Payload
from jecp_mcp.rails.flow402.rail import Flow402Rail, _as_http, _note
from jecp_mcp.rails.paid_http.answers import output_of
from jecp_mcp.settings.flow402 import Flow402Settings
from jecp_mcp.wire.flow402.decision import MerchantResponse, read_decision
from tests.unit.wire.flow402.messages import OUTCOMES, decision


@pytest.mark.parametrize("status", [200, 201, 202, 402, 403, 409, 500, 502])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_decision_is_read_whatever_the_status_of_http(status: int, outcome: str) -> None:
    payload = Payload("o", "a", "https://shop.example/x", "GET", {}, None, {}, None, ("USDC",), 0, 0)
    clock = SystemClock()
    rail = Flow402Rail(HttpGate(clock), Flow402Settings(), None, clock)
    heard = HttpAnswer(status, {}, json.dumps(decision(outcome)).encode())
    read = rail._read(heard, payload, ())
    assert isinstance(read, Decided)
    assert read.decision == read_decision(heard.body)


class FullDisk:
    """A journal that writes nothing down."""

    tried = 0

    async def sending(self) -> None:
        raise AssertionError("nothing is sent here")

    async def keep(self, *entries: Entry) -> None:
        assert entries == (Entry(Mark.ACCEPTED),)
        self.tried += 1
        raise NotNow(Refusal("LEDGER_UNAVAILABLE", "The disk is full.", source="bridge"))


@pytest.mark.anyio
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_that_there_is_a_decision_is_noted_where_it_is_asked_for_again_and_else_lost_in_silence(
    outcome: str,
) -> None:
    journal = FullDisk()
    await _note(Decided(read_decision(json.dumps(decision(outcome)).encode())), journal)
    assert journal.tried == (outcome in {"executing", "inconclusive", "execution_failed"})


@pytest.mark.parametrize(
    "charset", ["", "; charset=utf-8", "; Charset=ISO-8859-1", '; charset="undefined"', "; charset=utf-16"]
)
def test_text_is_what_the_control_plane_read(charset: str) -> None:
    answered = _as_http(MerchantResponse(200, {"content-type": f"text/plain{charset}; format=flowed"}, "Größe 5 €"))
    assert output_of(answered)["body"] == "Größe 5 €"
    assert answered.headers["content-type"] == "text/plain; format=flowed"


def test_what_is_no_text_and_has_no_type_is_an_answer_all_the_same() -> None:
    assert output_of(_as_http(MerchantResponse(200, {}, "a\ud800b")))["body"] == "a?b"
