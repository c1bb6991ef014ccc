"""The demo's log: what was done, what came back, what was checked."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from jecp_mcp.cli import rich_output
from jecp_mcp.errors import JecpMcpError

_LONGEST = 110
_INDENT = 6


class CheckFailed(JecpMcpError):
    """Something the demo shows was not so."""


class DemoLog:
    """Prints one numbered step after another; a check that does not hold ends it."""

    def __init__(self) -> None:
        self._out = rich_output.console()
        self._steps = 0
        self.checks = 0

    def title(self, text: str, more: str) -> None:
        """The headline."""
        self._out.print(Text(text, "bold"))
        self._out.print(Text(more, "dim"))

    def step(self, text: str) -> None:
        """Begin a step."""
        self._steps += 1
        self._out.print()
        self._out.print(Text(f"{self._steps:>2}  {text}", "bold"))

    def request(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """A tool call as the host makes it."""
        shown = json.dumps(arguments, ensure_ascii=False)
        self._line("→", self._cut(f"{tool} {shown}"), "cyan")

    def response(self, text: str) -> None:
        """What came back, by its beginning."""
        self._line("←", self._cut(text), "")

    def receipt(self, text: str) -> None:
        """A line that stands beside an answer, whole."""
        self._line("←", text, "")

    def note(self, text: str) -> None:
        """Something that happens outside the host."""
        self._line("·", text, "dim")

    def table(self, columns: Sequence[rich_output.Column], rows: Sequence[Sequence[str]]) -> None:
        """A table, indented like the lines."""
        self._out.print(rich_output.Listing(None, columns, rows, indent=4), crop=False)

    def check(self, held: bool, claim: str) -> None:
        """State something that holds.

        Raises:
            NotHeld: it does not.
        """
        if not held:
            self._line("✗", claim, "bold red")
            raise CheckFailed(f"this did not hold: {claim}")
        self.checks += 1
        self._line("✓", claim, "green")

    def end(self, text: str) -> None:
        """The last line."""
        self._out.print()
        self._out.print(Text(text, "bold green"))

    def _line(self, sign: str, text: str, style: str) -> None:
        """Text in lines that fit, set in below its sign; what must be copied whole, an id or a path, stays so."""
        room = self._out.width - _INDENT
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        shown = f"\n{' ' * _INDENT}".join(lines)
        self._out.print(Text(f"    {sign} {shown}", style), soft_wrap=True)

    def _cut(self, text: str) -> str:
        """The beginning of a text, on one line."""
        longest = min(_LONGEST, self._out.width - _INDENT)
        return text if len(text) <= longest else f"{text[: longest - 1]}…"
