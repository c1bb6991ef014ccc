"""What each page of the console shows. Pure: no I/O. Everything from the books is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from jecp_mcp import pages
from jecp_mcp.sandbox.agents import tier_after
from jecp_mcp.sandbox.console.layout import Viewer, json_block, pager, section, table
from jecp_mcp.sandbox.console.masked_json import masked_key
from jecp_mcp.sandbox.console.records import (
    Credit,
    DeliveryRow,
    Entry,
    Page,
    ProviderRow,
    RefundRow,
    Totals,
    Transaction,
    Wallet,
)
from jecp_mcp.sandbox.console.request_log import MOST_KEPT, RecordedRequest
from jecp_mcp.sandbox.html_pages import dollars
from jecp_mcp.sandbox.revenue_split import HUB_PERCENT, PAYMENT_PERCENT, PROVIDER_PERCENT

_SHARES: Final = {
    f"Provider {PROVIDER_PERCENT} %": "price",
    f"Hub {HUB_PERCENT} %": "price",
    f"Payment {PAYMENT_PERCENT} %": "price",
}
_NO_SALES: Final = "Nothing was sold yet."
_NO_REQUESTS: Final = "None since the Hub started."


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page shows. `api_key` is the test agent's, of which the page shows the ends."""

    totals: Totals
    test_wallet: Wallet
    api_key: str
    wallets: Sequence[Wallet]
    transactions: Sequence[Transaction]
    requests: Sequence[RecordedRequest]
    pools: Mapping[str, Mapping[str, Any]]


def overview(shown: Overview, viewer: Viewer) -> str:
    """The first page: the test agent's wallet, the sums, and the newest of everything."""
    wallet, totals = shown.test_wallet, shown.totals
    about = pages.facts(
        {
            "Agent": viewer.link(f"<code>{escape(wallet.agent_id)}</code>", "wallets", wallet.agent_id),
            "Key": f"<code>{escape(masked_key(shown.api_key))}</code>",
            "Free calls": f"{wallet.free_calls:,}",
        }
    )
    fill = f'<a class="button" href="/topup?agent_id={escape(wallet.agent_id)}">Fill the wallet</a>'
    sums = {
        "Charged": totals.amount,
        **dict(zip(_SHARES, (totals.provider_share, totals.hub_fee, totals.payment_fee), strict=True)),
    }
    figures = "".join(
        f'<div><span class="soft">{name}</span><p class="amount">{dollars(amount)}</p></div>'
        for name, amount in sums.items()
    )
    return (
        section(
            "test-agent",
            "Test agent",
            f'<p class="amount">{dollars(wallet.balance)}</p>{about}<div class="ways">{fill}</div>',
        )
        + section("totals", f"{totals.sales:,} sales", f'<div class="figures">{figures}</div>')
        + section("transactions", "Last transactions", _transaction_table(shown.transactions, viewer))
        + section("wallets", "Newest agents", _wallet_table(shown.wallets, viewer))
        + section("requests", "Last requests", _request_table(shown.requests, viewer))
        + section("pools", "Pools", _pool_table(shown.pools))
    )


def wallets(found: Page[Wallet], before: str | None, viewer: Viewer) -> str:
    """All agents with their wallets."""
    ways = pager(viewer, ("wallets",), before, found.older)
    return section("wallets", "Agents, the newest first", _wallet_table(found.rows, viewer) + ways)


def wallet(one: Wallet, credited: Page[Credit], before: str | None, viewer: Viewer) -> str:
    """One agent: its wallet and what came into it."""
    about = pages.facts(
        {
            "Agent": f"<code>{escape(one.agent_id)}</code>",
            "Name": escape(one.name),
            "Type": escape(one.agent_type),
            "Key": "only its digest is kept",
            "Trust tier": f"{tier_after(one.total_calls)}, after {one.total_calls:,} calls",
            "Free calls": f"{one.free_calls:,}",
            "Registered": viewer.time.element(one.created_at),
            "Bought": viewer.link("its transactions", "transactions", agent=one.agent_id),
        }
    )
    fill = f'<a class="button" href="/topup?agent_id={escape(one.agent_id)}">Fill the wallet</a>'
    rows = [
        (viewer.time.element(each.created_at), escape(each.kind), dollars(each.amount), dollars(each.balance_after))
        for each in credited.rows
    ]
    columns = {"When": "", "What": "", "Amount": "price", "Balance after": "price"}
    ways = pager(viewer, ("wallets", one.agent_id), before, credited.older)
    return section(
        "wallet", "Wallet", f'<p class="amount">{dollars(one.balance)}</p>{about}<div class="ways">{fill}</div>'
    ) + section("credits", "Money in, other than by sales", table(columns, rows, "Nothing came in.") + ways)


