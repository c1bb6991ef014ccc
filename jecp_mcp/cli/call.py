"""``jecp-mcp call``: one paid call from the command line, under the same mandate as every host's."""

from __future__ import annotations

import fcntl
import io
import json
import os
import select
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.advice import advice, problems
from jecp_mcp.cli.options import Start, as_json, common_options, start
from jecp_mcp.errors import JecpMcpError, PaidNotShown
from jecp_mcp.invisible import escape

if TYPE_CHECKING:
    from jecp_mcp.calls.ports import Question, Reply
    from jecp_mcp.cli.artifact_recorder import ArtifactRecorder
    from jecp_mcp.cli.assembly import Bridge
    from jecp_mcp.tools.types import ToolResult


_MOST_ALIKE = 1_000
"""How many files of one name a folder may have."""


class CallFailed(JecpMcpError):
    """The call was refused or failed; its message says so."""


@click.command("call")
@click.argument("tool")
@click.argument("arguments", metavar="JSON", default="{}")
@common_options
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
    """Call TOOL with a JSON object of arguments ("-" reads it from standard input).

    The exit status is 0 when the call is done and shown, 1 when it failed, 2 when it was asked for wrongly, and 3 when
    it is paid but could not be shown or saved: the same call again then gives the stored answer and is not charged.
    """
    given = start(hub, config, state_dir)
    parsed = _parse_arguments(arguments)
    _check_room(output)
    check_streams()
    result = anyio.run(_call, given, tool, parsed, output, as_json)
    if result.is_error:
        raise CallFailed(_why(result))


def check_streams() -> None:
    """See, before anything is paid for, that there is somebody to show it to.

    Raises:
        NotDone: standard output or standard error is closed, its reader has gone, or it cannot be written.
    """
    for name, stream in (("output", sys.stdout), ("error", sys.stderr)):
        try:
            fd = None if stream is None else stream.fileno()
            gone = fd is None or _unwritable(fd)
        except io.UnsupportedOperation:
            # Not of the system: a test's, or another program's that runs this command within itself.
            gone = False
        except (OSError, ValueError):
            gone = True
        if gone:
            raise CallFailed(f"standard {name} is closed, so a result could not be shown. Nothing was charged.")


def _unwritable(fd: int) -> bool:
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        return True
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in ready.poll(0))


def _parse_arguments(text: str) -> dict[str, Any]:
    try:
        # JSON is UTF-8 (RFC 8259 §8.1), whatever this machine's code page.
        text = sys.stdin.buffer.read().decode() if text == "-" else text
        text.encode()
        value = json.loads(text)
    except UnicodeError as exc:
        raise click.UsageError("the arguments are not UTF-8 text", click.get_current_context()) from exc
    except (ValueError, RecursionError) as exc:
        raise click.UsageError(f"the arguments are not JSON: {exc}", click.get_current_context()) from exc
    if not isinstance(value, dict):
        raise click.UsageError("the arguments are a JSON object", click.get_current_context())
    return value


class Unshown:
    """The presence of a caller that has nothing yet: an answer counts as delivered when it has been shown."""

    async def listening(self) -> bool:
        """As `jecp_mcp.calls.ports.Connection.listening`."""
        return False


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


async def _call(given: Start, tool: str, arguments: dict[str, Any], output: Path | None, as_json: bool) -> ToolResult:
    from jecp_mcp.calls.ports import Caller
    from jecp_mcp.cli.artifact_recorder import ArtifactRecorder
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.domain.purchases import LOCAL

    store = ArtifactRecorder(given.state / "artifacts", given.settings.artifacts, SystemClock())
    async with build(given, store=store) as bridge:
        # A catalog of an earlier run will do; what is not in it is refused with the reason.
        await bridge.source.refresh()
        await bridge.client.discover()
        # What an earlier run left open may be this very call; finishing it costs nothing.
        await bridge.calls.recover()
        caller = Caller(LOCAL, asker=Terminal(given.settings.hub.base_url), connection=Unshown())
        result = await bridge.dispatcher.call(tool, arguments, caller)
        _deliver(bridge, store, result, output, as_json)
        return result


