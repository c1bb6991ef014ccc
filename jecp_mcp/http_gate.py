"""The gate to addresses that strangers name: one request at a time, to a vetted address, never redirected.

A merchant's name may resolve to anything, and to something else a moment later. So every address that it resolves to is
looked at, the request goes to one of those that were looked at, and its certificate must be the name's all the same.
Who may be asked at all is decided before: the gate takes what `jecp_mcp.settings.merchants.read_place` gives.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

import anyio

from jecp_mcp.clock import Clock
from jecp_mcp.http import DEFAULT_SECONDS, MAX_BYTES, BeforeSending, ExchangeFailed, Http, HttpAnswer, HttpStream
from jecp_mcp.settings.merchants import Place

_ORIGINS: Final = 16
"""How many origins' connections are kept."""
_ADDRESSES: Final = 4
"""How many addresses of a name are tried."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# Relays of 6to4, addresses of a site, and for documentation: nobody's, which not every Python counts so.
_NOT_PUBLIC: Final = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "fec0::/10", "3fff::/20")))

_LEAST_SECONDS: Final = 0.001
_VETTED_SECONDS: Final = 30.0
"""How long a name's vetted addresses are gone by."""
_MOST_NAMES: Final = 64


class AddressRefused(ExchangeFailed):
    """Nobody may be asked there: a name leads off the public network, or the place is none that this gate goes to."""


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host's name, for a port. May raise `OSError`."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver. Raises `OSError`."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


@dataclass(slots=True)
class _Connections:
    """One origin's connections, and how many requests use them now."""

    http: Http
    users: int = 0


