"""``jecp-mcp call``: one paid call from the command line, under the same mandate as every host's."""

from __future__ import annotations

import fcntl
import io
import json
import os
import select
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.options import Start, as_json, common_options, start
from jecp_mcp.cli.saved_files import check_room, remove, save
from jecp_mcp.errors import JecpMcpError, PaidNotShown, PayeeError
from jecp_mcp.invisible import escape

if TYPE_CHECKING:
    from jecp_mcp.calls.ports import Question, Reply
    from jecp_mcp.cli.artifact_recorder import ArtifactRecorder
    from jecp_mcp.cli.assembly import Bridge
    from jecp_mcp.tools.types import ToolResult


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
    check_room(output)
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


async def _call(given: Start, tool: str, arguments: dict[str, Any], output: Path | None, as_json: bool) -> ToolResult:
    from jecp_mcp.calls.ports import Caller
    from jecp_mcp.cli.artifact_recorder import ArtifactRecorder
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.domain.purchases import LOCAL

    store = ArtifactRecorder(given.artifacts, given.settings.artifacts, SystemClock())
    async with build(given, store=store) as bridge:
        try:
            await bridge.source.refresh()
        except PayeeError:
            # A catalog of an earlier run will do; without any there is nothing to call.
            if not bridge.known:
                raise
        await bridge.client.discover()
        # What an earlier run left open may be this very call; finishing it costs nothing.
        await bridge.calls.recover()
        caller = Caller(
            LOCAL, asker=Terminal(given.settings.hub.base_url), connection=Unshown(), client="jecp-mcp call"
        )
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
        saved, problems = save(files.files, output)
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
        problems += remove(saved)
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

    async def approve(self, question: Question) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.approve`."""
        from jecp_mcp.calls import display
        from jecp_mcp.calls.ports import Decision, Reply
        from jecp_mcp.money import format_usdc

        if not (sys.stdin.isatty() and sys.stderr.isatty()):
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


def _as_json(result: ToolResult, saved: list[Path]) -> dict[str, Any]:
    shown: dict[str, Any] = {"ok": not result.is_error, "output": _output(result)}
    shown |= {key.rpartition("/")[2]: value for key, value in result.meta.items() if key.endswith("billing")}
    if result.is_error:
        shown = dict(result.structured or {})
    if kept := _kept(result):
        shown["files"] = kept
    if saved:
        shown["saved"] = [str(path) for path in saved]
    return shown


def _output(result: ToolResult) -> Any:
    """What was bought, or what a free tool says."""
    shown = result.structured or {}
    return shown["output"] if "receipt" in shown else shown


def _kept(result: ToolResult) -> list[dict[str, Any]]:
    """The files of the result that the store keeps."""
    shown = result.structured or {}
    files = shown.get("files", ()) if "receipt" in shown else ()
    return [{key: one[key] for key in one if key != "read_with"} for one in files]


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
    from jecp_mcp.tools.publishing import file_words

    if result.is_error:
        return
    out, notes = rich_output.console(), rich_output.console(stderr=True)
    text = _json(_output(result))
    if out.is_terminal:
        out.print_json(text, ensure_ascii=text.isascii())
    else:
        print(text)
    for line in result.notes:
        notes.print(rich_output.plain(line), style="green" if line.startswith("Paid") else "")
    for path in saved:
        notes.print(f"saved to {rich_output.plain(str(path))}", soft_wrap=True)
    for one in _kept(result):
        what = f"{file_words.kind(one['content_type'])}, {file_words.size(one['size_bytes'])}"
        notes.print(rich_output.plain(f"kept until {one['kept_until'][:10]}: {one['path']} ({what})"), soft_wrap=True)


def _why(result: ToolResult) -> str:
    """The error, and what to do next, in one line."""
    shown = dict(result.structured or {})
    error, step = shown.get("error", {}), shown.get("next_action", {})
    parts = [f"{error.get('code')}: {error.get('message')}", step.get("hint"), step.get("url")]
    return " ".join(str(part) for part in parts if part)
