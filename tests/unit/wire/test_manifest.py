import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.manifest import Manifest, check_manifest
from jecp_mcp.wire.jecp.manifest_text import read_manifest_text

GOOD: dict[str, Any] = {
    "namespace": "docs", "capability": "pdf", "version": "1.0.0", "description": "PDFs.", "endpoint": "https://docs.example/jecp",
    "tags": ["pdf"], "metadata": {"free": 1},
    "actions": [{"id": "render", "description": "Makes one.", "pricing": {"base": "$0.0005", "currency": "USDC", "model": "per_call"},
                 "input_schema": {"type": "object"}, "output_schema": {"type": "object"}, "sla": {"timeout_ms": 5000}}],
}  # fmt: skip


def read(value: Any) -> Manifest:
    return check_manifest(read_manifest_text(json.dumps(value).encode()))


@pytest.mark.requirement("MANIFEST-5-1")
def test_a_good_manifest_is_read() -> None:
    manifest = read(GOOD)
    assert (manifest.namespace, manifest.actions[0].pricing.base, manifest.actions[0].trust_tier_required) == (
        "docs",
        500,
        "bronze",
    )
    assert read(
        {
            **GOOD,
            "deprecation": {"status": "deprecated", "sunset_at": "2026-12-21T00:00:00Z", "successor_version": "2.0.0"},
        }
    ).deprecation


def first(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["actions"][0].update(fields)


STEPS = {"steps": [{"id": "a", "call": "x/y", "action": "z", "input": {}}]}


@pytest.mark.parametrize(
    ("spoil", "pointer"),
    [
        (lambda m: m.update(surprise=1), "/surprise"), (lambda m: m.update(namespace="Docs"), "/namespace"),
        (lambda m: m.update(capability="ab"), "/capability"), (lambda m: m.update(version="1.0"), "/version"),
        (lambda m: m.update(version="1.0.0\n"), "/version"), (lambda m: m.update(description="x" * 501), "/description"),
        (lambda m: m.update(endpoint="http://docs.example"), "/endpoint"), (lambda m: m.update(endpoint="https://u@h/"), "/endpoint"),
        (lambda m: m.update(version="1.2.1000000002"), "/version"), (lambda m: m.update(version="01.0.0"), "/version"),
        (lambda m: m.update(deprecation={"successor_version": "1.2.1000000002"}), "/deprecation/successor_version"),
        (lambda m: m.update(tags=["x"] * 9), "/tags"), (lambda m: m.update(tags=["x" * 33]), "/tags/0"),
        (lambda m: m.update(actions=[]), "/actions"), (lambda m: m["actions"].append(m["actions"][0]), "share an id"),
        (lambda m: m.pop("endpoint"), "/endpoint"), (lambda m: m.update(deprecation={"status": "sunset"}), "/deprecation"),
        (lambda m: m.update(deprecation={"status": "sunset", "sunset_at": "soon"}), "/deprecation"),
        (first(description="x" * 301), "/actions/0/description"), (first(pricing={"base": "0.0000001"}), "/actions/0/pricing/base"),
        (first(pricing={"base": 1, "model": "per_token"}), "input_per_token_usdc"), (first(pricing={"base": -1}), "/actions/0/pricing/base"),
        (first(pricing={"base": 1, "model": "per_moon"}), "/actions/0/pricing/model"), (first(side_effects={"x": True}), "/actions/0/side_effects/x"),
        (first(sla={"timeout_ms": 1}), "/actions/0/sla/timeout_ms"), (first(streaming=True, composes=STEPS), "exclude each other"),
        (first(composes={"steps": []}), "/actions/0/composes/steps"), (first(composes={**STEPS, "max_depth": 2}), "/actions/0/composes/max_depth"),
        (first(trust_tier_required="wood"), "/actions/0/trust_tier_required"), (first(id="x"), "/actions/0/id"),
    ],
)  # fmt: skip
@pytest.mark.requirement(
    "WIRE-4.4-1", "MANIFEST-5-1", "MANIFEST-5-2", "MANIFEST-5.1-1", "MANIFEST-5.2.1-1", "MANIFEST-5.2.6-1"
)
def test_each_violation_is_named_by_its_pointer(spoil: Callable[[dict[str, Any]], Any], pointer: str) -> None:
    manifest = copy.deepcopy(GOOD)
    spoil(manifest)
    with pytest.raises(WireError) as caught:
        read(manifest)
    assert pointer in str(caught.value)


def test_a_manifest_over_ten_kilobytes_is_refused() -> None:
    with pytest.raises(WireError, match="10240 bytes"):
        read({**GOOD, "metadata": {"x": "y" * 10_240}})


def test_a_metered_action_with_its_rates_and_a_workflow_are_good() -> None:
    metered = copy.deepcopy(GOOD)
    metered["actions"][0]["pricing"] = {
        "base": 0.001,
        "currency": "both",
        "model": "per_token",
        "input_per_token_usdc": 1e-7,
        "output_per_token_usdc": 0,
    }
    assert str(read(metered).actions[0].pricing.input_per_token_usdc) == "1E-7"
    workflow = copy.deepcopy(GOOD)
    workflow["actions"][0]["composes"] = STEPS
    assert read(workflow).actions[0].composes is not None
