"""Which rail pays for an offer, and which one finishes a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jecp_mcp.catalog.sources import OfferSource
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall
from jecp_mcp.rails.base import Account, Rail, Witness
from jecp_mcp.rails.paid_http.roads import Road
from jecp_mcp.settings import Credentials, Settings
from jecp_mcp.settings.command_lines import CommandLine

if TYPE_CHECKING:
    from jecp_mcp.settings.wallet_key import WalletKey


@dataclass(frozen=True, slots=True)
class Parts:
    """What a way to pay is made of.

    Attributes:
        catalog_file: where the offers of the last run are remembered.
        credentials: asked for whenever they are needed.
        state: the folder for what a way to pay keeps.
        wallet: gives the key of the wallet that pays merchants, None where there is none; raises `SettingsError` for
            one that cannot be used.
        commands: what a person is told to run.
        agent_key: gives the text of the key that signs jobs' offers, None where there is none; raises `SettingsError`
            for one that cannot be used.
        bootstrap_key: gives the key to the 402flow control plane, None where there is none; raises `SettingsError` for
            one that cannot be used.
        environ: the environment's variables, of which settings name those that hold secrets.
    """

    settings: Settings
    catalog_file: Path
    credentials: Callable[[], Credentials | None]
    clock: Clock
    state: Path
    wallet: Callable[[], WalletKey | None]
    commands: CommandLine
    agent_key: Callable[[], str | None] = lambda: None
    bootstrap_key: Callable[[], str | None] = lambda: None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A rail with what it brings along.

    Attributes:
        sources: where the offers are that it pays for.
        own_offers: whether the operator writes those offers, so that no change of one is a stranger's.
        sells: the sources of offers that stand in no catalog, because a tool makes each of what it is asked for.
        road: which merchants it pays among those that share the source of paid HTTP; None where it pays none.
        account: who pays by it, where there is something to ask of them.
        witness: who tells the time, where the operator trusts somebody there.
        opened: what must be open while any of it is used, such as a client.
    """

    rail: Rail
    sources: tuple[OfferSource, ...]
    account: Account | None = None
    witness: Witness | None = None
    opened: AbstractAsyncContextManager[Any] | None = None
    sells: tuple[str, ...] = ()
    own_offers: bool = False
    road: Road | None = None


class Rails:
    """The ways to pay of one process."""

    def __init__(self, ways: Iterable[Way]) -> None:
        self._ways = tuple(ways)
        self._by_source: dict[str, list[Way]] = {}
        for way in self._ways:
            for name in (*(source.name for source in way.sources), *way.sells):
                self._by_source.setdefault(name, []).append(way)

    def selling(self, offer: Offer) -> Rail | None:
        """The rail that pays for an offer; None where none does."""
        way = self._selling(offer)
        return None if way is None else way.rail

    def _selling(self, offer: Offer) -> Way | None:
        ways = self._by_source.get(offer.source, [])
        return next((way for way in ways if way.road is None or way.road.pays(offer.payee)), None)

    def serving(self, rail: str, account: str, authorized: AuthorizedCall | None = None) -> Rail | None:
        """The rail that can find out about the calls of an account (`Rail.serves`); None where none can here."""
        way = self._serving(rail, account, authorized)
        return None if way is None else way.rail

    def _named(self, rail: str) -> list[Way]:
        return [way for way in self._ways if way.rail.name == rail]

    def _serving(self, rail: str, account: str, authorized: AuthorizedCall | None = None) -> Way | None:
        return next((way for way in self._named(rail) if way.rail.serves(account, authorized)), None)

    def arguments_of(self, rail: str, payload: bytes) -> Mapping[str, Any] | None:
        """What a call was given, from its stored request; None where that cannot be read here (any more)."""
        # One rail's requests are all of one form, whosever they are.
        ways = self._named(rail)
        return ways[0].rail.arguments_of(payload) if ways and payload else None

    def serves(self, rail: str, account: str, authorized: AuthorizedCall | None = None) -> bool:
        """Whether this process can act for a rail and account (`Rail.serves`)."""
        return self.serving(rail, account, authorized) is not None

    def witness_of(self, rail: Rail) -> Witness | None:
        """Who tells the time among a rail's own payees."""
        return next((way.witness for way in self._ways if way.rail is rail), None)

    def witness(self, rail: str, account: str) -> Witness | None:
        """The same for the calls of an account; where it is nobody's here, of its rail's only payees."""
        way, ways = self._serving(rail, account), self._named(rail)
        if way is None and len(ways) == 1:
            way = ways[0]
        return None if way is None else way.witness

    @property
    def witnesses(self) -> Sequence[Witness]:
        """Whoever tells the time."""
        return [way.witness for way in self._ways if way.witness is not None]

    def paying(self, offer: Offer) -> tuple[str, Account] | None:
        """The account that pays for an offer, where it can be asked something, with its rail's name."""
        way = self._selling(offer)
        return None if way is None or way.account is None else (way.rail.name, way.account)

    @property
    def accounts(self) -> Sequence[tuple[str, Account]]:
        """The accounts that can be asked something, each with its rail's name."""
        return [(way.rail.name, way.account) for way in self._ways if way.account is not None]
