"""How the approvals page looks. What strangers wrote is escaped, and said to be theirs. Pure: no I/O."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from jecp_mcp.tools.approval_queue import SHORT

WRONG_PIN: Final = "That is not the PIN."
PIN_FIRST: Final = "Nothing was answered: give the PIN first, and leave cookies on."

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c }
h1 { font-size: 1.3rem }
article { border: 1px solid #c8c8c8; border-radius: 8px; padding: 1rem; margin: 1rem 0 }
.amount { font-size: 1.6rem; font-weight: 600 }
dl { display: grid; grid-template-columns: 7rem 1fr; gap: .25rem .75rem; margin: .75rem 0 }
dt { color: #5a5a5a }
dd { margin: 0; overflow-wrap: anywhere }
pre { margin: 0; font: .9rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
code { background: #f1f1f1; padding: .1rem .3rem; border-radius: 4px }
button { font: inherit; padding: .4rem 1.1rem; border-radius: 6px; border: 1px solid #8a8a8a; background: #fff }
button.yes { background: #14532d; border-color: #14532d; color: #fff }
form { display: inline-block; margin-right: .75rem }
input { font: inherit; padding: .4rem; width: 12rem; text-transform: uppercase }
.said { background: #fff7d6; padding: .6rem .8rem; border-radius: 6px }
footer { color: #5a5a5a; font-size: .9rem; margin-top: 2rem }
""".strip()
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def pin_page(said: str = "") -> str:
    """The page before the PIN: it shows nothing of what waits."""
    return _page(
        f"""<h1>Approvals</h1>{_notice(said)}
<p>The PIN is in the output of the running server. No agent should have it.</p>
<form method="post" action="/approvals"><label>PIN <input name="pin" autocomplete="off" autofocus></label>
<button>Open</button></form>"""
    )


@dataclass(frozen=True, slots=True)
class PagePosition:
    """Which page of what waits is shown: its number from 1 on, how many questions are before it, how many wait."""

    page: int = 1
    before: int = 0
    total: int = 0


def listing(
    shown: Sequence[Mapping[str, Any]], token: str, said: str = "", place: PagePosition = PagePosition()
) -> str:
    """One page of what waits, oldest first."""
    waiting = "".join(_article(one, token, place.page) for one in shown) or "<p>Nothing waits for an answer.</p>"
    after = place.total - place.before - len(shown)
    counted = f"{place.before + 1} to {place.before + len(shown)} of {place.total}, the oldest first."
    ways = "".join(
        _form("/approvals", {"token": token, "page": page}, words)
        for there, page, words in (
            (place.before, place.page - 1, f"Earlier ones ({place.before})"),
            (after, place.page + 1, f"Later ones ({after} more)"),
            (True, place.page, "Look again"),
        )
        if there
    )
    heading = f"<h1>Waiting for your answer</h1>{_notice(said)}{f'<p>{counted}</p>' if shown else ''}"
    return _page(f"{heading}{waiting}{ways}")


def whole_question(one: Mapping[str, Any], token: str) -> str:
    """One question with all its arguments, and the answers behind them."""
    back = _form("/approvals", {"token": token}, "Back to all")
    return _page(f"<h1>Waiting for your answer</h1>{_article(one, token, 1, most=None)}{back}")


def answer_sentence(answered: Mapping[str, Any]) -> str:
    """What was answered, in a sentence."""
    if answered["state"] == "granted":
        upto = "" if answered["exact"] else "up to "
        return (
            f"Approved {answered['action']} for {upto}{answered['at_most_usdc']} USDC, once, until "
            f"{answered['expires_at']}. Tell the agent to make the same call again."
        )
    return f"Refused {answered['action']}. Nothing is charged."


def _article(one: Mapping[str, Any], token: str, page: int, most: int | None = SHORT) -> str:
    """One question. What is not shown whole, because it is longer than `most` characters, cannot be approved here."""
    upto = "" if one["exact"] else "up to "
    amount = f"{upto}{one['at_most_usdc']} USDC"
    given = one["arguments"]
    shown = given is not None and (most is None or len(given) <= most)
    fields = {
        "Why": escape(one["because"]),
        "Action": escape(one["action"]),
        "Paid to": escape(one["payee"]),
        "Arguments": f"<pre>{escape(given)}</pre>" if shown else _why_unshown(given),
        "Asked by": escape(one["principal"]),
        "Answer until": escape(one["expires_at"]),
        "Code": escape(one["code"]),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in fields.items())
    answers = f"/approvals/{one['code']}"
    buttons = _form(answers, {"token": token, "answer": "deny", "page": page}, "Refuse", "no")
    if shown:
        approve = {"token": token, "answer": "approve", "page": page}
        buttons += _form(answers, approve, f"Approve {amount}, once", "yes")
    elif given is not None:
        buttons += _form("/approvals", {"token": token, "code": one["code"]}, "Read all of it and answer")
    what = "past a full limit" if one["for"] == "limit" else "one call"
    return f'<article><div class="amount">{escape(amount)}</div><div>{what}</div><dl>{rows}</dl>{buttons}</article>'


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


def _page(body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>jecp-mcp approvals</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body>{body}
<footer>Action, payee and arguments are the provider's and the agent's words. An approval is good for one call of
exactly this payee, amount and arguments.</footer></body></html>
"""
