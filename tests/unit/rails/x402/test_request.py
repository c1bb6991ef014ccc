import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.mandate.naming import names_of
from jecp_mcp.rails.paid_http.request import MAX_BODY, MAX_HEADERS, listed_by, read_request
from jecp_mcp.settings.merchants import read_place

URL = "https://api.example.com/report?x=1"


def test_the_same_request_is_written_the_same_whatever_the_model_wrote() -> None:
    one = read_request({"url": "HTTPS://API.example.com:443/report?x=1", "method": "post", "headers": {"B": " 2 ", "a": "1"}, "body": "{}"})  # fmt: skip
    other = read_request({"url": URL, "method": "POST", "headers": {"A": "1", "b": "2"}, "body": "{}"})
    assert one == other
    assert read_request(one.arguments) == one
    assert one.sent_body == b"{}"
    assert (read_request({"url": URL}).method, read_request({"url": URL}).sent_body) == ("GET", None)


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
