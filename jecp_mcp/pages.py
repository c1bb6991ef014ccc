"""How every page for people looks: one style sheet, one frame, one set of headers, one way to write times. No I/O.

Nothing is loaded from elsewhere, and the Content-Security-Policy admits this style sheet alone, by its digest. Colours
are those of two palettes, light and dark, whose contrast tests compute (WCAG 2.2, level AA).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #16202c; --soft: #4f5c6b; --ground: #f3f5f8; --card: #ffffff; --line: #d9e0e8;
  --edge: #748294; --act: #1b57b0; --act-ink: #ffffff; --good: #12693a; --note: #6b4200; --note-ground: #fff1d6 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #aab6c4; --ground: #11161c; --card: #1a222b;
  --line: #303c49; --edge: #7b8a9b; --act: #8ab6ff; --act-ink: #0c1622; --good: #7fdca8; --note: #ffd894;
  --note-ground: #3a2b0d } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main, footer { max-width: 44rem; margin: 0 auto; padding: 0 1rem }
main { margin-top: 1.5rem }
footer { margin-top: 1.5rem; margin-bottom: 2rem; color: var(--soft); font-size: .9rem }
article, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem;
  margin: 1rem 0 }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem }
h2 { font-size: 1.1rem; margin: 0 0 .5rem }
p { margin: .5rem 0 }
a { color: var(--act) }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px }
.banner, .said { background: var(--note-ground); color: var(--note); padding: .6rem 1rem }
.banner { text-align: center; font-weight: 600; margin: 0 }
.said { border-radius: 8px }
.soft { color: var(--soft) }
.good { color: var(--good) }
.amount { font-size: 2rem; font-weight: 700; line-height: 1.25; margin: .25rem 0 }
dl { display: grid; grid-template-columns: minmax(5.5rem, max-content) 1fr; gap: .35rem 1rem; margin: .75rem 0 }
dt { color: var(--soft) }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse; margin: .25rem 0 }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere }
th { color: var(--soft); font-weight: 600 }
tbody th { font-weight: 400; width: 8rem; min-width: 8rem }
section > :last-child, article > :last-child { margin-bottom: 0 }
tbody tr:last-child > * { border-bottom: 0; padding-bottom: 0 }
tr > :last-child { padding-right: 0 }
.price { text-align: right; white-space: nowrap; overflow-wrap: normal; font-variant-numeric: tabular-nums }
code, pre { font: .9em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
pre { margin: 0; white-space: pre-wrap }
pre.copy { background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: .75rem }
label { display: block; margin: .9rem 0 .3rem; color: var(--soft) }
input, select { width: 100%; padding: .6rem .7rem; font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--edge); border-radius: 8px }
button, a.button { display: inline-block; min-height: 2.75rem; padding: .6rem 1.2rem; font: inherit; font-weight: 600;
  cursor: pointer; text-decoration: none; color: var(--act); background: var(--card); border: 1px solid var(--edge);
  border-radius: 8px }
button.main, a.main { color: var(--act-ink); background: var(--act); border-color: var(--act) }
nav.console { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: .75rem 0 }
nav.console > a { padding: .35rem 0 }
nav.console > [aria-current] { color: var(--ink); font-weight: 600; text-decoration: none }
main:has(nav.console), main:has(nav.console) + footer { max-width: 72rem }
.stacked td:first-child { min-width: 12rem }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem 1.25rem;
  margin: .5rem 0 }
.figures > div { min-width: 0 }
.figures .amount { font-size: 1.4rem; overflow-wrap: anywhere }
@media (max-width: 48rem) { .stacked thead { display: none }
  .stacked, .stacked tbody, .stacked tr { display: block }
  .stacked tr { padding: .6rem 0; border-bottom: 1px solid var(--line) }
  .stacked tbody tr:last-child { border-bottom: 0; padding-bottom: 0 }
  .stacked td { display: grid; grid-template-columns: 7rem 1fr; gap: .75rem; padding: .1rem 0; border: 0;
    text-align: left }
  .stacked td > div { min-width: 0 }
  .stacked td::before { content: attr(data-label); color: var(--soft); white-space: nowrap }
  .stacked td.price { white-space: normal } }
.ways { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0 0 }
.ways > form > button { height: 100% }
form > button { margin-top: 1rem }
.ways > form > button { margin-top: 0 }
"""


