"""``jecp-mcp call``: one paid call from the command line, under the same mandate as every host's."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.options import Start, as_json, common, start
from jecp_mcp.errors import HubError, JecpMcpError
from jecp_mcp.invisible import escape

if TYPE_CHECKING:
    from jecp_mcp.calls.ports import Question, Reply
    from jecp_mcp.cli.assembly import Bridge
    from jecp_mcp.tools.forms import ToolResult


_MOST_ALIKE = 1_000
"""How many files of one name a folder may have."""


class NotDone(JecpMcpError):
    """The call was refused or failed; its message says so."""


@click.command("call")
@click.argument("tool")
@click.argument("arguments", metavar="JSON", default="{}")
@common
@click.option(
    "--output", metavar="PATH", type=click.Path(path_type=Path), help="Save the file the call produces (or a folder)."
)
@as_json
def command(
    tool: str,
    arguments: str,
    hub: str | None,
    config: Path | None,
    state_dir: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Call TOOL with a JSON object of arguments ("-" reads it from standard input)."""
    given = start(hub, config, state_dir)
    _check_room(output)
    result, saved = anyio.run(_call, given, tool, _parsed(arguments), output)
    if as_json:
        print(json.dumps(_as_json(result, saved), indent=2, ensure_ascii=False))
    else:
        _print(result, saved)
    if result.is_error:
        raise NotDone(_why(result))


def _parsed(text: str) -> dict[str, Any]:
    text = sys.stdin.read() if text == "-" else text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise click.UsageError(f"the arguments are not JSON: {exc}", click.get_current_context()) from exc
    if not isinstance(value, dict):
        raise click.UsageError("the arguments are a JSON object", click.get_current_context())
    return value


def _check_room(output: Path | None) -> None:
    """Refuse a place that cannot take the file before the call is paid."""
    if output is None or output.is_dir():
        return
    if os.path.lexists(output):
        raise click.UsageError(
            f"{output} is there already and is not overwritten; nothing was bought", click.get_current_context()
        )
    if not output.parent.is_dir():
        raise click.UsageError(f"there is no folder {output.parent}; nothing was bought", click.get_current_context())


async def _call(
    given: Start, tool: str, arguments: dict[str, Any], output: Path | None
) -> tuple[ToolResult, list[Path]]:
    from jecp_mcp.calls.ports import Caller
    from jecp_mcp.cli.assembly import build

    async with build(given) as bridge:
        try:
            await bridge.source.refresh()
        except HubError:
            # A catalog of an earlier run will do; without any there is nothing to call.
            if not bridge.known:
                raise
        await bridge.client.discover()
        # What an earlier run left open may be this very call; finishing it costs nothing.
        await bridge.calls.recover()
        result = await bridge.desk.call(tool, arguments, Caller(asker=Terminal(given.settings.hub.base_url)))
        return result, _save(bridge, result, output)


class Terminal:
    """Asks the person at the terminal; where there is none, nobody consents."""

    def __init__(self, hub: str) -> None:
        self._hub = hub

    async def approve(self, question: Question) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.approve`."""
        from jecp_mcp.calls.ports import Decision, Reply
        from jecp_mcp.money import format_usdc

        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return Reply(Decision.UNABLE, "there is no terminal")
        most = "" if question.exact else "up to "
        asked = (
            f"{question.because} Buy {question.action} for {most}{format_usdc(question.amount)} USDC at {self._hub}?"
        )
        # A terminal's own line editor prints a question, past the filter before the streams.
        asked = escape(asked, one_line=True)
        said = await anyio.to_thread.run_sync(lambda: click.confirm(asked, default=False, err=True))
        return Reply(Decision.ACCEPTED if said else Decision.DECLINED)

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        """Links are printed with the result; nothing is opened."""
        from jecp_mcp.calls.ports import Decision, Reply

        del purpose, message
        return Reply(Decision.UNABLE, "a terminal opens no links", await make())


def _save(bridge: Bridge, result: ToolResult, output: Path | None) -> list[Path]:
    """Write the files of a result to `output`: one to that name, several, or one to a folder, by their own names."""
    from jecp_mcp.tools.artifacts import extension
    from jecp_mcp.tools.forms import Audio, Embedded, Image, Link

    files: list[tuple[str, bytes]] = []
    for place, part in enumerate(result.blocks):
        match part:
            case Image() | Audio():
                files.append((f"file-{place}{extension(part.mime_type)}", base64.b64decode(part.data)))
            case Embedded():
                kept = bridge.store.find(part.uri.rpartition("/")[2])
                name = kept.path.name if kept is not None else f"file-{place}{extension(part.mime_type)}"
                files.append((name, base64.b64decode(part.data)))
            case Link():
                kept = bridge.store.find(part.uri.rpartition("/")[2])
                if kept is not None:
                    files.append((kept.path.name, kept.path.read_bytes()))
            case _:
                continue
    if output is None or not files:
        return []
    saved: list[Path] = []
    into_folder = output.is_dir() or len(files) > 1
    try:
        if into_folder:
            output.mkdir(exist_ok=True)
        for name, data in files:
            saved.append(_write_new(output, name, data) if into_folder else _write(output, data))
    except OSError as exc:
        raise NotDone(f"the call is paid and its file is kept, but not written to {output}: {exc.strerror}") from exc
    return saved


def _write_new(folder: Path, name: str, data: bytes) -> Path:
    """Write a file of that name, or of the next one that is free."""
    stem, dot, ending = name.partition(".")
    for number in range(2, _MOST_ALIKE):
        try:
            return _write(folder / name, data)
        except FileExistsError:
            name = f"{stem}-{number}{dot}{ending}"
    return _write(folder / name, data)


def _write(path: Path, data: bytes) -> Path:
    """Write a file that is not there yet; what is, a link too, stays as it is.

    Raises:
        OSError: it is there, or cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return path


def _as_json(result: ToolResult, saved: list[Path]) -> dict[str, Any]:
    shown: dict[str, Any] = {"ok": not result.is_error, "output": result.structured}
    shown |= {key.rpartition("/")[2]: value for key, value in result.meta.items() if key.endswith("billing")}
    if result.is_error:
        shown = dict(result.structured or {})
    if saved:
        shown["saved"] = [str(path) for path in saved]
    return shown


def _print(result: ToolResult, saved: list[Path]) -> None:
    from jecp_mcp.cli import tables
    from jecp_mcp.tools.forms import Text

    if result.is_error:
        return
    out, notes = tables.console(), tables.console(stderr=True)
    text = json.dumps(result.structured, indent=2, ensure_ascii=False)
    if out.is_terminal:
        out.print_json(text)
    else:
        print(text)
    for part in result.blocks[1:]:
        if isinstance(part, Text):
            notes.print(tables.plain(part.text), style="green" if part.text.startswith("Paid") else "")
    for path in saved:
        notes.print(f"saved to {tables.plain(str(path))}")


def _why(result: ToolResult) -> str:
    """The error, and what to do next, in one line."""
    shown = dict(result.structured or {})
    error, step = shown.get("error", {}), shown.get("next_action", {})
    parts = [f"{error.get('code')}: {error.get('message')}", step.get("hint"), step.get("url")]
    return " ".join(str(part) for part in parts if part)
