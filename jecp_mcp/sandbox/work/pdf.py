"""Pages: a PDF document in Noto Sans, which draws Latin, Greek and Cyrillic and the signs of trade."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work.capability import Work, WorkFailed

if TYPE_CHECKING:
    from fpdf import FPDF

MARGIN = 18.0
"""Millimetres on each side."""
WIDTH = 210 - 2 * MARGIN
"""Of what is between the margins, in millimetres."""
INK = (33, 37, 41)
GREY = (108, 117, 125)
_FAMILY = "noto"
_PACKAGE = "fontpkg_noto_sans"
_BLANK = {
    "\u00a0": " ",
    "\u2007": " ",
    "\u2009": " ",
    "\u202f": " ",
    "\u00ad": "",
    "\u200b": "",
    "\ufeff": "",
    "\t": "    ",
}
_BLANKS = str.maketrans(_BLANK)
# The font has Devanagari, too, but that needs shaping to be legible.
_SHAPED = range(0x0900, 0x0E00)


@contextmanager
def document(title: str, author: str = "") -> Iterator[FPDF]:
    """An empty A4 document with the font at hand and the first page open; its font files are closed in the end."""
    from fpdf import FPDF
    from fpdf.fonts import TTFFont

    page = FPDF(format="A4")
    page.set_margins(MARGIN, MARGIN, MARGIN)
    page.set_auto_page_break(True, MARGIN)
    page.add_font(_FAMILY, "", _font("NotoSans[wdth,wght].ttf"))
    page.set_title(clean(title))
    if author:
        page.set_author(clean(author))
    page.set_creator("jecp-mcp sandbox")
    page.add_page()
    plain(page)
    try:
        yield page
    finally:
        for font in page.fonts.values():
            if isinstance(font, TTFFont):
                font.close()


@cache
def _font(name: str) -> str:
    return str(files(_PACKAGE) / "files" / name)


@cache
def _drawable() -> frozenset[int]:
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]  # it ships no types

    with TTFont(_font("NotoSans[wdth,wght].ttf"), lazy=True) as font:
        return frozenset(font.getBestCmap()) - frozenset(_SHAPED)


def clean(text: str) -> str:
    """Text as the page can show it: NFC, no control or invisible characters, odd spaces made plain."""
    folded = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).translate(_BLANKS)
    return "".join(c for c in folded if c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"})


def check(texts: Iterable[str]) -> None:
    """Refuse what the font cannot draw, rather than sell a page of empty boxes.

    Raises:
        WorkFailed: ``CHARACTERS_UNSUPPORTED``, with the first of them.
    """
    drawable = _drawable()
    missing = sorted({c for text in texts for c in clean(text) if c != "\n" and ord(c) not in drawable})
    if missing:
        shown = ", ".join(f"{c} (U+{ord(c):04X})" for c in missing[:8])
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""  # noqa: PLR2004  # the slice above
        raise WorkFailed("CHARACTERS_UNSUPPORTED", f"the document's font cannot draw {shown}{more}")


def plain(page: FPDF, size: float = 10, colour: tuple[int, int, int] = INK) -> None:
    """Write in regular weight; sizes are points."""
    page.text_mode = _mode().FILL
    page.set_font(_FAMILY, "", size)
    page.set_text_color(*colour)


def bold(page: FPDF, size: float = 10, colour: tuple[int, int, int] = INK) -> None:
    """Write heavier: the outlines are stroked too, which spares instancing the variable font (two seconds)."""
    plain(page, size, colour)
    page.text_mode = _mode().FILL_STROKE
    page.set_draw_color(*colour)
    page.set_line_width(0.012 * size)


def italic(page: FPDF, size: float = 10, colour: tuple[int, int, int] = INK) -> None:
    """Write in italics."""
    if f"{_FAMILY}I" not in page.fonts:
        page.add_font(_FAMILY, "I", _font("NotoSans-Italic[wdth,wght].ttf"))
    plain(page, size, colour)
    page.set_font(_FAMILY, "I", size)


def table(
    page: FPDF, rows: Sequence[Sequence[str]], widths: Sequence[float], align: str, *, heading: bool = True
) -> None:
    """Rows of cells, ruled and headed by the first one on every page, or bare; `align` has a letter for each column."""
    from fpdf.enums import TableBordersLayout
    from fpdf.fonts import FontFace

    if heading:
        page.set_draw_color(206, 212, 218)
        page.set_line_width(0.2)
    with page.table(
        [[clean(cell) for cell in row] for row in rows],
        col_widths=tuple(widths),
        width=sum(widths),
        align="L",
        text_align=tuple(align),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES if heading else TableBordersLayout.NONE,
        first_row_as_headings=heading,
        headings_style=FontFace(color=GREY),
        line_height=0.6 * page.font_size_pt,
    ):
        pass


def _mode() -> Any:
    from fpdf.enums import TextMode

    return TextMode


def sold(page: FPDF) -> Work:
    """The finished document."""
    return Work(artifact=("application/pdf", bytes(page.output())))
