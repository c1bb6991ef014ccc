from collections.abc import Mapping
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.mandate.naming import names_of
from jecp_mcp.rails.paid_http.request import MAX_BODY, MAX_HEADERS, identity_of, listed_by, read_request
from jecp_mcp.settings.merchants import read_place

URL = "https://api.example.com/report?x=1"


def test_the_same_request_is_written_the_same_whatever_the_model_wrote() -> None:
    one = read_request({"url": "HTTPS://API.example.com:443/report?x=1", "method": "post", "headers": {"B": " 2 ", "a": "1"}, "body": "{}"})  # fmt: skip
    other = read_request({"url": URL, "method": "POST", "headers": {"A": "1", "b": "2"}, "body": "{}"})
    assert one == other
    assert read_request(one.arguments) == one
    assert one.sent_body == b"{}"
    assert (read_request({"url": URL}).method, read_request({"url": URL}).sent_body) == ("GET", None)


def of(query: str, path: str = "/a", **more: Any) -> Mapping[str, Any]:
    return identity_of(read_request({"url": f"https://api.example.com{path}{query}", **more}).arguments)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("?t=~abc", "?t=%7Eabc"), ("?t=~abc", "?t=%7eabc"), ("?t=~abc", "?t=%7E%61bc"), ("?t=%c3%bc", "?t=%C3%BC"),
        ("", "?"), ("?t=%2d%2E%5f%41%39", "?t=-._A9"), ("?t=a|b", "?t=a%7cb"), ("?t[x]={1}", "?t%5Bx%5D=%7B1%7D"),
        ('?t="<>"', "?t=%22%3c%3E%22"), ("?t=100%", "?t=100%25"), ("?t=%zz", "?t=%25zz"),
    ],
)  # fmt: skip
def test_equivalent_addresses_are_one_request_and_are_sent_as_they_were_given(one: str, other: str) -> None:
    """RFC 3986 §6.2.2."""
    assert of(one) == of(other)
    assert of("", f"/x{one.replace('?', '')}") == of("", f"/x{other.replace('?', '')}")
    assert read_request({"url": URL + other}).place.url == URL + other


def test_other_addresses_methods_headers_and_bodies_are_other_requests() -> None:
    queries = [
        "?a=1&b=2", "?b=2&a=1", "?a=1%26b=2", "?a%3D1&b=2", "?a=%2F", "?a=/", "?a=+", "?a=%2B", "?a=%20", "?A=1", "?a=1",
        "?a", "?a=", "??", "?a=%257E", "?a=~", "?a=?", "???",
    ]  # fmt: skip
    found = [of(query) for query in queries] + [of("", path) for path in ("/a", "/a/", "/A", "/a;", "/a%3b", "//a")]
    found += [of("", method="POST"), of("", method="POST", body="x"), of("", headers={"a": "1"})]
    assert all(one != other for n, one in enumerate(found) for other in found[:n])
    assert of("", method="POST", body="") == of("", method="POST")


def test_a_request_in_normal_form_is_what_earlier_versions_knew_it_by() -> None:
    written = read_request({"url": f"{URL}&y=%C3%BC~", "method": "POST", "body": "{}"}).arguments
    assert identity_of(written) == written


def test_the_mandate_knows_it_by_its_host_and_method() -> None:
    offer = read_request({"url": URL, "method": "POST"}).offer
    assert names_of(offer, "paid_http_execute")[0] == "paid-http/api.example.com:post"
    assert offer.payee == "https://api.example.com"


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "x"},
        {"url": URL, "method": "TRACE"},
        {"url": URL, "method": "GET", "body": "x"},
        {"url": URL, "method": "HEAD", "body": ""},
        {"url": URL, "method": "POST", "body": "x" * (MAX_BODY + 1)},
        {"url": URL, "headers": {f"x-{n}": "1" for n in range(MAX_HEADERS + 1)}},
        {"url": URL, "headers": {"a b": "1"}},
        {"url": URL, "headers": {"": "1"}},
        {"url": URL, "headers": {"a": ""}},
        {"url": URL, "headers": {"a": "x\r\nPAYMENT-SIGNATURE: y"}},
        {"url": URL, "headers": {"a": "ü"}},
        {"url": URL, "headers": {"a": "x" * 1_001}},
        {"url": URL, "headers": {"A": "1", "a": "1"}},
        {"url": URL, "headers": {"Payment-Signature": "x"}},
        {"url": URL, "headers": {" x-payment ": "x"}},
    ],
)
def test_what_cannot_be_sent_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(WireError):
        read_request(wrong)


@pytest.mark.parametrize(
    "name",
    [
        "api-key", "X_API_KEY", "apikey", "x-access-token", "X-Amz-Security-Token", "signature-input", "dpop",
        "payment_signature", "X_PAYMENT", "content_length", "x-method-override", "x-session-id", "ocp-apim-key",
    ],
)  # fmt: skip
def test_a_header_that_pays_or_proves_or_frames_is_ours_in_every_spelling(name: str) -> None:
    with pytest.raises(WireError, match="not yours to set"):
        read_request({"url": URL, "headers": {name: "x"}})


@pytest.mark.parametrize("name", ["accept", "x-trace-id", "idempotency-key", "x-monkey", "if-none-match"])
def test_any_other_header_goes_along(name: str) -> None:
    assert read_request({"url": URL, "headers": {name: "x"}}).headers == {name: "x"}


def test_a_merchant_is_found_in_the_list() -> None:
    merchants = ["https://*.example.org", "https://api.example.com/v1"]
    assert listed_by(merchants, read_place("https://api.example.com/v1/x")) == merchants[1]
    assert listed_by(merchants, read_place("https://api.example.com/v2")) is None
