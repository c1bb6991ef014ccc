"""Provider ``inkwell``: Markdown as HTML, DOCX and PDF."""

from __future__ import annotations

import html
import io
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import json_schema, markdown, pdf
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Input,
    Work,
    WorkFailed,
)
from jecp_mcp.sandbox.work.markdown import Block, Span

if TYPE_CHECKING:
    from fpdf import FPDF

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_MOST_CHARACTERS = 80_000
# To lay out for print takes longer than HTML.
_MOST_LAID_OUT = 40_000
_MOST_COLUMNS = 12
_DEEPEST = 12
_PAGE = (
    '<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>\n'
    "<body>\n{body}</body>\n</html>\n"
)
_SIZES = {1: 20.0, 2: 16.0, 3: 13.5, 4: 12.0, 5: 11.0, 6: 10.0}
_LINK, _CODE = (13, 84, 170), (150, 40, 70)
# XML 1.0 §2.2 has no place for these, and neither has a page.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _source(given: Input) -> str:
    return _UNPRINTABLE.sub("\ufffd", given["markdown"])


def to_html(given: Input) -> Work:
    """HTML in which nothing of the source can run: raw HTML is shown as text, links are http(s) or mailto."""
    tokens = markdown.tokens_of(_source(given))
    headings = [
        {"level": int(opening.tag[1:]), "text": "".join(span.text for span in markdown.spans(inline))}
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open"
    ]
    reader = markdown.reader()
    body = reader.renderer.render(tokens, reader.options, {})
    if given.get("full_page", False):
        title = str(headings[0]["text"]) if headings else "Document"
        body = _PAGE.format(lang=given.get("language", "en"), title=html.escape(title), body=body)
    return Work({"html": body, "headings": headings})


def to_docx(given: Input) -> Work:
    """A Word document with real styles, so that its outline and lists work."""
    from docx import Document
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    document = Document()
    document.core_properties.title = given.get("title", "")
    document.core_properties.author = ""
    for block in markdown.blocks(_source(given)):
        if block.kind == "table":
            table = document.add_table(len(block.rows), max(map(len, block.rows)), style="Table Grid")
            # One look at the grid for each row: asking python-docx for single cells is quadratic.
            for row, cells in zip(table.rows, block.rows, strict=True):
                for cell, spans in zip(row.cells, cells, strict=False):
                    _word_runs(cell.paragraphs[0], spans, heavy=cells is block.rows[0])
            document.add_paragraph()
        elif block.kind == "rule":
            document.add_paragraph("⁂").alignment = WD_ALIGN_PARAGRAPH.CENTER
        else:
            _word_text(document.add_paragraph(style=_word_style(block)), block)
    out = io.BytesIO()
    document.save(out)
    return Work(artifact=(DOCX, out.getvalue()))


def _word_style(block: Block) -> str | None:
    if block.kind != "paragraph":
        return f"Heading {block.level}" if block.level else "No Spacing"
    return "List Bullet" if block.mark == "•" else "Quote" if block.quoted else None


def _word_text(paragraph: Any, block: Block) -> None:
    from docx.shared import Cm, Pt

    if block.depth:
        paragraph.paragraph_format.left_indent = Cm(0.63 * min(block.depth, _DEEPEST))
    if block.mark not in {"", "•"}:
        # The source's own number stands; Word's counters would run on from one list into the next.
        paragraph.paragraph_format.first_line_indent = Cm(-0.63)
        paragraph.add_run(f"{block.mark}\t")
    _word_runs(paragraph, block.spans, heavy=False)
    for run in paragraph.runs if block.kind == "code" else ():
        run.font.size = Pt(9)


def _word_runs(paragraph: Any, spans: tuple[Span, ...], heavy: bool) -> None:
    for span in spans:
        run = paragraph.add_run(f"{span.text} ({span.link})" if span.link not in {"", span.text} else span.text)
        run.bold, run.italic = span.bold or heavy or None, span.italic or None
        if span.code:
            run.font.name = "Courier New"


def to_pdf(given: Input) -> Work:
    """A4 pages."""
    return laid_out(markdown.blocks(_source(given)), given.get("title", "Document"))


