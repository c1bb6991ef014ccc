"""What a refusal keeps of a Hub's words, wherever in the envelope the Hub put them."""

from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.codes import Proof
from jecp_mcp.wire.jecp.errors import charge_proof, parse_refusal


def nested(code: str = "RATE_LIMITED", **error: Any) -> dict[str, Any]:
    return {"jecp": "1.0", "status": "failed", "error": {"code": code, **error}}


@pytest.mark.parametrize("name", ["details", "next_action", "payment"])
def test_an_object_is_found_inside_the_error_and_beside_it(name: str) -> None:
    said = {"x": 1}
    assert getattr(parse_refusal(nested(**{name: said}), status=402), name) == said
    assert getattr(parse_refusal({**nested(), name: said}, status=402), name) == said


def test_the_documentation_is_found_inside_the_error_and_beside_it() -> None:
    url = "https://hub.example/e"
    assert parse_refusal(nested(documentation_url=url), status=402).documentation_url == url
    assert parse_refusal({**nested(), "documentation_url": url}, status=402).documentation_url == url


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (nested(message="why", detail="more"), "why"),
        ({**nested(), "error": {"code": "RATE_LIMITED", "detail": "a problem document"}}, "a problem document"),
        ({"error": "RATE_LIMITED", "message": "slow"}, "slow"),
        (nested(), "RATE_LIMITED"),
        ({"jecp": "1.0", "status": "failed"}, "The Hub refused the call and gave no reason."),
    ],
)
def test_the_message_is_the_hubs_best_word(body: dict[str, Any], message: str) -> None:
    assert parse_refusal(body, status=429).message == message


@pytest.mark.parametrize(
    "body",
    [{"status": "failed"}, {"jecp": "1.0"}, {"jecp": "1.0", "status": "success"}, {"error": "Bad gateway"}],
)
def test_without_a_code_only_a_failed_envelope_is_a_refusal(body: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="the answer is no JECP error: it has no error code"):
        parse_refusal(body, status=502)


def test_a_flat_error_has_no_details_of_its_own_making() -> None:
    assert parse_refusal({"code": "RATE_LIMITED", "message": "slow", "id": "x"}, status=429).details == {}


@pytest.mark.parametrize(
    ("place", "seconds"),
    [
        ({"retry_after_seconds": 3}, 3),
        ({"retry_after": 4}, 4),
        ({"retry_after_seconds": 3, "retry_after": 4}, 3),
        ({"retry_after_seconds": "soon", "retry_after": 4}, 4),
        ({"retry_after_seconds": 0}, 0),
        ({"retry_after_seconds": Decimal("2.0")}, 2),
        ({"retry_after_seconds": Decimal("2.1")}, 3),
        ({"retry_after_seconds": Decimal("0.1")}, 1),
        ({"retry_after_seconds": Decimal("-0.1")}, None),
        ({"retry_after_seconds": Decimal("NaN")}, None),
        ({"retry_after_seconds": Decimal("Infinity")}, None),
        ({"retry_after_seconds": True}, None),
        ({"retry_after_seconds": 86_399}, 86_399),
        ({"retry_after_seconds": 86_400}, 86_400),
        ({"retry_after_seconds": Decimal("86399.5")}, 86_400),
    ],
)
def test_a_wait_in_the_body_is_whole_seconds_and_never_too_short(place: dict[str, Any], seconds: int | None) -> None:
    assert parse_refusal(nested(details=place), status=429).retry_after_seconds == seconds
    assert parse_refusal({**nested(details={"x": 1}), "next_action": place}, status=429).retry_after_seconds == seconds
    assert parse_refusal(nested(details={"x": 1}, **place), status=429).retry_after_seconds == seconds


def test_the_first_place_that_names_a_wait_is_believed() -> None:
    body = {**nested(details={"retry_after_seconds": 1}), "next_action": {"retry_after_seconds": 2}}
    assert parse_refusal(body, status=429).retry_after_seconds == 1


def test_a_stream_in_progress_is_an_earlier_attempts() -> None:
    refusal = parse_refusal(nested("STREAM_IN_PROGRESS"), status=409)
    assert charge_proof(refusal) is Proof.FIRST_CALL


@pytest.mark.parametrize(("status", "proof"), [(499, Proof.NO), (500, Proof.UNKNOWN)])
def test_a_gateway_may_have_written_any_server_error(status: int, proof: Proof) -> None:
    gateway = parse_refusal({"error": {"code": "RATE_LIMITED"}}, status=status)
    assert charge_proof(gateway) is proof
