"""The person at the terminal, as a paid call meets them: who is asked, who listens, who is told how it goes on."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.output_filter import colour_stream
from jecp_mcp.invisible import escape
from jecp_mcp.source_names import split_source

if TYPE_CHECKING:
    from jecp_mcp.calls.ports import Question, Reply
    from jecp_mcp.settings import HubSettings

_LONGEST: Final = 400
_CLEAR_LINE: Final = "\r\x1b[K"


def set_in(name: str, text: str) -> str:
    """A name and its text for a person to read before they agree: beside it, or all of it set in below."""
    return f"  {name}:\n{textwrap.indent(text, '    ')}" if "\n" in text else f"  {name}: {text}"


def between_words(text: str, room: int) -> str:
    """A text in lines that break between words only; ids and paths stay whole."""
    return textwrap.fill(text, room, break_long_words=False, break_on_hyphens=False)


class Unshown:
    """The presence of a caller that has nothing yet: an answer counts as delivered when it has been shown."""

    async def listening(self) -> bool:
        """As `jecp_mcp.calls.ports.Connection.listening`."""
        return False


class Terminal:
    """Asks the person at the terminal; where there is none, nobody consents."""

    def __init__(self, hubs: Mapping[str, HubSettings]) -> None:
        """Ask for purchases from these Hubs, by name as in `Settings.every_hub`."""
        self._hubs = hubs

    @property
    def can_ask(self) -> bool:
        """As `jecp_mcp.calls.ports.Asker.can_ask`."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    async def approve(self, question: Question) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.approve`."""
        from jecp_mcp.calls import display
        from jecp_mcp.calls.ports import Decision, Reply
        from jecp_mcp.money import format_usdc

        if not self.can_ask:
            return Reply(Decision.UNABLE, "there is no terminal")
        most = "" if question.kind.exact else "up to "
        given = display.arguments(question.arguments, display.MOST_SHOWN)
        # What cannot be shown is refused before anybody is asked.
        assert given is not None
        click.echo(set_in("arguments", given), err=True)
        hub = self._hubs[split_source(question.action)[0]].base_url
        asked = f"{question.because} Buy {question.action} for {most}{format_usdc(question.amount)} USDC at {hub}?"
        # A terminal's own line editor prints a question, past the filter before the streams.
        asked = between_words(escape(asked, one_line=True), _columns())
        said = await anyio.to_thread.run_sync(lambda: click.confirm(asked, default=False, err=True))
        return Reply(Decision.ACCEPTED if said else Decision.DECLINED)

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        """Links are printed with the result; nothing is opened."""
        from jecp_mcp.calls.ports import Decision, Reply

        del purpose, message
        return Reply(Decision.UNABLE, "a terminal opens no links", await make())


class ProgressLine:
    """Shows how a streaming call goes on, as a line that each report replaces; only where somebody watches."""

    def __init__(self) -> None:
        self._shown = False

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """As `jecp_mcp.calls.ports.Progress.report`."""
        from jecp_mcp.tools.publishing.cleaning import safe_text

        if not sys.stderr.isatty():
            return
        words = safe_text(message, _LONGEST, one_line=True) or "…"
        counted = f"{done:g}" if total is None else f"{done:g} of {total:g}"
        self._write(f"  {counted}: {words}")

    def end(self) -> None:
        """Clear the line; what comes of the call is printed in its place."""
        if self._shown and _clears():
            colour_stream(sys.stderr).write(_CLEAR_LINE)
            sys.stderr.flush()
        self._shown = False

    def _write(self, line: str) -> None:
        line = escape(line, one_line=True)
        if not _clears():
            click.echo(line, err=True)
            return
        room = _columns()
        colour_stream(sys.stderr).write(_CLEAR_LINE + (line if len(line) <= room else f"{line[: room - 1]}…"))
        sys.stderr.flush()
        self._shown = True


def _columns() -> int:
    return shutil.get_terminal_size().columns - 1


def _clears() -> bool:
    return os.environ.get("TERM") != "dumb"
