import base64
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.x402.challenge import (
    MAX_OPTIONS,
    Challenge,
    OtherProtocol,
    PaymentOption,
    UnreadableOption,
    read_challenge,
)
from tests.unit.wire.x402.messages import (
    PAY_TO,
    header,
    v1_body,
    v1_challenge,
    v1_option,
    v2_challenge,
    v2_headers,
    v2_option,
)

JSON = {"content-type": "application/json; charset=utf-8"}


def only(headers: dict[str, str], body: bytes = b"") -> PaymentOption:
    found = read_challenge(headers, body)
    assert isinstance(found, Challenge)
    [option] = found.options
    assert isinstance(option, PaymentOption)
    return option


def why(**changes: Any) -> str:
    found = read_challenge(v2_headers(v2_challenge(v2_option(**changes))), b"")
    assert isinstance(found, Challenge)
    [option] = found.options
    return option.reason if isinstance(option, UnreadableOption) else ""


def test_version_2_is_read_from_its_header_whatever_the_body_says() -> None:
    found = read_challenge(v2_headers(v2_challenge()), b"<html>pay here</html>")
    assert isinstance(found, Challenge)
    assert (found.version, found.error, found.resource["url"]) == (2, "pay", "https://api.example.com/report")
    [option] = found.options
    assert isinstance(option, PaymentOption)
    assert (option.amount, option.pay_to, option.asset) == (10_000, PAY_TO, option.asset.lower())
    assert option.raw == v2_option()


def test_version_1_is_read_from_its_body() -> None:
    option = only(JSON, v1_body(v1_challenge()))
    assert (option.network, option.amount, option.resource) == ("base", 10_000, "https://api.example.com/report")


def test_where_both_are_sent_version_2_is_read() -> None:
    found = read_challenge({**v2_headers(v2_challenge()), **JSON}, v1_body(v1_challenge()))
    assert isinstance(found, Challenge)
    assert found.version == 2


def test_version_2_in_a_body_alone_is_refused() -> None:
    with pytest.raises(WireError, match="PAYMENT-REQUIRED"):
        read_challenge(JSON, v1_body(v2_challenge()))


@pytest.mark.parametrize(
    ("challenge", "name"),
    [
        ('L402 macaroon="AGIAJEemVQUTEyNCR0exk7ek90Cg==", invoice="lnbc1500n1"', "l402"),
        ('LSAT macaroon="x", invoice="y"', "l402"),
        ('Basic realm="x", L402 version="0", macaroon="x"', "l402"),
        ('Payment id="x", realm="y", method="tempo", intent="charge", request="e30"', "mpp"),
        ('payment id="x"', "mpp"),
    ],
)
def test_other_protocols_are_known_by_name(challenge: str, name: str) -> None:
    assert read_challenge({"www-authenticate": challenge}, b"") == OtherProtocol(name)


@pytest.mark.parametrize("challenge", ['Bearer realm="x402"', 'Basic realm="Payment"', 'Bearer realm="L402"', ""])
def test_a_word_in_a_realm_is_no_protocol(challenge: str) -> None:
    assert read_challenge({"www-authenticate": challenge}, b"") is None


def test_x402_is_read_where_another_protocol_is_offered_too() -> None:
    headers = {**v2_headers(v2_challenge()), "www-authenticate": 'Payment id="x"'}
    assert isinstance(read_challenge(headers, b""), Challenge)
    assert isinstance(read_challenge({**JSON, "www-authenticate": 'L402 a="b"'}, v1_body(v1_challenge())), Challenge)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"not json", b'{"error":"no x402 here"}'])
def test_a_402_without_a_protocol_is_none(body: bytes) -> None:
    assert read_challenge(JSON, body) is None


def test_a_page_that_speaks_of_x402_is_no_challenge() -> None:
    assert read_challenge({"content-type": "text/html"}, b'<script>{"x402Version":1}</script>') is None


@pytest.mark.parametrize(
    "amount",
    [
        10_000,
        1.5,
        "1e6",
        "0x10",
        "-1",
        "01",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "",
        "١٢",
        "1_000",
        None,
        True,
        str(2**256),
        "9" * 90,
    ],
)
def test_an_amount_is_plain_decimal_text_alone(amount: Any) -> None:
    assert why(amount=amount).startswith("the amount is")


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"payTo": "0x209693"}, "payTo"),
        ({"payTo": "0x" + "0" * 40}, "payTo"),
        ({"payTo": None}, "payTo"),
        ({"asset": "USDC"}, "asset"),
        ({"asset": "0x" + "g" * 40}, "asset"),
        ({"network": "base"}, "network"),
        ({"network": ""}, "network"),
        ({"network": 8453}, "network"),
        ({"scheme": None}, "scheme"),
        ({"scheme": "e" * 41}, "scheme"),
        ({"maxTimeoutSeconds": "60"}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": 0}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": -1}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": True}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": 60.5}, "maxTimeoutSeconds"),
        ({"extra": "x"}, "extra"),
    ],
)
def test_an_option_that_is_not_the_protocols_says_what_is_wrong(changes: dict[str, Any], about: str) -> None:
    assert why(**changes).startswith(f"{about} is")


def test_a_bad_option_leaves_the_good_ones_readable_in_their_order() -> None:
    found = read_challenge(v2_headers(v2_challenge(7, v2_option(amount="x"), v2_option())), b"")
    assert isinstance(found, Challenge)
    assert [(type(option), option.index) for option in found.options] == [
        (UnreadableOption, 0),
        (UnreadableOption, 1),
        (PaymentOption, 2),
    ]


def test_options_of_other_chain_families_are_read_as_they_stand() -> None:
    solana = v2_option(
        network="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        asset="EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        payTo="2wKupLR9q6wXYppw8Gr2NvWxKBUqm4PPJKkQfoxHDBg4",
    )
    assert only(v2_headers(v2_challenge(solana))).asset == "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    v1 = v1_option(**solana) | {"network": "solana"}
    assert only(JSON, v1_body(v1_challenge(v1))).network == "solana"


@pytest.mark.parametrize(
    "value",
    [
        "true",
        "e30",  # no padding
        "-_-_",
        "eyJ",
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b"[" * 5_000).decode(),
        "A" * 65_537,
        header([]),
        header({}),
        header(v2_challenge(x402Version=1)),
        header(v2_challenge(x402Version="2")),
        header(v2_challenge(x402Version=True)),
        header(v2_challenge(accepts=[])),
        header(v2_challenge(accepts={})),
        header(v2_challenge(accepts=[v2_option()] * (MAX_OPTIONS + 1))),
        header(v2_challenge(resource="https://api.example.com")),
        header(v2_challenge(extensions=[])),
    ],
)
def test_a_header_that_is_not_the_protocols_is_refused(value: str) -> None:
    with pytest.raises(WireError):
        read_challenge({"payment-required": value}, b"")


@pytest.mark.parametrize(
    "body", [v1_challenge(x402Version=3), v1_challenge(accepts=None), v1_challenge() | {"x402Version": None}]
)
def test_a_body_that_is_not_the_protocols_is_refused(body: Any) -> None:
    with pytest.raises(WireError):
        read_challenge(JSON, v1_body(body))


def test_a_body_without_end_is_refused() -> None:
    with pytest.raises(WireError, match="longer"):
        read_challenge(JSON, v1_body(v1_challenge(error="e" * 300_000)))
