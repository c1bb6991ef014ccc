"""What people see: tables, records and receipts, coloured only on a terminal. Imported late, for rich is not light."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from jecp_mcp import invisible
from jecp_mcp.cli.output_filter import colour_stream, colours

OK: Final = "green"
WARNING: Final = "yellow"
FAULT: Final = "red"

Kind = Literal["left", "right", "prose", "spare"]
Column = tuple[str, Kind]
"""A heading, and how its cells stand: whole, on the left or the right; as prose, which may be folded; or whole and
spared first, where a table has no room for it."""

_PIPE_WIDTH: Final = 100_000
"""For programs and files a row is a line, however long."""

_PROSE: Final = 20
"""The fewest columns in which prose is still read as prose."""

_STATE_STYLES: Final = {
    "settled": OK,
    "reconciled_charged": OK,
    "released": "dim",
    "reconciled_free": "dim",
    "in_doubt": WARNING,
    "sent": WARNING,
    "reserved": WARNING,
    "written_off": FAULT,
}


class _Console(Console):
    """rich's console, which ends the whole program when the reader has gone: here whoever writes hears of it."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise  # noqa: PLE0704 - rich calls this where it handles a BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """A console that colours only a terminal that wants it, and does not fold lines for a pipe."""
    stream, size = sys.stderr if stderr else sys.stdout, shutil.get_terminal_size()
    made = _Console(
        file=colour_stream(stream),
        # Both are given, for rich takes a dumb terminal for one of 80 columns otherwise.
        width=size.columns if stream.isatty() else _PIPE_WIDTH,
        height=size.lines,
        color_system="auto" if colours(stream) else None,
        highlight=False,
        soft_wrap=False,
        markup=False,
        emoji=False,
    )
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


class Listing:
    """Rows as a table where they fit, else as one record after another; ids and amounts are whole in both.

    What is wider than the terminal is written without a break of ours, so that it can be copied.
    """

    def __init__(
        self, title: str | None, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]], *, indent: int = 0
    ) -> None:
        """Rows under a title.

        Args:
            title: what they are; None for no title.
            columns: heading and kind of each; the first names a record.
            rows: cells; a stranger's text is taken as it is, never as markup.
            indent: how many blanks stand before each line.
        """
        cells = [[cell if isinstance(cell, Text) else _cell(cell) for cell in row] for row in rows]
        # A column in which no row says anything takes no room.
        used = [place for place in range(len(columns)) if not cells or any(row[place].plain for row in cells)]
        self._title = title
        self._columns = [columns[place] for place in used]
        self._rows = [[row[place] for place in used] for row in cells]
        self._margin = " " * indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose by what the console has room for."""
        if self._title:
            yield _whole(Text(self._margin) + Text(self._title, "bold"))
        room = options.max_width - len(self._margin)
        everything = range(len(self._columns))
        for places in (everything, [place for place in everything if self._columns[place][1] != "spare"]):
            table = self._table(places)
            if Measurement.get(console, options.update(width=_PIPE_WIDTH), table).minimum <= room:
                yield from _table_lines(console, Padding(table, (0, 0, 0, len(self._margin)), expand=False), options)
                return
        yield from self._records(room)

    def _table(self, places: Sequence[int]) -> Table:
        made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for place in places:
            heading, kind = self._columns[place]
            natural = max(cell_len(text) for text in (heading, *(row[place].plain for row in self._rows)))
            if kind == "prose":
                made.add_column(heading, overflow="fold", min_width=min(natural, _PROSE))
            else:
                justify: Literal["left", "right"] = "right" if kind == "right" else "left"
                made.add_column(heading, justify=justify, no_wrap=True, overflow="crop", min_width=natural)
        for row in self._rows:
            made.add_row(*(row[place] for place in places))
        return made

    def _records(self, room: int) -> RenderResult:
        widest = max((len(heading) for heading, _ in self._columns[1:]), default=0)
        for row in self._rows:
            yield _whole(Text(self._margin) + Text(row[0].plain, "bold"))
            for (heading, _), cell in zip(self._columns[1:], row[1:], strict=True):
                if cell.plain:
                    yield from _fact_lines(f"{self._margin}  ", heading, widest, cell, room + len(self._margin))


class Facts:
    """Names and values, one a line; what is None or empty is left out."""

    def __init__(self, pairs: Mapping[str, Any], *, indent: int = 0) -> None:
        """Values are texts, or their text is taken; a stranger's is never markup."""
        self._pairs = {
            name: value if isinstance(value, Text) else _cell(str(value))
            for name, value in pairs.items()
            if value is not None and value != ""
        }
        self._margin = " " * indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A value that does not fit beside its name stands below it."""
        del console
        widest = max(map(len, self._pairs), default=0)
        for name, value in self._pairs.items():
            yield from _fact_lines(self._margin, name, widest, value, options.max_width)


def _fact_lines(margin: str, name: str, widest: int, value: Text, room: int) -> Iterator[Text]:
    """A name and its value beside it; or below, where it is too long, in lines that break between words only."""
    before = f"{margin}{name:{widest}}  "
    if len(before) + cell_len(value.plain) <= room:
        yield _whole(Text(before, "dim") + value)
        return
    width = room - len(before)
    if width >= _PROSE and " " in value.plain:
        lines = textwrap.wrap(value.plain, width, break_long_words=False, break_on_hyphens=False)
        yield _whole(Text(before, "dim") + Text(lines[0], value.style))
        yield from (_whole(Text(" " * len(before)) + Text(line, value.style)) for line in lines[1:])
        return
    yield _whole(Text(before.rstrip(), "dim"))
    deeper = f"{margin}  "
    for line in textwrap.wrap(value.plain, max(room - len(deeper), 1), break_long_words=False, break_on_hyphens=False):
        yield _whole(Text(deeper) + Text(line, value.style))


def _whole(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ignore"
    return line


def _table_lines(console: Console, table: ConsoleRenderable, options: ConsoleOptions) -> Iterator[Segment]:
    """A table's lines without the blanks at their ends, with which it pads its last column."""
    for line in Segment.split_lines(console.render(table, options)):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            line[-1] = line[-1]._replace(text=line[-1].text.rstrip())
        yield from line
        yield Segment.line()


def show(*parts: Listing | Facts, stderr: bool = False) -> None:
    """Print; what has to be whole is not cut at the terminal's edge."""
    out = console(stderr=stderr)
    for part in parts:
        out.print(part, crop=False)


def say(text: str, style: str = "", *, stderr: bool = False) -> None:
    """Print a line of text, as it is, in a colour where there are colours."""
    console(stderr=stderr).print(Text(invisible.escape(text), style), soft_wrap=True)


def _cell(text: str) -> Text:
    """A cell on one line; before the table is measured, so that its columns stay where they are."""
    return Text(invisible.escape(text, one_line=True))
