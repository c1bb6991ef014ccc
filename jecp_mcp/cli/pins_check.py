"""Pins that cannot be read: nothing is sold then, which every command that looks into the catalog says the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jecp_mcp.errors import PinsUnusable
from jecp_mcp.settings.command_lines import CommandLine

if TYPE_CHECKING:
    from jecp_mcp.cli.assembly import Bridge


def check_pins(bridge: Bridge) -> None:
    """Refuse to go on with a catalog that could not be held against its pins.

    Raises:
        PinsUnusable: so it is.
    """
    if bridge.pins.fault is not None:
        with doctor_named(bridge.start.commands):
            raise bridge.pins.fault


@contextmanager
def doctor_named(commands: CommandLine) -> Iterator[None]:
    """Say what became of the money, and who knows what mends pins that cannot be read."""
    try:
        yield
    except PinsUnusable as exc:
        words = f"no action is sold, and nothing was charged: what was seen of them before cannot be read: {exc}"
        raise PinsUnusable(f"{words}; `{commands.line('doctor')}` says how to mend it") from exc