class HttpGate:
    """Requests to merchants and to the nodes of chains. Make it anywhere; it opens at its first request.

    Every request raises nothing but `ExchangeFailed` and cancellation.
    """

    def __init__(self, clock: Clock, *, loopback: bool = False, resolve: Resolve = resolve) -> None:
        """Make the gate.

        Args:
            loopback: whether only this machine may be asked, which else never is.
            resolve: gives the addresses of a name.
        """
        self._clock = clock
        self.loopback = loopback
        self._resolve = resolve
        self._clients: dict[str, _Connections] = {}
        self._names: dict[tuple[str, int], tuple[float, Sequence[str]]] = {}

    async def __aenter__(self) -> Self:
        """Nothing to open yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        clients, self._clients = self._clients, {}
        for found in clients.values():
            await found.http.aclose()

    async def exchange(
        self,
        method: str,
        place: Place,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = DEFAULT_SECONDS,  # noqa: ASYNC109 - a deadline over the whole exchange, told apart by phase
        max_bytes: int = MAX_BYTES,
        before_sending: BeforeSending | None = None,
    ) -> HttpAnswer:
        """One request and its whole answer, within `timeout` seconds in all. A redirect is an answer.

        Raises:
            ExchangeFailed: no whole answer arrived, or it is longer than `max_bytes`, or nobody may be asked there.
        """
        ends = self._clock.monotonic() + timeout
        addresses = await self._vetted(place, timeout)
        async with self._client(place) as http:
            for number, address in enumerate(addresses, 1):
                try:
                    return await http.exchange(
                        method,
                        place.url,
                        headers=headers,
                        body=body,
                        timeout=max(_LEAST_SECONDS, ends - self._clock.monotonic()),
                        max_bytes=max_bytes,
                        before_sending=before_sending,
                        address=address,
                    )
                except ExchangeFailed as exc:
                    if self._is_the_last_word(exc, place) or number == len(addresses):
                        raise
        raise AssertionError("a vetted name has an address")

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        place: Place,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = DEFAULT_SECONDS,  # noqa: ASYNC109 - the longest silence, not a deadline
        max_bytes: int = MAX_BYTES,
    ) -> AsyncIterator[HttpStream]:
        """One request whose answer is read as it comes; `timeout` is the longest silence, in seconds.

        Raises:
            ExchangeFailed: no answer began, or (from the chunks) it broke off or grew longer than `max_bytes`.
        """
        addresses = await self._vetted(place, timeout)
        async with self._client(place) as http, AsyncExitStack() as open_answer:
            for number, address in enumerate(addresses, 1):
                asked = http.stream(
                    method, place.url, headers=headers, body=body, timeout=timeout, max_bytes=max_bytes, address=address
                )
                try:
                    answer = await open_answer.enter_async_context(asked)
                    break
                except ExchangeFailed as exc:
                    if self._is_the_last_word(exc, place) or number == len(addresses):
                        raise
            yield answer

    def _is_the_last_word(self, failure: ExchangeFailed, place: Place) -> bool:
        """Whether a request that failed at one address of a name must not be tried at the next."""
        if failure.phase == "connect":
            self._names.pop((place.host, place.port), None)
        return failure.sent or failure.phase != "connect"

    async def vet(self, place: Place, *, timeout: float = DEFAULT_SECONDS) -> None:  # noqa: ASYNC109 - as exchange's
        """Look at every address of a place as a request to it would, and ask nobody there.

        Raises:
            AddressRefused: one of them may not be asked.
            ExchangeFailed: its name cannot be resolved.
        """
        await self._vetted(place, timeout)

    @asynccontextmanager
    async def _client(self, place: Place) -> AsyncIterator[Http]:
        """The origin's connections, which nobody closes while they are used."""
        used = self._clients.pop(place.origin, None) or _Connections(Http(place.origin, peer=place.host))
        # The one used last stands last.
        self._clients[place.origin] = used
        used.users += 1
        try:
            idle = next((origin for origin, found in self._clients.items() if not found.users), None)
            if len(self._clients) > _ORIGINS and idle is not None:
                await self._clients.pop(idle).http.aclose()
            yield used.http
        finally:
            used.users -= 1

    async def _vetted(self, place: Place, seconds: float) -> Sequence[str]:
        """The addresses of a name, each of which may be asked.

        Raises:
            ExchangeFailed: it has none, or one that may not be: then none of them is believed.
        """
        if place.loopback != self.loopback:
            where = "this machine" if place.loopback else "the network"
            raise _refused(f"{where} is not to be asked in this configuration")
        if place.scheme != "https" and not self.loopback:
            raise _refused("plain http is not used")
        until, known = self._names.get((place.host, place.port), (0.0, ()))
        if self._clock.monotonic() < until:
            return known
        try:
            with anyio.fail_after(seconds):
                addresses = await self._resolve(place.host, place.port)
        except TimeoutError as exc:
            raise _never(f"the name {place.host} was not resolved in time") from exc
        except (OSError, UnicodeError) as exc:
            raise _never(f"the name {place.host} cannot be resolved") from exc
        if not addresses:
            raise _never(f"the name {place.host} has no address")
        for address in addresses:
            if not may_be_asked(address, loopback=self.loopback):
                raise _refused(f"the name {place.host} leads to an address that is not on the public network")
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        until = self._clock.monotonic() + _VETTED_SECONDS
        self._names[place.host, place.port] = until, addresses[:_ADDRESSES]
        return addresses[:_ADDRESSES]


def may_be_asked(address: str, *, loopback: bool) -> bool:
    """Whether a gate goes to an IP address: a public one or, with `loopback`, one of this machine."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        # A scope, which only local addresses have.
        return False
    if loopback:
        return found.is_loopback
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            # What a network without IPv4 makes of an IPv4 address.
            return _is_public(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        if found.ipv4_mapped or found.sixtofour or found.teredo:
            return False
    return _is_public(found)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_private)


def _never(reason: str) -> ExchangeFailed:
    return ExchangeFailed(sent=False, phase="url", reason=reason)


def _refused(reason: str) -> AddressRefused:
    return AddressRefused(sent=False, phase="url", reason=reason)
