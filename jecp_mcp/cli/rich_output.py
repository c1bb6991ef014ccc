"""What people see: tables and receipts, coloured only on a terminal. Imported late, for rich is not light."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from jecp_mcp import invisible
from jecp_mcp.cli.output_filter import colour_stream

_PIPE_WIDTH = 160

_STATE_STYLES = {
    "settled": "green",
    "reconciled_charged": "green",
    "released": "dim",
    "reconciled_free": "dim",
    "in_doubt": "yellow",
    "sent": "yellow",
    "reserved": "yellow",
    "written_off": "red",
}


class _Console(Console):
    """rich's console, which ends the whole program when the reader has gone: here whoever writes hears of it."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise  # noqa: PLE0704 - rich calls this where it handles a BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """A console that colours only a terminal, and does not fold lines for a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    made = _Console(file=colour_stream(stream), width=width, highlight=False, soft_wrap=False)
    made.push_render_hook(_Filter())
    return made


class _Filter(RenderHook):
    """Writes out what would not be seen, whatever is printed, before it gets its colours."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Visible(one) for one in renderables]


class _Visible:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._inner, options):
            yield segment if segment.control else segment._replace(text=invisible.escape(segment.text))


def state(name: str) -> Text:
    """A ledger state in its colour."""
    return Text(name, _STATE_STYLES.get(name, ""))


def table(title: str | None, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A plain table.

    Args:
        columns: heading and justification (``left`` or ``right``) of each.
        rows: cells; a stranger's text is taken as it is, never as markup.
    """
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in columns:
        made.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else _cell(cell) for cell in row))
    return made


def facts(pairs: Mapping[str, Any]) -> Table:
    """Names and values, one a line."""
    made = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        made.add_row(Text(name, "dim"), _cell(str(value)))
    return made


def _cell(text: str) -> Text:
    """A cell on one line; before the table is measured, so that its columns stay where they are."""
    return Text(invisible.escape(text, one_line=True))


def plain(text: str) -> str:
    """A stranger's text for a line that has markup."""
    return escape(text)
