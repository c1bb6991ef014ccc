"""Tokens, decisions, receipts and refusals of a control plane: read whole, or not at all."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from jecp_mcp.clock import parse_iso
from jecp_mcp.errors import WireError
from jecp_mcp.masking import Mask
from jecp_mcp.wire.flow402 import decision as decisions
from jecp_mcp.wire.flow402.decision import Allowed, DecisionRequest, read_decision, write_request
from jecp_mcp.wire.flow402.problem import read_problem
from jecp_mcp.wire.flow402.receipt import ReceiptStatus, read_receipt, read_receipt_answer, written_amount
from jecp_mcp.wire.flow402.tokens import RuntimeToken, read_token

from .messages import IDS, OUTCOMES, RECEIPT, REVIEW, decision, money, receipt

KINDS = {
    "allow": decisions.Allowed,
    "paid_fulfillment_failed": decisions.PaidAndFailed,
    "execution_failed": decisions.ExecutionFailed,
    "preflight_failed": decisions.PreflightFailed,
    "executing": decisions.Executing,
    "inconclusive": decisions.Inconclusive,
    "deny": decisions.Denied,
}


def read(found: Any) -> decisions.Decision:
    return read_decision(json.dumps(found).encode())


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_read_as_what_it_is(outcome: str) -> None:
    found = read(decision(outcome, laterVersionsField=[1]))
    assert type(found) is KINDS[outcome]
    assert (found.code, found.reason) == (decision(outcome)["reasonCode"], "So it is.")


def test_a_paid_answer_comes_with_its_receipt_and_its_headers_in_lower_case() -> None:
    found = read(decision("allow"))
    assert isinstance(found, decisions.Allowed)
    assert found.response == decisions.MerchantResponse(200, {"content-type": "application/json"}, '{"n":1}')
    assert (found.receipt.receipt_id, found.receipt.money.micro) == (RECEIPT, 10_000)
    assert found.receipt.status is ReceiptStatus.CONFIRMED


def test_a_denial_may_name_what_a_person_is_to_review() -> None:
    found = read(decision("deny", policyReviewEventId=REVIEW.upper()))
    assert isinstance(found, decisions.Denied)
    assert found.review_event_id == REVIEW


@pytest.mark.parametrize(
    "wrong",
    [
        decision("allow", receipt=receipt(paidRequestId=RECEIPT)),
        decision("allow", receipt=receipt("refused")),
        decision("allow", receipt=receipt(authorizationOutcome="denied")),
        decision("allow", receipt=receipt(money=money(amount="0.01"))),
        decision("allow", receipt=receipt(money=money(amountMinor=10_000))),
        decision("allow", receipt=receipt(money=money(precision=18))),
        decision("allow", receipt=receipt(money=money(unit="major"))),
        decision("allow", receipt=receipt(money=money(asset="us dollars"))),
        decision("allow", receipt=receipt(money=money(asset="$"))),
        decision("allow", receipt=None),
        decision("allow", merchantResponse={"status": 99, "headers": {}, "body": ""}),
        decision("allow", merchantResponse={"status": True, "headers": {}, "body": ""}),
        decision("allow", merchantResponse={"status": 200, "headers": [], "body": ""}),
        decision("allow", merchantResponse={"status": 200, "headers": {}, "body": None}),
        decision("allow", paymentAttemptId="1"),
        decision("allow", reasonCode="Policy Allow"),
        decision("allow", reason=None),
        decision("allow", receipt=receipt(money=money(amount="10000000000", amountMinor="10000000000", precision=0))),
        decision("paid_fulfillment_failed", fulfillmentStatus="succeeded"),
        decision("paid_fulfillment_failed", settlementEvidenceClass=None),
        decision("execution_failed", merchantResponse=None),
        decision("executing", paidRequestId=None),
        decision("inconclusive", paymentAttemptId=None),
        decision("deny", policyReviewEventId="soon"),
        decision("granted"),
        decision("allow", outcome=None),
        {"message": "no"},
        [],
        "allow",
    ],
)
def test_what_is_not_whole_or_contradicts_itself_is_no_decision(wrong: Any) -> None:
    with pytest.raises(WireError):
        read(wrong)


def test_bytes_that_are_no_json_are_no_decision() -> None:
    with pytest.raises(WireError):
        read_decision(b"<!doctype html>")


def test_a_request_says_what_is_to_be_paid_and_the_hash_of_its_body() -> None:
    request = DecisionRequest(
        "acme-co", "buyer-1", "https://a.example/x", "POST", {"accept": "*/*"}, "{}", {"a": "b"}, None, "call_1"
    )
    assert json.loads(write_request(request)) == {
        "context": {"organization": "acme-co", "agent": "buyer-1"},
        "request": {
            "url": "https://a.example/x",
            "method": "POST",
            "headers": {"accept": "*/*"},
            "body": "{}",
            "bodyHash": hashlib.sha256(b"{}").hexdigest(),
        },
        "challenge": {"protocol": "x402", "headers": {"a": "b"}},
        "idempotencyKey": "call_1",
    }
    bare = DecisionRequest(
        "acme-co", "buyer-1", "https://a.example/x", "GET", {}, None, {}, {"x402Version": 1}, "call_1"
    )
    said = json.loads(write_request(bare))
    assert said["request"].keys() == {"url", "method", "headers"}
    assert said["challenge"]["body"] == {"x402Version": 1}


def test_a_receipt_is_read_alone_too() -> None:
    asked = json.dumps({"receipt": receipt("void", supersededByReceiptId=IDS["paidRequestId"])}).encode()
    found = read_receipt_answer(asked)
    assert (found.status, found.superseded_by) == (ReceiptStatus.VOID, IDS["paidRequestId"])
    with pytest.raises(WireError):
        read_receipt_answer(json.dumps(receipt()).encode())


@pytest.mark.parametrize(
    ("minor", "precision", "written"), [(1, 6, "0.000001"), (120, 2, "1.20"), (7, 0, "7"), (0, 3, "0.000")]
)
def test_an_amount_is_written_with_exactly_its_decimals(minor: int, precision: int, written: str) -> None:
    assert written_amount(minor, precision) == written
    made = receipt(
        money={"asset": "USDC", "amount": written, "amountMinor": str(minor), "precision": precision, "unit": "minor"}
    )
    assert read_receipt(made).money.micro == minor * 10 ** (6 - precision)


def test_a_token_is_read_and_never_repeated() -> None:
    body = {"token": "rt_secret-token", "expiresAt": "2026-11-27T10:00:00Z"}
    assert read_token(json.dumps(body).encode()) == RuntimeToken("rt_secret-token", parse_iso("2026-11-27T10:00:00Z"))
    assert "rt_secret" not in repr(RuntimeToken("rt_secret-token", parse_iso("2026-11-27T10:00:00Z")))
    for wrong in (
        {"token": "a b"},
        {"token": "ü"},
        {"token": 1},
        {"token": ""},
        {"expiresAt": "soon"},
        {"expiresAt": 5},
        {"token": "x" * 9_000},
    ):
        with pytest.raises(WireError) as raised:
            read_token(json.dumps(body | wrong).encode())
        assert "a b" not in str(raised.value)


def test_a_refusal_is_told_with_what_is_wrong_with_each_field() -> None:
    issues = {"formErrors": ["too large", 7], "fieldErrors": {"agent": ["is not known"], "url": "none"}}
    said = json.dumps({"message": "Unsupported SDK version", "issues": issues}).encode()
    assert read_problem(422, said) == "Unsupported SDK version; too large; agent: is not known"
    assert read_problem(403, b'{"message": "No."}') == "No."


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"message": "No."}'),
        (429, b'{"message": "No."}'),
        (200, b'{"message": "No."}'),
        (403, b"<html>"),
        (403, b'{"error": "No."}'),
        (403, b'{"message": ""}'),
        (403, b'{"message": "No.", "outcome": "allow"}'),
        (403, b"[]"),
    ],
)
def test_nothing_else_refuses_a_request(status: int, body: bytes) -> None:
    assert read_problem(status, body) is None


@pytest.mark.parametrize("odd", [None, 0, 12, False, ["a=b", "c=d"], {}, "x" * 16_385])
def test_a_header_that_is_none_loses_nothing_that_was_paid(odd: Any) -> None:
    headers = {"Content-Type": "text/plain", "Odd": odd, "Empty": ""}
    said = decision("allow", merchantResponse={"status": 200, "headers": headers, "body": "x"}, reason="")
    read = read_decision(json.dumps(said).encode())
    assert isinstance(read, Allowed)
    assert (read.reason, read.response.headers) == ("", {"content-type": "text/plain", "empty": ""})
    many = {f"h{number}": "x" for number in range(300)}
    said = decision("allow", merchantResponse={"status": 200, "headers": many, "body": "x"})
    read = read_decision(json.dumps(said).encode())
    assert isinstance(read, Allowed)
    assert len(read.response.headers) == 200


SECRET = "rt_0123456789abcdef"


@pytest.mark.parametrize(
    "said",
    [
        decision("deny", reason=f"no agent for Bearer {SECRET}"),
        decision("deny", reasonCode=SECRET),
        decision("preflight_failed", reason=SECRET),
        decision("inconclusive", reason=SECRET),
        decision("executing", reason=SECRET),
        decision("execution_failed", reason=SECRET),
        decision("allow", reason=SECRET),
        decision(SECRET),
        decision("allow", paymentAttemptId=SECRET),
        decision("allow", receipt=receipt(SECRET)),
        decision("allow", receipt=receipt(reconciliationStatus=SECRET)),
        decision("allow", receipt=receipt(money=money(amountMinor=SECRET))),
    ],
)
def test_nothing_of_a_decision_repeats_what_was_sent(said: Any) -> None:
    try:
        read = repr(read_decision(json.dumps(said).encode(), masks=[Mask(SECRET)]))
    except WireError as exc:
        read = str(exc)
    assert SECRET not in read
    assert "***" in read


def test_what_cannot_be_read_of_a_token_or_a_receipt_is_not_repeated() -> None:
    with pytest.raises(WireError) as found:
        read_token(json.dumps({"token": "rt_other", "expiresAt": SECRET}).encode())
    assert SECRET not in str(found.value)
    with pytest.raises(WireError) as found:
        read_receipt_answer(json.dumps({"receipt": receipt(SECRET)}).encode(), [Mask(SECRET)])
    assert SECRET not in str(found.value)