def transactions(found: Page[Transaction], agent_id: str | None, before: str | None, viewer: Viewer) -> str:
    """Sales with their split, all or one agent's."""
    query = {} if agent_id is None else {"agent": agent_id}
    of = "" if agent_id is None else f"<p>Of <code>{escape(agent_id)}</code></p>"
    ways = pager(viewer, ("transactions",), before, found.older, **query)
    return section("transactions", "Transactions, the newest first", of + _transaction_table(found.rows, viewer) + ways)


def transaction(one: Transaction, earned: Sequence[Entry], answer: bytes | None, viewer: Viewer) -> str:
    """One sale: who got what, and the answer that is kept for its call."""
    about = pages.facts(
        {
            "Transaction": f"<code>{escape(one.transaction_id)}</code>",
            "Action": f"<code>{escape(one.capability)}:{escape(one.action)}</code>",
            "Agent": viewer.link(escape(one.agent_name), "wallets", one.agent_id),
            "Call id": f"<code>{escape(one.call_id)}</code>",
            "When": viewer.time.element(one.created_at),
            "Paid by": escape(one.method),
            "Balance after": dollars(one.balance_after),
            **dict(zip(_SHARES, map(dollars, (one.provider_share, one.hub_fee, one.payment_fee)), strict=True)),
            **({} if one.refunded_at is None else {"Refunded": viewer.time.element(one.refunded_at)}),
        }
    )
    owed = _entry_table(earned, viewer, "No provider that registered here sold this.")
    kept = "<p>It is kept no longer.</p>" if answer is None else json_block(answer)
    return (
        section("transaction", "Charged", f'<p class="amount">{dollars(one.amount)}</p>{about}')
        + section("owed", "Owed to providers", owed)
        + section("answer", "The answer", kept)
    )


def requests(found: Page[RecordedRequest], before: str | None, viewer: Viewer) -> str:
    """The last requests that changed something, or wanted to."""
    ways = pager(viewer, ("requests",), before, found.older)
    kept = f'<p class="soft">The last {MOST_KEPT}, since the Hub started; what only reads is not among them.</p>'
    return section("requests", "Requests, the newest first", kept + _request_table(found.rows, viewer) + ways)


def request(one: RecordedRequest, viewer: Viewer) -> str:
    """One request and its answer as JSON."""
    about = pages.facts(
        {
            "Request": f"<code>{escape(one.method)} {escape(one.path)}</code>",
            "Agent": f"<code>{escape(one.agent_id)}</code>" if one.agent_id else "none named",
            "When": viewer.time.element(one.at),
            "Answered": f"{one.status} in {one.milliseconds:.1f} ms",
        }
    )
    return (
        section("about", f"Number {one.number:,}", about)
        + section("request", "The request", json_block(one.request, one.request_bytes))
        + section("answer", "The answer", json_block(one.answer, one.answer_bytes))
    )


def providers(found: Page[ProviderRow], before: str | None, viewer: Viewer) -> str:
    """Who sells, and what they are owed."""
    rows = [
        (
            viewer.link(f"<code>{escape(each.namespace)}</code>", "providers", each.namespace)
            + f"<br>{escape(each.display_name)}",
            escape(each.endpoint_url),
            _standing(each),
            f"{each.total_calls:,}",
            dollars(each.balance),
        )
        for each in found.rows
    ]
    columns = {"Provider": "", "Endpoint": "", "Standing": "", "Calls": "price", "Owed": "price"}
    ways = pager(viewer, ("providers",), before, found.older)
    return section("providers", "Providers, the newest first", table(columns, rows, "None has registered yet.") + ways)


