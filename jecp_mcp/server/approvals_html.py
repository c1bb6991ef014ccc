"""What the approvals page says. What strangers wrote is escaped, and said to be theirs. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from jecp_mcp import pages
from jecp_mcp.calls import display
from jecp_mcp.clock import parse_iso
from jecp_mcp.pages import ReaderTime
from jecp_mcp.tools.approval_queue import SHORT

WRONG_PIN: Final = "That is not the PIN."
PIN_FIRST: Final = "Nothing was answered: give the PIN first, and leave cookies on."

SCRIPT: Final = """
const name = "jecp-mcp approvals", form = document.querySelector("form[data-pin]"), given = document.body.dataset.given;
try {
  if (given) {
    localStorage.setItem(name, given);
    history.replaceState(null, "", location.pathname);
  } else if (form) {
    const token = localStorage.getItem(name);
    localStorage.removeItem(name);
    if (token && form.dataset.pin === "open") { form.token.value = token; form.submit() }
  }
} catch {}
""".strip()
"""Keeps a session's token where the browser shows it to this origin only, port included, and opens the next page.

Without it, and without scripts, the page asks for the PIN once more.
"""

_FOOTER: Final = (
    "Action, payee and arguments are the provider's and the agent's words. An approval is good for one call of exactly "
    "this payee, amount and arguments."
)


def pin_page(said: str = "", code: str = "", *, refused: bool = False) -> str:
    """The page before the PIN: it shows nothing of what waits.

    Args:
        said: what is to be known first.
        code: the question that is opened then; all of them when empty.
        refused: whether a token or a PIN was refused, so that none is tried by itself again.
    """
    wanted = f'<input type="hidden" name="code" value="{escape(code)}">' if code else ""
    return _page(
        f"""<article><h1>Approvals</h1>{_notice(said)}
<p>The PIN is in the output of the running server. No agent should have it.</p>
<form method="post" action="/approvals" data-pin="{"refused" if refused else "open"}">
<input type="hidden" name="token" value="">{wanted}<label for="pin">PIN</label>
<input id="pin" name="pin" autocomplete="off" autocapitalize="characters" spellcheck="false" autofocus>
<button class="main">Open</button></form></article>"""
    )


@dataclass(frozen=True, slots=True)
class PagePosition:
    """Which page of what waits is shown: its number from 1 on, how many questions are before it, how many wait."""

    page: int = 1
    before: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """For whom a page is: what its forms carry, and the reader's clock."""

    token: str
    time: ReaderTime


def listing(
    shown: Sequence[Mapping[str, Any]], session: Session, said: str = "", place: PagePosition = PagePosition()
) -> str:
    """One page of what waits, oldest first."""
    waiting = "".join(_article(one, session, place.page) for one in shown)
    after = place.total - place.before - len(shown)
    counted = f"{place.before + 1} to {place.before + len(shown)} of {place.total}, the oldest first."
    ways = "".join(
        _form("/approvals", {"token": session.token, "page": page}, words)
        for there, page, words in (
            (place.before, place.page - 1, f"Earlier ones ({place.before})"),
            (after, place.page + 1, f"Later ones ({after} more)"),
            (True, place.page, "Look again"),
        )
        if there
    )
    heading = f"<h1>Waiting for your answer</h1>{_notice(said)}"
    heading += f"<p>{counted}</p>" if shown else "<p>Nothing waits for an answer.</p>"
    return _page(f'{heading}{waiting}<div class="ways">{ways}</div>', session)


def whole_question(one: Mapping[str, Any], session: Session) -> str:
    """One question with all its arguments, and the answers behind them."""
    back = _form("/approvals", {"token": session.token}, "Back to all")
    shown = _article(one, session, 1, most=None)
    return _page(f'<h1>Waiting for your answer</h1>{shown}<div class="ways">{back}</div>', session)


def answer_sentence(answered: Mapping[str, Any], time: ReaderTime) -> str:
    """What was answered, in a sentence."""
    if answered["state"] == "granted":
        upto = "" if answered["exact"] else "up to "
        return (
            f"Approved {answered['action']} for {upto}{answered['at_most_usdc']} USDC, once, until "
            f"{time.text(parse_iso(answered['expires_at']))}. Tell the agent to make the same call again."
        )
    return f"Refused {answered['action']}. Nothing is charged."


def _article(one: Mapping[str, Any], session: Session, page: int, most: int | None = SHORT) -> str:
    """One question. What is not shown whole, because it is longer than `most` characters, cannot be approved here."""
    upto = "" if one["exact"] else "up to "
    amount = f"{upto}{one['at_most_usdc']} USDC"
    given, code = one["arguments"], one["code"]
    shown = given is not None and (most is None or len(given) <= most)
    about = {
        "Why": escape(one["because"]),
        "Action": f"<code>{escape(one['action'])}</code>",
        "Paid to": escape(one["payee"]),
        "Asked by": escape(one["principal"]),
        "Asked": session.time.element(parse_iso(one["asked_at"])),
        "Answer until": session.time.element(parse_iso(one["expires_at"])),
        "Code": f'<a href="/approvals/{escape(code)}">{escape(code)}</a>',
    }
    answers = f"/approvals/{code}"
    buttons = _form(answers, {"token": session.token, "answer": "deny", "page": page}, "Refuse")
    if shown:
        approve = {"token": session.token, "answer": "approve", "page": page}
        buttons += _form(answers, approve, f"Approve {amount}, once", "main")
    elif given is not None:
        buttons += _form("/approvals", {"token": session.token, "code": code}, "Read all of it and answer")
    what = "past a full limit" if one["for"] == "limit" else "one call"
    arguments = _arguments(given) if shown else f"<p>{_why_unshown(given)}</p>"
    return (
        f'<article aria-label="{escape(amount)}, {escape(one["action"])}"><p class="amount">{escape(amount)}</p>'
        f'<p>{what}</p>{pages.facts(about)}<h2>Arguments</h2>{arguments}<div class="ways">{buttons}</div></article>'
    )


def _arguments(given: str) -> str:
    """Arguments as a table, each value as JSON, so that none can pass for another type or for our words."""
    rows = display.members(given)
    if rows is None:
        return f"<pre>\n{escape(given)}</pre>"
    if not rows:
        return "<p>none</p>"
    # A value begins a line of its own, where the mark behind one that runs from right to left may stand.
    body = "".join(
        f'<tr><th scope="row">{escape(_bare(name))}</th><td><pre>\n{escape(value)}</pre></td></tr>'
        for name, value in rows
    )
    return f"<table><tbody>{body}</tbody></table>"


def _bare(name: str) -> str:
    return name.rstrip(display.LEFT_TO_RIGHT_MARK)[1:-1] or '""'


def _why_unshown(given: str | None) -> str:
    if given is None:
        return "They cannot be shown, so this cannot be approved."
    return f"{len(given):,} characters. They must be read before this can be approved."


def _form(action: str, fields: Mapping[str, object], words: str, css: str = "") -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">' for name, value in fields.items()
    )
    look = f' class="{css}"' if css else ""
    return f'<form method="post" action="{escape(action)}">{hidden}<button{look}>{escape(words)}</button></form>'


def _notice(text: str) -> str:
    return f'<p class="said" role="status">{escape(text)}</p>' if text else ""


def _page(body: str, session: Session | None = None) -> str:
    return pages.document(
        "jecp-mcp approvals", body, footer=_FOOTER, script=SCRIPT, data="" if session is None else session.token
    )
