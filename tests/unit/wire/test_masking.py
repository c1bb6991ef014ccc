"""A secret is masked however a stranger spells it, and nothing else is touched."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp import jsontext
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.masking import Mask
from jecp_mcp.wire.jecp import account
from jecp_mcp.wire.jecp.envelope import parse_answer
from jecp_mcp.wire.jecp.hub_answer import HubAnswer
from jecp_mcp.wire.jecp.stream import CallStream, Completed
from tests.steps import steps

KEYS = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-+/=%.", min_size=12, max_size=40)
SPELLINGS = st.lists(st.sampled_from(["plain", "u", "U", "x", "%", "%25", "nested"]), min_size=40, max_size=40)


def spelt(key: str, ways: list[str]) -> str:
    """The key as text, each character in a way of its own."""
    made = {
        "plain": lambda one: one,
        "u": lambda one: f"\\u{ord(one):04x}",
        "U": lambda one: f"\\u{ord(one):04X}",
        "x": lambda one: f"\\x{ord(one):02x}",
        "%": lambda one: f"%{ord(one):02X}",
        "%25": lambda one: f"%25{ord(one):02x}",
        "nested": lambda one: f"\\\\\\u{ord(one):04x}",
    }
    return "".join(made[way](one) for way, one in zip(ways, key, strict=False))


def escaped(text: str, ways: list[str]) -> str:
    """A JSON string in which characters stand as escapes here and there."""
    return '"' + "".join(
        f"\\u{ord(one):04x}" if ways[at % len(ways)] in {"u", "x", "nested"} or one in '"\\' or one < " " else one
        for at, one in enumerate(text)
    ) + '"'  # fmt: skip


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *texts(item))]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else []


@given(key=KEYS, ways=SPELLINGS, written=SPELLINGS, before=st.text(max_size=5), after=st.text(max_size=5))
def test_no_spelling_of_the_key_is_left(key: str, ways: list[str], written: list[str], before: str, after: str) -> None:
    text = escaped(f"{before}{spelt(key, ways)}{after}".encode("utf-8", "replace").decode(), written)
    read = jsontext.loads(f'{{"a":[{text}],{text}:1}}'.encode(), max_bytes=10_000, mask=Mask(key))
    for one in texts(read):
        assert key not in one
        assert spelt(key, ways) not in one
    stars = "*" * len(key)
    assert stars in read["a"][0]


@given(key=KEYS, text=st.text(max_size=60))
def test_what_is_not_the_key_stays_as_it_is(key: str, text: str) -> None:
    mask = Mask(key)
    if mask.text(key) in mask.text(text):
        return
    assert mask.text(text) == text
    assert mask.value({"a": [text, 1, None]}) == {"a": [text, 1, None]}


def test_a_key_too_short_to_be_one_masks_nothing() -> None:
    assert Mask("short").value({"short": "\\u0073hort"}) == {"short": "\\u0073hort"}
    assert not Mask("short").concerns("short")


def test_the_spellings_of_a_payment_are_compiled_only_where_it_begins() -> None:
    """One is masked in one answer, which may well hold a percent sign or a backslash."""
    text = r"100% of C:\new, https://merchant.example/a%20b"
    assert steps(lambda: Mask(f"eyJ4{secrets.token_hex(600)}").text(text)) < 100
    assert steps(lambda: Mask(secrets.token_hex(65)).text(text)) < 20_000
    secret = f"eyJ4{secrets.token_hex(65)}"
    assert Mask(secret).text(rf"{text} %65yJ4{secret[4:]}") == f"{text} {'*' * len(secret)}"


def test_no_repr_shows_the_key() -> None:
    assert "SECRET" not in repr(Mask("jdb_ak_SECRETSECRET"))


KEY = "jdb_ak_SECRETSECRETSECRET"
ESCAPED = "".join(f"\\u{ord(one):04x}" for one in KEY)
HALF = len(KEY) // 2


def envelope(text: str) -> bytes:
    return (
        f'{{"jecp":"1.0","status":"success","result":"{text}","billing":{{"charged":true,"amount_usdc":1}}}}'.encode()
    )


@pytest.mark.parametrize("text", [KEY, ESCAPED, KEY[:3] + ESCAPED[18:], f"\\\\u006a{KEY[1:]}", f"%6a{KEY[1:]}"])
def test_an_answer_a_refusal_and_an_account_are_read_without_it(text: str) -> None:
    mask = Mask(KEY)
    found = parse_answer(envelope(text), {}, 200, mask=mask)
    assert isinstance(found, Answer)
    assert (found.output, found.raw["result"]) == ("*" * len(KEY),) * 2
    failed = f'{{"jecp":"1.0","status":"failed","error":{{"code":"AUTH_REQUIRED","message":"{text}"}}}}'.encode()
    refused = parse_answer(failed, {}, 401, mask=mask)
    assert isinstance(refused, Refusal)
    assert KEY not in json.dumps([refused.message, dict(refused.raw)])
    refund = f'{{"refund_id":"{text}","status":"denied"}}'.encode()
    asked = account.parse_refund(HubAnswer(refund, 200, mask=mask))
    assert isinstance(asked, account.Refund)
    assert asked.refund_id == "*" * len(KEY)


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
@pytest.mark.parametrize("first", [KEY, ESCAPED])
def test_a_stream_is_read_without_it_however_its_bytes_and_pieces_are_cut(first: str, size: int) -> None:
    pieces = [f'{{"delta":"{first}"}}', f'{{"delta":" {KEY[:HALF]}"}}', f'{{"delta":"{KEY[HALF:]}"}}']
    stream = "".join(f"event: chunk\ndata: {one}\n\n" for one in pieces)
    stream += 'event: completed\ndata: {"billing":{"charged":true}}\n\n'
    call, said = CallStream(mask=Mask(KEY)), []
    data = stream.encode()
    for at in range(0, len(data), size):
        said += call.feed(data[at : at + size])
    ending = call.end()
    assert isinstance(ending, Completed)
    stars = "*" * len(KEY)
    assert ending.answer.output == f"{stars} {stars}"
    assert KEY not in repr(said[0]) + repr(ending)
