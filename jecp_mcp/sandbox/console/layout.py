"""How the console's pages are laid out, and the script that keeps them current. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote, urlencode

from jecp_mcp import pages
from jecp_mcp.pages import ReaderTime
from jecp_mcp.sandbox.console.masked_json import masked_json, masked_key
from jecp_mcp.sandbox.console.request_log import MOST_BYTES
from jecp_mcp.sandbox.html_pages import TEST_MONEY, encode

PATH: Final = "/console"
VIEWS: Final[Mapping[str, str]] = {
    "": "Overview",
    "wallets": "Wallets",
    "transactions": "Transactions",
    "requests": "Requests",
    "providers": "Providers",
    "payouts": "Payouts",
    "webhooks": "Webhooks",
    "refunds": "Refunds",
    "pools": "Pools",
}

SCRIPT: Final = """
const view = document.getElementById("view"), live = document.getElementById("live");
let tag = "";
function say(words) { if (live.textContent !== words) live.textContent = words }
function renew(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("view");
  const focus = document.activeElement && document.activeElement.getAttribute("href");
  for (const part of [...fresh.children]) {
    const old = document.getElementById(part.id);
    if (!old) view.append(part);
    else if (!old.isEqualNode(part)) {
      const here = focus && old.contains(document.activeElement);
      old.replaceWith(part);
      if (here) part.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
    }
  }
}
async function look() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 403) return location.reload();
    if (answer.ok) {
      renew(await answer.text());
      tag = answer.headers.get("ETag") || "";
    }
    say(answer.ok || answer.status === 304 ? "Live." : "The Hub cannot show this now.");
  } catch { say("The Hub does not answer.") }
}
async function watch() {
  if (!document.hidden && getSelection().isCollapsed) await look();
  setTimeout(watch, 1000);
}
if (view) watch();
""".strip()
"""Looks once a second while the page is seen, and puts in place only what has changed. Without it one reloads."""

HEADERS: Final[Mapping[str, str]] = {
    name.lower(): value for name, value in pages.headers(SCRIPT, connect="'self'").items()
}


@dataclass(frozen=True, slots=True)
class Viewer:
    """For whom a page is: the token of their session, which every link carries, and their clock."""

    token: str
    time: ReaderTime

    def link(self, words: str, *path: str, **query: str) -> str:
        """A link to a page of the console, as HTML; `words` is HTML."""
        return f'<a href="{self.address(*path, **query)}">{words}</a>'

    def address(self, *path: str, **query: str) -> str:
        """A page's address, as the value of an attribute."""
        place = "/".join((PATH, *(quote(part, safe="") for part in path if part)))
        return escape(f"{place}?{urlencode({**query, 'session': self.token})}")


def key_page(said: str = "") -> bytes:
    """The page before the key: it shows nothing of the Hub."""
    notice = f'<p class="said" role="status">{escape(said)}</p>' if said else ""
    content = (
        f"<article><h1>Console</h1>{notice}<p>The key is the <code>control_key</code> of the line that "
        "this sandbox printed when it started, another each time. No agent should have it.</p>"
        f'<form method="post" action="{PATH}"><label for="key">Key</label><input id="key" name="key" type="password" '
        'autocomplete="off" spellcheck="false" required autofocus><button class="main">Open</button></form></article>'
    )
    return encode(pages.document("Console: JECP sandbox", content, banner=TEST_MONEY))


def console_page(title: str, current: str, content: str, viewer: Viewer) -> bytes:
    """A page of the console.

    Args:
        title: plain text.
        current: its view, a name in `VIEWS`.
        content: HTML, sections each with an id.
        viewer: for whom.
    """
    here = {current: ' aria-current="page"'}
    links = "".join(
        f'<a href="{viewer.address(name)}"{here.get(name, "")}>{words}</a>' for name, words in VIEWS.items()
    )
    body = (
        f'<h1>{escape(title)}</h1><nav class="console" aria-label="Console">{links}</nav>'
        f'<p id="live" class="soft" role="status">Reload to see what is new.</p><div id="view">{content}</div>'
    )
    footer = "<a href=\"/\">Front page</a> &middot; Names, texts and bodies are the agents' and providers' words."
    page = pages.document(f"{title}: JECP sandbox", body, banner=TEST_MONEY, footer=footer, script=SCRIPT)
    return encode(masked_key(page))


def section(name: str, heading: str, content: str) -> str:
    """A part of a page, which the script puts in place when it has changed. `content` is HTML."""
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{content}</section>'


def table(columns: Mapping[str, str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """A table; on a phone each row is a list.

    Args:
        columns: each one's name and class, ``price`` for amounts, else empty.
        rows: the cells, HTML.
        empty: what is said where there is no row, plain text.
    """
    if not rows:
        return f"<p>{escape(empty)}</p>"
    named = [(name, f' class="{css}"' if css else "") for name, css in columns.items()]
    head = "".join(f'<th scope="col"{css}>{escape(name)}</th>' for name, css in named)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td{css} data-label="{escape(name)}"><div>{cell}</div></td>'
            for (name, css), cell in zip(named, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<table class="stacked"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def json_block(body: bytes, length: int | None = None) -> str:
    """The beginning of a body as JSON; of one that is `length` bytes long `body` may be no more than that."""
    whole, body = len(body) if length is None else length, body[:MOST_BYTES]
    cut = f'<p class="soft">The first {len(body):,} of {whole:,} bytes.</p>' if whole > len(body) else ""
    return f'{cut}<pre class="copy">{escape(masked_json(body))}</pre>' if body else "<p>empty</p>"


def pager(viewer: Viewer, path: tuple[str, ...], before: str | None, older: str | None, **query: str) -> str:
    """The ways to newer and older rows."""
    ways = ""
    if before:
        ways += f'<a class="button" href="{viewer.address(*path, **query)}">The newest</a>'
    if older is not None:
        ways += f'<a class="button" href="{viewer.address(*path, **query, before=older)}">Older ones</a>'
    return f'<div class="ways">{ways}</div>' if ways else ""
