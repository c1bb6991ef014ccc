from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.x402.settlement import Settlement, read_settlement, read_settlement_json, settlement_header
from tests.unit.wire.x402.messages import BASE, PAY_TO, header

DONE = Settlement(True, "0x" + "ab" * 32, BASE.network, PAY_TO, 10_000)
FAILED = Settlement(False, "", BASE.network, error_reason="insufficient_funds", error_message="no money")


@pytest.mark.parametrize(("version", "name"), [(1, "x-payment-response"), (2, "payment-response")])
@pytest.mark.parametrize("settlement", [DONE, FAILED, Settlement(True, "", "", extensions={"a": {"b": 1}})])
def test_what_one_side_sends_the_other_reads(version: int, name: str, settlement: Settlement) -> None:
    sent = settlement_header(version, settlement)
    assert sent[0].lower() == name
    assert read_settlement({name: sent[1]}) == settlement


def test_an_answer_without_one_has_none_and_version_2_goes_first() -> None:
    assert read_settlement({"content-type": "x"}) is None
    both = {"x-payment-response": settlement_header(1, FAILED)[1], "payment-response": settlement_header(2, DONE)[1]}
    assert read_settlement(both) == DONE


def test_only_a_failure_may_be_pending() -> None:
    assert Settlement(False, "0x1", "x", error_reason="settlement_pending").pending
    assert not FAILED.pending
    assert not Settlement(True, "0x1", "x", error_reason="settlement_pending").pending


def test_what_is_empty_is_not_said() -> None:
    found = {"success": False, "transaction": "", "network": None, "payer": None, "amount": "", "errorReason": ""}
    assert read_settlement_json(found) == Settlement(False, "", "")


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"success": "true"},
        {"success": 1},
        *(
            {"success": True, name: value}
            for name, values in {
                "transaction": (7, [], "x" * 501),
                "network": ({}, 1),
                "payer": (1, "", {}),
                "amount": (1, "1.0", [], "-1"),
                "errorReason": (True, {}),
                "errorMessage": ([1],),
                "extensions": ("x", []),
            }.items()
            for value in values
        ),
    ],
)
def test_what_is_not_the_protocols_is_refused(found: Any) -> None:
    with pytest.raises(WireError):
        read_settlement({"payment-response": header(found)})
