"""``jecp-mcp call``: one paid call from the command line, under the same mandate as every host's."""

from __future__ import annotations

import fcntl
import io
import json
import os
import select
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from jecp_mcp.cli.advice import advice, for_person
from jecp_mcp.cli.completion import complete_tools
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start_from
from jecp_mcp.cli.own_tools import CallFailed, why
from jecp_mcp.cli.saved_files import TargetPath, check_room, remove, save
from jecp_mcp.cli.terminal import ProgressLine, Terminal, Unshown
from jecp_mcp.errors import MoneyError, PaidNotShown
from jecp_mcp.settings.command_lines import CommandLine

if TYPE_CHECKING:
    from jecp_mcp.cli.artifact_recorder import ArtifactRecorder
    from jecp_mcp.cli.assembly import Bridge
    from jecp_mcp.tools.types import ToolResult


Show = Callable[[Mapping[str, Any]], None]


def usdc_amount(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An amount in USDC, as `jecp_call` takes it."""
    from jecp_mcp.money import format_usdc, parse_usdc

    try:
        return None if value is None else format_usdc(parse_usdc(value.removeprefix("$")))
    except MoneyError as exc:
        raise click.BadParameter(str(exc), param=parameter) from exc


@click.command(
    "call",
    epilog=examples(
        """jecp-mcp call text-stats_count '{"text": "one two three"}'""",
        "jecp-mcp call inkwell/invoice:render - --output invoice.pdf < invoice.json",
        "jecp-mcp call inkwell.thumbnail.make@2.0.0 - --json < picture.json",
        """jecp-mcp call lectern/keywords:extract '{"text": "one two three"}' --max-usdc 0.05""",
    ),
)
@click.argument("tool", shell_complete=complete_tools)
@click.argument("arguments", metavar="JSON", default="{}")
@common_options
@click.option(
    "--output", metavar="PATH", type=TargetPath(path_type=Path), help="Save the file the call produces (or a folder)."
)
@click.option(
    "--max-usdc", metavar="USDC", callback=usdc_amount, help="What it may cost at most; only lowers the limits."
)
@click.option("--label", metavar="TEXT", help="Buy a further copy of an identical call, told apart by TEXT.")
@as_json
def command(
    tool: str,
    arguments: str,
    output: Path | None,
    max_usdc: str | None,
    label: str | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Buy one call of TOOL, with a JSON object of arguments ("-" reads it from standard input).

    TOOL is a tool's name or an action, such as docs/invoice:create, docs/invoice/create or docs/invoice.create, with
    @VERSION behind it if you want no other.

    The exit status is 0 when the call is done and shown, 1 when it failed, 2 when it was asked for wrongly, and 3 when
    it is paid but could not be shown or saved: the same call again then gives the stored answer and is not charged.
    """
    given = start_from(where)
    parsed = parse_arguments(arguments)
    check_room(output)
    check_streams()
    asked = {name: value for name, value in (("max_usdc", max_usdc), ("label", label)) if value is not None}
    if asked:
        tool, parsed = "jecp_call", {"tool": tool, "arguments": parsed, **asked}
    result = anyio.run(pay_and_show, given, tool, parsed, output, as_json)
    if result.is_error:
        raise CallFailed(why(result, given.commands))


def check_streams() -> None:
    """See, before anything is paid for, that there is somebody to show it to.

    Raises:
        CallFailed: standard output or standard error is closed, its reader has gone, or it cannot be written.
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


def parse_arguments(text: str, what: str = "the arguments") -> dict[str, Any]:
    """A JSON object that was given as text, or on standard input where that is ``-``.

    Raises:
        UsageError: it is something else; `what` names it, in the plural.
    """
    try:
        # JSON is UTF-8 (RFC 8259 §8.1), whatever this machine's code page.
        text = sys.stdin.buffer.read().decode() if text == "-" else text
        text.encode()
        value = json.loads(text)
    except UnicodeError as exc:
        raise click.UsageError(f"{what} are not UTF-8 text", click.get_current_context()) from exc
    except (ValueError, RecursionError) as exc:
        raise click.UsageError(f"{what} are not JSON: {exc}", click.get_current_context()) from exc
    if not isinstance(value, dict):
        raise click.UsageError(f"{what} are a JSON object", click.get_current_context())
    return value


def _show(answer: Mapping[str, Any]) -> None:
    """Print an answer; in colours at a terminal."""
    from jecp_mcp.cli import rich_output

    out, text = rich_output.console(), _json(answer)
    if out.is_terminal:
        out.print_json(text, ensure_ascii=text.isascii())
    else:
        print(text)


async def pay_and_show(
    given: Start,
    tool: str,
    arguments: dict[str, Any],
    output: Path | None,
    as_json: bool,
    catalog: bool = True,
    show_free: Show = _show,
) -> ToolResult:
    """Make a call of a tool, save its files to `output` and print it.

    Args:
        given: where to buy.
        tool: its name, or an action in any notation.
        arguments: what it is called with.
        output: a file or a folder; None saves nothing.
        as_json: print for programs.
        catalog: whether it takes a catalog, as all does that is bought.
        show_free: prints, for people, what one of the free tools says.

    Raises:
        PayeeError: the sandbox Hub that is to be bought from does not run.
        PinsUnusable: what was seen of the catalog before cannot be read; nothing was bought.
        CallFailed, PaidNotShown: it could not be shown.
    """
    from jecp_mcp.calls.ports import Caller
    from jecp_mcp.cli.artifact_recorder import ArtifactRecorder
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.cli.hub_process import at_hub
    from jecp_mcp.cli.pins_check import check_pins
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.domain.purchases import LOCAL

    store = ArtifactRecorder(given.artifacts, given.settings.artifacts, SystemClock())
    async with at_hub(given) as at, build(at, store=store) as bridge:
        # A Hub that answers nobody holds up no call at another.
        others = at.hubs_beside(tool) if catalog else frozenset[str]()
        if catalog:
            # A catalog of an earlier run will do; what is not in it is refused with the reason.
            await bridge.source.refresh(others)
            check_pins(bridge)
        await bridge.discover(tool)
        # What an earlier run left open may be this very call; finishing it costs nothing.
        await bridge.calls.recover(others)
        progress = ProgressLine()
        caller = Caller(LOCAL, progress, Unshown(), Terminal(at.settings.every_hub), client="jecp-mcp-call")
        result = await bridge.dispatcher.call(tool, arguments, caller)
        progress.end()
        _deliver(bridge, store, result, output, as_json, show_free)
        return result


def _deliver(
    bridge: Bridge, files: ArtifactRecorder, result: ToolResult, output: Path | None, as_json: bool, show_free: Show
) -> None:
    """Save a result's files and show it; only then is the answer delivered.

    Raises:
        PaidNotShown: it is paid, or may be, and that could not be done.
        CallFailed: the same of what cost nothing.
    """
    # What a free tool says of a call delivers none of its answer.
    told = result.structured or {} if result.is_error else {}
    receipt = next((value for key, value in result.meta.items() if key.endswith("billing")), told)
    call_id, charged = receipt.get("call_id"), receipt.get("charged", "no")
    if output is not None:
        saved, problems = save(files.files, output)
    else:
        saved, problems = [], [f"{words}; --output PATH saves it" for words in files.not_kept]
    try:
        if as_json:
            print(_json(_as_json(result, saved)))
        elif not result.is_error:
            (_show if result.meta else show_free)(_output(result))
            _print_notes(result, saved, bridge.start.commands)
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


def _as_json(result: ToolResult, saved: list[Path]) -> dict[str, Any]:
    shown: dict[str, Any] = {"ok": not result.is_error, "output": _output(result)}
    shown |= {key.rpartition("/")[2]: value for key, value in result.meta.items() if key.endswith("billing")}
    if result.is_error:
        shown = dict(result.structured or {})
    if notices := _notices(result):
        shown["notices"] = notices
    if kept := _stored_files(result):
        shown["files"] = kept
    if saved:
        shown["saved"] = [str(path) for path in saved]
    return shown


def _output(result: ToolResult) -> Any:
    """What was bought, or what a free tool says."""
    shown = result.structured or {}
    # What a model is to do next is not what a person is: they are told in their own words.
    return shown["output"] if "receipt" in shown else {key: shown[key] for key in shown if key != "next_action"}


def _stored_files(result: ToolResult) -> list[dict[str, Any]]:
    """The files of the result that the store keeps."""
    shown = result.structured or {}
    files = shown.get("files", ()) if "receipt" in shown else ()
    return [{key: one[key] for key in one if key != "read_with"} for one in files]


def _notices(result: ToolResult) -> list[str]:
    """What is to be known of an answer that was paid for."""
    shown = result.structured or {}
    return [for_person(text) for text in shown.get("notices", ())] if "receipt" in shown else []


def _json(value: Any) -> str:
    """JSON as the output's code page has it; with escapes where it has no sign for something."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def _print_notes(result: ToolResult, saved: list[Path], commands: CommandLine) -> None:
    """What stands beside an answer: notices, the receipt, where its files are."""
    from jecp_mcp.cli import rich_output
    from jecp_mcp.tools.publishing import file_words

    for line in result.notes:
        told = line.startswith(("Paid", "Owed", "Free", "Bought earlier"))
        rich_output.say(for_person(line), rich_output.OK if told else "", stderr=True)
    if not result.meta:
        if (result.structured or {}).get("charged", "no") == "no":
            # What is told of a call that was charged, or may have been, says so itself.
            rich_output.say("Free: nothing was charged.", rich_output.OK, stderr=True)
        if said := advice(result.structured or {}, commands):
            rich_output.say(said, stderr=True)
    for path in saved:
        rich_output.say(f"saved to {path}", stderr=True)
    for one in _stored_files(result):
        what = f"{file_words.kind(one['content_type'])}, {file_words.size(one['size_bytes'])}"
        rich_output.say(f"kept until {one['kept_until'][:10]}: {one['path']} ({what})", stderr=True)
