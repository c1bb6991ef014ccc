import json
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.guide import DEFAULT_PATHS, AgentGuide, parse_guide


def read(**fields: Any) -> AgentGuide:
    return parse_guide(json.dumps(fields).encode())


@pytest.mark.requirement("DISCOVERY-4.3-1")
def test_an_empty_guide_is_the_same_as_none_at_all() -> None:
    assert read() == AgentGuide()
    assert read().paths == DEFAULT_PATHS


@pytest.mark.requirement("DISCOVERY-3-2")
def test_a_full_guide_is_read() -> None:
    guide = read(
        version="1.0.2", vendor_prefix="acme",
        endpoints={"invoke": "https://elsewhere.example/api/v1/invoke", "topup": "/pay", "custom": "https://h.example/x"},
        register_endpoint="https://hub.acme.example/agents/new", trust_policy={"provenance_v2_required": "gold"},
        idempotency={"window_seconds": 86400},
    )  # fmt: skip
    assert guide.paths["invoke"] == "/api/v1/invoke"
    assert (guide.paths["register"], guide.paths["topup"], guide.paths["custom"]) == ("/agents/new", "/pay", "/x")
    assert guide.paths["refunds"] == "/v1/refunds"
    assert (guide.provenance_required_tier, guide.idempotency_window_seconds) == ("gold", 86_400)


@pytest.mark.parametrize(
    "url",
    [
        "https://h//evil.example/x",
        "https://h/a?b=c",
        "https://h/a#b",
        "https://h",
        "mailto:x@y",
        "/a/../b",
        "/a b",
        "/a\\b",
        "http://[",
        5,
        None,
    ],
)
def test_an_endpoint_that_is_no_plain_path_gets_the_default(url: Any) -> None:
    assert read(endpoints={"invoke": url}).paths["invoke"] == "/v1/invoke"


def test_fields_of_the_wrong_kind_get_their_defaults() -> None:
    assert read(endpoints=[], trust_policy="x", provenance_required_for="x", idempotency=1) == AgentGuide()


@pytest.mark.parametrize(
    ("policy", "capability", "tier", "needed"),
    [
        ({}, "workflow", "platinum", True), ({}, "workflow", "bronze", False), ({}, "docs/pdf", "platinum", False),
        ({"provenance_v2_required": None}, "workflow", "platinum", False), ({"provenance_v2_required": "gold"}, "a/workflow", "gold", True),
        ({"provenance_required_for": ["docs/*"]}, "docs/pdf", "bronze", True), ({"provenance_required_for": ["docs/*"]}, "workflow", "platinum", False),
        ({"provenance_required_for": ["workflow.*"]}, "workflow", "bronze", True),
    ],
)  # fmt: skip
def test_provenance_is_needed_only_where_the_hub_demands_it(
    policy: dict[str, Any], capability: str, tier: str, needed: bool
) -> None:
    assert read(trust_policy=policy).requires_provenance(capability, tier) is needed


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_what_is_no_guide_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        parse_guide(body)
