"""A stranger's JSON values as any reader can take them: 64-bit integers, finite floats, visible text. Pure: no I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from jecp_mcp.tools.publishing.cleaning import hides_something, links_in
from jecp_mcp.tools.publishing.prompt_injection import find_injection

MAX_VALUES: Final = 4_096
"""The most values, parts of values included, one schema may hold in all."""

_MAX_DEPTH: Final = 16
_MAX_TEXT: Final = 32 * 1024
# Nobody can own these (RFC 2606 §3), so examples are made of them.
_RESERVED: Final = re.compile(r"\bhttps?://(?:www\.)?example\.(?:com|net|org)(?:[/?#]\S*|(?=[\s\"',;)]|$))")
_INT64: Final = 2**63


class Unreadable(Exception):  # a way out of the recursion, caught by `Values.read`'s callers
    """A value that cannot be shown as it is, and must not be shown otherwise."""


class TooMany(Exception):  # likewise, for the schema as a whole
    """The schema holds more than `MAX_VALUES` values."""


class Values:
    """Reads the values of one schema, counting them."""

    __slots__ = ("_left",)

    def __init__(self, most: int = MAX_VALUES) -> None:
        self._left = most

    def read(self, value: object, depth: int = 0) -> Any:
        """The value, its numbers plain.

        Raises:
            Unreadable: it nests too deep, or holds a number out of range, text that is invisible or addresses the
                model, or what is not JSON.
            TooMany: the schema's values are used up.
        """
        self._left -= 1
        if self._left < 0:
            raise TooMany(f"the input schema holds more than {MAX_VALUES} values")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if len(value) > _MAX_TEXT or hides_something(value) or find_injection(value) is not None:
                raise Unreadable
            return value
        if isinstance(value, (int, float, Decimal)):
            plain = number(value)
            if plain is None:
                raise Unreadable
            return plain
        if depth >= _MAX_DEPTH:
            raise Unreadable
        if isinstance(value, (list, tuple)):
            return [self.read(item, depth + 1) for item in value]
        if isinstance(value, Mapping):
            return {self._key(key): self.read(item, depth + 1) for key, item in value.items()}
        raise Unreadable

    def read_suggestion(self, value: object) -> Any:
        """As `read`, for a value that a reader may take up: a default, an example. It holds no link either.

        Raises:
            Unreadable: it does, or is not readable.
            TooMany: the schema's values are used up.
        """
        made = self.read(value)
        if _holds_link(made):
            raise Unreadable
        return made

    @staticmethod
    def _key(key: object) -> str:
        if not isinstance(key, str) or hides_something(key):
            raise Unreadable
        return key


def _holds_link(value: Any) -> bool:
    if isinstance(value, str):
        return links_in(_RESERVED.sub("", value))
    if isinstance(value, dict):
        return any(_holds_link(one) for pair in value.items() for one in pair)
    return isinstance(value, list) and any(map(_holds_link, value))


def number(value: object) -> int | float | None:
    """A number every JSON reader keeps, or None: a 64-bit integer or a finite float. A bool is no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else None
    if isinstance(value, Decimal):
        value = float(value) if value.is_finite() else math.nan
    return value if isinstance(value, float) and math.isfinite(value) else None
