"""Markdown (CommonMark with tables and strikethrough) as a flat list of blocks, for page and word processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import TYPE_CHECKING

from jecp_mcp.sandbox.work.capability import WorkFailed

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MOST_TOKENS = 60_000
_MOST_PRINTED = 20_000
_MOST_CELLS = 4_000
_SCHEMES = ("http:", "https:", "mailto:")


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text in one style; `link` is an http(s) or mailto address, or empty."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the document.

    Attributes:
        kind: ``heading``, ``paragraph``, ``code``, ``rule`` or ``table``.
        level: of a heading, 1 to 6.
        depth: how many lists it stands in.
        mark: ``•`` or ``1.`` before the first paragraph of a list item.
        quoted: whether it stands in a quotation.
        rows: of a table, the head first; each cell is its spans.
    """

    kind: str
    spans: tuple[Span, ...] = ()
    level: int = 0
    depth: int = 0
    mark: str = ""
    quoted: bool = False
    rows: tuple[tuple[tuple[Span, ...], ...], ...] = ()


def reader() -> MarkdownIt:
    """A parser that treats raw HTML as text and follows no scheme but the web's and mail's."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    # markdown-it-py's own check also lets ftp:, tel: and relative addresses of any kind through.
    parser.validateLink = lambda url: _safe(url) or ":" not in url.split("/", 1)[0]  # type: ignore[method-assign]
    return parser


def _safe(url: str) -> bool:
    return url.strip().lower().startswith(_SCHEMES)


def tokens_of(text: str, most: int = _MOST_TOKENS) -> list[Token]:
    """Parse into at most `most` tokens.

    Raises:
        WorkFailed: ``TOO_COMPLEX``.
    """
    tokens = reader().parse(text)
    if sum(1 + len(token.children or ()) for token in tokens) > most:
        raise WorkFailed("TOO_COMPLEX", f"the document has more than {most} parts")
    return tokens


def blocks(text: str) -> list[Block]:
    """The document's blocks in order.

    Raises:
        WorkFailed: ``TOO_COMPLEX``.
    """
    found = list(_walk(tokens_of(text, _MOST_PRINTED)))
    if sum(len(row) for block in found for row in block.rows) > _MOST_CELLS:
        raise WorkFailed("TOO_COMPLEX", f"the tables have more than {_MOST_CELLS} cells")
    return found


def _walk(tokens: Sequence[Token]) -> Iterator[Block]:  # noqa: C901  # flat: a case for each kind of token
    # No recursion, here and below: the source may nest as deep as it is long.
    inside: Counter[str] = Counter()
    lists: list[Iterator[str]] = []
    rows: list[list[tuple[Span, ...]]] = []
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
                rows[-1].append(tuple(spans(token)))
            case "inline" | "fence" | "code_block":
                level = next((level for level in range(1, 7) if inside[f"h{level}"]), 0)
                kind = "heading" if level else "paragraph" if token.type == "inline" else "code"
                yield Block(kind, tuple(spans(token)), level, len(lists), mark, inside["blockquote"] > 0)
                mark = ""
            case "hr":
                yield Block("rule")


def spans(block: Token) -> Iterator[Span]:
    """The styled runs of a paragraph, or all of a block of code as one."""
    if block.type != "inline":
        yield Span(block.content.rstrip("\n"), code=True)
    inside: Counter[str] = Counter()
    links: list[str] = []
    for token in block.children or ():
        inside[token.tag] += token.nesting
        match token.type:
            case "link_open":
                url = str(token.attrGet("href") or "")
                links.append(url if _safe(url) else "")
            case "link_close":
                links.pop()
            case "softbreak" | "hardbreak":
                yield Span(" " if token.type == "softbreak" else "\n")
            case "text" | "code_inline" | "image" if token.content:
                code, link = token.type == "code_inline", links[-1] if links else ""
                yield Span(token.content, inside["strong"] > 0, inside["em"] > 0, code, link)
