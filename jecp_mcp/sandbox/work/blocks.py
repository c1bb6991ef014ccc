"""A document as a flat list of blocks, for page and word processor. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text in one style; `link` is an http(s) or mailto address, or empty."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False
    link: str = ""


Cell = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the document.

    Attributes:
        kind: ``heading``, ``paragraph``, ``code``, ``rule`` or ``table``.
        level: of a heading, 1 to 6.
        depth: how many lists it stands in.
        mark: ``•`` or ``1.`` before the first paragraph of a list item.
        quoted: whether it stands in a quotation.
        rows: of a table, the head first.
        align: ``L`` or ``R``; of a table, such a letter for each column.
        widths: of a table, its columns' shares of the page.
    """

    kind: str
    spans: tuple[Span, ...] = ()
    level: int = 0
    depth: int = 0
    mark: str = ""
    quoted: bool = False
    rows: tuple[tuple[Cell, ...], ...] = ()
    align: str = ""
    widths: tuple[int, ...] = ()


def heading(text: str, level: int, align: str = "L") -> Block:
    """A heading in one style."""
    return Block("heading", (Span(text),), level, align=align)


def paragraph(text: str) -> Block:
    """A paragraph in one style."""
    return Block("paragraph", (Span(text),))


def table(*rows: Iterable[str], align: str = "", widths: tuple[int, ...] = ()) -> Block:
    """A table of plain cells, the head first."""
    cells = tuple(tuple((Span(cell),) for cell in row) for row in rows)
    return Block("table", rows=cells, align=align, widths=widths)