def _deliver(bridge: Bridge, files: ArtifactRecorder, result: ToolResult, output: Path | None, as_json: bool) -> None:
    """Save a result's files and show it; only then is the answer delivered.

    Raises:
        PaidNotShown: it is paid, or may be, and that could not be done.
        NotDone: the same of what cost nothing.
    """
    receipt = next((value for key, value in result.meta.items() if key.endswith("billing")), result.structured or {})
    call_id, charged = receipt.get("call_id"), receipt.get("charged", "no")
    if output is not None:
        saved, problems = _save(files.files, output)
    else:
        saved, problems = [], [f"{words}; --output PATH saves it" for words in files.not_kept]
    try:
        if as_json:
            print(_json(_as_json(result, saved)))
        else:
            _print(result, saved)
        if output is not None and not files.files and not result.is_error:
            click.echo(f"nothing was saved to {output}: the result has no file", err=True)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError) as exc:
        _abandon_output()
        problems.append(f"it could not be shown: {getattr(exc, 'strerror', None) or exc}")
        problems += _remove(saved)
    if not problems:
        if call_id is not None and not result.is_error:
            bridge.ledger.note_delivery(call_id)
        return
    if charged == "no":
        raise CallFailed(f"nothing was charged, but {' and '.join(problems)}")
    paid = "may have been paid" if charged == "unknown" else "is paid"
    raise PaidNotShown(
        f"call {call_id} {paid}, but {' and '.join(problems)}. Its answer is kept: the same call again is not charged."
    )


def _abandon_output() -> None:
    """Have what is left in a broken stream's buffer go nowhere: Python would complain about it at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


class Terminal:
    """Asks the person at the terminal; where there is none, nobody consents."""

    def __init__(self, hub: str) -> None:
        self._hub = hub

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
        most = "" if question.exact else "up to "
        given = display.arguments(question.arguments, display.MOST_SHOWN)
        # What cannot be shown is refused before anybody is asked.
        assert given is not None
        click.echo(f"  arguments: {given}", err=True)
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


def _save(files: Sequence[tuple[str, bytes]], output: Path) -> tuple[list[Path], list[str]]:
    """Write files, each a media type and its bytes, to `output`: one to that name, several, or one to a folder.

    Returns those that were written, and what stood in the way: then nothing of them is left there.
    """
    from jecp_mcp.tools.artifact_store import extension

    saved: list[Path] = []
    into_folder = output.is_dir() or len(files) > 1
    try:
        if into_folder:
            output.mkdir(exist_ok=True)
        for place, (mime_type, data) in enumerate(files):
            name = f"file-{place}{extension(mime_type)}"
            saved.append(_write_new(output, name, data) if into_folder else _write(output, data))
    except OSError as exc:
        return [], [f"its file could not be written to {output}: {exc.strerror}", *_remove(saved)]
    return saved, []


def _remove(saved: Sequence[Path]) -> list[str]:
    """Clear the way for the same call again, which saves the same files; what is left is named."""
    left: list[str] = []
    for path in saved:
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            left.append(f"{path} is left there ({exc.strerror})")
    return left


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
    """Write a file that is not there yet, whole or not at all; what is, a link too, stays as it is.

    Raises:
        OSError: it is there, or cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        # Half a file would stand in the way of the same call again.
        path.unlink(missing_ok=True)
        raise
    return path


def _as_json(result: ToolResult, saved: list[Path]) -> dict[str, Any]:
    shown: dict[str, Any] = {"ok": not result.is_error, "output": result.structured}
    shown |= {key.rpartition("/")[2]: value for key, value in result.meta.items() if key.endswith("billing")}
    if result.is_error:
        shown = dict(result.structured or {})
    if saved:
        shown["saved"] = [str(path) for path in saved]
    return shown


def _json(value: Any) -> str:
    """JSON as the output's code page has it; with escapes where it has no sign for something."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def _print(result: ToolResult, saved: list[Path]) -> None:
    from jecp_mcp.cli import rich_output
    from jecp_mcp.tools.results import META_BILLING
    from jecp_mcp.tools.types import Text

    if result.is_error:
        return
    out, notes = rich_output.console(), rich_output.console(stderr=True)
    shown = dict(result.structured or {})
    # What a model is to do next is not what a person is: they are told in their own words.
    ours = META_BILLING not in result.meta
    text = _json({key: value for key, value in shown.items() if key != "next_action"} if ours else shown)
    if out.is_terminal:
        out.print_json(text, ensure_ascii=text.isascii())
    else:
        print(text)
    for part in result.blocks[1:]:
        if isinstance(part, Text):
            notes.print(rich_output.plain(part.text), style="green" if part.text.startswith("Paid") else "")
    if ours and (said := advice(shown)):
        notes.print(rich_output.plain(said))
    for path in saved:
        notes.print(f"saved to {rich_output.plain(str(path))}")


def _why(result: ToolResult) -> str:
    """The error, all that is wrong with the arguments, and what the person can do, in one line."""
    shown = dict(result.structured or {})
    error, wrong = shown.get("error", {}), problems(shown)
    parts = [f"{error.get('code')}: {error.get('message')}", wrong and f"{wrong}.", advice(shown)]
    return " ".join(str(part) for part in parts if part)
