"""Pages for a person, without a script: the front page, registration, topup, the checkout, errors. Pure: no I/O.

Everything shown is escaped; how it looks is `jecp_mcp.pages`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from jecp_mcp import invisible, pages
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.sandbox.agents import Agent
from jecp_mcp.sandbox.error_answers import TOPUP_AMOUNTS_USD
from jecp_mcp.sandbox.listing import Listing, Offer
from jecp_mcp.sandbox.payments import Checkout, RecentCall
from jecp_mcp.wire.jecp.tiers import TIERS

HEADERS: Final[Mapping[str, str]] = {name.lower(): value for name, value in pages.headers().items()}

TEST_MONEY: Final = "TEST MONEY · nothing here is charged to anyone"
_DATA_FILE: Final = "sandbox.sqlite"
"""What a server looks for in its state folder."""


def _page(title: str, content: str) -> bytes:
    return encode(pages.document(title, content, banner=TEST_MONEY))


def encode(page: str) -> bytes:
    """A page as it is sent; what shows nothing or reorders its neighbours is escaped: names are strangers'."""
    return invisible.escape(page).encode()


def dollars(amount: int) -> str:
    """An amount of micro-USDC as a person reads it: ``$0.005``, ``-$1.00``."""
    return f"{'-' if amount < 0 else ''}${format_usdc(MicroUSDC(abs(amount)))}"


def checkout_page(checkout: Checkout, agent_name: str, balance: int) -> bytes:
    """The checkout: open, with its button, or paid, with the new balance."""
    amount = dollars(checkout.amount)
    about = pages.facts(
        {
            "Agent": f"{escape(agent_name)}<br><code>{escape(checkout.agent_id)}</code>",
            "Wallet now": dollars(balance),
        }
    )
    if checkout.paid_at is None:
        content = (
            '<article><h1>Fill a test wallet</h1><p class="soft">JECP sandbox on this machine</p>'
            f'<p class="amount">{amount}</p>{about}'
            f'<form method="post" action="/checkout/{escape(checkout.session_id)}/pay">'
            f'<button class="main">Pay {amount} of test money</button></form>'
            '<p class="soft">No card is asked for. The agent can spend this in the sandbox only.</p></article>'
        )
        return _page(f"Pay {amount} of test money", content)
    url = escape(checkout.return_to or "/")
    words = "Return to where you came from" if checkout.return_to else "To the front page"
    content = (
        f'<article><h1 class="good">Paid</h1><p class="amount">{amount}</p>'
        f"<p>The wallet was credited. You can close this page and let the agent go on.</p>{about}"
        f'<p><a href="{url}" rel="noreferrer">{words}</a></p></article>'
    )
    return _page("Paid", content)


def topup_page(agent_id: str) -> bytes:
    """Where a person begins a topup with nothing but the agent's id."""
    options = "".join(f'<option value="{usd}">${usd}</option>' for usd in TOPUP_AMOUNTS_USD)
    content = (
        '<article><h1>Fill a test wallet</h1><form method="post" action="/topup"><label for="agent">Agent id</label>'
        f'<input id="agent" name="agent_id" required value="{escape(agent_id)}" autocomplete="off" spellcheck="false">'
        f'<label for="amount">Amount</label><select id="amount" name="amount">{options}</select>'
        '<button class="main">Go to the checkout</button></form></article>'
    )
    return _page("Fill a test wallet", content)


def register_page() -> bytes:
    """Where a person registers an agent."""
    content = (
        '<article><h1>Register an agent</h1><p class="soft">It gets a wallet for test money and free calls.</p>'
        '<form method="post" action="/register"><label for="name">Name</label>'
        '<input id="name" name="name" required maxlength="100" autocomplete="off">'
        '<button class="main">Register</button></form></article>'
    )
    return _page("Register an agent", content)


def new_agent_page(agent_id: str, api_key: str) -> bytes:
    """The new agent's credentials, shown this once."""
    shown = {name: f"<code>{escape(value)}</code>" for name, value in _credentials(agent_id, api_key).items()}
    content = (
        '<article><h1 class="good">Registered</h1><p>Keep these; the key is not shown again.</p>'
        f'{pages.facts(shown)}<p><a href="/topup?agent_id={escape(agent_id)}">Fill its wallet</a></p></article>'
    )
    return _page("Registered", content)


def onboarding_page(token: str, namespace: str, display_name: str, *, done: bool) -> bytes:
    """Where a provider says where it is paid: open, with its button, or done."""
    about = pages.facts({"Provider": escape(display_name), "Namespace": f"<code>{escape(namespace)}</code>"})
    if done:
        content = (
            '<article><h1 class="good">You can be paid</h1><p>What you published is for sale now. You can close this'
            f" page.</p>{about}</article>"
        )
        return _page("You can be paid", content)
    content = (
        '<article><h1>Where you are paid</h1><p class="soft">JECP sandbox on this machine</p>'
        f'{about}<form method="post" action="/onboarding/{escape(token)}">'
        '<button class="main">Take test payouts</button></form>'
        '<p class="soft">No bank account is asked for: a sandbox pays nobody.</p></article>'
    )
    return _page("Where you are paid", content)


