"""Provider ``inkwell``: Markdown as HTML and PDF."""

from __future__ import annotations

import html
from itertools import pairwise
from typing import Any

from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work
from jecp_mcp.sandbox.work.json_schema import COUNT, STRING, artifact, flag, list_of, record, text

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
    description="Turns Markdown into HTML and PDF.",
    tags=("markdown", "html", "pdf"),
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
