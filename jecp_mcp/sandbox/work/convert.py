"""Provider ``inkwell``: Markdown as HTML, DOCX and PDF."""

from __future__ import annotations

import html
import io
from itertools import pairwise
from typing import Any

from jecp_mcp.sandbox.work.blocks import Block, Span
from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work
from jecp_mcp.sandbox.work.json_schema import COUNT, STRING, artifact, flag, list_of, record, text

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_DEEPEST = 12
_INDENT_CM = 0.63
_PAGE = (
    '<!doctype html>\n<html>\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>\n<body>\n{body}</body>\n'
    "</html>\n"
)


def to_html(given: Input) -> Work:
    """HTML in which nothing of the source can run: raw HTML is shown as text, links are http(s) or mailto."""
    from jecp_mcp.sandbox.work import markdown

    reader, tokens = markdown.parse(given["markdown"])
    headings: list[dict[str, Any]] = [
        {"level": int(opening.tag[1:]), "text": "".join(span.text for span in markdown.read_spans(inline))}
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open"
    ]
    body = reader.renderer.render(tokens, reader.options, {})
    if given.get("full_page", False):
        title = headings[0]["text"] if headings else "Document"
        body = _PAGE.format(title=html.escape(title), body=body)
    return Work({"html": body, "headings": headings})


def to_docx(given: Input) -> Work:
    """A Word document with real styles, so that its outline and lists work."""
    from docx import Document
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    from jecp_mcp.sandbox.work import markdown

    document = Document()
    document.core_properties.title = given.get("title", "")
    document.core_properties.author = ""
    for block in markdown.read_blocks(given["markdown"]):
        if block.kind == "table":
            table = document.add_table(len(block.rows), max(map(len, block.rows)), style="Table Grid")
            # One look at the grid for each row: asking python-docx for single cells is quadratic.
            for row, cells in zip(table.rows, block.rows, strict=True):
                for cell, spans in zip(row.cells, cells, strict=False):
                    _add_runs(cell.paragraphs[0], spans, bold=cells is block.rows[0])
            document.add_paragraph()
        elif block.kind == "rule":
            document.add_paragraph("⁂").alignment = WD_ALIGN_PARAGRAPH.CENTER
        else:
            _add_paragraph(document, block)
    out = io.BytesIO()
    document.save(out)
    return Work(artifact=(DOCX, out.getvalue()))


def _add_paragraph(document: Any, block: Block) -> None:
    from docx.shared import Cm

    names = {"heading": f"Heading {block.level}", "code": "No Spacing"}
    default = "List Bullet" if block.mark == "•" else "Quote" if block.quoted else None
    paragraph = document.add_paragraph(style=names.get(block.kind, default))
    paragraph.paragraph_format.left_indent = Cm(_INDENT_CM * min(block.depth, _DEEPEST)) if block.depth else None
    if block.mark not in {"", "•"}:
        # The source's own number stands; Word's counters would run on from one list into the next.
        paragraph.paragraph_format.first_line_indent = Cm(-_INDENT_CM)
        paragraph.add_run(f"{block.mark}\t")
    _add_runs(paragraph, block.spans)


def _add_runs(paragraph: Any, spans: tuple[Span, ...], *, bold: bool = False) -> None:
    for span in spans:
        run = paragraph.add_run(f"{span.text} ({span.link})" if span.link not in {"", span.text} else span.text)
        run.bold, run.italic = span.bold or bold or None, span.italic or None
        if span.code:
            run.font.name = "Courier New"


def to_pdf(given: Input) -> Work:
    """A4 pages."""
    from jecp_mcp.sandbox.work import markdown, pdf

    return pdf.lay_out(markdown.read_blocks(given["markdown"]), given.get("title", "Document"))


_SYNTAX = "CommonMark, with tables and ~~strikethrough~~."
# To lay out for print takes longer than HTML.
_PRINTED = record("title", markdown=text(_SYNTAX, 40_000), title=text("The document's title property.", 200))
_SAMPLE = (
    "# Field notes\n\nThe *second* survey found **more** herons.\n\n1. Ponds\n2. Reed beds\n\n"
    "| Site | Count |\n|---|---:|\n| North | 14 |\n| Weir | 9 |\n"
)

CAPABILITY = Capability(
    id="inkwell/convert",
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
            input_schema=record(
                markdown=text(_SYNTAX, 80_000), full_page=flag("A whole page rather than a fragment.", False)
            ),
            output_schema=record(html=STRING, headings=list_of(record(level=COUNT, text=STRING))),
            example={"markdown": _SAMPLE, "full_page": True},
        ),
        Action(
            id="markdown-to-docx",
            name="Markdown to Word",
            description="Turn Markdown into a Word document with headings, lists, quotations, code and tables.",
            price="0.01",
            work=to_docx,
            input_schema=_PRINTED,
            output_schema=artifact(DOCX),
            example={"markdown": _SAMPLE, "title": "Field notes"},
        ),
        Action(
            id="markdown-to-pdf",
            name="Markdown to PDF",
            description="Lay Markdown out on A4 pages. Latin, Greek and Cyrillic scripts.",
            price="0.02",
            work=to_pdf,
            input_schema=_PRINTED,
            output_schema=artifact("application/pdf"),
            example={"markdown": _SAMPLE},
        ),
    ),
)
