"""`JecpClient` at a real sandbox Hub, in both dialects."""

from __future__ import annotations

import base64
import hmac
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

import jecp_mcp
from jecp_mcp import (
    AuthError,
    CallInDoubtError,
    CapabilityNotFoundError,
    DuplicateRequestError,
    HubUnreachableError,
    InputSchemaViolationError,
    InsufficientBalanceError,
    InsufficientBudgetError,
    InvokeResult,
    JecpClient,
    JecpError,
    JecpStream,
    Retry,
    UrlBlockedError,
    WebhookVerificationError,
    verify_webhook,
)
from jecp_mcp.client.error_classes import error_of
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import MoneyError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.jecp.codes import CODES
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.stream import Delta
from jecp_mcp.wire.jecp.webhooks import sign
from tests.acceptance.roads import SandboxHub, sandbox
from tests.contract.sandbox.receiver import receiver
from tests.faults.rails.raw_hub import KEY, fails, raw_hub, says

pytestmark = pytest.mark.anyio

COUNT = ("text-stats", "count", {"text": "one two three"})
STREAMED = ("lectern/concordance", "keyword-in-context", {"text": "the mill and the reed", "keyword": "the"})


@pytest.fixture(scope="module", params=["reference", pytest.param("spec", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    file = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    with sandbox(file, "--loopback", "--dialect", request.param) as hub:
        yield hub


@pytest.fixture
def agent(place: SandboxHub) -> SandboxHub:
    return place.new_agent()


@pytest.fixture
async def hub(agent: SandboxHub) -> AsyncIterator[JecpClient]:
    async with JecpClient(agent.agent_id, agent.api_key, base_url=agent.url) as made:
        yield made


def charges(agent: SandboxHub) -> list[Any]:
    return agent.books()["transactions"]


async def test_a_call_is_bought_with_its_price_its_id_and_its_balance(hub: JecpClient, agent: SandboxHub) -> None:
    result = await hub.invoke(*COUNT, budget="0.01")
    assert result.output["words"] == 3
    assert (result.charged, result.cost, result.attempts) == (True, MicroUSDC(500), 1)
    assert result.billing.balance_after == MicroUSDC(9_999_500)
    assert result.raw["id"] == result.request_id
    assert len(charges(agent)) == 1


async def test_the_same_id_is_charged_once_and_another_request_under_it_is_refused(
    hub: JecpClient, agent: SandboxHub
) -> None:
    first = await hub.invoke(*COUNT, budget="0.01", request_id="mine-0001")
    again = await hub.invoke(*COUNT, budget="0.01", request_id="mine-0001", replay=True)
    assert (again.output, again.request_id) == (first.output, "mine-0001")
    with pytest.raises(DuplicateRequestError) as refused:
        await hub.invoke("text-stats", "count", {"text": "another"}, budget="0.01", request_id="mine-0001")
    assert refused.value.charged is None
    assert len(charges(agent)) == 1


async def test_a_lost_answer_is_asked_for_again_under_the_same_id(agent: SandboxHub) -> None:
    heard: list[Retry] = []
    agent.fault("text-stats", "drop_after_charge")
    async with JecpClient(agent.agent_id, agent.api_key, base_url=agent.url, on_retry=heard.append) as hub:
        result = await hub.invoke(*COUNT, budget=Decimal("0.01"))
    assert (result.charged, result.attempts) == (True, 2)
    assert [(one.request_id, one.number) for one in heard] == [(result.request_id, 1)]
    assert len(charges(agent)) == 1


async def test_a_call_whose_answers_are_all_lost_is_in_doubt_until_its_id_is_asked_for(
    hub: JecpClient, agent: SandboxHub
) -> None:
    agent.fault("text-stats", "drop_after_charge", times=4)
    with pytest.raises(CallInDoubtError, match="Whether the call was charged is not known") as lost:
        await hub.invoke(*COUNT, budget="0.01")
    assert (lost.value.charged, lost.value.code) == (None, "HUB_LOST_ANSWER")
    assert lost.value.request_id is not None
    found = await hub.invoke(*COUNT, budget="0.01", request_id=lost.value.request_id, replay=True)
    assert (found.charged, found.output["words"]) == (True, 3)
    assert len(charges(agent)) == 1


async def test_refusals_are_errors_of_their_kind_and_cost_nothing(hub: JecpClient, agent: SandboxHub) -> None:
    with pytest.raises(InsufficientBudgetError) as over:
        await hub.invoke("plumbline/csv", "profile", {"csv": "a\n1\n"}, budget="0.001")
    assert (over.value.charged, over.value.status) == (False, 402)
    with pytest.raises(CapabilityNotFoundError):
        await hub.invoke("no-such/thing", "do", {})
    with pytest.raises(InputSchemaViolationError) as wrong:
        await hub.invoke("plumbline/csv", "profile", {"csv": 7}, budget="0.10")
    assert wrong.value.errors[0]["instance_path"] == "/csv"
    agent.fund("0.00")
    with pytest.raises(InsufficientBalanceError) as empty:
        await hub.invoke(*COUNT, budget="0.01")
    assert empty.value.next_action is not None
    assert empty.value.next_action["type"] == "topup"
    assert charges(agent) == []


async def test_what_cannot_be_written_is_said_before_anything_is_sent(hub: JecpClient, agent: SandboxHub) -> None:
    with pytest.raises(ValueError, match="not an action id"):
        await hub.invoke("text-stats", "COUNT IT", {})
    with pytest.raises(ValueError, match="call id"):
        await hub.invoke(*COUNT, request_id="no")
    with pytest.raises(MoneyError, match="decimal text"):
        await hub.invoke(*COUNT, budget=0.01)  # type: ignore[arg-type]
    for options, fault in (({"timeout": 0}, "timeout"), ({"base_url": "http://hub.example"}, "https")):
        with pytest.raises(ValueError, match=fault):
            JecpClient(agent.agent_id, agent.api_key, **options)
    with pytest.raises(ValueError, match="api_key is no credential"):
        JecpClient(agent.agent_id, "two words")
    assert charges(agent) == []


async def test_a_stream_tells_its_pieces_and_ends_with_its_result(hub: JecpClient, agent: SandboxHub) -> None:
    async with hub.stream(*STREAMED, budget="0.05") as events:
        seen = [event async for event in events]
    assert any(isinstance(event, Delta) for event in seen)
    assert isinstance(seen[-1], InvokeResult)
    assert seen[-1] is events.result
    assert (events.result.charged, events.result.request_id) == (True, events.request_id)
    assert len(charges(agent)) == 1


async def heard_to_its_end(stream: AbstractAsyncContextManager[JecpStream]) -> list[object]:
    async with stream as events:
        return [event async for event in events]


async def test_a_stream_that_breaks_off_keeps_what_came(hub: JecpClient, agent: SandboxHub) -> None:
    agent.fault("lectern/concordance", "drop_midway")
    async with hub.stream(*STREAMED, budget="0.05", request_id="stream-0001") as events:
        with pytest.raises(CallInDoubtError) as broken:
            _ = [event async for event in events]
    assert (broken.value.charged, broken.value.request_id, events.result) == (None, "stream-0001", None)
    assert len(events.deltas) == 1
    assert events.text == "".join(one for one in events.deltas if isinstance(one, str))
    found = await hub.invoke(*STREAMED, budget="0.05", request_id="stream-0001", replay=True)
    assert found.charged is True
    assert len(charges(agent)) == 1


async def test_a_stream_that_ends_unheard_is_charged_once(hub: JecpClient, agent: SandboxHub) -> None:
    agent.fault("lectern/concordance", "drop_after_charge")
    with pytest.raises(CallInDoubtError):
        await heard_to_its_end(hub.stream(*STREAMED, budget="0.05", request_id="stream-0002"))
    found = await hub.invoke(*STREAMED, budget="0.05", request_id="stream-0002", replay=True)
    assert found.charged is True
    assert len(charges(agent)) == 1


async def test_a_stream_that_is_refused_before_it_begins_says_why(hub: JecpClient, agent: SandboxHub) -> None:
    with pytest.raises(InsufficientBudgetError):
        await heard_to_its_end(hub.stream(*STREAMED, budget="0.001"))
    agent.fault("lectern/concordance", "drop_before")
    with pytest.raises(CallInDoubtError):
        await heard_to_its_end(hub.stream(*STREAMED, budget="0.05"))
    assert charges(agent) == []


async def test_the_catalog_comes_by_pages_at_once_and_by_capability(hub: JecpClient) -> None:
    every = {offer.key: offer for offer in await hub.catalog.offers()}
    paged = [offer.key async for page in hub.catalog.pages(page_size=2) for offer in page.actions]
    assert set(paged) == every.keys()
    assert every["text-stats:count"].price.amount == MicroUSDC(500)
    (only,) = await hub.catalog.capability("text-stats")
    assert only.key == "text-stats:count"
    with pytest.raises(JecpError) as gone:
        await hub.catalog.page("no-such-cursor")
    assert gone.value.code == "INVALID_CURSOR"
    with pytest.raises(CapabilityNotFoundError):
        await hub.catalog.capability("no-such/thing")


async def test_an_account_is_made_filled_refunded_and_its_key_replaced(place: SandboxHub) -> None:
    made = await JecpClient.register("newcomer", base_url=place.url)
    async with JecpClient(made.agent_id, made.api_key, base_url=place.url) as hub:
        assert (await hub.guide()).paths["invoke"] == "/v1/invoke"
        assert (await hub.topup(20)).url.startswith(place.url)
        SandboxHub(place.url, made.agent_id, made.api_key, place.http).fund("1.00")
        bought = await hub.invoke(*COUNT, budget="0.01")
        assert bought.billing.reference is not None
        asked = await hub.request_refund(bought.billing.reference, "tried it")
        assert [one.refund_id for one in await hub.refunds()] == [asked.refund_id]
        assert (await hub.refund(asked.refund_id)).transaction_id == bought.billing.reference
        key = await hub.rotate_key(grace_seconds=3600)
        assert key.api_key not in repr(key)
        assert (await hub.invoke(*COUNT, budget="0.01")).charged
        with pytest.raises(JecpError):
            await hub.refund("rf_nothing")
    async with JecpClient(made.agent_id, "sbx_ak_" + "x" * 24, base_url=place.url) as stranger:
        with pytest.raises(AuthError):
            await stranger.refunds()


async def test_an_endpoint_is_told_of_events_until_it_is_unsubscribed(hub: JecpClient) -> None:
    with receiver() as endpoint:
        made = await hub.subscriptions.create(f"{endpoint.url}/hook", ["invocation.completed"])
        assert made.hmac_secret is not None
        assert made.hmac_secret not in repr(made)
        assert made.hmac_secret not in repr(made.raw)
        bought = await hub.invoke(*COUNT, budget="0.01")
        tested = await hub.subscriptions.test(made.subscription_id)
        arrived = [await anyio.to_thread.run_sync(endpoint.next) for _ in range(2)]
    events = [verify_webhook(one.body, one.headers, made.hmac_secret) for one in arrived]
    assert [event.type for event in events] == ["invocation.completed", "test.synthetic"]
    assert events[0].data["transaction_id"] == bought.billing.reference
    assert events[1].id == tested
    changed = await hub.subscriptions.update(made.subscription_id, status="paused")
    [listed] = await hub.subscriptions.list()
    assert (listed.status, listed.events, listed.hmac_secret) == ("paused", ("invocation.completed",), None)
    assert changed.subscription_id == listed.subscription_id
    await hub.subscriptions.delete(made.subscription_id)
    assert await hub.subscriptions.list() == ()
    with pytest.raises(JecpError, match="NOT_FOUND"):
        await hub.subscriptions.test(made.subscription_id)
    with pytest.raises(UrlBlockedError):
        await hub.subscriptions.create("https://10.0.0.1/hook")


SECRET = base64.b64encode(b"a secret of thirty-two bytes ...").decode()
EVENT = b'{"id":"evt_1","type":"test.synthetic","created_at":"2026-11-27T00:00:00Z","data":{"amount":0.1}}'


def signed(body: bytes = EVENT, at: int | None = None, secret: str = SECRET) -> dict[str, str]:
    timestamp = int(SystemClock().now() / 1000) if at is None else at
    return {"x-jecp-webhook-signature": sign(secret, timestamp, body), "X-JECP-Webhook-Timestamp": str(timestamp)}


def test_only_what_the_hub_signed_of_late_is_a_webhook() -> None:
    event = verify_webhook(EVENT, signed(), SECRET)
    assert (event.id, event.type, event.data) == ("evt_1", "test.synthetic", {"amount": Decimal("0.1")})
    two = signed()
    two["x-jecp-webhook-signature"] = f"v1=AAAA, {two['x-jecp-webhook-signature']}"
    assert verify_webhook(EVENT, two, SECRET).id == "evt_1"
    now = int(SystemClock().now() / 1000)
    other = base64.b64encode(b"another secret of some length").decode()
    assert verify_webhook(EVENT, signed(), f" {SECRET}\n").id == "evt_1"
    forged = {"x-jecp-webhook-timestamp": str(now)}
    for key in (b"", b"\0", b"fifteen bytes..."[:15]):
        digest = hmac.digest(key, str(now).encode() + b"." + EVENT, "sha256")
        forged["x-jecp-webhook-signature"] = "v1=" + base64.b64encode(digest).decode()
        for guessed in {base64.b64encode(key).decode(), f"{base64.b64encode(key).decode()}\n"}:
            with pytest.raises(WebhookVerificationError, match="fewer than 16 bytes"):
                verify_webhook(EVENT, forged, guessed)
    for body, headers, secret, reason in (
        (EVENT + b" ", signed(), SECRET, "not that of this body"),
        (EVENT, signed(secret=other), SECRET, "not that of this body"),
        (EVENT, signed() | {"x-jecp-webhook-signature": "v1=ü"}, SECRET, "not that of this body"),
        (EVENT, signed() | {"x-jecp-webhook-signature": "v1=\ud800"}, SECRET, "not that of this body"),
        (EVENT, signed() | {"X-JECP-Webhook-Timestamp": str(now - 1)}, SECRET, "not that of this body"),
        (EVENT, signed(at=now - 400), SECRET, "more than 300 s"),
        (EVENT, signed(at=now + 400), SECRET, "more than 300 s"),
        (EVENT, signed() | {"X-JECP-Webhook-Timestamp": "1e9"}, SECRET, "no number of seconds"),
        (EVENT, {}, SECRET, "no X-JECP-Webhook-Signature"),
        (EVENT, {"X-JECP-Webhook-Signature": "v1=AAAA"}, SECRET, "no X-JECP-Webhook-Timestamp"),
        (EVENT, signed(), "no base64!", "no base64"),
        (b"{}", signed(b"{}"), SECRET, "no id, type or created_at"),
        (b"[]", signed(b"[]"), SECRET, "not a JSON object"),
        (b"{", signed(b"{"), SECRET, "JSON"),
    ):
        with pytest.raises(WebhookVerificationError, match=reason) as refused:
            verify_webhook(body, headers, secret)
        assert secret not in str(refused.value)


@pytest.mark.parametrize("body", [EVENT.decode(), {"id": "evt_1"}, None])
def test_a_webhook_that_is_no_bytes_any_more_is_the_callers_mistake_and_said_so(body: Any) -> None:
    with pytest.raises(TypeError, match="give these as they arrived"):
        verify_webhook(body, signed(), SECRET)


async def test_what_is_away_or_no_hub_is_said_and_nothing_is_charged(agent: SandboxHub) -> None:
    async with JecpClient(agent.agent_id, agent.api_key, base_url="http://127.0.0.1:9") as hub:
        for request in (hub.invoke(*COUNT), hub.refunds(), hub.catalog.offers(), hub.guide()):
            with pytest.raises(HubUnreachableError) as away:
                await request
            assert away.value.charged is False
    page = says(b"<html>", "200 OK", kind="text/html")
    async with (
        raw_hub(page, page, fails, page) as raw,
        JecpClient(agent.agent_id, agent.api_key, base_url=raw.url) as hub,
    ):
        with pytest.raises(JecpError, match="HUB_MISBEHAVED"):
            await hub.catalog.offers()


async def test_a_cancelled_call_ends_at_once_and_is_found_by_its_id(hub: JecpClient, agent: SandboxHub) -> None:
    agent.fault("text-stats", "drop_after_charge", times=4)
    with anyio.CancelScope() as scope:
        hub._on_retry = lambda _: scope.cancel()
        await hub.invoke(*COUNT, budget="0.01", request_id="cut-0001")
    assert scope.cancelled_caught
    agent.heal()
    assert (await hub.invoke(*COUNT, budget="0.01", request_id="cut-0001", replay=True)).charged
    assert len(charges(agent)) == 1


def test_the_environment_names_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JECP_AGENT_ID", "JECP_API_KEY", "JECP_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="JECP_AGENT_ID"):
        JecpClient.from_environment()
    monkeypatch.setenv("JECP_AGENT_ID", "jdb_ag_0123456789abcdef")
    monkeypatch.setenv("JECP_API_KEY", "jdb_ak_0123456789abcdef")
    made = JecpClient.from_environment(timeout=5)
    assert made.agent_id == "jdb_ag_0123456789abcdef"
    assert "jdb_ak" not in repr(vars(made))


def test_each_code_makes_an_error_and_says_what_is_known_of_the_money() -> None:
    for code in CODES:
        for charged in (True, False, None):
            made = error_of(Refusal(code, "why", details={"required": "gold"}), charged=charged, request_id="call_1")
            assert (made.code, made.charged, made.request_id) == (code, charged, "call_1")
            assert isinstance(made, JecpError)
    assert type(error_of(Refusal("NOT_KNOWN_YET", "why"))) is JecpError
    assert type(error_of(Refusal("NOT_KNOWN_YET", "why"), charged=None)) is CallInDoubtError


def test_the_package_exports_what_its_stub_says_and_imports_it_late() -> None:
    stub = Path(jecp_mcp.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    named = {line.rpartition(" ")[2] for line in stub.splitlines() if " as " in line}
    assert named == set(jecp_mcp.__all__)
    for name in jecp_mcp.__all__:
        exported = getattr(jecp_mcp, name)
        assert inspect.isclass(exported) or inspect.isfunction(exported)
    assert set(jecp_mcp.__all__) <= set(dir(jecp_mcp))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = jecp_mcp.Nothing  # type: ignore[attr-defined]
    loaded = (
        "import sys, jecp_mcp; print(*(n for n in sys.modules if n.startswith('jecp_mcp')), 'httpx2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["jecp_mcp", "False"]


DOCUMENT = Path(__file__).parents[2] / "docs" / "python-client.md"


def test_each_row_of_the_comparison_names_its_test() -> None:
    files = Path(__file__).parent.glob("test_*.py")
    tests = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))}
    rows = [line.split("|")[1:4] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    for theirs, ours, test in (row for row in rows if row[0].strip() != "TypeScript"):
        lacks = ours.strip() == "not built" or ours.strip().startswith("does not apply: ")
        assert (test.strip(" `") in tests) is not lacks, theirs


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
async def test_the_documented_programs_run(number: int, agent: SandboxHub, tmp_path: Path) -> None:
    program = tmp_path / "buy.py"
    blocks = DOCUMENT.read_text(encoding="utf-8").split("```python\n")
    program.write_text(blocks[number].split("```")[0], encoding="utf-8")
    env = os.environ | {
        "JECP_AGENT_ID": agent.agent_id,
        "JECP_API_KEY": agent.api_key,
        "JECP_BASE_URL": agent.url,
    }
    done = await anyio.run_process([sys.executable, str(program)], env=env, cwd=tmp_path)
    said = done.stdout.decode()
    assert said.startswith("{'characters': 7")
    assert (number == 2) is said.endswith("still open: ()\n")
    assert (tmp_path / "ledger.sqlite").exists() is (number == 2)
    assert len(charges(agent)) == 1


BY_CODE = {
    "INSUFFICIENT_BALANCE": "InsufficientBalanceError",
    "INSUFFICIENT_BUDGET": "InsufficientBudgetError",
    "MANDATE_EXPIRED": "MandateExpiredError",
    "AUTH_REQUIRED": "AuthError",
    "INVALID_AGENT": "AuthError",
    "INVALID_API_KEY": "AuthError",
    "INVALID_PROVIDER": "AuthError",
    "RATE_LIMITED": "RateLimitError",
    "CAPABILITY_NOT_FOUND": "CapabilityNotFoundError",
    "ACTION_NOT_FOUND": "ActionNotFoundError",
    "INSUFFICIENT_TRUST": "InsufficientTrustError",
    "PROVIDER_ERROR": "ProviderError",
    "PROVIDER_UNREACHABLE": "ProviderError",
    "UNSUPPORTED_MEDIA_TYPE": "UnsupportedMediaTypeError",
    "DUPLICATE_REQUEST": "DuplicateRequestError",
    "CAPABILITY_DEPRECATED": "CapabilityDeprecatedError",
    "INPUT_SCHEMA_VIOLATION": "InputSchemaViolationError",
    "URL_BLOCKED_SSRF": "UrlBlockedError",
    "NAMESPACE_TAKEN": "NamespaceTakenError",
    "UNSUPPORTED_COUNTRY": "UnsupportedCountryError",
    "ROTATION_24H_CAP": "RotationCapError",
    "VERSION_EXISTS": "ManifestVersionExistsError",
    "X402_PAYMENT_INVALID": "X402PaymentInvalidError",
    "X402_NOT_ACCEPTED": "X402NotAcceptedError",
    "X402_SETTLEMENT_TIMEOUT": "X402SettlementTimeoutError",
    "X402_FACILITATOR_UNREACHABLE": "X402FacilitatorUnreachableError",
    "X402_SETTLEMENT_REUSED": "X402SettlementReusedError",
}
"""The classes of the TypeScript SDK by the codes that it makes them of, as they are called here."""


@pytest.mark.parametrize("code", BY_CODE)
def test_each_class_of_the_typescript_sdk_is_made_of_its_codes_with_all_that_was_said(code: str) -> None:
    said = {"status": "failed", "error": {"code": code, "message": "No.", "details": {"errors": []}}}
    step = {"type": "topup", "hint": "Pay."}
    found = parse_refusal({"jecp": "1.0", **said, "next_action": step}, status=402)
    made = error_of(found, request_id="call_1")
    assert type(made).__name__ == BY_CODE[code]
    assert (made.status, made.next_action, made.message) == (402, step, "No.")
    assert made.details == {"errors": []}
    assert made.raw["error"] == said["error"]


async def test_a_workflow_carries_its_proof_by_itself() -> None:
    script = says({"jecp": "1.0", "status": "success", "result": 1, "billing": {"charged": False}})
    guide = {"trust_policy": {"provenance_required_for": ["acme/workflow*"]}}
    async with (
        raw_hub(says(guide), script) as raw,
        JecpClient("jdb_ag_0123456789abcdef", KEY, base_url=raw.url) as hub,
    ):
        for capability in ("acme/workflow-run", "acme/tool"):
            assert (await hub.invoke(capability, "run", {})).charged is False
    workflow, plain = (json.loads(one.body)["mandate"] for one in raw.heard if one.method == "POST")
    assert workflow["provenance_hash"].startswith("v2:")
    assert "provenance_hash" not in plain
