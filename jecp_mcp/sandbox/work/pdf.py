"""Blocks on A4 pages: PDF in Noto Sans, which draws Latin, Greek and Cyrillic and the signs of trade."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, TextMode
from fpdf.fonts import FontFace, TTFFont

from jecp_mcp.sandbox.work.blocks import Block
from jecp_mcp.sandbox.work.capability import Work, WorkFailed

_MARGIN, _INDENT = 18.0, 6.0
_WIDTH = 210 - 2 * _MARGIN
_INK, _GREY, _RULE, _LINK, _CODE = (33, 37, 41), (108, 117, 125), (206, 212, 218), (13, 84, 170), (150, 40, 70)
_SIZES = {1: 20.0, 2: 16.0, 3: 13.5, 4: 12.0, 5: 11.0, 6: 10.0}
_DEEPEST = 12
_MOST_COLUMNS = 12
_FAMILY = "noto"
_FONTS = {"": "NotoSans[wdth,wght].ttf", "I": "NotoSans-Italic[wdth,wght].ttf"}
# The font has Devanagari, too, but that needs shaping to be legible.
_SHAPED = range(0x0900, 0x0E00)


def lay_out(blocks: Sequence[Block], title: str) -> Work:
    """Lay blocks out on A4 pages.

    Raises:
        WorkFailed: ``CHARACTERS_UNSUPPORTED``, ``TOO_COMPLEX``.
    """
    with _document() as page:
        _check(blocks, page.fonts[_FAMILY])
        page.set_title(_clean(title))
        page.add_page()
        for block in blocks:
            if block.kind == "table":
                _write_table(page, block)
            elif block.kind == "rule":
                _set_style(page)
                page.line(_MARGIN, page.get_y() + 2, 210 - _MARGIN, page.get_y() + 2)
                page.ln(6)
            else:
                _write_text(page, block)
        return Work(artifact=("application/pdf", bytes(page.output())))


@contextmanager
def _document() -> Iterator[FPDF]:
    """An empty document; its font files are closed in the end."""
    page = FPDF(format="A4")
    page.set_margins(_MARGIN, _MARGIN, _MARGIN)
    page.set_auto_page_break(True, _MARGIN)
    page.set_creator("the sandbox of jecp-mcp")
    try:
        _add_font(page, "")
        yield page
    finally:
        for font in page.fonts.values():
            if isinstance(font, TTFFont):
                font.close()


def _add_font(page: FPDF, slant: str) -> None:
    page.add_font(_FAMILY, slant, str(files("fontpkg_noto_sans") / "files" / _FONTS[slant]))


def _check(blocks: Sequence[Block], font: object) -> None:
    """Refuse what the font cannot draw, rather than sell a page of empty boxes."""
    assert isinstance(font, TTFFont)
    drawable = {ord("\n"), *font.cmap}.difference(_SHAPED)
    runs = (spans for block in blocks for spans in (block.spans, *(cell for row in block.rows for cell in row)))
    missing = sorted({c for run in runs for span in run for c in _clean(span.text) if ord(c) not in drawable})
    if missing:
        shown = ", ".join(f"{c} (U+{ord(c):04X})" for c in missing[:8])
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""  # noqa: PLR2004  # the slice above
        raise WorkFailed("CHARACTERS_UNSUPPORTED", f"the document's font cannot draw {shown}{more}")


def _clean(text: str) -> str:
    """Text as the page can show it: NFC, no control or invisible characters, odd spaces made plain."""
    return "".join(map(_plain, unicodedata.normalize("NFC", text.replace("\t", "    "))))


def _plain(c: str) -> str:
    category = unicodedata.category(c)
    return c if c == "\n" else " " if category == "Zs" else "" if category in {"Cc", "Cf", "Cs"} else c


def _set_style(
    page: FPDF, size: float = 10, colour: tuple[int, int, int] = _INK, *, bold: bool = False, italic: bool = False
) -> None:
    """How to write from here on; sizes are points."""
    if italic and f"{_FAMILY}I" not in page.fonts:
        _add_font(page, "I")
    page.set_font(_FAMILY, "I" if italic else "", size)
    page.set_text_color(*colour)
    # Bold strokes the outlines too, which spares instancing the variable font (two seconds).
    page.text_mode = TextMode.FILL_STROKE if bold else TextMode.FILL
    page.set_draw_color(*(colour if bold else _RULE))
    page.set_line_width(0.012 * size if bold else 0.2)


def _write_text(page: FPDF, block: Block) -> None:
    size = _SIZES.get(block.level, 9 if block.kind == "code" else 10.5)
    left = _MARGIN + _INDENT * (min(block.depth, _DEEPEST) + block.quoted)
    height = size * 0.52
    page.ln(height * 0.5 if block.level else 0)
    page.set_left_margin(left)
    if block.mark:
        _set_style(page, size)
        page.set_x(left - 5.5)
        page.write(height, block.mark)
    page.set_x(left)
    if block.align == "R":
        _set_style(page, size)
        text = _clean("".join(span.text for span in block.spans))
        page.set_x(210 - _MARGIN - page.get_string_width(text) - 2 * page.c_margin)
    for span in block.spans:
        colour = _GREY if block.quoted else _LINK if span.link else _INK
        colour = _CODE if span.code and block.kind != "code" else colour
        _set_style(page, size, colour, bold=span.bold or block.level > 0, italic=span.italic and not span.bold)
        page.write(height, _clean(span.text), span.link)
    page.set_left_margin(_MARGIN)
    page.ln(height + 2.4)


def _write_table(page: FPDF, block: Block) -> None:
    columns = max(map(len, block.rows))
    if columns > _MOST_COLUMNS:
        raise WorkFailed("TOO_COMPLEX", f"a table has {columns} columns, a page holds {_MOST_COLUMNS}")
    _set_style(page, 9)
    with page.table(
        [[_clean("".join(span.text for span in cell)) for cell in row] for row in block.rows],
        col_widths=block.widths or (1,) * columns,
        width=_WIDTH,
        text_align=tuple(block.align or "L" * columns),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(color=_GREY),
        line_height=5.4,
    ):
        pass
    page.ln(4)
