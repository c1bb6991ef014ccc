"""Which links and words of strangers are shown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.tools.links import WITHHELD, LinkPolicy, showable, unshowable

POLICY = LinkPolicy("https://jecp.dev", ("https://pay.operator.example",))
SANDBOX = LinkPolicy("http://127.0.0.1:8410")


@pytest.mark.parametrize(
    "url",
    [
        "https://jecp.dev/topup?x=1#a",
        "https://JECP.dev/topup",
        "https://jecp.dev:443/",
        "https://checkout.stripe.com/c/pay/cs_test_a1#fidk",
        "https://pay.operator.example/now",
    ],
)
def test_a_link_to_the_hub_the_checkout_or_an_allowed_origin_is_shown(url: str) -> None:
    assert POLICY.shown(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://jecp.dev/topup",
        "https://jecp.dev.evil.example/",
        "https://evil.example/https://jecp.dev/",
        "https://jecp.dev@evil.example/",
        "https://jecp.dev\\@evil.example/",
        "https://jecp.dev:8443/",
        "https://sub.jecp.dev/",
        "https://checkout.stripe.com.evil.example/",
        "javascript:alert(1)",
        "https://jecp.dev/ topup",
        "https://jecp.dev/\u202e",
        "https://[::1/",
        "https://jecp.dev:99999999/",
        "http://127.0.0.1:8410/topup",
        "https://jecp.dev/" + "a" * 3000,
        "",
        None,
        7,
    ],
)
def test_any_other_link_is_not(url: object) -> None:
    assert POLICY.shown(url) is None


def test_a_loopback_hub_may_show_plain_http_links_to_itself_and_no_other() -> None:
    assert SANDBOX.shown("http://127.0.0.1:8410/checkout/1") is not None
    assert SANDBOX.shown("http://127.0.0.1:9999/checkout/1") is None
    assert SANDBOX.shown("http://jecp.dev/") is None


def test_a_foreign_link_inside_a_text_is_withheld_and_the_rest_stays() -> None:
    text = "Pay at https://evil.example/x, or see https://jecp.dev/help."
    assert POLICY.words(text, 200) == f"Pay at {WITHHELD}, or see https://jecp.dev/help."


def test_cutting_a_text_cannot_make_a_link_out_of_another() -> None:
    allowed = LinkPolicy("https://jecp.dev")
    assert "evil" not in allowed.words("x " * 5 + "https://jecp.dev.evil.example/", 30)


def test_an_api_key_that_a_hub_echoes_is_withheld() -> None:
    key = "jdb_ak_0123456789abcdefABCDEF"
    said = f"bad key {key} (https://jecp.dev/?k={key})"
    assert "0123456789" not in POLICY.words(said, 300)
    assert "0123456789" not in POLICY.words("x" * 290 + key, 300)
    assert showable({key: [said]}) == {
        "[key withheld]": ["bad key [key withheld] (https://jecp.dev/?k=[key withheld])"]
    }
    assert showable("monkey_ak_short, jdb_ag_0123456789abcdef") == "monkey_ak_short, jdb_ag_0123456789abcdef"


def test_a_value_keeps_amounts_as_text_and_stays_small() -> None:
    found = POLICY.data({"price": Decimal("0.0005"), "n": 10**30, "deep": {"a": {"b": {"c": {"d": 1}}}}}, 500)
    assert found["price"] == "0.0005"
    assert found["n"] == str(10**30)
    assert found["deep"] == {"a": {"b": {"c": {}}}}


@given(st.text(max_size=400))
def test_words_are_one_bounded_line_of_visible_text(text: str) -> None:
    said = POLICY.words(text, 100)
    assert len(said) <= 100
    assert not unshowable(said)
    assert "\n" not in said


@given(st.text(max_size=200))
def test_what_was_paid_for_loses_only_hidden_characters(text: str) -> None:
    assert not unshowable(showable(text))
    if not unshowable(text):
        assert showable(text) == text