def provider(one: ProviderRow, found: Page[Entry], before: str | None, viewer: Viewer) -> str:
    """One provider: what it earned and was paid."""
    about = pages.facts(
        {
            "Name": escape(one.display_name),
            "Endpoint": escape(one.endpoint_url),
            "Country": escape(one.country),
            "Standing": _standing(one),
            "Key": "only its digest is kept",
            "Calls": f"{one.total_calls:,}",
            "Registered": viewer.time.element(one.created_at),
        }
    )
    entries = _entry_table(found.rows, viewer, "It has sold nothing yet.")
    ways = pager(viewer, ("providers", one.namespace), before, found.older)
    return section("provider", "Owed", f'<p class="amount">{dollars(one.balance)}</p>{about}') + section(
        "entries", "Earned and paid", entries + ways
    )


def payouts(found: Page[Entry], before: str | None, viewer: Viewer) -> str:
    """What was paid out."""
    ways = pager(viewer, ("payouts",), before, found.older)
    paid = _entry_table(found.rows, viewer, "Nothing was paid out yet.")
    return section("payouts", "Payouts, the newest first", paid + ways)


def webhooks(found: Page[DeliveryRow], before: str | None, viewer: Viewer, *, dead: bool) -> str:
    """What webhooks were told, or only what they would not take."""
    query = {"status": "dead"} if dead else {}
    other = (
        viewer.link("All deliveries", "webhooks") if dead else viewer.link("Dead letters", "webhooks", status="dead")
    )
    rows = [
        (
            viewer.link(f"<code>{escape(each.type)}</code>", "webhooks", str(each.number)),
            escape(each.endpoint_url) if each.endpoint_url is not None else "ended",
            _delivered(each, viewer),
            f"{each.attempts}",
        )
        for each in found.rows
    ]
    columns = {"Event": "", "Endpoint": "", "Status": "", "Tries": "price"}
    ways = pager(viewer, ("webhooks",), before, found.older, **query)
    heading = "Dead letters" if dead else "Deliveries"
    empty = "There are none." if dead else "Nothing was told yet."
    return section("deliveries", f"{heading}, the newest first", f"<p>{other}</p>{table(columns, rows, empty)}{ways}")


def delivery(one: DeliveryRow, body: bytes, viewer: Viewer) -> str:
    """One delivery and what it tells."""
    about = pages.facts(
        {
            "Event": f"<code>{escape(one.event_id)}</code>",
            "Type": f"<code>{escape(one.type)}</code>",
            "Endpoint": escape(one.endpoint_url) if one.endpoint_url is not None else "the subscription has ended",
            "Status": _delivered(one, viewer),
            "Tries": f"{one.attempts}",
            "Happened": viewer.time.element(one.created_at),
        }
    )
    return section("delivery", f"Delivery {one.number:,}", about) + section("body", "The body", json_block(body))


def refunds(found: Page[RefundRow], before: str | None, viewer: Viewer) -> str:
    """Refunds that were asked for."""
    rows = [
        (
            viewer.time.element(each.requested_at),
            viewer.link(escape(each.agent_name), "wallets", each.agent_id),
            viewer.link(escape(each.reason), "transactions", each.transaction_id),
            escape(each.status) + ("" if each.note is None else f'<br><span class="soft">{escape(each.note)}</span>'),
            dollars(each.amount),
            "nothing" if each.status == "denied" else dollars(each.returned),
        )
        for each in found.rows
    ]
    columns = {"Asked": "", "Agent": "", "Reason": "", "Status": "", "Paid": "price", "Goes back": "price"}
    ways = pager(viewer, ("refunds",), before, found.older)
    return section("refunds", "Refunds, the newest first", table(columns, rows, "None was asked for.") + ways)


def pools(shown: Mapping[str, Mapping[str, Any]], assignments: Mapping[str, str]) -> str:
    """How full each pool is, and which route is in which."""
    rows = [(f"<code>{escape(route)}</code>", escape(pool)) for route, pool in sorted(assignments.items())]
    routes = table({"Route": "", "Pool": ""}, rows, "")
    return section("pools", "How full they are", _pool_table(shown)) + section("routes", "What is in which", routes)


