"""Exact JSON from and to a stranger, within bounds. Pure: no I/O.

Numbers with a fraction or an exponent are `decimal.Decimal`, so an amount of money survives the way in and out.
What RFC 8259 does not allow (NaN, Infinity) or no honest Hub sends (nesting beyond `MAX_DEPTH`, integers of thousands
of digits) is refused with a short reason before it can cost time or a stack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from itertools import chain
from json.encoder import encode_basestring
from types import MappingProxyType
from typing import Any, Final, NoReturn

from jecp_mcp.errors import WireError
from jecp_mcp.masking import Mask

JSONObject = Mapping[str, Any]
"""A JSON object. Numbers with a fraction are `decimal.Decimal` where they came off the wire."""

NOTHING: JSONObject = MappingProxyType({})
"""The one empty object, immutable and shared."""


def nothing() -> JSONObject:
    """Give the empty object, as the default of a field."""
    return NOTHING


MAX_DEPTH = 64
MAX_DIGITS = 4_000
"""The longest number, in characters; `int` is quadratic in them, and Python itself stops at 4 300."""
MAX_MARKS = 1_000_000
"""The most commas and opening brackets: sixteen megabytes of an honest collection have fewer, and each may cost a
microsecond. In a collection, those inside texts are counted too."""
MAX_OUTLINE = 4_000_000
"""The most brackets of a text of which an outline is read."""

_QUOTES_A_MARK = 4
"""A member follows a comma or a bracket, and has two texts at most."""
_LARGE_MEMBER = 65_536
"""Bytes from which a member is left out of an outline."""

_INT64 = 2**63
_BRACKETS_ONLY = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_OPENING = b"[{"
_MOST_PRUNED = 1_000_000
"""The most brackets of a collection that nests too deep somewhere."""
# One bracket or the end, and all before it that is no bracket or stands in a text. It matches wherever it is tried and
# gives nothing back, so a text without an end is passed over once, not once from each of its quotes.
_NEXT_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"?)*+([\[\]{}]|\Z)', re.DOTALL)
_NUMBER_SIGNS = bytes(48 if chr(sign) in "0123456789+-.eE" else 32 for sign in range(256))
_LONG_NUMBER = b"0" * (MAX_DIGITS + 1)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(
    data: bytes | bytearray | str,
    *,
    max_bytes: int,
    max_depth: int = MAX_DEPTH,
    max_marks: int | None = MAX_MARKS,
    mask: Mask | None = None,
) -> Any:
    """Read one JSON text (RFC 8259), exactly.

    Args:
        data: the text; bytes are UTF-8, with or without a byte order mark.
        max_bytes: the most bytes (characters for ``str``) to accept.
        max_depth: how deep arrays and objects may nest.
        max_marks: the most commas and opening brackets outside texts; None for a text of our own.
        mask: what to take out of every text and key.

    Returns:
        The value. Fractions are `Decimal`; lone surrogates have become U+FFFD.

    Raises:
        WireError: it is too long, too deep, of too many parts, not UTF-8 or not JSON.
    """
    if max_marks is not None and len(data) <= max_bytes and _more_marks(_raw(data), max_marks):
        raise WireError(f"the JSON has more than {max_marks} commas and brackets")
    return _read(data, max_bytes, max_depth, mask, forgiving=False)


def loads_outline(data: bytes | str, *, max_bytes: int, mask: Mask | None = None) -> tuple[Any, bool]:
    """As `loads`, but of an object with too many parts only its small members, null standing for the others.

    Returns:
        The value, and whether it is whole.

    Raises:
        WireError: it is too long, too deep, not UTF-8 or not JSON, or its outline has too many parts too.
    """
    raw = _raw(data)
    if len(data) > max_bytes or not _more_marks(raw, MAX_MARKS):
        return loads(data, max_bytes=max_bytes, max_marks=None, mask=mask), True
    if sum(map(raw.count, (b"[", b"{", b"]", b"}"))) > MAX_OUTLINE:
        raise WireError(f"the JSON has more than {MAX_OUTLINE} brackets")
    outline = _pruned(raw, 1, _LARGE_MEMBER)
    return loads(outline, max_bytes=max_bytes, max_marks=MAX_MARKS, mask=mask), False


def loads_forgiving(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH, mask: Mask | None = None) -> Any:
    """Read a collection that many strangers wrote, so that one of them cannot make it unreadable for all.

    As `loads`, but what `loads` refuses in a value becomes null where it stands: nesting beyond `max_depth`, NaN,
    Infinity, and numbers of thousands of digits.

    Raises:
        WireError: it is too long, not UTF-8 or not JSON, or it has more parts than any honest collection.
    """
    if len(data) <= max_bytes:
        if _marks(data) > MAX_MARKS:
            raise WireError(f"the JSON has more than {MAX_MARKS} commas and brackets")
        if _deeper_than(data, max_depth):
            if sum(map(data.count, (b"[", b"{", b"]", b"}"))) > _MOST_PRUNED:
                raise WireError(f"the JSON nests deeper than {max_depth} levels, and is too large to leave that out")
            data = _pruned(data, max_depth)
    return _read(data, max_bytes, max_depth, mask, forgiving=True)


def _read(data: bytes | bytearray | str, max_bytes: int, max_depth: int, mask: Mask | None, *, forgiving: bool) -> Any:
    if len(data) > max_bytes:
        raise WireError(f"the body is longer than {max_bytes} bytes")
    if isinstance(data, str):
        text = data.removeprefix("\ufeff")
        raw = _raw(text)
    else:
        raw = bytes(data).removeprefix(b"\xef\xbb\xbf")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise WireError("the body is not UTF-8") from exc
    if _deeper_than(raw, max_depth):
        raise WireError(f"the JSON nests deeper than {max_depth} levels or is not closed")
    try:
        value = _decoded(text, raw, forgiving=forgiving)
    except json.JSONDecodeError as exc:
        raise WireError(f"the body is not JSON: {exc.msg} at character {exc.pos}") from exc
    if _SURROGATE_ESCAPE.search(text) or (isinstance(data, str) and _SURROGATE.search(text)):
        value = _scrubbed(value)
    return mask.value(value) if mask is not None and mask.concerns(text) else value


def _raw(data: bytes | bytearray | str) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)


def dumps(value: Any) -> bytes:
    """Write compact JSON in UTF-8, keys in the order given, `Decimal` digit for digit.

    The same value gives the same bytes. Lone surrogates, which UTF-8 cannot carry, become U+FFFD.

    Raises:
        WireError: the value holds NaN, an infinity, a cycle, absurd depth, or something JSON has no word for.
    """
    exact = _Exact()
    try:
        text = exact.restored(json.JSONEncoder(**_COMPACT, default=exact.stand_in).encode(value))
        if text is None:
            parts: list[str] = []
            _write(value, parts)
            text = "".join(parts)
    except (TypeError, ValueError, RecursionError) as exc:
        raise WireError(f"the value cannot be written as JSON: {type(exc).__name__}") from exc
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode("utf-8")


def plain(value: Any) -> Any:
    """The same value for a reader without `Decimal` or big integers, such as a model or a schema validator.

    A `Decimal` becomes an ``int`` (when written without a fraction) or a ``float``; an integer beyond 64 bits and a
    number beyond a float's range become their text. Not for money.
    """
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    # Whether something is a `Mapping` takes long to tell, and nearly all are of this type.
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _plain_decimal(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= 0 and -_INT64 <= value < _INT64:
        return int(value)
    as_float = float(value)
    return str(value) if as_float in (float("inf"), float("-inf")) else as_float


def _decoded(text: str, raw: bytes, *, forgiving: bool) -> Any:
    """Decode with the readers of numbers that are written in C, unless a number may be one that they do not bound."""
    if _LONG_NUMBER in raw.translate(_NUMBER_SIGNS):
        return (_FORGIVING if forgiving else _STRICT).decode(text)
    try:
        return (_FORGIVING_SHORT if forgiving else _STRICT_SHORT).decode(text)
    except InvalidOperation as exc:
        if forgiving:
            return _FORGIVING.decode(text)
        raise WireError("a number's exponent is out of range") from exc


def _deeper_than(raw: bytes, limit: int) -> bool:
    """Whether brackets outside strings nest deeper than `limit` (or do not close); never recurses."""
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    brackets = b"".join(_unescaped(raw).split(b'"')[::2]).translate(_ONE_KIND, _BRACKETS_ONLY)
    too_deep = b"[" * (limit + 1)
    for _ in range(limit):
        # Where no opening ones stand together that long, a pass takes away at least every `limit`th bracket.
        if too_deep in brackets:
            return True
        # One pass takes away exactly the innermost level.
        left = brackets.replace(b"[]", b"")
        if not left:
            return False
        if len(left) == len(brackets):
            return True
        brackets = left
    return True


def _unescaped(raw: bytes) -> bytes:
    """JSON text without its escapes, of which every other piece between quotes lies outside strings."""
    return raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw


def _more_marks(raw: bytes, most: int) -> bool:
    """Whether more than so many commas and opening brackets stand outside texts."""
    if _marks(raw) <= most:
        return False
    unescaped = _unescaped(raw)
    # So many texts have as many commas between them, or are no JSON.
    return unescaped.count(b'"') > _QUOTES_A_MARK * most or _marks(b"".join(unescaped.split(b'"')[::2])) > most


def _marks(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _pruned(raw: bytes, limit: int, least: int = 0) -> bytes:
    """The same JSON text with null for every array or object that would nest deeper than `limit`.

    Args:
        least: the bytes from which one is left out.
    """
    kept: list[bytes] = []
    depth, start, opened = 0, 0, 0
    for bracket in _NEXT_BRACKET.finditer(raw):
        at = bracket.start(1)
        if at == len(raw):
            break
        if raw[at] in _OPENING:
            if depth == limit:
                opened = at
            depth += 1
        else:
            depth -= 1
            if depth == limit and at + 1 - opened >= least:
                kept += (raw[start:opened], b"null")
                start = at + 1
    return b"".join((*kept, raw[start:]) if depth <= limit else (*kept, raw[start:opened], b"null"))


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise WireError(f"a number has more than {MAX_DIGITS} characters")
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise WireError("a number's exponent is out of range") from exc


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise WireError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise WireError(f"{text} is not JSON")


def _decimal_or_none(text: str) -> Decimal | None:
    try:
        return Decimal(text) if len(text) <= MAX_DIGITS else None
    except InvalidOperation:
        return None


def _integer_or_none(text: str) -> int | None:
    return int(text) if len(text) <= MAX_DIGITS else None


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    return value


class _Exact:
    """The numbers of one value that no float is written like: the C encoder writes a mark where each of them stands."""

    def __init__(self) -> None:
        self._numbers: list[str] = []

    def stand_in(self, value: Any) -> Any:
        """What to encode in the place of what the encoder does not know."""
        if isinstance(value, Decimal):
            # The encoder writes a float as its repr: where that is digit for digit the same, no mark is needed.
            as_float, text = float(value), str(value)
            if repr(as_float) == text:
                return as_float
            if not value.is_finite():
                raise ValueError("not finite")
            self._numbers.append(text)
            return _MARK
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(type(value).__name__)

    def restored(self, text: str) -> str | None:
        """The text with the numbers in place of their marks; None where some text of the value looks like a mark."""
        if not self._numbers:
            return text
        between = text.split(_WRITTEN_MARK)
        if len(between) != len(self._numbers) + 1:
            return None
        return "".join(chain.from_iterable(zip(between, (*self._numbers, ""), strict=True)))


_STRICT = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, parse_constant=_constant)
_STRICT_SHORT = json.JSONDecoder(parse_float=Decimal, parse_constant=_constant)
_FORGIVING = json.JSONDecoder(parse_float=_decimal_or_none, parse_int=_integer_or_none, parse_constant=lambda _: None)
_FORGIVING_SHORT = json.JSONDecoder(parse_float=Decimal, parse_constant=lambda _: None)
_COMPACT: Final[Mapping[str, Any]] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
_ENCODER = json.JSONEncoder(**_COMPACT)
_MARK: Final = "\x00#"
_WRITTEN_MARK: Final = _ENCODER.encode(_MARK)


def _write(value: Any, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(encode_basestring(value))
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("not finite")
        out.append(str(value))
    elif isinstance(value, Mapping):
        out.append("{")
        for position, (key, item) in enumerate(value.items()):
            if not isinstance(key, str):
                raise TypeError("a key is not text")
            out.append(("," if position else "") + encode_basestring(key) + ":")
            _write(item, out)
        out.append("}")
    elif isinstance(value, (list, tuple)):
        out.append("[")
        for position, item in enumerate(value):
            if position:
                out.append(",")
            _write(item, out)
        out.append("]")
    else:
        out.append(_ENCODER.encode(value))
