"""`Mandate`: what a `JecpClient` may spend, and the ledger in which it is counted."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from jecp_mcp.mandate.naming import Naming
from jecp_mcp.settings import LedgerSettings, MandateSettings, Settings, load_settings, state_dir
from jecp_mcp.settings.patterns import EVERYTHING_NAMED, Over, can_match
from jecp_mcp.source_names import FIRST, NAMED

if TYPE_CHECKING:
    from jecp_mcp.calls.ports import Question

Approve = Callable[["Question"], Awaitable[bool]]
"""Asks a person whether to buy; what it raises reaches whoever called."""

LEDGER_FILE: Final = "ledger.sqlite"

_KEEPING: Final = LedgerSettings(keep_bodies_days=3_650, keep_bodies_mb=1_000_000)
"""For a ledger whose server's settings are not known: no server may keep requests and answers longer."""


class Mandate:
    """Limits, prohibitions and approvals, by the rules of ``[mandate]`` in the server's settings.

    ::

        Mandate("ledger.sqlite", per_call_usdc="0.05", daily_usdc="1.00", deny=["*/csv*"])

    Clients and servers that use the same ledger draw on the same limits, whichever process they are in.
    """

    def __init__(self, ledger: str | Path, *, approve: Approve | None = None, **settings: Any) -> None:
        """Spend by `settings`, counted in the file `ledger`, which is made where there is none.

        Args:
            ledger: on a disk of this machine; the server's is ``ledger.sqlite`` in its state folder. Requests and
                answers stay in it until a server, or ``jecp-mcp ledger``, drops the old ones by its settings.
            approve: asks a person where the settings say that one must agree. Without it the call is refused
                (`ApprovalError`), and can be approved under its code by ``jecp-mcp approve``, where the ledger is the
                server's.
            settings: the keys of ``[mandate]``, such as ``per_call_usdc``, ``daily_usdc``, ``allow``, ``deny``,
                ``approve_above_usdc``; amounts are decimal text in USDC. What is left out is as in the server's
                settings: 0.25 a call, 2 a day.

        Raises:
            ValueError: a key or a value is wrong, or a pattern names a Hub, which only the server's settings can.
        """
        self.settings = _usable(MandateSettings.model_validate(settings))
        _names_no_hub(self.settings)
        self.ledger, self.approve = Path(ledger), approve
        self.ledger_settings = _KEEPING
        self.server_settings: Settings | None = None

    @classmethod
    def from_settings(
        cls, config: Path | None = None, *, state: Path | None = None, approve: Approve | None = None
    ) -> Self:
        """The mandate and the ledger of `jecp-mcp serve`, by its settings and the environment.

        Args:
            config: the settings file; as ``--config``.
            state: the state folder; as ``--state-dir``.
            approve: as for the class.

        Raises:
            SettingsError: something of it is wrong.
            ValueError: a pattern names a tool, which a program has none of.
        """
        settings = load_settings(config, environ=os.environ)
        made = cls(state_dir(os.environ, state) / LEDGER_FILE, approve=approve)
        made.settings, made.ledger_settings = _usable(settings.mandate), settings.ledger
        made.server_settings = settings
        return made

    def naming(self, hub: str) -> Naming:
        """By which names its rules mean what is stored under others, for a program at the Hub of this address."""
        known = self.server_settings
        # The rules of one Hub hold for whichever the program buys from.
        return Naming(((hub, ""),)) if known is None or not known.hubs else Naming.from_settings(known)

    def name_of(self, hub: str) -> str:
        """What the mandate's rules call a Hub, as `Offer.source_name`; its limits, allows and denies may name it.

        Args:
            hub: its address, as `jecp_mcp.settings.check_hub_url` writes it.

        Raises:
            ValueError: the settings have several Hubs, and none is at that address: no rule could name it.
        """
        known = {} if self.server_settings is None else self.server_settings.every_hub
        if len(known) <= 1:
            # The rules of one Hub hold for whichever the program buys from.
            return ""
        for name, one in known.items():
            if one.base_url == hub:
                return name
        there = ", ".join(one.base_url for one in known.values())
        raise ValueError(f"the mandate's settings have no Hub at {hub}, so none of its rules could name it: {there}")


def _usable(settings: MandateSettings) -> MandateSettings:
    """The same settings, all of whose patterns mean something to a program.

    Raises:
        ValueError: one names a tool: as a deny it would let everything through in silence.
    """
    for pattern in _patterns(settings):
        if can_match(pattern, Over.TOOLS) and not can_match(pattern, Over.IDS):
            raise ValueError(f'"{pattern}" names a tool of the server; a program needs an action, as a/b:c')
    return settings


def _names_no_hub(settings: MandateSettings) -> None:
    """See that no pattern means a further Hub, which only the server's settings call by a name.

    Raises:
        ValueError: one does: as a deny it would let everything through in silence.
    """
    for pattern in _patterns(settings):
        where, named, _ = pattern.partition(NAMED)
        if named and where != FIRST:
            raise ValueError(
                f'"{pattern}" names a Hub, and only the server\'s settings give one a name: leave it out, or take them '
                "with Mandate.from_settings()"
            )


def _patterns(settings: MandateSettings) -> tuple[str, ...]:
    """What its rules are about, but for what every mandate allows that says nothing of it."""
    allow = (pattern for pattern in settings.allow if pattern != EVERYTHING_NAMED)
    return (*allow, *settings.deny, *(limit.match for limit in settings.limits))
