"""What the desk needs of its neighbours, as it sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from jecp_mcp.calls.ports import CallEnd, Caller, Purchase
from jecp_mcp.calls.prepared import Preparation, PreparedCall
from jecp_mcp.domain.offers import Action
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.ledger import CallRow, MeterReading, Totals
from jecp_mcp.mandate.slips import Slip
from jecp_mcp.money import MicroUSDC
from jecp_mcp.tools.types import ToolCard
from jecp_mcp.wire.jecp.account import Refund


class Payments(Protocol):
    """The pipeline of paid calls (`jecp_mcp.calls.pipeline.Calls`)."""

    async def pay(self, purchase: Purchase, caller: Caller) -> CallEnd:
        """Buy one call, or say why not."""
        ...

    async def prepare(self, purchase: Purchase, caller: Caller) -> Preparation | Refusal:
        """Promise a price for a while. Raises `LedgerError`."""
        ...

    async def prepared(self, prepared_id: str, principal: str) -> tuple[Slip, PreparedCall] | None:
        """A prepared call by its id. Raises `LedgerError`."""
        ...

    async def execute(self, slip: Slip, purchase: Purchase, caller: Caller) -> CallEnd:
        """Pay for what was prepared, once."""
        ...

    async def note_refunds(self) -> int:
        """Take what the Hub gave back into the limits. Raises `HubError`, `LedgerError`."""
        ...

    def delivered(self, end: CallEnd) -> None:
        """Note that the answer of `end` is on its way to the client."""
        ...

    async def resolve(self, call_id: str) -> CallEnd | None:
        """Finish a call whose end is not proven, if that is possible now; None for an unknown id."""
        ...

    async def status(self, call_id: str | None = None, *, limit: int = 10) -> Sequence[CallRow]:
        """One call, or the latest ones. Raises `LedgerError`."""
        ...

    def own(self, row: CallRow) -> bool:
        """Whether this process's account paid for a call."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the ledger cannot be written at the moment, or None."""
        ...

    async def last_told(self) -> CallRow | None:
        """The latest call of this process's account whose answer told the balance. Raises `LedgerError`."""
        ...

    async def excessive(self, *, limit: int) -> Sequence[CallRow]:
        """The latest calls that were charged more than they might cost. Raises `LedgerError`."""
        ...

    async def holding(self, *, limit: int) -> Sequence[CallRow]:
        """The latest calls that hold money without a proven end. Raises `LedgerError`."""
        ...

    async def windows(
        self, principal: str = "local", bought: tuple[Action, str] | None = None
    ) -> Sequence[MeterReading]:
        """How full every cap is, or those for an action under a tool's name. Raises `LedgerError`."""
        ...

    async def totals(self) -> Totals:
        """The ledger's sums. Raises `LedgerError`."""
        ...


class TopUps(Protocol):
    """Where a payment link comes from."""

    async def topup(self, amount_usd: int) -> str:
        """A checkout page's URL for `amount_usd` whole USD. Raises `HubError`."""
        ...


class Refunding(Protocol):
    """Where refunds are asked for (`jecp_mcp.rails.jecp.client.HubClient`)."""

    async def request_refund(self, transaction_id: str, reason: str) -> Refund:
        """Ask for the money of one transaction back. Raises `HubError`."""
        ...

    async def refunds(self) -> Sequence[Refund]:
        """The refunds asked for so far. Raises `HubError`."""
        ...


@dataclass(frozen=True, slots=True)
class Registered:
    """A new agent account; its key is already stored and is not here."""

    agent_id: str
    free_calls: int | None
    kept_in: str


class CredentialKeeper(Protocol):
    """Who holds the agent's credentials."""

    @property
    def free_calls(self) -> int | None:
        """What the Hub gave with a registration of this process, None where there was none or it did not say."""
        ...

    def present(self) -> bool:
        """Whether there are credentials."""
        ...

    async def register(self, name: str | None) -> Registered:
        """Make an account at the Hub and store its key durably.

        Raises `HubError`, and `OSError` or `SettingsError` when the key cannot be stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a call's arguments; `pointer` is RFC 6901."""

    pointer: str
    reason: str


class Checked(NamedTuple):
    """What a check of arguments found.

    Attributes:
        problems: what is wrong with them, most important first.
        left: what could not be checked and is left to the Hub, in our own words.
    """

    problems: tuple[Problem, ...] = ()
    left: tuple[str, ...] = ()


class Checks(Protocol):
    """Checks a call's arguments before anything is spent."""

    def __call__(self, name: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> Checked:
        """What is wrong with `arguments`."""
        ...

    def left(self, name: str, schema: Mapping[str, Any]) -> Sequence[str]:
        """What of the schema cannot be checked in any arguments."""
        ...


class OnShelf(Protocol):
    """One published action."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def action(self) -> Action:
        """What it buys."""
        ...

    @property
    def card(self) -> ToolCard:
        """What the model sees."""
        ...


class Shelf(Protocol):
    """The catalog as tools (`jecp_mcp.tools.publishing.tool_registry.Registry`)."""

    @property
    def cards(self) -> Sequence[ToolCard]:
        """The tools to publish one by one."""
        ...

    @property
    def quarantined(self) -> Mapping[str, str]:
        """The keys of actions set aside, with the reason."""
        ...

    def warning(self, action: Action) -> str | None:
        """What to be told before buying from this action's provider, in our own words."""
        ...

    def resolve(self, name: str) -> OnShelf | None:
        """The action of that tool name, published one by one or not."""
        ...

    def find(self, text: str) -> Action | None:
        """The action a name, a key or a capability id means."""
        ...

    def name_of(self, action: Action) -> str | None:
        """The tool name of an action."""
        ...

    def name_within(self, name: str, length: int) -> str:
        """What hosts that take so many characters are given in the place of a tool name."""
        ...

    def names_from(self, start: str, limit: int) -> Sequence[str]:
        """The first tool names that begin so, in order."""
        ...

    def successor(self, action: Action, named: str | None = None) -> str | None:
        """The tool that takes the place of an action, if the catalog has it."""
        ...


class Finder(Protocol):
    """Search over the catalog (`jecp_mcp.catalog.search.Finder`)."""

    async def prepare(self) -> None:
        """Make ready what the next search needs, without keeping anybody else waiting."""
        ...

    def search(
        self,
        query: str,
        *,
        limit: int,
        namespace: str | None = None,
        tags: tuple[str, ...] = (),
        max_price: MicroUSDC | None = None,
    ) -> Sequence[Action]:
        """The best matches, best first; without words, the most called first."""
        ...

    def nearest(self, text: str, *, limit: int) -> Sequence[Action]:
        """The actions whose ids look most like `text`."""
        ...
