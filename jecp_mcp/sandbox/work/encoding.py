"""Base64 from a buyer. Pure: no I/O."""

from __future__ import annotations

import binascii
import re

from jecp_mcp.sandbox.work.forms import WorkFailed

_DATA_URL = re.compile(r"data:[\w.+/-]{1,100}(?:;[\w=.-]{1,60}){0,4};base64,", re.ASCII)


def decoded(data: str, what: str, most_bytes: int) -> bytes:
    """The bytes of standard base64 text; white space inside and a ``data:`` URL's head are allowed.

    Raises:
        WorkFailed: ``BASE64_INVALID`` or ``TOO_LARGE``.
    """
    head = _DATA_URL.match(data)
    body = "".join(data[head.end() if head else 0 :].split())
    try:
        found = binascii.a2b_base64(body.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise WorkFailed("BASE64_INVALID", f"{what} is not valid base64") from exc
    if not found:
        raise WorkFailed("BASE64_INVALID", f"{what} is empty")
    if len(found) > most_bytes:
        raise WorkFailed("TOO_LARGE", f"{what} has {len(found)} bytes, at most {most_bytes} are allowed")
    return found
