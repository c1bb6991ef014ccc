"""Markdown (CommonMark with tables and strikethrough) as a flat list of blocks, for page and word processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jecp_mcp.sandbox.work.forms import WorkFailed

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MOST_CHARACTERS = 80_000
MOST_LAID_OUT = 40_000
"""Characters of Markdown that are laid out for print, which takes longer than HTML."""
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
    parser.validateLink = lambda url: safe(url) or ":" not in url.split("/", 1)[0]  # type: ignore[method-assign]
    return parser


def safe(url: str) -> bool:
    """Whether an address may stand as a link."""
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
    """The document's blocks in order."""
    found = list(_walk(tokens_of(text, _MOST_PRINTED)))
    if sum(len(row) for block in found for row in block.rows) > _MOST_CELLS:
        raise WorkFailed("TOO_COMPLEX", f"the tables have more than {_MOST_CELLS} cells")
    return found


def _walk(tokens: Sequence[Token]) -> Iterator[Block]:  # noqa: C901, PLR0912  # flat: a case for each kind of token
    lists: list[int | None] = []
    quotes, level, mark = 0, 0, ""
    rows: list[list[tuple[Span, ...]]] | None = None
    for token in tokens:
        match token.type:
            case "bullet_list_open":
                lists.append(None)
            case "ordered_list_open":
                lists.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
            case "list_item_open":
                mark = "•"
                number = lists[-1]
                if number is not None:
                    mark, lists[-1] = f"{number}.", number + 1
            case "blockquote_open":
                quotes += 1
            case "blockquote_close":
                quotes -= 1
            case "heading_open":
                level = int(token.tag[1:])
            case "heading_close":
                level = 0
            case "table_open":
                rows = []
            case "tr_open" if rows is not None:
                rows.append([])
            case "table_close" if rows is not None:
                yield Block("table", rows=tuple(map(tuple, rows)), depth=len(lists), quoted=quotes > 0)
                rows = None
            case "inline" if rows is not None:
                rows[-1].append(tuple(spans(token.children or ())))
            case "inline":
                kind = "heading" if level else "paragraph"
                yield Block(kind, tuple(spans(token.children or ())), level, len(lists), mark, quotes > 0)
                mark = ""
            case "fence" | "code_block":
                yield Block("code", (Span(token.content.rstrip("\n"), code=True),), 0, len(lists), mark, quotes > 0)
                mark = ""
            case "hr":
                yield Block("rule")


def spans(children: Sequence[Token]) -> Iterator[Span]:  # noqa: C901  # flat, as above
    """The styled runs of a paragraph."""
    bold = italic = 0
    links: list[str] = []
    for token in children:
        match token.type:
            case "strong_open":
                bold += 1
            case "strong_close":
                bold -= 1
            case "em_open":
                italic += 1
            case "em_close":
                italic -= 1
            case "link_open":
                url = str(token.attrGet("href") or "")
                links.append(url if safe(url) else "")
            case "link_close":
                links.pop()
            case "softbreak":
                yield Span(" ")
            case "hardbreak":
                yield Span("\n")
            case "text" | "code_inline" | "image":
                code = token.type == "code_inline"
                if token.content:
                    yield Span(token.content, bold > 0, italic > 0, code, links[-1] if links else "")
