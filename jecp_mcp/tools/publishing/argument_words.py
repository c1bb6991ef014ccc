"""What a call was given, in short, for whoever gave it and looks back. Pure: no I/O.

Values are cleaned and cut, and what a name says is secret is masked: it was sent to be used once, not to be read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.tools.publishing.cleaning import clean

MASKED: Final = "[masked]"
_MEMBERS: Final = 8
_DEPTH: Final = 4
_NAME: Final = 40
_VALUE: Final = 60
_LONGEST: Final = 4_000
_NO_LETTER: Final = re.compile(r"[\W_]+")
_SECRET: Final = re.compile(
    r"password|passwd|passphrase|passcode|secret|token|apikey|accesskey|privatekey|authorization|credential|cookie|"
    r"cvv|cvc|iban|cardnumber|^(?:pwd|auth|bearer|pin|key|otp|ssn|jwt|seed|mnemonic)$"
)


def argument_words(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The first arguments by name, each as short text; ``…`` stands for those left out."""
    shown: dict[str, str] = {}
    for name, value in islice(arguments.items(), _MEMBERS):
        shown[clean(str(name), _NAME, one_line=True)] = MASKED if _is_secret(name) else _words(value)
    if len(arguments) > _MEMBERS:
        shown["…"] = f"{len(arguments) - _MEMBERS} more"
    return shown


def _words(value: object) -> str:
    if isinstance(value, str):
        return clean(value[:_LONGEST], _VALUE, one_line=True)
    try:
        return clean(jsontext.dumps(_short(value, _DEPTH)).decode(), _VALUE, one_line=True)
    except WireError:
        return "…"


def _short(value: object, depth: int) -> object:
    """The value without secrets, and no larger than is shown of it."""
    if isinstance(value, str):
        return clean(value[:_LONGEST], _VALUE, one_line=True)
    if isinstance(value, Mapping):
        if not depth:
            return "…"
        members = islice(value.items(), _MEMBERS)
        return {
            clean(str(name), _NAME, one_line=True): MASKED if _is_secret(name) else _short(inner, depth - 1)
            for name, inner in members
        }
    if isinstance(value, list | tuple):
        return [_short(inner, depth - 1) for inner in value[:_MEMBERS]] if depth else "…"
    return value


def _is_secret(name: object) -> bool:
    return _SECRET.search(_NO_LETTER.sub("", str(name)[:_LONGEST]).lower()) is not None
