"""Declarations of agents as they stand published now, each gone by for a while; fetched through the gate."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from jecp_mcp.clock import Clock
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.settings.merchants import Place
from jecp_mcp.wire.ajp.declaration import MAX_BYTES, Declaration, read_declaration

_FRESH_SECONDS: Final = 300.0
_SECONDS: Final = 8.0
_MOST_KEPT: Final = 256
_OK: Final = 200


class AnotherDeclared(WireError):
    """What stands there is the declaration of somebody else."""


class PublishedDeclarations:
    """Fetches declarations. Where one may stand is for whoever asks to know."""

    def __init__(self, gate: HttpGate, clock: Clock) -> None:
        """Fetch through `gate`."""
        self._gate = gate
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, Declaration]] = OrderedDict()

    def known(self, agent_id: str, place: Place) -> Declaration | None:
        """What was fetched a short while ago, or None."""
        until, kept = self._kept.get((agent_id, place.url), (0.0, None))
        if kept is None or self._clock.monotonic() >= until:
            return None
        self._kept.move_to_end((agent_id, place.url))
        return kept

    async def fetch(self, agent_id: str, place: Place) -> Declaration:
        """Fetch a declaration, proven to be its own key's.

        Raises:
            ExchangeFailed: nothing was answered there, or no declaration.
            AnotherDeclared: it is of another id.
            WireError: it proves nothing.
        """
        heard = await self._gate.exchange("GET", place, timeout=_SECONDS, max_bytes=MAX_BYTES)
        if heard.status != _OK:
            # A redirect is no declaration either.
            raise ExchangeFailed(sent=True, phase="answer", reason=f"{place.url} answered with status {heard.status}")
        found = read_declaration(heard.body)
        if found.id != agent_id:
            raise AnotherDeclared(f"the declaration at {place.url} is of {found.id!a}")
        # The whole of it would be up to 64 KiB of text, and much more as it is read.
        found = replace(found, body={})
        self._kept[agent_id, place.url] = self._clock.monotonic() + _FRESH_SECONDS, found
        self._kept.move_to_end((agent_id, place.url))
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return found
