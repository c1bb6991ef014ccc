from typing import Any

import pytest

from jecp_mcp.http import HttpAnswer
from jecp_mcp.masking import Mask
from jecp_mcp.rails.paid_http.answers import output_of, words_of
from jecp_mcp.rails.paid_http.refusals import refused

SECRET = "c2lnbmF0dXJlLXRoYXQtcGF5cw=="


def heard(body: bytes, kind: str | None = None, **headers: str) -> HttpAnswer:
    return HttpAnswer(200, {**({} if kind is None else {"content-type": kind}), **headers}, body)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (heard(b'{"a":[1,null]}', "application/json"), {"a": [1, None]}),
        (heard(b'{"a":1}', "application/problem+json; charset=utf-8"), {"a": 1}),
        (heard(b"{broken", "application/json"), "{broken"),
        (heard(b"hello", "text/plain"), "hello"),
        (heard("grüße".encode("latin-1"), "text/html; charset=ISO-8859-1"), "grüße"),
        (heard(b"hello", "text/plain; charset=nonsense"), "hello"),
        (heard(b"hello", "text/plain; charset=undefined"), "hello"),
        (heard(b"xn--\xff.", "text/plain; charset=idna"), "xn--\ufffd."),
        (heard(b"hello", "text/plain; charset=a\x00b"), "hello"),
        (heard(b"a\\ud800b", "text/plain; charset=unicode_escape"), "a?b"),
        (heard(b"{broken", "application/json; charset=undefined"), "{broken"),
        (heard(b"<a/>", "image/svg+xml"), "<a/>"),
        (heard(b"no type at all"), "no type at all"),
    ],
)
def test_a_body_is_json_or_text(answer: HttpAnswer, body: Any) -> None:
    assert output_of(answer)["body"] == body


def test_a_file_is_an_artifact_and_nothing_is_nothing() -> None:
    assert output_of(heard(b"\x89PNG", "image/png"))["artifact"] == {
        "content_type": "image/png",
        "size_bytes": 4,
        "data_base64": "iVBORw==",
    }
    assert output_of(heard(b"\x00\xff"))["artifact"]["content_type"] == "application/octet-stream"
    assert output_of(heard(b"a\x00b"))["artifact"]["content_type"] == "application/octet-stream"
    assert output_of(heard(b"", "image/png")) == {"status": 200, "headers": {"content-type": "image/png"}}


def test_only_a_few_headers_are_shown_and_none_without_end() -> None:
    shown = output_of(heard(b"", "text/plain", **{"payment-response": "x", "set-cookie": "x", "etag": "e" * 999}))[
        "headers"
    ]
    assert (set(shown), len(shown["etag"])) == ({"content-type", "etag"}, 300)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/octet-json+json"])
def test_what_was_sent_is_taken_out_wherever_it_is_repeated(kind: str) -> None:
    masks = (Mask(SECRET),)
    answer = heard(f'{{"you sent {SECRET}":["{SECRET}"]}}'.encode(), kind, etag=SECRET)
    assert SECRET not in str(output_of(answer, masks))
    assert SECRET not in words_of(answer, masks)


def test_the_words_of_an_error_are_its_beginning() -> None:
    assert words_of(heard(b"x" * 5_000, "text/plain")) == "x" * 600
    assert words_of(heard(b"\x89PNG", "image/png")) == ""
    assert words_of(heard(b"", "text/plain")) == ""


@pytest.mark.parametrize(
    ("allow", "named"),
    [
        ("GET, HEAD", ["GET", "HEAD"]),
        ("POST", ["POST"]),
        ("", None),
        ("pay me now; ,", None),
        ("A" * 90_000, ["A" * 20]),
    ],
)
def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(allow: str, named: list[str] | None) -> None:
    refusal = refused(HttpAnswer(405, {"allow": allow, "retry-after": "120"}, b""))
    assert refusal is not None
    assert refusal.details["retry_after"] == "120"
    if named is None:
        assert "allowed_methods" not in refusal.details
        assert "status 405. No payment" in refusal.message
    else:
        assert refusal.details["allowed_methods"][: len(named)] == named
        assert f"it takes {' and '.join(named)}" in refusal.message
        assert len(refusal.message) < 400