def _wallet_table(rows: Sequence[Wallet], viewer: Viewer) -> str:
    columns = {"Agent": "", "Registered": "", "Tier": "", "Calls": "price", "Balance": "price"}
    cells = [
        (
            viewer.link(escape(each.name), "wallets", each.agent_id) + f"<br><code>{escape(each.agent_id)}</code>",
            viewer.time.element(each.created_at),
            tier_after(each.total_calls),
            f"{each.total_calls:,}",
            dollars(each.balance),
        )
        for each in rows
    ]
    return table(columns, cells, "There are none.")


def _transaction_table(rows: Sequence[Transaction], viewer: Viewer) -> str:
    columns = {"Action": "", "When": "", "Agent": "", "Charged": "price", **_SHARES}
    cells = [
        (
            viewer.link(
                f"<code>{escape(each.capability)}:{escape(each.action)}</code>", "transactions", each.transaction_id
            )
            + ("" if each.refunded_at is None else '<br><span class="soft">refunded</span>'),
            viewer.time.element(each.created_at),
            viewer.link(escape(each.agent_name), "wallets", each.agent_id),
            "free" if each.method == "free_call" else dollars(each.amount),
            *map(dollars, (each.provider_share, each.hub_fee, each.payment_fee)),
        )
        for each in rows
    ]
    return table(columns, cells, _NO_SALES)


def _request_table(rows: Sequence[RecordedRequest], viewer: Viewer) -> str:
    columns = {"Request": "", "When": "", "Agent": "", "Answer": "price", "Took": "price"}
    cells = [
        (
            viewer.link(f"<code>{escape(each.method)} {escape(each.path)}</code>", "requests", str(each.number))
            + _called(each.request),
            viewer.time.element(each.at),
            f"<code>{escape(each.agent_id)}</code>" if each.agent_id else "none named",
            str(each.status),
            f"{each.milliseconds:.1f} ms",
        )
        for each in rows
    ]
    return table(columns, cells, _NO_REQUESTS)


def _called(body: bytes) -> str:
    """The action a request calls, if it calls one."""
    try:
        said = json.loads(body)
        name = f"{said['capability']}:{said['action']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f"<br><code>{escape(name[:200])}</code>"


def _entry_table(rows: Sequence[Entry], viewer: Viewer, empty: str) -> str:
    columns = {"Provider": "", "When": "", "What": "", "Of": "", "Amount": "price", "Owed after": "price"}
    cells = [
        (
            viewer.link(f"<code>{escape(each.namespace)}</code>", "providers", each.namespace),
            viewer.time.element(each.created_at),
            escape(each.kind),
            f"<code>{escape(each.reference)}</code>"
            if each.kind == "payout"
            else viewer.link(
                f"<code>{escape(each.reference)}</code>", "transactions", each.reference.partition(":")[0]
            ),
            dollars(each.amount),
            dollars(each.balance_after),
        )
        for each in rows
    ]
    return table(columns, cells, empty)


def _pool_table(shown: Mapping[str, Mapping[str, Any]]) -> str:
    columns = {"Pool": "", "Status": "", "Busy": "price", "Places": "price", "Waiting": "price"}
    cells = [
        (
            escape(name),
            escape(each["status"]),
            str(each["size"] - each["idle"]),
            str(each["size"]),
            str(each["waiting"]),
        )
        for name, each in shown.items()
    ]
    return table(columns, cells, "")


def _standing(one: ProviderRow) -> str:
    host = "host proven" if one.verified_at is not None else "host not proven yet"
    return f"{host}, {'can be paid' if one.stripe_verified_at is not None else 'cannot be paid yet'}"


def _delivered(one: DeliveryRow, viewer: Viewer) -> str:
    if one.status == "pending":
        when = f"next try {viewer.time.element(one.next_attempt_at)}"
    else:
        when = viewer.time.element(one.ended_at or one.created_at)
    words = "dead letter" if one.status == "dead" else one.status
    error = f'<br><span class="soft">{escape(one.last_error)}</span>' if one.last_error else ""
    return f"{escape(words)}, {when}{error}"
