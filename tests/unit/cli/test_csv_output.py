"""CSV in which no spreadsheet finds a formula, and no cell a row of its own."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.cli.csv_output import CsvRows, cell

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\N{MINUS SIGN}"
FORMULAS = [
    "=1+1",
    " =1",
    "\u00a0=1",
    "\ufeff=1",
    "\uff1d1",
    "a;=1",
    'a;"=1"',
    ";;@x",
    "\t=1",
    "\r=1",
    "a\r=1",
    "\u3000\uff0b1",
    "'=1",
]


def written(*cells: object) -> str:
    out = io.StringIO()
    CsvRows(out).write(cells)
    return out.getvalue()


def read(text: str, delimiter: str) -> list[list[str]]:
    # As a spreadsheet does: every line end begins a row unless it stands in quotes.
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_text(formula: str) -> None:
    assert not formula_free(f'"id","{formula}"\n') or cell(formula) != formula
    assert formula_free(written("id", formula, 1))


@given(
    st.lists(
        st.text(alphabet=st.sampled_from([*SIGNS, *" ;,\"'\t\r\n\x85\u2028\ufeff\u200b\u00a0\u3000a1|"])), min_size=1
    )
)
def test_no_cell_is_a_formula_or_begins_a_row_whatever_separates_cells(cells: list[str]) -> None:
    text = written("id", *cells)
    assert text.count("\n") == len(text.splitlines()) == 1
    assert len(read(text, ",")) == 1
    assert len(read(text, ",")[0]) == len(cells) + 1
    assert formula_free(text)


def formula_free(text: str) -> bool:
    found = (one for delimiter in ",;\t" for row in read(text, delimiter) for one in row)
    # A negative number is read as that number, and computes nothing.
    return not any(
        unicodedata.normalize("NFKC", one).lstrip().startswith(tuple(SIGNS))
        for one in found
        if not re.fullmatch(r"-[0-9]+(?:\.[0-9]+)?", one)
    )


@pytest.mark.parametrize("value", ["-0.50", "12", "0.000001", "tx_1", "a;b", "2026-11-26T00:00:00Z", '{"held":-5}'])
def test_what_is_no_formula_comes_back_as_it_was(value: str) -> None:
    assert read(written(value), ",") == [[value]]


def test_every_cell_stands_in_quotes() -> None:
    assert written("a", 1, None, True) == '"a","1","","True"\n'