def source_of(text: str) -> str:
    """A style sheet or script of ours as a Content-Security-Policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def headers(script: str = "", connect: str = "") -> dict[str, str]:
    """The headers of a page.

    Args:
        script: what is admitted beside the style sheet, if there is any.
        connect: whom it may ask, as a Content-Security-Policy says it; nobody when empty.
    """
    scripts = f"script-src {source_of(script)}; " if script else ""
    scripts += f"connect-src {connect}; " if connect else ""
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {source_of(STYLE)}; {scripts}form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def document(title: str, content: str, *, banner: str = "", footer: str = "", script: str = "", data: str = "") -> str:
    """A whole page.

    Args:
        title: plain text.
        content, footer: HTML.
        banner: plain text over everything.
        script: one of ours, run at the end; `headers` must be given the same.
        data: what the script reads, the value of the body's ``data-given``.
    """
    given = f' data-given="{escape(data)}"' if data else ""
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body{given}>",
        f'<p class="banner" role="note">{escape(banner)}</p>' if banner else "",
        f"<main>{content}</main>",
        f"<footer>{footer}</footer>" if footer else "",
        f"<script>{script}</script>" if script else "",
        "</body></html>\n",
    ]
    return "".join(parts)


def error_document(title: str, words: Iterable[str], *, banner: str = "", back: str = "/") -> str:
    """A page that says what went wrong, in plain text, with a link to where one can go on."""
    told = "".join(f"<p>{escape(text)}</p>" for text in words)
    link = f'<p><a href="{escape(back)}">To the front page</a></p>'
    return document(title, f"<article><h1>{escape(title)}</h1>{told}{link}</article>", banner=banner)


def facts(rows: Mapping[str, str]) -> str:
    """Names, plain text, and what they stand for, HTML."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{value}</dd>' for name, value in rows.items())}</dl>"


def price_table(columns: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    """Two columns, the second an amount: narrow enough for a phone. The cells are HTML."""
    body = "".join(f'<tr><td>{what}</td><td class="price">{amount}</td></tr>' for what, amount in rows)
    return (
        f'<table><thead><tr><th scope="col">{escape(columns[0])}</th><th scope="col" class="price">'
        f"{escape(columns[1])}</th></tr></thead><tbody>{body}</tbody></table>"
    )


def wants_html(accept: str | None) -> bool:
    """Whether an Accept header asks for a page, as a browser's does, rather than for data."""
    wanted: dict[str, float] = {}
    for part in (accept or "").lower().split(","):
        kind, *parameters = (text.strip() for text in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            wanted[kind] = float(weight)
        except ValueError:
            wanted[kind] = 0.0
    html = wanted.get("text/html", 0.0)
    return html > 0 and html >= wanted.get("application/json", 0.0)


@dataclass(frozen=True, slots=True)
class ReaderTime:
    """Instants as a person reads them: ``today 14:05 (in 52 minutes)``.

    Attributes:
        now: Unix milliseconds.
        zone: whose clock is meant.
    """

    now: int
    zone: tzinfo

    @classmethod
    def here(cls, now: int) -> ReaderTime:
        """By the clock of this machine, which is the reader's: these pages are served on loopback."""
        return cls(now, datetime.fromtimestamp(now / 1000, UTC).astimezone().tzinfo or UTC)

    def text(self, at: int) -> str:
        """An instant in Unix milliseconds, as plain text."""
        there, here = (datetime.fromtimestamp(ms / 1000, self.zone) for ms in (at, self.now))
        days = (there.date() - here.date()).days
        day = {0: "today", 1: "tomorrow", -1: "yesterday"}.get(days, f"{there.day} {there:%B %Y}")
        return f"{day} {there:%H:%M} ({_distance((at - self.now) / 1000)})"

    def element(self, at: int) -> str:
        """The same as HTML, with the exact instant for programs."""
        exact = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return f'<time datetime="{exact}">{self.text(at)}</time>'


_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def _distance(seconds: float) -> str:
    """How far off an instant is; what is to come is never said to be farther off than it is."""
    for size, unit in _UNITS:
        count = int(abs(seconds) // size)
        if count:
            spoken = f"{count} {unit}{'s' if count > 1 else ''}"
            return f"in {spoken}" if seconds > 0 else f"{spoken} ago"
    return "in less than a minute" if seconds > 0 else "just now"
