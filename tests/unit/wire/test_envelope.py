import json
from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp import jsontext
from jecp_mcp.calls.stored import dump_answer, load_answer
from jecp_mcp.clock import parse_iso
from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import NOTHING
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.jecp import envelope

SPEC: dict[str, Any] = {
    "jecp": "1.0", "id": "req_1234", "status": "completed",
    "result": {"capability": "document-pipeline", "action": "generate-invoice", "output": {"pages": 2}, "metadata": {}},
    "billing": {"cost_usdc": 0.005, "method": "wallet", "balance_after": 4.995, "transaction_id": "tx-1"},
    "execution": {"duration_ms": 127, "engine": "e", "provider": "acme", "trust_tier": "bronze"},
}  # fmt: skip
REFERENCE: dict[str, Any] = {
    "jecp": "1.0", "id": "req_1234", "status": "success", "result": {"output": "mine", "n": 1.10},
    "provider": {"namespace": "deepl", "capability": "translate", "version": "1.2.0"},
    "billing": {
        "charged": True, "amount_usdc": 0.02, "transaction_id": "tx-2", "balance_after": 9.98,
        "provider_share_usdc": 0.017, "hub_fee_usdc": 0.002, "payment_fee_usdc": 0.001,
    },
    "wallet_balance_after": 9.98,
}  # fmt: skip


def read(body: dict[str, Any] | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Answer | Refusal:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return envelope.parse_answer(raw, headers or {}, status)


def answer(body: dict[str, Any], **more: Any) -> Answer:
    found = read(body, **more)
    assert isinstance(found, Answer)
    return found


def test_the_specifications_dialect_becomes_the_normal_form() -> None:
    found = answer(SPEC)
    assert found.output == {"pages": 2}
    assert found.billing == Billing(
        True, MicroUSDC(5_000), MicroUSDC(4_995_000), "tx-1", "wallet", found.raw["billing"]
    )
    assert (found.id, found.provider, found.duration_ms, found.standing) == ("req_1234", "acme", 127, "bronze")
    assert found.raw["execution"]["engine"] == "e"


def test_the_reference_hubs_dialect_becomes_the_normal_form_and_its_result_is_the_output_whole() -> None:
    found = answer(REFERENCE)
    assert found.output == {"output": "mine", "n": Decimal("1.1")}
    assert (found.billing.charged, found.billing.amount, found.billing.reference) == (True, 20_000, "tx-2")
    assert found.billing.balance_after == 9_980_000
    assert (found.provider, found.version) == ("deepl", "1.2.0")


@pytest.mark.parametrize(
    ("billing", "charged", "amount"),
    [
        ({"charged": False, "amount_usdc": 0.02}, False, 20_000),
        ({"cost_usdc": 0.005, "method": "free_call"}, False, 5_000),
        ({"cost_usdc": 0, "method": "wallet"}, False, 0),
        ({"cost_usdc": "0.005"}, True, 5_000),
        ({"charged": True, "amount_usdc": 0.00000001}, True, 1),
        ({"charged": True, "amount_usdc": -1}, True, None),
        ({"charged": "yes", "amount_usdc": None}, None, None),
        ({}, None, None),
    ],
)
def test_billing_says_charged_only_where_the_hub_does(
    billing: dict[str, Any], charged: bool | None, amount: int | None
) -> None:
    found = answer({**REFERENCE, "billing": billing})
    assert (found.billing.charged, found.billing.amount) == (charged, amount)


def test_an_answer_without_billing_proves_no_charge_either_way() -> None:
    body = {key: value for key, value in REFERENCE.items() if key != "billing"}
    assert answer(body).billing == Billing(balance_after=MicroUSDC(9_980_000))


def test_http_200_with_a_failed_status_is_a_refusal() -> None:
    found = read(
        {"jecp": "1.0", "id": "req_1234", "status": "failed", "error": {"code": "PROVIDER_ERROR", "message": "no"}}
    )
    assert isinstance(found, Refusal)
    assert (found.code, found.http_status, found.id) == ("PROVIDER_ERROR", 200, "req_1234")


def test_a_flat_error_with_an_error_status_is_a_refusal() -> None:
    found = read({"code": "INTERNAL", "message": "boom"}, status=500)
    assert isinstance(found, Refusal)
    assert found.code == "INTERNAL_ERROR"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>502 Bad Gateway</html>", 502), (b"", 524), (b"[]", 200), (b'"ok"', 200), (b"{}", 200), (b"{}", 502),
        (b'{"error":"Bad gateway"}', 502), (b'{"message":"Not found"}', 404), (b'{"jecp":"1.0","status":"working"}', 202),
        (b'{"jecp":"1.0","status":"completed"}', 200), (b'{"result":1}', 200),
        (json.dumps(REFERENCE).encode(), 500), (b'{"status":"success","result":NaN}', 200),
    ],
)  # fmt: skip
def test_what_is_no_jecp_envelope_proves_nothing(body: bytes, status: int) -> None:
    with pytest.raises(WireError):
        read(body, status)


