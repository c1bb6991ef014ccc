"""The faults a test can ask for: every code in both dialects, lost answers, foreign pages; and who may ask."""

from __future__ import annotations

import httpx2
import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.wire.jecp.codes import CODES, canonical
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.next_actions import PAIRED, parse_next_action
from tests.contract.sandbox.conftest import Buyer, error, output

ALIASED = {
    "reference": {"INVALID_API_KEY": "INVALID_AGENT", "UNSUPPORTED_VERSION": "UNSUPPORTED_PROTOCOL"},
    "spec": {
        "INSUFFICIENT_BUDGET": "MANDATE_INSUFFICIENT_BUDGET",
        "INSUFFICIENT_BALANCE": "WALLET_INSUFFICIENT_BALANCE",
    },
}


@pytest.mark.parametrize("code", sorted(CODES))
@pytest.mark.parametrize("capability", ["lab/counting", "text-stats"])
def test_every_code_can_be_produced_in_this_dialect(buyer: Buyer, code: str, capability: str) -> None:
    buyer.fault(f"code:{code}", capability)
    answer = buyer.buy(capability)
    body = answer.json()
    assert canonical(body["error"]["code"]) == code
    if capability == "lab/counting":
        assert body["error"]["code"] == ALIASED[buyer.dialect].get(code, code)
    assert answer.status_code >= 400 or (code, buyer.dialect) == ("EXECUTION_FAILED", "reference")
    read = parse_refusal(body, status=answer.status_code, headers=answer.headers, now=SystemClock().now())
    assert read.code == code
    if code in ("RATE_LIMITED", "SERVICE_DEGRADED"):
        assert read.retry_after_seconds == 1
    todo = parse_next_action(body.get("next_action"))
    if todo is not None and code in PAIRED:
        assert todo.type == PAIRED[code]
    assert buyer.books()["transactions"] == []
    assert output(buyer.buy(capability))["words"] == 2


@pytest.mark.parametrize("alias", ["INVALID_AGENT", "DB_ERROR", "DB_UNAVAILABLE", "UNKNOWN_ACTION", "BRAND_NEW_CODE"])
def test_an_alias_or_an_unknown_code_is_sent_as_asked(buyer: Buyer, alias: str) -> None:
    buyer.fault(f"code:{alias}")
    error(buyer.buy(), alias)


def test_a_code_comes_with_what_the_test_gives_it(buyer: Buyer) -> None:
    given = {
        "message": "come back later",
        "details": {"tier": "bronze"},
        "retry_after_seconds": 7,
        "http_status": 503,
        "next_action": {"type": "meditate"},
    }
    buyer.fault("code:RATE_LIMITED", **given)
    answer = buyer.buy()
    body = error(answer, "RATE_LIMITED", 503)
    assert answer.headers["retry-after"] == "7"
    page = "https://jecp.dev/errors/rate_limited"
    assert body["error"]["details"] == {"tier": "bronze", "retry_after_seconds": 7, "documentation_url": page}
    assert (body["error"]["message"], body["next_action"]) == ("come back later", {"type": "meditate"})


def test_a_connection_dropped_before_leaves_nothing_behind(buyer: Buyer) -> None:
    asked = buyer.request()
    buyer.fault("drop_before")
    with pytest.raises(httpx2.RemoteProtocolError):
        buyer.send(asked)
    assert buyer.books()["transactions"] == []
    assert output(buyer.send(asked))["words"] == 2


def test_an_answer_lost_after_the_charge_is_fetched_by_its_id(buyer: Buyer) -> None:
    asked = buyer.request()
    buyer.fault("drop_after_charge", times=2)
    for _ in range(2):
        with pytest.raises(httpx2.RemoteProtocolError):
            buyer.send(asked)
        assert len(buyer.books()["transactions"]) == 1
    body = buyer.send(asked).json()
    assert body["billing"]["transaction_id"] == buyer.books()["transactions"][0]["transaction_id"]
    assert len(buyer.books()["transactions"]) == 1


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("status:502 html", 502, "text/html"),
        ("status:524 empty", 524, ""),
        ("status:500 json", 500, "application/json"),
    ],
)
@pytest.mark.parametrize("after_charge", [False, True])
def test_a_foreign_page_can_stand_in_for_the_answer(
    buyer: Buyer, fault: str, status: int, kind: str, after_charge: bool
) -> None:
    asked = buyer.request()
    buyer.fault(fault, after_charge=after_charge)
    answer = buyer.send(asked)
    assert answer.status_code == status
    assert answer.headers.get("content-type", "").startswith(kind)
    assert "jecp" not in answer.text
    assert len(buyer.books()["transactions"]) == int(after_charge)
    assert output(buyer.send(asked))["words"] == 2
    assert len(buyer.books()["transactions"]) == 1


