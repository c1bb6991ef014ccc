"""A merchant's HTTP answer as what was bought: its status, a few headers, and its body. Pure: no I/O."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.errors import WireError
from jecp_mcp.http import HttpAnswer
from jecp_mcp.masking import Mask
from jecp_mcp.money import MicroUSDC

_SHOWN_HEADERS: Final = (
    "content-type",
    "content-disposition",
    "content-language",
    "etag",
    "last-modified",
    "retry-after",
)
_LONGEST_HEADER: Final = 300
_WORDS: Final = 600


def answer_of(
    heard: HttpAnswer,
    merchant: str,
    *,
    paid: MicroUSDC | None = None,
    masks: Sequence[Mask] = (),
    reference: str | None = None,
    method: str = "x402",
) -> Answer:
    """What was delivered.

    Args:
        merchant: the origin.
        paid: what was paid for it, micro-USDC; None where it cost nothing.
        masks: takes out what was sent, which a merchant may repeat.
        reference: the payee's name for the payment.
        method: how it is paid.
    """
    billing = Billing(charged=paid is not None, amount=paid, reference=reference, method=method)
    return Answer(None, output_of(heard, masks), billing, provider=merchant)


def output_of(heard: HttpAnswer, masks: Sequence[Mask] = ()) -> dict[str, Any]:
    """The answer as a JSON object; a file in it stands as an artifact."""
    headers = {
        name: _masked(heard.headers[name][:_LONGEST_HEADER], masks) for name in _SHOWN_HEADERS if name in heard.headers
    }
    return {"status": heard.status, "headers": headers} | _body(heard, masks)


def words_of(heard: HttpAnswer, masks: Sequence[Mask] = ()) -> str:
    """The beginning of an answer's text, for whoever reads why it is none."""
    media_type, charset = _media_type(heard)
    if not heard.body or not (_is_json(media_type) or _is_text(media_type)):
        return ""
    return _masked(_decoded(heard.body[: 4 * _WORDS], charset), masks)[:_WORDS]


def _body(heard: HttpAnswer, masks: Sequence[Mask]) -> dict[str, Any]:
    media_type, charset = _media_type(heard)
    if not heard.body:
        return {}
    if _is_json(media_type):
        try:
            found = jsontext.loads(heard.body, max_bytes=len(heard.body))
        except WireError:
            return {"body": _masked(_decoded(heard.body, charset), masks)}
        raw = heard.body.decode("utf-8")
        for mask in masks:
            found = mask.value(found) if mask.concerns(raw) else found
        return {"body": found}
    if _is_text(media_type):
        return {"body": _masked(_decoded(heard.body, charset), masks)}
    data = base64.b64encode(heard.body).decode("ascii")
    return {"artifact": {"content_type": media_type, "size_bytes": len(heard.body), "data_base64": data}}


def _media_type(heard: HttpAnswer) -> tuple[str, str]:
    written = heard.headers.get("content-type", "")
    media_type, _, parameters = written.partition(";")
    charset = next(
        (one.partition("=")[2] for one in parameters.split(";") if one.strip().lower().startswith("charset=")), ""
    )
    if not media_type.strip():
        media_type = "text/plain" if _looks_like_text(heard.body) else "application/octet-stream"
    return media_type.strip().lower(), charset.strip().strip('"') or "utf-8"


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def _is_text(media_type: str) -> bool:
    return (
        media_type.startswith("text/")
        or media_type in {"application/xml", "application/javascript"}
        or media_type.endswith("+xml")
    )


def _looks_like_text(body: bytes) -> bool:
    try:
        return "\x00" not in body.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _decoded(body: bytes, charset: str) -> str:
    try:
        # Some charsets make lone surrogates, which no text can carry on.
        return body.decode(charset, "replace").encode("utf-8", "replace").decode()
    except (LookupError, ValueError):
        # No charset at all, one that decodes no text (as "undefined" and "idna"), or no word (a null in it).
        return body.decode("utf-8", "replace")


def _masked(text: str, masks: Sequence[Mask]) -> str:
    for mask in masks:
        text = mask.text(text)
    return text
