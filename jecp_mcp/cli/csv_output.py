"""CSV that every spreadsheet reads as it was written: one line a row, and no cell that it takes for a formula."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final, TextIO

from jecp_mcp.invisible import escape

_FORMULA: Final = ("=", "+", "-", "@", "\N{MINUS SIGN}")
_AMOUNT: Final = re.compile(r"-?\d{1,18}(?:\.\d{1,6})?", re.ASCII)
_PASSED_OVER: Final = (
    "\"' \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u2800\u3164"
)


class CsvRows:
    """Rows written as CSV (RFC 4180, but for line ends of one character); every cell stands in quotes."""

    def __init__(self, out: TextIO) -> None:
        self._writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")

    def write(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow([cell(value) for value in row])


def cell(value: Any) -> str:
    """A value as a cell: visible, on one line, and text where it would be a formula.

    Where a semicolon separates cells, as in much of Europe, a formula may begin after one too.
    """
    text = "" if value is None else str(value)
    if _AMOUNT.fullmatch(text):
        return text
    return ";".join(f"'{part}" if _is_formula(part) else part for part in escape(text, one_line=True).split(";"))


def _is_formula(text: str) -> bool:
    # Spreadsheets pass over blanks of every width, some over quotes, and some fold full-width signs.
    return unicodedata.normalize("NFKC", text.lstrip(_PASSED_OVER)[:1]).startswith(_FORMULA)
