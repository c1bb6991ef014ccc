"""The bytes of a JSON value that AJP signs: RFC 8785, at every depth. Pure: no I/O.

``rfc8785`` is of the extra ``jecp-mcp[ajp]`` and is imported at the first use.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject

MAX_DEPTH: Final = 32
"""How deep a message may nest."""
LARGE: Final = 65_536
"""The bytes from which a canonical form is better made beside an event loop than in it."""

_LAST_EXACT: Final = 2**53 - 1
_FIRST_EXPONENT: Final = 10**21
"""From here on a whole number is written with an exponent, so that it is read as no integer."""


def canonical(value: Any) -> bytes:
    """A JSON value in its canonical form (RFC 8785), UTF-8.

    Raises:
        WireError: it has none: an integer beyond 2^53 - 1 that is written otherwise than the double nearest to it, a
            number beyond a double, text that is no Unicode, something that is not JSON, or nesting beyond `MAX_DEPTH`.
    """
    import rfc8785

    try:
        return rfc8785.dumps(_doubles(value, MAX_DEPTH))
    except (ValueError, OverflowError) as exc:
        raise WireError("the message has no canonical form (RFC 8785)") from exc


def unsigned(message: JSONObject) -> dict[str, Any]:
    """A message without its own ``signature``; one deeper inside stays."""
    return {key: value for key, value in message.items() if key != "signature"}


def legacy_form(message: JSONObject) -> bytes:
    """What agents before ajp-protocol 0.3 sign: every object within holds only members that also stand at the top.

    So most of an offer is not covered. It is made to tell such a signature from a wrong one, and for nothing else.

    Raises:
        WireError: as `canonical`.
    """
    top = unsigned(message)
    return canonical(_reduced(top, top.keys(), MAX_DEPTH))


def double(number: int | Decimal) -> Decimal:
    """A JSON number as every reader with doubles has it: what a signature covers of it is no more than that.

    Raises:
        WireError: it is beyond a double.
    """
    try:
        found = Decimal(repr(float(number)))
    except OverflowError as exc:
        raise WireError("a number is beyond a double") from exc
    if not found.is_finite():
        raise WireError("a number is beyond a double")
    return found


def _doubles(value: Any, depth: int) -> Any:
    """The value with doubles for decimals, as its signer had it."""
    # Whether something is a `Mapping` takes long to tell, and most are texts.
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (Mapping, list, tuple)) and depth == 0:
        raise WireError(f"the message nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int) and _LAST_EXACT < abs(value) < _FIRST_EXPONENT:
        return _large(value)
    if isinstance(value, Mapping):
        return {key: _doubles(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_doubles(item, depth - 1) for item in value]
    return value


def _large(number: int) -> float | int:
    """The double that is written with just these digits, as 1e20 is; the number itself where none is."""
    import rfc8785

    nearest = float(number)
    return nearest if rfc8785.dumps(nearest) == str(number).encode() else number


def _reduced(value: Any, allowed: Collection[str], depth: int) -> Any:
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {key: _reduced(item, allowed, depth - 1) for key, item in value.items() if key in allowed}
    if isinstance(value, (list, tuple)):
        return [_reduced(item, allowed, depth - 1) for item in value]
    return value
