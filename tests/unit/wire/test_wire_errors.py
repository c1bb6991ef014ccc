from typing import Any

import pytest

from jecp_mcp.clock import parse_iso
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.codes import ALIASES, CODES, Proof, Retry, canonical, lookup
from jecp_mcp.wire.jecp.errors import charge_proof, parse_refusal

NOW = parse_iso("2026-11-21T09:30:00Z")


def failed(code: str, **more: Any) -> dict[str, Any]:
    error = {"code": code, "message": "why", **more.pop("error", {})}
    return {"jecp": "1.0", "status": "failed", "error": error, **more}


def test_aliases_fold_and_unknown_codes_pass_through() -> None:
    assert canonical("MANDATE_INSUFFICIENT_BUDGET") == "INSUFFICIENT_BUDGET"
    assert canonical("DB_UNAVAILABLE") == "SERVICE_DEGRADED"
    assert canonical("BRAND_NEW") == "BRAND_NEW"
    assert lookup("BRAND_NEW") is None
    assert not set(ALIASES) & set(CODES)


@pytest.mark.parametrize(
    ("code", "proof", "retry"),
    [
        ("WALLET_INSUFFICIENT_BALANCE", Proof.NO, Retry.TOPUP), ("RATE_LIMITED", Proof.NO, Retry.AFTER_WAIT),
        ("DUPLICATE_REQUEST", Proof.FIRST_CALL, Retry.NEVER), ("INTERNAL", Proof.UNKNOWN, Retry.SAME_ID),
        ("PROVIDER_TIMEOUT", Proof.UNKNOWN, Retry.SAME_ID), ("PROVIDER_ERROR", Proof.NO, Retry.SAME_ID),
        ("OUTPUT_INVALID", Proof.UNKNOWN, Retry.SAME_ID), ("INPUT_SCHEMA_VIOLATION", Proof.NO, Retry.FIX_INPUT),
        ("X402_SETTLEMENT_TIMEOUT", Proof.PAYMENT, Retry.NEVER), ("COMPOSITE_REFUND_FAILED", Proof.UNKNOWN, Retry.SAME_ID),
    ],
)  # fmt: skip
def test_each_code_says_what_it_proves_and_when_to_try_again(code: str, proof: Proof, retry: Retry) -> None:
    entry = lookup(code)
    assert entry is not None
    assert (entry.charge, entry.retry) == (proof, retry)


def test_a_nested_error_keeps_everything_the_hub_said() -> None:
    next_action = {"type": "topup", "ui": "https://hub.example", "new": {"x": 1}}
    body = failed(
        "WALLET_INSUFFICIENT_BALANCE", id="r-12", next_action=next_action, payment={"accepts": []},
        error={"details": {"required_usdc": 1}, "documentation_url": "https://hub.example/e"},
    )  # fmt: skip
    refusal = parse_refusal(body, status=402)
    assert refusal == Refusal(
        code="INSUFFICIENT_BALANCE", message="why", http_status=402,
        details={"required_usdc": 1}, next_action=next_action, payment={"accepts": []},
        documentation_url="https://hub.example/e", id="r-12", source="payee", raw=body,
    )  # fmt: skip


def test_a_flat_error_reads_like_a_nested_one() -> None:
    flat = parse_refusal({"code": "PROVIDER_DISCONNECT", "message": "gone", "details": {"a": 1}}, status=None)
    assert (flat.code, flat.message, flat.details, flat.http_status) == ("PROVIDER_DISCONNECT", "gone", {"a": 1}, None)
    short = parse_refusal({"error": "INVALID_CURSOR", "message": "bad cursor"}, status=400)
    assert (short.code, short.message) == ("INVALID_CURSOR", "bad cursor")


def test_what_stands_beside_the_code_counts_as_details_when_there_are_none() -> None:
    refusal = parse_refusal(failed("INSUFFICIENT_TRUST", error={"required": "gold", "current": "bronze"}), status=403)
    assert refusal.details == {"required": "gold", "current": "bronze"}


@pytest.mark.parametrize("code", ["BRAND_NEW_CODE", "hub.custom:thing", "502"])
def test_an_unknown_code_passes_as_it_is_and_proves_nothing(code: str) -> None:
    refusal = parse_refusal(failed(code), status=418)
    assert refusal.code == code
    assert charge_proof(refusal) is Proof.UNKNOWN


@pytest.mark.parametrize("body", [{}, {"error": "Bad gateway"}, {"error": {"message": "x"}}, {"error": {"code": 502}}])
def test_an_error_that_is_not_the_protocols_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        parse_refusal(body, status=502)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, {"error": {"details": {"retry_after_seconds": 9}}}, 7),
        ({"Retry-After": "Sat, 21 Nov 2026 09:31:00 GMT"}, {}, 60),
        ({"Retry-After": "garbage"}, {"error": {"details": {"retry_after_seconds": 9}}}, 9),
        ({}, {"next_action": {"type": "wait", "retry_after_seconds": 12}}, 12),
        ({}, {"error": {"retry_after_seconds": 3}}, 3),
        ({}, {"error": {"details": {"retry_after_seconds": -1}}}, None),
        ({}, {"error": {"details": {"retry_after_seconds": "soon"}}}, None),
        ({}, {"error": {"details": {"retry_after_seconds": 10**30}}}, 86_400),
        ({}, {}, None),
    ],
)
def test_the_wait_comes_from_the_header_first_then_from_the_body(
    headers: dict[str, str], body: dict[str, Any], seconds: int | None
) -> None:
    assert (
        parse_refusal(failed("RATE_LIMITED", **body), status=429, headers=headers, now=NOW).retry_after_seconds
        == seconds
    )


def test_a_nonce_that_was_seen_is_evidence_that_an_attempt_arrived_before() -> None:
    refusal = parse_refusal(failed("PROVENANCE_MISMATCH", error={"details": {"subcause": "nonce_replay"}}), status=403)
    assert charge_proof(refusal) is Proof.FIRST_CALL
    skew = parse_refusal(failed("PROVENANCE_MISMATCH", error={"details": {"subcause": "clock_skew"}}), status=403)
    assert charge_proof(skew) is Proof.NO


def test_a_server_error_without_the_envelope_proves_nothing_and_a_client_error_does() -> None:
    gateway = {"error": {"code": "RATE_LIMITED", "message": "slow down"}}
    hub = {"jecp": "1.0", "status": "failed", **gateway}
    assert charge_proof(parse_refusal(gateway, status=503)) is Proof.UNKNOWN
    assert charge_proof(parse_refusal(gateway, status=429)) is Proof.NO
    assert charge_proof(parse_refusal(hub, status=503)) is Proof.NO
    assert charge_proof(parse_refusal(gateway, status=None)) is Proof.NO
