"""Markdown (CommonMark with tables and strikethrough), read safely."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import count, repeat

from markdown_it import MarkdownIt
from markdown_it.token import Token

from jecp_mcp.sandbox.work.blocks import Block, Cell, Span
from jecp_mcp.sandbox.work.capability import WorkFailed

_MOST_TOKENS = 20_000
_MOST_CELLS = 4_000
_SCHEMES = ("http:", "https:", "mailto:")
# XML 1.0 §2.2 has no place for these, and neither has a page.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def parse(text: str) -> tuple[MarkdownIt, list[Token]]:
    """A reader that treats raw HTML as text and follows no scheme but the web's and mail's, and what it read.

    Raises:
        WorkFailed: ``TOO_COMPLEX``.
    """
    reader = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    # markdown-it-py's own check also lets ftp:, tel: and relative addresses of any kind through.
    reader.validateLink = lambda url: _is_safe(url) or ":" not in url.split("/", 1)[0]  # type: ignore[method-assign]
    tokens = reader.parse(_UNPRINTABLE.sub("\ufffd", text))
    if sum(1 + len(token.children or ()) for token in tokens) > _MOST_TOKENS:
        raise WorkFailed("TOO_COMPLEX", f"the document has more than {_MOST_TOKENS} parts")
    return reader, tokens


def _is_safe(url: str) -> bool:
    return url.strip().lower().startswith(_SCHEMES)


def read_blocks(text: str) -> list[Block]:
    """The document's blocks in order.

    Raises:
        WorkFailed: ``TOO_COMPLEX``.
    """
    found = list(_walk(parse(text)[1]))
    if sum(len(row) for block in found for row in block.rows) > _MOST_CELLS:
        raise WorkFailed("TOO_COMPLEX", f"the tables have more than {_MOST_CELLS} cells")
    return found


def _walk(tokens: list[Token]) -> Iterator[Block]:  # noqa: C901  # flat: a case for each kind of token
    # No recursion, here and below: the source may nest as deep as it is long.
    inside: Counter[str] = Counter()
    lists: list[Iterator[str]] = []
    rows: list[list[Cell]] = []
    mark = ""
    for token in tokens:
        inside[token.tag] += token.nesting
        match token.type:
            case "bullet_list_open":
                lists.append(repeat("•"))
            case "ordered_list_open":
                lists.append(map("{}.".format, count(int(token.attrGet("start") or 1))))
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
            case "list_item_open":
                mark = next(lists[-1])
            case "table_open":
                rows = []
            case "tr_open":
                rows.append([])
            case "table_close":
                yield Block("table", rows=tuple(map(tuple, rows)))
            case "inline" if inside["table"]:
                rows[-1].append(tuple(read_spans(token)))
            case "inline" | "fence" | "code_block":
                level = next((level for level in range(1, 7) if inside[f"h{level}"]), 0)
                kind = "heading" if level else "paragraph" if token.type == "inline" else "code"
                yield Block(kind, tuple(read_spans(token)), level, len(lists), mark, inside["blockquote"] > 0)
                mark = ""
            case "hr":
                yield Block("rule")


def read_spans(block: Token) -> Iterator[Span]:
    """The styled runs of a paragraph, or all of a block of code as one."""
    if block.type != "inline":
        yield Span(block.content.rstrip("\n"), code=True)
    inside: Counter[str] = Counter()
    link = ""
    for token in block.children or ():
        inside[token.tag] += token.nesting
        match token.type:
            case "link_open" | "link_close":
                url = str(token.attrGet("href") or "")
                link = url if _is_safe(url) else ""
            case "softbreak" | "hardbreak":
                yield Span(" " if token.type == "softbreak" else "\n")
            case "text" | "code_inline" | "image" if token.content:
                yield Span(token.content, inside["strong"] > 0, inside["em"] > 0, token.type == "code_inline", link)