def test_a_failed_envelope_without_a_code_is_still_the_hubs_refusal() -> None:
    found = read(b'{"jecp":"1.0","status":"failed","error":"went wrong"}')
    assert isinstance(found, Refusal)
    assert (found.code, found.message) == ("UNSPECIFIED", "went wrong")


def test_deprecation_headers_become_notices() -> None:
    found = answer(REFERENCE, headers={"deprecation": "true", "sunset": "Mon, 21 Dec 2026 00:00:00 GMT"})
    assert [notice.kind for notice in found.notices] == ["deprecation"]


@pytest.mark.requirement("VERSION-6-1", "WIRE-jecp-1", "WIRE-capability-1", "WIRE-input-1", "WIRE-metadata-2")
def test_a_request_body_is_the_protocols_and_holds_no_secret() -> None:
    body = envelope.request_body("call-1", "docs/pdf", "render", "1.2.3", {"b": 1, "a": 0.5})
    assert body == (
        b'{"jecp":"1.0","id":"call-1","capability":"docs/pdf@1.2.3","action":"render","input":{"b":1,"a":0.5}}'
    )
    assert json.loads(envelope.request_body("call-1", "file-chain", "run", None, {}))["capability"] == "file-chain"


@pytest.mark.parametrize(
    ("call_id", "capability", "action", "version"),
    [("abc", "a/b", "c", None), ("abcd", "A/b", "c", None), ("abcd", "a/b", "C", None), ("abcd", "a/b", "c", "latest")],
)
@pytest.mark.requirement("WIRE-id-1")
def test_a_request_with_a_malformed_id_is_never_written(
    call_id: str, capability: str, action: str, version: str | None
) -> None:
    with pytest.raises(WireError):
        envelope.request_body(call_id, capability, action, version, {})


def test_a_request_beyond_the_protocols_sizes_is_never_written() -> None:
    with pytest.raises(WireError, match="input"):
        envelope.request_body("abcd", "a/b", "c", None, {"x": "y" * envelope.MAX_INPUT_BYTES})


def test_the_mandate_is_the_reserved_amount_as_an_exact_number() -> None:
    body = envelope.request_body("abcd", "a/b", "c", None, {"x": 1})
    sent = envelope.with_mandate(
        body,
        agent_id="acme_ag_x",
        api_key="acme_ak_y",
        budget=MicroUSDC(500),
        expires_at=parse_iso("2026-12-01T00:00:00Z"),
    )
    assert b'"budget_usdc":0.0005,' in sent
    read_back = jsontext.loads(sent, max_bytes=10_000)
    assert read_back["mandate"] == {
        "agent_id": "acme_ag_x", "api_key": "acme_ak_y", "budget_usdc": Decimal("0.0005"),
        "expires_at": "2026-12-01T00:00:00.000Z",
    }  # fmt: skip
    assert {key: value for key, value in read_back.items() if key != "mandate"} == json.loads(body)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id":1}', b'{"jecp":'])
def test_a_mandate_goes_only_into_a_stored_request(body: bytes) -> None:
    with pytest.raises(WireError):
        envelope.with_mandate(body, agent_id="a", api_key="k", budget=MicroUSDC(1))


@pytest.mark.parametrize("body", [SPEC, REFERENCE])
def test_a_stored_answer_comes_back_without_loss_and_keeps_its_output_once(body: dict[str, Any]) -> None:
    found = answer({**body, "unknown": {"kept": 0.1}}, headers={"sunset": "Mon, 21 Dec 2026 00:00:00 GMT"})
    stored = dump_answer(found)
    assert load_answer(stored) == found
    big = answer({**REFERENCE, "result": "x" * 10_000})
    assert len(dump_answer(big)) < 12_000


def test_an_answer_of_our_own_making_comes_back_without_loss_too() -> None:
    made = Answer(
        "i", [Decimal("1.5")], Billing(False, raw={"a": 1}), notices=(Notice("k", "t", None, "s"),), raw=NOTHING
    )
    assert load_answer(dump_answer(made)) == made


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"v":2}', b'{"v":1,"raw":{}}', b'{"v":1,"raw":[],"at":["x"],"billing":{}}']
)
def test_a_damaged_stored_answer_is_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(WireError):
        load_answer(data)
