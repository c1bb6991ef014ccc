"""A body in the console: laid out, complete, and without anybody's key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.sandbox.console.layout import json_block
from jecp_mcp.sandbox.console.masked_json import masked_json, masked_key
from jecp_mcp.sandbox.console.request_log import MOST_BYTES
from tests.steps import steps

KEY = "sbx_ak_Abcdefghijklmnopqrstuvwxyz0123456789wxyz"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("member", "value", "shown"),
    [
        ("api_key", KEY, "sbx_ak_…wxyz"),
        ("api_key", "another Hub's", "…"),
        ("api_key", f"with {KEY}", "…"),
        ("X-API-Key", {"in": "it"}, "…"),
        ("provider_api_key", KEY.replace("_ak_", "_pk_"), "sbx_pk_…wxyz"),
        ("hmac_secret", "c2VjcmV0", "…"),
        ("PASSWORD", 5, "…"),
        ("text", f"my key is {KEY}!", "my key is sbx_ak_…wxyz!"),
        ("text", "sbx_ak_short", "sbx_ak_…"),
        (KEY, [KEY], ["sbx_ak_…wxyz"]),
        ("api_keys_made", 3, 3),
        ("amount", 0.0085, 0.0085),
    ],
)
def test_keys_are_masked_wherever_they_stand(member: str, value: Any, shown: Any) -> None:
    body = json.dumps({"mandate": {member: value}}).encode()
    assert json.loads(masked_json(body)) == {"mandate": {masked_key(member): shown}}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (f'{{"mandate": {{"api_key": "{KEY}", "x'.encode(), '{"mandate": {"api_key": "…", "x'),
        (b'{"hmac_secret" : "ab\\"cd', '{"hmac_secret" : "…'),
        (f"key={KEY}".encode(), "key=sbx_ak_…wxyz"),
        (b"\xff<b>", "\ufffd<b>"),
        (b"[" * 100_000, "[" * 100_000),
        (b"9" * 5_000, "9" * 5_000),
    ],
)
def test_what_is_no_json_stays_as_it_is_without_keys(body: bytes, shown: str) -> None:
    assert masked_json(body) == shown


def nested(body: str, depth: int) -> bytes:
    return b"[" * depth + body.encode() + b"]" * depth


@pytest.mark.parametrize(
    "body",
    [
        nested(",".join(["1"] * 900_000), 58),
        nested(",".join(["1"] * 7_000), 900),
        nested(f'{{"a":{",".join(["1"] * 7_000)}', 58),
        b'"' + b"<" * 1_800_000 + b'"',
    ],
    ids=["long", "deep", "no JSON", "one text"],
)
def test_no_body_makes_a_long_page_or_takes_long(body: bytes) -> None:
    """A page is laid out anew with each look, while the Hub does nothing else."""
    shown = json_block(body)
    assert len(shown) <= 5 * MOST_BYTES
    assert (f"The first {MOST_BYTES:,} of {len(body):,} bytes." in shown) == (len(body) > MOST_BYTES)
    assert steps(lambda: json_block(body)) < 60_000


def test_what_is_kept_whole_is_laid_out() -> None:
    assert masked_json(nested("1,2", 2)) == json.dumps([[1, 2]], indent=2)


@pytest.mark.slow
@given(JSON)
def test_what_has_no_key_is_shown_whole(value: Any) -> None:
    assert json.loads(masked_json(json.dumps({"input": value}).encode())) == {"input": value}


@pytest.mark.slow
@given(JSON, st.integers(0, 400))
def test_no_beginning_of_a_body_shows_a_key(value: Any, length: int) -> None:
    body = json.dumps({"api_key": KEY, "input": [value, KEY], "text": f"{value}{KEY}"}).encode()
    for part in (body, body[:length]):
        assert KEY not in masked_json(part)
