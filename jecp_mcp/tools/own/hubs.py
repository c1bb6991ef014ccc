"""The Hubs that are bought from, each with the agent's account and wallet there; as a rule it is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.source_names import FIRST
from jecp_mcp.tools.own.registration import AgentAccount


@dataclass(frozen=True, slots=True)
class HubAccess:
    """One Hub.

    Attributes:
        name: what it is called, as `Offer.source_name`: ``""`` for the first.
        client: what is asked of it beside paid calls.
        account: the agent's account there.
    """

    name: str
    client: HubClient
    account: AgentAccount

    @property
    def called(self) -> str:
        """Its name for readers."""
        return self.name or FIRST


class Hubs:
    """All of them, the first one first."""

    def __init__(self, hubs: Sequence[HubAccess] = ()) -> None:
        self._hubs = tuple(hubs)

    def __iter__(self) -> Iterator[HubAccess]:
        return iter(self._hubs)

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called for readers, where there are several; one needs no name."""
        return tuple(one.called for one in self._hubs) if len(self._hubs) > 1 else ()

    @property
    def first(self) -> HubAccess:
        """The one that is meant where none is named."""
        return self._hubs[0]

    def named(self, called: str | None) -> HubAccess:
        """The Hub that is called so; the first where no name is given."""
        return next((one for one in self._hubs if one.called == called), self.first)

    def paying(self, account: str) -> HubAccess:
        """The Hub of an account as the ledger names it; the first where it is of none of them."""
        return next((one for one in self._hubs if one.client.account_id == account), self.first)

    @property
    def registered(self) -> bool:
        """Whether there are credentials at every one."""
        return all(one.account.present() for one in self._hubs)

    @property
    def lacking(self) -> HubAccess | None:
        """The first Hub at which there is no account yet."""
        return next((one for one in self._hubs if not one.account.present()), None)

    def label(self, hub: HubAccess) -> dict[str, str]:
        """Which Hub something is of, where there are several."""
        return {"hub": hub.called} if self.names else {}
