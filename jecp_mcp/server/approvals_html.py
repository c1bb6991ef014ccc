"""How the approvals page looks. What strangers wrote is escaped, and said to be theirs. Pure: no I/O."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

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
code { background: #f1f1f1; padding: .1rem .3rem; border-radius: 4px }
button { font: inherit; padding: .4rem 1.1rem; border-radius: 6px; border: 1px solid #8a8a8a; background: #fff }
button.yes { background: #14532d; border-color: #14532d; color: #fff }
form { display: inline-block; margin-right: .75rem }
input { font: inherit; padding: .4rem; width: 12rem; text-transform: uppercase }
.said { background: #fff7d6; padding: .6rem .8rem; border-radius: 6px }
footer { color: #5a5a5a; font-size: .9rem; margin-top: 2rem }
""".strip()
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def asking_for_pin(said: str = "") -> str:
    """The page before the PIN: it shows nothing of what waits."""
    return _page(
        f"""<h1>Approvals</h1>{_said(said)}
<p>The PIN is in the output of the running <code>jecp-mcp serve</code>. No agent should have it.</p>
<form method="post" action="/approvals"><label>PIN <input name="pin" autocomplete="off" autofocus></label>
<button>Open</button></form>"""
    )


def listing(shown: Sequence[Mapping[str, Any]], token: str, said: str = "") -> str:
    """The page with what waits."""
    waiting = "".join(_article(one, token) for one in shown) or "<p>Nothing waits for an answer.</p>"
    again = (
        f'<form method="post" action="/approvals"><input type="hidden" name="token" value="{escape(token)}">'
        "<button>Look again</button></form>"
    )
    return _page(f"<h1>Waiting for your answer</h1>{_said(said)}{waiting}{again}")


def told(answered: Mapping[str, Any]) -> str:
    """What was answered, in a sentence."""
    if answered["state"] == "granted":
        return (
            f"Approved {answered['action']} for {answered['at_most_usdc']} USDC, once, until {answered['expires_at']}. "
            "Tell the agent to make the same call again."
        )
    return f"Refused {answered['action']}. Nothing is charged."


def _article(one: Mapping[str, Any], token: str) -> str:
    amount = escape(str(one["at_most_usdc"]))
    what = "past a full limit" if one["for"] == "limit" else "one call"
    fields = {
        "Why": one["because"],
        "Action": one["action"],
        "Paid to": one["payee"],
        "Arguments": one["arguments"],
        "Asked by": one["principal"],
        "Answer until": one["expires_at"],
        "Code": one["code"],
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in fields.items())
    buttons = "".join(
        f'<form method="post" action="/approvals/{escape(str(one["code"]))}">'
        f'<input type="hidden" name="token" value="{escape(token)}">'
        f'<input type="hidden" name="answer" value="{answer}"><button class="{css}">{words}</button></form>'
        for answer, css, words in (("deny", "no", "Refuse"), ("approve", "yes", f"Approve {amount} USDC, once"))
    )
    upto = "" if one["exact"] else "up to "
    return f'<article><div class="amount">{upto}{amount} USDC</div><div>{what}</div><dl>{rows}</dl>{buttons}</article>'


def _said(text: str) -> str:
    return f'<p class="said" role="status">{escape(text)}</p>' if text else ""


def _page(body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>jecp-mcp approvals</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body>{body}
<footer>Action, payee and arguments are the provider's and the agent's words. An approval is good for one call of
exactly this payee, amount and arguments.</footer></body></html>
"""
