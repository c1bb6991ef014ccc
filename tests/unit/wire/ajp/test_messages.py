"""AJP's offers, reports and declarations, read strictly."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.ajp.declaration import Coverage as DeclarationCoverage
from jecp_mcp.wire.ajp.declaration import read_declaration, sign_declaration, standard_place, stands_at
from jecp_mcp.wire.ajp.offer import Budget, Callback, JobOffer, Sender, SenderType, Task, read_offer
from jecp_mcp.wire.ajp.report import BAD_COST, JobStatus, is_settled, read_refusal, read_report, write_report
from jecp_mcp.wire.ajp.signatures import Coverage, coverage, seal
from tests.unit.wire.ajp.test_signatures import ALICE, VECTORS

OFFER = JobOffer(
    job_id="job_0123456789",
    sender=Sender(SenderType.AGENT, "provenance:domain:hirer.example"),
    to="provenance:domain:agent.example/a",
    task=Task("summarise", "Make it short", {"text": "long", "n": [Decimal("0.10")]}, "text"),
    budget=Budget(MicroUSDC(250_001), Decimal(90), Decimal(500)),
    issued_at=UnixMs(1_795_000_000_123),
    expires_at=UnixMs(1_795_000_060_000),
    constraints=("no:pii",),
    memory=("earlier", {"a": 1}),
    parent_job_id="job_parent000",
    callback=Callback("https://hirer.example/back", {"X-Token": "t"}),
)


def test_an_offer_is_read_as_it_was_written_and_its_signature_covers_all_of_it() -> None:
    raw = seal(OFFER.message(), ALICE)
    found, body = read_offer(raw)
    assert found == replace(OFFER, signature=found.signature, task=found.task, memory=found.memory)
    assert json.dumps(body["task"]["input"], default=str) == '{"n": ["0.1"], "text": "long"}'
    assert body["budget"]["max_usd"] == Decimal("0.250001")
    assert coverage(body, ALICE) is Coverage.WHOLE
    assert raw == seal(OFFER.message(), ALICE)


def test_every_given_offer_is_well_formed() -> None:
    for vector in VECTORS["messages"]:
        if "task" in vector["body"]:
            assert read_offer(json.dumps(vector["body"]).encode())[0].job_id == "job_vector000001"


def changed(**parts: Any) -> bytes:
    """An offer with some members replaced, ``...`` for taken away; ``a__b`` is ``b`` within ``a``."""
    body = json.loads(seal(OFFER.message(), ALICE))
    for name, value in parts.items():
        *above, last = ("from" if one == "sender" else one for one in name.split("__"))
        inner = body
        for one in above:
            inner = inner[one]
        inner.pop(last, None) if value is ... else inner.update({last: value})
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"ajp": "9.9"}, "ajp"), ({"ajp": ...}, "ajp"), ({"more": 1}, "unknown member 'more'"),
        ({"job_id": "short"}, "job_id"), ({"job_id": "job/../0123456"}, "job_id"), ({"job_id": 7}, "job_id"), ({"job_id": "../.././.."}, "job_id"),
        ({"sender": []}, "from"), ({"sender__type": "robot"}, r"from\.type"), ({"sender__provenance_id": None}, r"from\.provenance_id"),
        ({"sender__provenance_id": "agent"}, r"from\.provenance_id"), ({"to": None}, "to"), ({"to__provenance_id": ...}, r"to\.provenance_id"),
        ({"task__instruction": ""}, r"task\.instruction"), ({"task__instruction": "x" * 262_145}, r"task\.instruction"), ({"task__type": None}, r"task\.type"),
        ({"task__output_format": "pdf"}, "output_format"), ({"budget__max_usd": -1}, "max_usd"), ({"budget__max_usd": "abc"}, "max_usd"),
        ({"budget__max_usd": None}, "max_usd"), ({"budget__max_usd": True}, "max_usd"), ({"budget__max_usd": 0.0000001}, "six decimals"),
        ({"budget__max_usd": 10**10}, "max_usd"), ({"budget__max_seconds": 0}, "max_seconds"), ({"budget__max_seconds": 2_147_484}, "max_seconds"), ({"budget__max_seconds": "9"}, "max_seconds"),
        ({"budget__max_llm_tokens": 0.5}, "max_llm_tokens"), ({"callback": "https://x"}, "callback"), ({"callback": {}}, r"callback\.url"),
        ({"callback": {"url": "u", "headers": {"a": 1}}}, r"callback\.headers"), ({"callback": {"url": "u", "headers": {str(n): "1" for n in range(21)}}}, r"callback\.headers"),
        ({"issued_at": "soon"}, "issued_at"), ({"issued_at": "2026-13-01T00:00:00Z"}, "issued_at"), ({"expires_at": 5}, "expires_at"), ({"expires_at": ...}, "expires_at"),
        ({"context__credentials": {"token": "s3cret"}}, r"credentials must be empty"), ({"context__memory": "x"}, r"context\.memory"),
        ({"context__constraints": "no:pii"}, r"context\.constraints"), ({"context": 7}, "context"), ({"parent_job_id": "x"}, "job_id"),
        ({"signature": ...}, "signature"), ({"signature": "rsa:AA"}, "signature"), ({"signature": "sha256:AB"}, "signature"),
    ],
)  # fmt: skip
def test_an_offer_that_is_none_is_refused_with_its_member(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(WireError, match=said) as refused:
        read_offer(changed(**parts))
    assert "s3cret" not in str(refused.value)


def test_an_offer_without_an_instruction_is_not_read_and_one_without_a_canonical_form_not_signed() -> None:
    with pytest.raises(WireError, match=r"task\.instruction"):
        read_offer(seal(replace(OFFER, task=Task("t", "")).message(), ALICE))
    with pytest.raises(WireError, match="no canonical form"):
        seal(replace(OFFER, task=Task("t", "go", {"n": 2**53 + 1})).message(), ALICE)


REPORT = {
    "job_id": "job_0123456789", "status": "completed", "output": {"text": "short"}, "constraints_asserted": ["no:pii"],
    "completed_at": "2026-11-26T12:00:09.000Z", "agent": {"provenance_id": "provenance:domain:agent.example/a"},
    "usage": {"llm_tokens": 5, "duration_seconds": 1.5, "cost_usd": 0.0123456}, "message": "done",
}  # fmt: skip


def test_a_report_is_signed_once_and_read_with_its_cost_rounded_up() -> None:
    raw = write_report(REPORT, ALICE)
    found = read_report(raw, 10_000)
    assert (found.status, found.cost, found.output) == (JobStatus.COMPLETED, 12_346, {"text": "short"})
    assert (found.llm_tokens, found.duration_seconds, found.message) == (5, Decimal("1.5"), "done")
    assert coverage(found.body, ALICE, result=True) is Coverage.WHOLE
    assert JobStatus.RUNNING.open
    assert not found.status.open


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost_usd": 0.1}, 100_000), ({"cost_usd": 0}, 0), ({"cost_usd": 1e-7}, 1), ({"cost_usd": 3}, 3_000_000), ({}, None), (None, None), ([], None),
        ({"cost_usd": -3}, BAD_COST), ({"cost_usd": "0.1"}, BAD_COST), ({"cost_usd": True}, BAD_COST), ({"cost_usd": 10**400}, BAD_COST), ({"cost_usd": 10**12}, BAD_COST),
        ({"cost_usd": None}, None),
    ],
)  # fmt: skip
def test_a_cost_is_what_a_signature_can_cover_of_it(usage: Any, cost: object) -> None:
    assert read_report(json.dumps({**REPORT, "usage": usage}).encode(), 10_000).cost == cost
    # A man in the middle may write more digits than a double has, which no signature would notice.
    longer = json.dumps({**REPORT, "usage": {"cost_usd": 0.1}}).replace("0.1}", "0.10000000000000000555}")
    assert read_report(longer.encode(), 10_000).cost == 100_000


@pytest.mark.parametrize(
    "parts",
    [
        {"status": "done"}, {"status": None}, {"status": ["completed"]}, {"job_id": None}, {"agent": "x"}, {"agent": {}}, {"ajp": "2"},
        {"constraints_asserted": "no:pii"}, {"constraints_asserted": [1]}, {"completed_at": 5}, {"output": "x" * 20_000},
    ],
)  # fmt: skip
def test_a_report_that_is_none_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        read_report(json.dumps({**REPORT, **parts}).encode(), 10_000)


def test_a_refusal_is_read_as_far_as_it_can_be() -> None:
    found = read_refusal(b'{"error": "no", "errors": ["a", 5, "b"], "code": "KEY_ROTATED", "retry_after": 1.5}')
    assert (found.words, found.code, found.retry_after_seconds) == ("no: a; b", "KEY_ROTATED", 2)
    for raw in (
        b"",
        b"[]",
        b"{}",
        b"nope",
        b'{"error": 5, "retry_after": -1}',
        b'{"retry_after": true}',
        b'{"retry_after": 1e99}',
    ):
        empty = read_refusal(raw)
        assert (empty.words, empty.code, empty.retry_after_seconds) == (None, None, None)


def test_only_a_plain_yes_for_this_job_settles_it() -> None:
    assert is_settled(b'{"settled": true, "job_id": "job_0123456789"}', "job_0123456789")
    assert is_settled(b'{"settled": true}', "job_0123456789")
    for raw in (
        b'{"settled": true, "job_id": "job_9999999999"}',
        b'{"settled": 1}',
        b'{"settled": "true"}',
        b"true",
        b"",
        b"{}",
    ):
        assert not is_settled(raw, "job_0123456789")


DECLARED = {
    "name": "Shortener", "description": "Makes it short.", "provenance_id": "provenance:domain:agent.example/a",
    "capabilities": ["ajp:receiver"], "constraints": ["no:pii"], "ajp": {"endpoint": "https://agent.example/ajp", "version": "0.1"},
}  # fmt: skip


def test_a_declaration_is_signed_and_read() -> None:
    found = read_declaration(json.dumps(sign_declaration(DECLARED, ALICE)).encode())
    assert (found.id, found.endpoint, found.key.text) == (
        DECLARED["provenance_id"],
        "https://agent.example/ajp",
        ALICE.public.text,
    )
    assert (found.capabilities, found.constraints, found.covers) == (
        ("ajp:receiver",),
        ("no:pii",),
        DeclarationCoverage.DECLARATION,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body.pop("identity"), "identity"),
        (lambda body: body["identity"].pop("signature"), "anybody could have written"),
        (lambda body: body["identity"].update(signature="AAAA"), "not of this declaration"),
        (lambda body: body["identity"].update(algorithm="rsa"), "only ed25519"),
        (lambda body: body["identity"].update(public_key="AAAA"), "public key"),
        (lambda body: body.update(description="Something else."), "not of this declaration"),
        (lambda body: body.update(provenance="0.9"), "provenance is '0.9'"),
        (lambda body: body.update(provenance="0.1"), "not of this declaration"),
        (lambda body: body.update(provenance_id="agent.example"), "provenance_id"),
    ],
)
def test_a_declaration_that_is_none_is_refused(change: Callable[[dict[str, Any]], object], said: str) -> None:
    body = json.loads(json.dumps(sign_declaration(DECLARED, ALICE)))
    change(body)
    with pytest.raises(WireError, match=said):
        read_declaration(json.dumps(body).encode())


@pytest.mark.parametrize(
    "parts",
    [
        {"name": ""},
        {"description": None},
        {"capabilities": ["Bad One"]},
        {"constraints": ["pii"]},
        {"ajp": []},
        {"ajp": {"version": "2"}},
    ],
)
def test_what_is_no_declaration_is_not_signed(parts: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        sign_declaration({**DECLARED, **parts}, ALICE)


RAW = "https://raw.githubusercontent.com"


@pytest.mark.parametrize(
    ("who", "url", "there"),
    [
        ("github:alice/agent", f"{RAW}/alice/agent/HEAD/PROVENANCE.yml", True),
        ("github:alice/agent", f"{RAW}/Alice/agent/main/PROVENANCE.yml", True),
        ("github:alice/agent", f"{RAW}/evil/alice/agent/PROVENANCE.yml", False),
        ("github:alice/agent", f"{RAW}/alice/agent/pull/1/head/PROVENANCE.yml", False),
        ("github:alice/agent", f"{RAW}/alice/agent/0a1b2c3d4e5f60718293a4b5c6d7e8f901234567/PROVENANCE.yml", False),
        *(
            ("github:alice/agent", f"{RAW}/alice/agent/{name}/PROVENANCE.yml", there)
            for name, there in (
                ("0A1B2C3D", False), ("DEADBEEF00112233445566778899aabbccddeeff", False), ("abcdef", False),
                ("dead", False), ("v1.0-3-gDEADbeef", False), ("x-g1234", False), ("bad", True), ("gh-pages", True),
                ("v1.0", True), ("release-2026", True),
            )
        ),
        ("github:alice/agent", f"{RAW}/alice/agent/HEAD/PROVENANCE.yml?x=1", False),
        ("github:alice/agent", f"{RAW}:8443/alice/agent/HEAD/PROVENANCE.yml", False),
        ("github:alice/agent", "http://raw.githubusercontent.com/alice/agent/HEAD/PROVENANCE.yml", False),
        ("github:alice/agent", "https://alice.example/alice/agent/HEAD/PROVENANCE.yml", False),
        ("domain:agent.example", "https://agent.example/.well-known/provenance.json", True),
        ("domain:agent.example", "https://AGENT.example:443/.well-known/provenance.json", True),
        ("domain:agent.example", "https://agent.example/users/evil/.well-known/provenance.json", False),
        ("domain:agent.example/a", "https://agent.example/a/.well-known/provenance.json", True),
        ("domain:agent.example/a", "https://agent.example/users/evil/a/.well-known/provenance.json", False),
        ("domain:agent.example/a", "https://agent.example/.well-known/provenance.json", False),
        ("domain:agent.example/a", "https://agent.example/a/%2e%2e/.well-known/provenance.json", False),
        ("domain:agent.example", "https://agent.example.evil.com/.well-known/provenance.json", False),
        ("domain:agent.example", "https://user@agent.example/.well-known/provenance.json", False),
        ("domain:agent.example:8443", "https://agent.example:8443/.well-known/provenance.json", False),
        ("domain:127.0.0.1", "http://127.0.0.1/.well-known/provenance.json", False),
        ("npm:agent", "https://registry.npmjs.org/agent", False),
        ("github:alice", f"{RAW}/alice/HEAD/PROVENANCE.yml", False),
    ],
)  # fmt: skip
def test_a_declaration_counts_only_at_its_exact_place(who: str, url: str, there: bool) -> None:
    assert stands_at(f"provenance:{who}", url) is there


def test_the_sandbox_has_a_switch_of_its_own_and_then_nothing_else_counts() -> None:
    here = "provenance:domain:127.0.0.1:8409/slow"
    place = standard_place(here, loopback=True)
    assert place is not None
    assert place.url == "http://127.0.0.1:8409/slow/.well-known/provenance.json"
    assert standard_place(here) is None
    assert not stands_at(
        "provenance:domain:agent.example", "https://agent.example/.well-known/provenance.json", loopback=True
    )
    assert standard_place("provenance:domain:127.0.0.1:99999", loopback=True) is None
    assert not stands_at("no id", "https://agent.example/")