def error_page(title: str, words: Iterable[str], link: str | None = None) -> bytes:
    """What went wrong and what to do about it, in plain text; `link` leads there, else to the front page."""
    return encode(pages.error_document(title, words, banner=TEST_MONEY, back=link or "/"))


@dataclass(frozen=True, slots=True)
class Front:
    """What the front page tells.

    Attributes:
        command: the installed ``jecp-mcp``.
        data: the Hub's file; None where it has none.
        recent: the last calls, the newest first.
    """

    origin: str
    dialect: str
    command: str
    data: Path | None
    agent: Agent
    listings: Sequence[Listing]
    recent: Sequence[RecentCall]
    time: pages.ReaderTime


def front_page(front: Front) -> bytes:
    """What this Hub is, what is in the wallet, how a host buys here, what was bought and what is on sale."""
    content = (
        "<h1>JECP sandbox</h1><p>A Hub on this machine. It does real work, offline, for test money.</p>"
        f"{_wallet(front)}{_connection(front)}{_recent(front)}"
        f"<section><h2>For sale</h2>{pages.price_table(('Action', 'Price'), _offers(front.listings))}</section>"
    )
    links = (
        ("/v1/capabilities", "Catalog"),
        ("/.well-known/agent-guide.json", "Agent guide"),
        ("/llms.txt", "llms.txt"),
        ("/health", "Health"),
        ("/console", "Console"),
        ("/register", "Register an agent"),
    )
    footer = " &middot; ".join(f'<a href="{path}">{words}</a>' for path, words in links)
    return encode(pages.document("JECP sandbox", content, banner=TEST_MONEY, footer=f"<nav>{footer}</nav>"))


def _wallet(front: Front) -> str:
    agent = front.agent
    free = f"<p>and {agent.free_calls} free calls of the Hub's own actions</p>" if agent.free_calls else ""
    about = pages.facts(
        {
            "Hub": f"<code>{escape(front.origin)}</code>",
            "Test agent": f"<code>{escape(agent.agent_id)}</code>",
            "Trust tier": escape(agent.tier),
            "Dialect": escape(front.dialect),
        }
    )
    return (
        f'<section><h2>Wallet</h2><p class="amount">{dollars(agent.balance)}</p>{free}'
        f'<div class="ways"><a class="button main" href="/topup?agent_id={escape(agent.agent_id)}">Fill the wallet</a>'
        f"</div>{about}</section>"
    )


def _connection(front: Front) -> str:
    server: dict[str, Any] = {"command": front.command, "args": ["serve"]}
    if front.data is not None and front.data.name == _DATA_FILE:
        server["args"] += ["--sandbox", "--state-dir", str(front.data.parent)]
        words = "Put this into the host's configuration. The server joins this Hub, or starts it where it does not run."
    else:
        server["env"] = {
            "JECP_BASE_URL": front.origin,
            **_credentials(front.agent.agent_id, "<the api_key that the start printed>"),
        }
        words = "Put this into the host's configuration. It works while this Hub runs."
    snippet = json.dumps({"mcpServers": {"jecp": server}}, indent=2, ensure_ascii=False)
    return f'<section><h2>Connect a host</h2><p>{words}</p><pre class="copy">{escape(snippet)}</pre></section>'


def _credentials(agent_id: str, api_key: str) -> dict[str, str]:
    return {"JECP_AGENT_ID": agent_id, "JECP_API_KEY": api_key}


def _recent(front: Front) -> str:
    if not front.recent:
        return "<section><h2>Recent calls</h2><p>None yet.</p></section>"
    rows = [(_recent_call(one, front), dollars(one.amount) if one.amount else "free") for one in front.recent]
    return f"<section><h2>Recent calls</h2>{pages.price_table(('Action', 'Charged'), rows)}</section>"


def _recent_call(call: RecentCall, front: Front) -> str:
    about = [front.time.element(call.at)]
    if call.agent_id != front.agent.agent_id:
        about.append(escape(call.agent_name))
    if call.refunded:
        about.append("refunded")
    return f'<code>{escape(call.action)}</code><br><span class="soft">{", ".join(about)}</span>'


def _offers(listings: Iterable[Listing]) -> list[tuple[str, str]]:
    return [
        (_offer(listing, offer), "metered" if offer.tariff.metered else dollars(offer.tariff.base))
        for listing in listings
        for offer in listing.offers.values()
    ]


def _offer(listing: Listing, offer: Offer) -> str:
    """An action in a cell, as it is called."""
    words = escape(str(offer.raw.get("description", "")))
    tier = f'<br><span class="soft">from the {escape(offer.tier)} tier on</span>' if offer.tier != TIERS[0] else ""
    rates = f'<br><span class="soft">{escape(offer.tariff.metering)}</span>' if offer.tariff.metered else ""
    return f"<code>{escape(listing.id)}:{escape(offer.id)}</code><br>{words}{rates}{tier}"