def laid_out(blocks: list[Block], title: str) -> Work:
    """Blocks on A4 pages.

    Raises:
        WorkFailed: ``CHARACTERS_UNSUPPORTED``, ``TOO_COMPLEX``.
    """
    runs = (spans for block in blocks for spans in (block.spans, *(cell for row in block.rows for cell in row)))
    pdf.check(span.text for spans in runs for span in spans)
    with pdf.document(title) as page:
        for block in blocks:
            if block.kind == "table":
                _page_table(page, block)
            elif block.kind == "rule":
                page.set_draw_color(*pdf.GREY)
                page.set_line_width(0.2)
                page.line(pdf.MARGIN, page.get_y() + 2, 210 - pdf.MARGIN, page.get_y() + 2)
                page.ln(6)
            else:
                _page_text(page, block)
        return pdf.sold(page)


def _page_text(page: FPDF, block: Block) -> None:
    size = _SIZES.get(block.level, 9 if block.kind == "code" else 10.5)
    left = pdf.MARGIN + 6.0 * min(block.depth, _DEEPEST) + (6.0 if block.quoted else 0.0)
    height = size * 0.52
    page.ln(height * 0.5 if block.level else 0)
    page.set_left_margin(left)
    if block.mark:
        pdf.plain(page, size)
        page.set_x(left - 5.5)
        page.write(height, block.mark)
    page.set_x(left)
    for span in block.spans:
        colour = pdf.GREY if block.quoted else _LINK if span.link else pdf.INK
        style = pdf.bold if span.bold or block.level else pdf.italic if span.italic else pdf.plain
        style(page, size, _CODE if span.code and block.kind != "code" else colour)
        page.write(height, pdf.clean(span.text), span.link)
    page.set_left_margin(pdf.MARGIN)
    page.ln(height + 2.4)


def _page_table(page: FPDF, block: Block) -> None:
    columns = max(map(len, block.rows))
    if columns > _MOST_COLUMNS:
        raise WorkFailed("TOO_COMPLEX", f"a table has {columns} columns, a page holds {_MOST_COLUMNS}")
    pdf.plain(page, 9)
    rows = [["".join(span.text for span in cell) for cell in row] for row in block.rows]
    pdf.table(page, rows, [pdf.WIDTH / columns] * columns, "L" * columns)
    page.ln(4)


_SYNTAX = "CommonMark, with tables and ~~strikethrough~~."
_PRINTED = json_schema.record(
    {
        "markdown": json_schema.text(_SYNTAX, _MOST_LAID_OUT),
        "title": json_schema.text("The document's title property.", 200),
    },
    optional=("title",),
)
_HEADING = json_schema.record({"level": {"type": "integer", "minimum": 1, "maximum": 6}, "text": json_schema.STRING})
_SAMPLE = (
    "# Field notes\n\nThe *second* survey found **more** herons.\n\n1. Ponds\n2. Reed beds\n\n"
    "| Site | Count |\n|---|---:|\n| North | 14 |\n| Weir | 9 |\n"
)

CAPABILITY = Capability(
    namespace="inkwell",
    capability="convert",
    version="1.3.0",
    name="Document conversion",
    description="Turns Markdown into HTML, Word documents and PDF.",
    tags=("markdown", "html", "docx", "pdf"),
    actions=(
        Action(
            id="markdown-to-html",
            name="Markdown to HTML",
            description="Render Markdown as HTML. Raw HTML in the source is shown as text, never passed through.",
            price="0.002",
            work=to_html,
            input_schema=json_schema.record(
                {
                    "markdown": json_schema.text(_SYNTAX, _MOST_CHARACTERS),
                    "full_page": json_schema.flag("A whole page rather than a fragment.", False),
                    "language": json_schema.text(
                        "The page's language tag.", 12, 2, pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$"
                    ),
                },
                optional=("full_page", "language"),
            ),
            output_schema=json_schema.record(
                {
                    "html": json_schema.STRING,
                    "headings": {"type": "array", "description": "The document's outline.", "items": _HEADING},
                }
            ),
            examples=({"input": {"markdown": _SAMPLE, "full_page": True}},),
        ),
        Action(
            id="markdown-to-docx",
            name="Markdown to Word",
            description="Turn Markdown into a Word document with headings, lists, quotations, code and tables.",
            price="0.01",
            work=to_docx,
            p95_ms=2_000,
            input_schema=_PRINTED,
            output_schema=json_schema.artifact(DOCX),
            examples=({"input": {"markdown": _SAMPLE, "title": "Field notes"}},),
        ),
        Action(
            id="markdown-to-pdf",
            name="Markdown to PDF",
            description="Lay Markdown out on A4 pages. Latin, Greek and Cyrillic scripts.",
            price="0.02",
            work=to_pdf,
            p95_ms=2_000,
            input_schema=_PRINTED,
            output_schema=json_schema.artifact("application/pdf"),
            examples=({"input": {"markdown": _SAMPLE}},),
        ),
    ),
)
