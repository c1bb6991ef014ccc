"""The way to pay at a JECP Hub, put together from the settings."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.registry import Parts, Way
from jecp_mcp.settings import is_loopback
from jecp_mcp.settings.merchants import PAID_HTTP

if TYPE_CHECKING:
    from jecp_mcp.rails.jecp.x402_payments import X402Payments


@dataclass(frozen=True, slots=True, kw_only=True)
class HubWay(Way):
    """The rail with its Hub's catalog and account.

    Attributes:
        client: what is asked of the Hub beside paid calls.
    """

    client: HubClient


def open_hub(parts: Parts, name: str = "") -> HubWay:
    """Read ``[hub]``; nothing is asked yet.

    Args:
        name: what this Hub's offers are called by where it is a further one; the settings' ``[hub]`` is its own.
    """
    settings, clock = parts.settings, parts.clock
    origin = settings.hub.base_url
    http = Http(origin)
    client = HubClient(origin, http, parts.credentials, clock)
    jitter = secrets.SystemRandom().random
    account = HubAccount(client)
    catalog = CatalogSource(
        http, origin, parts.catalog_file, settings.catalog, clock, called=name, reachability=client.reachability
    )
    used = AsyncExitStack()
    x402, payment = x402_payments(parts, client, used), settings.hub.payment
    if payment != "wallet":
        x402()
    return HubWay(
        rail=JecpRail(
            client,
            timeout_seconds=settings.hub.timeout_seconds,
            clock=clock,
            random=jitter,
            payment=payment,
            x402=x402,
        ),
        sources=(catalog,),
        account=account,
        witness=account,
        opened=_opened(http, used),
        client=client,
    )


@asynccontextmanager
async def _opened(http: Http, used: AsyncExitStack) -> AsyncIterator[None]:
    async with http, used:
        yield


def x402_payments(parts: Parts, client: HubClient, used: AsyncExitStack) -> Callable[[], X402Payments]:
    """Gives what pays the Hub by x402, or finds out about what was paid so; `used` closes what it opened.

    What it gives raises `SettingsError` where the networks are not those of one purpose.
    """

    @cache
    def payments() -> X402Payments:
        # A start that pays from the wallet alone imports nothing for it.
        from jecp_mcp.rails.jecp.x402_payments import Terms, X402Payments
        from jecp_mcp.rails.x402.wiring import check_networks, open_pays

        hub, paid_http = parts.settings.hub, parts.settings.paid_http
        loopback = is_loopback(hub.base_url)
        check_networks(paid_http, loopback=loopback, payee=f"the Hub at {hub.base_url} is")
        gate, pays = open_pays(parts, PAID_HTTP, loopback=loopback, whom="the Hub by x402")
        used.push_async_exit(gate)
        used.callback(pays.recipients.close)
        terms = Terms(paid_http.networks, hub.x402_pay_to, paid_http.max_valid_seconds)
        return X402Payments(client, terms, pays, parts.clock)

    return payments
