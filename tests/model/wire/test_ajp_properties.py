"""Whatever an agent or a hirer sends ends in values or in `WireError`, on either side."""

import json
import random
from typing import Any

import pytest

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.wire.ajp.canonical import canonical
from jecp_mcp.wire.ajp.declaration import read_declaration, sign_declaration
from jecp_mcp.wire.ajp.offer import read_offer
from jecp_mcp.wire.ajp.report import is_settled, read_refusal, read_report, write_report
from jecp_mcp.wire.ajp.signatures import Coverage, coverage, seal
from tests.model.wire.test_x402_properties import damaged, mutated
from tests.unit.wire.ajp.test_messages import DECLARED, OFFER, REPORT
from tests.unit.wire.ajp.test_signatures import ALICE

KNOWN = [
    jsontext.plain(jsontext.loads(raw, max_bytes=10**6))
    for raw in (seal(OFFER.message(), ALICE), write_report(REPORT, ALICE), canonical(sign_declaration(DECLARED, ALICE)))
]


def sent(dice: random.Random) -> bool:
    """Read one message as all that it might be; whether it was changed and is still believed."""
    known = dice.choice(KNOWN)
    value = mutated(known, dice)
    raw = damaged(json.dumps(value).encode(), dice)
    assert (read_refusal(raw).retry_after_seconds or 0) <= 86_400
    is_settled(raw, "job_0123456789")
    believed = False
    for read in (lambda: read_offer(raw)[1], lambda: read_report(raw, 10**6).body, lambda: read_declaration(raw).body):
        try:
            body: Any = read()
        except WireError:
            continue
        whole = coverage(body, ALICE) is Coverage.WHOLE or "identity" in body
        believed |= whole and canonical(body) != canonical(known)
    return believed


@pytest.mark.parametrize(
    "runs", [200, pytest.param(5_000, marks=pytest.mark.slow), pytest.param(100_000, marks=pytest.mark.long)]
)
def test_no_message_does_more_than_be_refused_and_none_that_was_changed_is_believed(runs: int) -> None:
    dice = random.Random(20)
    for _ in range(runs):
        assert not sent(dice)
