"""The way to pay at a JECP Hub, put together from the settings."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.registry import Parts, Way


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
    return HubWay(
        rail=JecpRail(client, timeout_seconds=settings.hub.timeout_seconds, clock=clock, random=jitter),
        sources=(catalog,),
        account=account,
        witness=account,
        opened=http,
        client=client,
    )
