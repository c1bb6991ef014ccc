"""Sell by JECP: what a Hub forwards is verified, checked and answered. ``docs/provider.md`` leads to the first sale.

A `Provider` is made of the secret that the Hub gave at registration and the manifest that is published there, and takes
a function for each action. It is an ASGI application; `Provider.answer` and `Provider.stream` do the same for any
other framework.
"""

from jecp_mcp.provider.calls import Artifact, Call, CallFailed, Completed, Metered
from jecp_mcp.provider.manifests import load_manifest
from jecp_mcp.provider.provider import Provider, Reply, StreamedReply

__all__ = [
    "Artifact",
    "Call",
    "CallFailed",
    "Completed",
    "Metered",
    "Provider",
    "Reply",
    "StreamedReply",
    "load_manifest",
]