def test_a_code_after_the_charge_proves_nothing_and_the_answer_is_there(buyer: Buyer) -> None:
    asked = buyer.request()
    buyer.fault("code:INTERNAL_ERROR", after_charge=True)
    error(buyer.send(asked), "INTERNAL_ERROR", 500)
    assert output(buyer.send(asked))["words"] == 2
    assert len(buyer.books()["transactions"]) == 1


def test_an_answer_is_late_until_the_faults_are_cleared(buyer: Buyer) -> None:
    buyer.fault("delay:600")
    patience = httpx2.Timeout(60, read=0.5)
    with pytest.raises(httpx2.ReadTimeout):
        buyer.http.post(buyer.endpoint("lab/counting"), json=buyer.request(), headers=buyer.auth, timeout=patience)
    assert buyer.books()["transactions"] == []
    buyer.http.delete("/sandbox/faults").raise_for_status()
    while not buyer.books()["transactions"]:
        pass
    assert output(buyer.buy())["words"] == 2


def test_a_fault_meets_only_whom_it_is_meant_for(buyer: Buyer, served: Buyer) -> None:
    served.wallet(balance_usdc="1")
    buyer.fault("code:INTERNAL_ERROR", "*", agent_id=buyer.agent_id)
    assert served.buy().status_code == 200
    assert buyer.buy().status_code == 500
    assert buyer.buy().status_code == 200
    buyer.fault("status:503 html", "/v1/capabilities")
    assert buyer.buy().status_code == 200
    assert buyer.http.get("/v1/capabilities").status_code == 503
    assert buyer.http.get("/v1/capabilities").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"match": "*"},
        {"match": "*", "fault": "explode"},
        {"match": "*", "fault": "delay:9999"},
        {"match": "*", "fault": "drop_before", "times": 0},
        {"match": "*", "fault": "status:200 poetry"},
    ],
)
def test_a_fault_that_is_not_understood_is_refused(buyer: Buyer, body: dict) -> None:
    error(buyer.http.post("/sandbox/faults", json=body), "INVALID_REQUEST", 400)


CONTROLS = [
    ("POST", "/sandbox/faults", {"match": "*", "fault": "drop_before"}),
    ("DELETE", "/sandbox/faults", None),
    ("POST", "/sandbox/catalog", {"remove": "lab/counting"}),
    ("POST", "/sandbox/wallet", {"balance_usdc": "1000"}),
    ("POST", "/sandbox/refunds/rf_1", {"decision": "approve"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CONTROLS, ids=[f"{method} {path}" for method, path, _ in CONTROLS])
@pytest.mark.parametrize("key", [None, "", "guess", "agent", "é"])
def test_nobody_controls_the_sandbox_without_the_key_of_its_start(
    buyer: Buyer, method: str, path: str, body: dict | None, key: str | None
) -> None:
    key = buyer.api_key if key == "agent" else key
    headers = buyer.auth | ({} if key is None else {"X-Sandbox-Key": key})
    with httpx2.Client(base_url=buyer.http.base_url) as stranger:
        error(
            stranger.request(method, path, json=body, headers={k: v.encode() for k, v in headers.items()}),
            "FORBIDDEN",
            403,
        )
    assert (buyer.books()["balance_usdc"], buyer.buy().status_code) == ("10.00", 200)


@pytest.mark.parametrize("path", ["/sandbox/faults", "/sandbox/catalog", "/sandbox/wallet"])
def test_a_form_on_a_foreign_page_cannot_reach_the_controls(buyer: Buyer, path: str) -> None:
    body = b'{"match":"*","fault":"drop_before"}'
    for headers in ({"content-type": "text/plain"}, {}):
        answer = buyer.http.post(path, content=body, headers={**buyer.auth, **headers})
        error(answer, "UNSUPPORTED_MEDIA_TYPE", 415)
