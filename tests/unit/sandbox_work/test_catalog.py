"""The registry: what is listed is what can be run, and it is shaped as the protocol says."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.money import MicroUSDC, parse_price
from jecp_mcp.sandbox import work
from jecp_mcp.wire.jecp.manifest import check_manifest
from jecp_mcp.wire.jecp.manifest_text import read_manifest_text

NOW = UnixMs(1_795_000_000_000)


def listed() -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in work.manifests(NOW):
        for action in manifest["actions"]:
            yield f"{manifest['namespace']}/{manifest['capability']}@{manifest['version']}", action
    for builtin in work.builtins():
        for action in builtin["actions"]:
            yield builtin["id"], action


ALL = [pytest.param(capability, action, id=f"{capability}:{action['id']}") for capability, action in listed()]
EXAMPLES = [
    pytest.param(capability, action, example["input"], id=f"{capability}:{action['id']}:{place}")
    for capability, action in listed()
    for place, example in enumerate(action["examples"])
]


def price(action: dict[str, Any]) -> MicroUSDC:
    return parse_price(action["price_usdc"] if "price_usdc" in action else action["pricing"]["base"])


def test_every_manifest_is_valid_to_the_letter() -> None:
    for manifest in work.manifests(NOW):
        check_manifest(read_manifest_text(json.dumps(manifest).encode()))


def test_several_providers_and_the_hub_sell_at_least_fourteen_actions_from_a_twentieth_cent_to_a_dollar_fifty() -> None:
    prices = [price(action) for _, action in listed()]
    assert len({manifest["namespace"] for manifest in work.manifests(NOW)}) >= 2
    assert len(prices) >= 14
    assert (min(prices), max(prices)) == (500, 1_500_000)


def test_builtins_have_no_slash_and_exact_prices_as_text() -> None:
    for builtin in work.builtins():
        assert "/" not in builtin["id"]
        assert all(isinstance(action["price_usdc"], str) for action in builtin["actions"])


def test_there_is_a_silver_action_a_streaming_one_and_one_paid_by_the_token() -> None:
    actions = [action for _, action in listed()]
    assert any(action.get("trust_tier_required") == "silver" for action in actions)
    assert any(action.get("streaming") for action in actions)
    assert any(action.get("pricing", {}).get("model") == "per_token" for action in actions)


def test_some_versions_end_within_thirty_days_and_one_is_gone_and_every_successor_can_be_called() -> None:
    day = 86_400_000
    ends = [(manifest, manifest["deprecation"]) for manifest in work.manifests(NOW) if "deprecation" in manifest]
    assert {ending["status"] for _, ending in ends} == {"deprecated", "sunset"}
    assert any("successor_version" not in ending for _, ending in ends)
    for manifest, ending in ends:
        left = parse_iso(ending["sunset_at"]) - NOW
        assert 0 < left < 30 * day if ending["status"] == "deprecated" else left < 0
        if "successor_version" in ending:
            successor = f"{manifest['namespace']}/{manifest['capability']}@{ending['successor_version']}"
            action = manifest["actions"][0]
            assert work.run(successor, action["id"], action["examples"][0]["input"])


def test_a_buyer_who_takes_the_highest_version_still_meets_one_that_is_ending() -> None:
    latest = {f"{m['namespace']}/{m['capability']}": m for m in work.manifests(NOW)}
    assert any(manifest.get("deprecation", {}).get("status") == "deprecated" for manifest in latest.values())
    assert all(manifest.get("deprecation", {}).get("status") != "sunset" for manifest in latest.values())


def test_a_sunset_stays_put_within_a_day_so_that_the_catalog_does_too() -> None:
    midnight = NOW - NOW % 86_400_000
    assert work.manifests(UnixMs(midnight)) == work.manifests(UnixMs(midnight + 86_399_999))


def test_an_unpinned_call_means_the_version_listed_last() -> None:
    last = {f"{m['namespace']}/{m['capability']}": m for m in work.manifests(NOW)}
    assert last["plumbline/csv"]["version"] == "2.0.0"
    assert last["inkwell/thumbnail"]["version"] == "2.0.0"
    # Only 2.0.0 knows how to group.
    with pytest.raises(KeyError):
        work.run("plumbline/csv@1.0.0", "group-by", {})
    assert work.run("plumbline/csv", "group-by", last["plumbline/csv"]["actions"][1]["examples"][0]["input"]).output


@pytest.mark.parametrize(("capability", "action"), ALL)
def test_every_schema_is_closed_described_and_bounded(capability: str, action: dict[str, Any]) -> None:
    schema = action["input_schema"]
    jsonschema_rs.meta.validate(schema)
    jsonschema_rs.meta.validate(action["output_schema"])
    assert schema["additionalProperties"] is False
    for name, part in schema["properties"].items():
        assert part["description"], name
        if part.get("type") == "string" and "enum" not in part:
            assert part["maxLength"], name
        if part.get("type") == "array":
            assert part["maxItems"], name
    assert action["examples"]
    assert len(action["description"]) <= 300


@pytest.mark.parametrize(("capability", "action", "given"), EXAMPLES)
def test_every_example_works_and_delivers_what_the_schema_promises(
    capability: str, action: dict[str, Any], given: dict[str, Any]
) -> None:
    jsonschema_rs.validator_for(action["input_schema"]).validate(given)
    done = work.run(capability, action["id"], given)
    if done.artifact is None:
        jsonschema_rs.validator_for(action["output_schema"]).validate(done.output)
        json.dumps(done.output, allow_nan=False)
    else:
        content_type, data = done.artifact
        assert done.output is None
        READERS[content_type](data)
        wrapped = {"artifact": {"content_type": content_type, "size_bytes": len(data), "inline": False}}
        jsonschema_rs.validator_for(action["output_schema"]).validate(wrapped)
    rates = {key for key in action.get("pricing", {}) if key.endswith("_usdc")}
    assert bool(rates) == bool(done.units)


def read_pdf(data: bytes) -> None:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data), strict=True)
    assert len(reader.pages) >= 1
    assert reader.pages[0].extract_text().strip()


def read_image(data: bytes) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.width > 1


def read_docx(data: bytes) -> None:
    from docx import Document

    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    assert any(paragraph.text for paragraph in Document(io.BytesIO(data)).paragraphs)


READERS = {
    "application/pdf": read_pdf,
    "image/png": read_image,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": read_docx,
}


@pytest.mark.parametrize(
    ("capability", "action", "given"), [each for each in EXAMPLES if each.values[1].get("streaming")]
)
def test_a_stream_ends_with_the_very_work_that_a_plain_run_gives(
    capability: str, action: dict[str, Any], given: dict[str, Any]
) -> None:
    pieces = work.stream(capability, action["id"], given)
    count = 0
    done = None
    while done is None:
        try:
            next(pieces)
            count += 1
        except StopIteration as end:
            done = end.value
    assert done == work.run(capability, action["id"], given)
    assert count >= 1


def test_an_action_that_does_not_stream_says_so() -> None:
    with pytest.raises(KeyError):
        work.stream("text-stats", "count", {"text": "a"})


def test_an_unknown_action_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        work.run("inkwell/invoice", "shred", {})
