"""Pages for a person, without a script: the front page, registration, topup and the checkout. Pure: no I/O.

Everything shown is escaped; nothing is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from jecp_mcp.money import format_usdc
from jecp_mcp.sandbox.error_answers import TOPUP_AMOUNTS_USD
from jecp_mcp.sandbox.listing import Listing
from jecp_mcp.sandbox.payments import Checkout

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}

_STYLE = """
:root { color-scheme: light dark; --ink: #16202c; --soft: #5a6878; --ground: #f3f5f8; --card: #fff; --line: #d9e0e8;
  --act: #1f5fbf; --act-ink: #fff; --test: #7a4b00; --test-ground: #fff1d6; --good: #12693a }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #a3b0bf; --ground: #11161c; --card: #1a222b;
  --line: #303c49; --act: #7fb0ff; --act-ink: #0c1622; --test: #ffd894; --test-ground: #3a2b0d; --good: #7fdca8 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
.test { background: var(--test-ground); color: var(--test); text-align: center; padding: .6rem 1rem; font-weight: 600 }
main { max-width: 30rem; margin: 2.5rem auto; padding: 0 1rem }
main.wide { max-width: 60rem }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.75rem }
h1 { font-size: 1.35rem; margin: 0 0 .25rem } h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem }
p { margin: .5rem 0 } .soft { color: var(--soft) } .amount { font-size: 2.6rem; font-weight: 700; margin: .75rem 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1rem; margin: 1.25rem 0 }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
label { display: block; margin: .9rem 0 .3rem; color: var(--soft) }
input, select { width: 100%; padding: .6rem .7rem; font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--line); border-radius: 8px }
button { width: 100%; margin-top: 1.25rem; padding: .8rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--act-ink); background: var(--act); border: 0; border-radius: 8px }
a { color: var(--act) } :focus-visible { outline: 3px solid var(--act); outline-offset: 2px }
.done { color: var(--good); font-weight: 700 } .scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse } th, td { text-align: left; padding: .45rem .8rem .45rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top } th { color: var(--soft); font-weight: 600 }
td.price { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
"""


def _page(title: str, content: str, *, wide: bool = False) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        '<div class="test" role="note">TEST MONEY &middot; nothing here is charged to anyone</div>'
        f'<main{" class=wide" if wide else ""}><div class="card">{content}</div></main></body></html>'
    ).encode()


def checkout_page(checkout: Checkout, agent_name: str, balance: int) -> bytes:
    """The checkout: open, with its button, or paid, with the new balance."""
    amount = f"${format_usdc(checkout.amount)}"
    about = (
        f"<dl><dt>Agent</dt><dd>{escape(agent_name)}<br><code>{escape(checkout.agent_id)}</code></dd>"
        f"<dt>Wallet now</dt><dd>${format_usdc(balance)}</dd></dl>"
    )
    if checkout.paid_at is None:
        content = (
            '<h1>Top up a test wallet</h1><p class="soft">JECP sandbox on this machine</p>'
            f'<p class="amount">{amount}</p>{about}'
            f'<form method="post" action="/checkout/{escape(checkout.session_id)}/pay">'
            f'<button type="submit">Pay {amount} of test money</button></form>'
            '<p class="soft">No card is asked for. The agent can spend this in the sandbox only.</p>'
        )
        return _page(f"Pay {amount} of test money", content)
    back = ""
    if checkout.return_to:
        back = f'<p><a href="{escape(checkout.return_to)}" rel="noreferrer">Return to where you came from</a></p>'
    content = (
        f'<h1 class="done">Paid</h1><p class="amount">{amount}</p>'
        f"<p>The wallet was credited. You can close this page and let the agent go on.</p>{about}{back}"
    )
    return _page("Paid", content)


def topup_page(agent_id: str) -> bytes:
    """Where a person begins a topup with nothing but the agent's id."""
    options = "".join(f'<option value="{usd}">${usd}</option>' for usd in TOPUP_AMOUNTS_USD)
    content = (
        '<h1>Top up a test wallet</h1><form method="post" action="/topup"><label for="agent">Agent id</label>'
        f'<input id="agent" name="agent_id" required value="{escape(agent_id)}" autocomplete="off" spellcheck="false">'
        f'<label for="amount">Amount</label><select id="amount" name="amount">{options}</select>'
        '<button type="submit">Go to the checkout</button></form>'
    )
    return _page("Top up a test wallet", content)


def register_page() -> bytes:
    """Where a person registers an agent."""
    content = (
        '<h1>Register an agent</h1><p class="soft">It gets a wallet for test money and free calls.</p>'
        '<form method="post" action="/register"><label for="name">Name</label>'
        '<input id="name" name="name" required maxlength="100" autocomplete="off">'
        '<button type="submit">Register</button></form>'
    )
    return _page("Register an agent", content)


def new_agent_page(agent_id: str, api_key: str) -> bytes:
    """The new agent's credentials, shown this once."""
    content = (
        '<h1 class="done">Registered</h1><p>Keep these; the key is not shown again.</p>'
        f"<dl><dt>JECP_AGENT_ID</dt><dd><code>{escape(agent_id)}</code></dd>"
        f"<dt>JECP_API_KEY</dt><dd><code>{escape(api_key)}</code></dd></dl>"
        f'<p><a href="/topup?agent_id={escape(agent_id)}">Top up its wallet</a></p>'
    )
    return _page("Registered", content)


def message_page(title: str, text: str) -> bytes:
    """A page that says one thing, such as that a checkout is not there."""
    return _page(title, f'<h1>{escape(title)}</h1><p>{escape(text)}</p><p><a href="/">To the front page</a></p>')


def front_page(origin: str, dialect: str, agent_id: str, listings: Iterable[Listing]) -> bytes:
    """What this Hub is and what it sells."""
    rows = "".join(
        f"<tr><td><code>{escape(listing.id)}</code> {escape(listing.version)}</td><td><code>{escape(offer.id)}</code>"
        f"<br><span class=soft>{escape(str(offer.raw.get('description', '')))}</span></td>"
        f"<td>{escape(offer.tier)}</td>"
        f"<td class=price>{'from ' if offer.tariff.metered else ''}${format_usdc(offer.tariff.base)}</td></tr>"
        for listing in listings
        for offer in listing.offers.values()
    )
    content = (
        "<h1>JECP sandbox</h1><p>A Hub on this machine: it does real work, offline, for test money.</p>"
        f"<dl><dt>Hub</dt><dd><code>{escape(origin)}</code></dd><dt>Dialect</dt><dd>{escape(dialect)}</dd>"
        f"<dt>Test agent</dt><dd><code>{escape(agent_id)}</code> &middot; "
        f'<a href="/topup?agent_id={escape(agent_id)}">top up</a></dd></dl>'
        '<p><a href="/v1/capabilities">Catalog</a> &middot; <a href="/.well-known/agent-guide.json">Agent guide</a>'
        ' &middot; <a href="/llms.txt">llms.txt</a> &middot; <a href="/health">Health</a>'
        ' &middot; <a href="/register">Register an agent</a></p>'
        "<h2>For sale</h2><div class=scroll><table><thead><tr><th>Capability</th><th>Action</th><th>Tier</th>"
        f"<th>Price</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
    return _page("JECP sandbox", content, wide=True)
