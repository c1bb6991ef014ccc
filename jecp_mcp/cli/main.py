"""The command line. Each command's module is imported only when it is called: a host waits for ``serve`` to start."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import chain
from typing import Any, Final, NoReturn

import click

from jecp_mcp import __version__
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.output_filter import colour_stream, colours, install_output_filter
from jecp_mcp.errors import ExtraMissing, JecpMcpError, LedgerDamaged, PaidNotShown, SettingsError

SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Serve and try": {
        "serve": "Serve the catalog to an MCP host, under your limits.",
        "demo": "Watch the whole story, with test money.",
        "sandbox": "Run a Hub with test money on this machine.",
    },
    "Buy": {
        "search": "Find what is on sale by what it is for.",
        "catalog": "List what is on sale; approve what changed in it.",
        "describe": "Show what an action does, takes and costs.",
        "call": "Buy one call.",
        "hire": "Have an agent do a job.",
        "jobs": "List the jobs of hired agents, or show one.",
        "files": "List, copy or open the files that calls produced.",
        "status": "Show what became of a call, and its answer.",
        "refund": "Ask for a call's money back.",
    },
    "Money": {
        "wallet": "Show the balance, what limits leave, and what is held.",
        "topup": "Get a link at which you pay into the wallet.",
        "approve": "Approve a call that waits for a person.",
        "deny": "Refuse a call that waits for a person.",
        "ledger": "List all calls; prove, sum up, export, back up.",
        "reconcile": "Rule on a call whose outcome was lost.",
    },
    "Set up": {
        "register": "Make an agent account at the Hub.",
        "x402": "Make the wallet that pays HTTP merchants.",
        "identity": "Say who hires agents, and publish it.",
        "config": "Show every setting, and where it comes from.",
        "doctor": "Find out what is wrong, and how to mend it.",
        "completion": "Print what a shell needs to complete commands.",
    },
}
"""The commands as a newcomer reads them, each with what it is for: the overview imports none of them."""

COMMANDS: Final = tuple(chain.from_iterable(SECTIONS.values()))

_MEANT: Final[Mapping[str, str]] = {
    "budget": "wallet",
    "balance": "wallet",
    "limits": "wallet",
    "find": "search",
    "list": "catalog",
    "show": "describe",
    "info": "describe",
    "buy": "call",
    "run": "call",
    "history": "ledger",
    "pay": "topup",
    "login": "register",
    "init": "register",
    "settings": "config",
    "completions": "completion",
}
"""What people type for a command that has another name."""

_FAILED, _MISUSED, _PAID_NOT_SHOWN, _INTERRUPTED = 1, 2, 3, 130
_SHOWN = 200


class _Commands(click.Group):
    """The commands, imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands' names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"jecp_mcp.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """As click's; whoever meets a damaged ledger is told what mends it."""
        try:
            return super().invoke(ctx)
        except (LedgerDamaged, BaseExceptionGroup) as exc:
            from jecp_mcp.cli.options import started_from

            found, started = _alone(exc), started_from(ctx)
            if not isinstance(found, LedgerDamaged) or found.mend:
                raise
            if started is None or str(started.ledger) not in found.cause:
                raise
            doctor = started.commands.line("doctor", "--ledger")
            raise LedgerDamaged(found.cause, f"`{doctor}` says how to mend it") from exc

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a misspelt command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            meant = meant_command(args[0])
            hint = f"did you mean {meant}?" if meant else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0][:40]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The commands under the headings of `SECTIONS`."""
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))


def meant_command(word: str) -> str | None:
    """The command that somebody meant who typed a name that none has; None where nobody can tell."""
    from difflib import get_close_matches

    # A tool's name is the command's, behind the server's.
    word = word.lower().removeprefix("jecp_").removeprefix("jecp-")
    if word in COMMANDS:
        return word
    close = get_close_matches(word, [*COMMANDS, *_MEANT], n=1)
    return _MEANT.get(close[0], close[0]) if close else None


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("jecp-mcp demo", "jecp-mcp search 'invoice pdf' --hub https://jecp.dev", "jecp-mcp call --help"),
)
@click.version_option(__version__, prog_name="jecp-mcp")
@click.pass_context
def jecp_mcp(ctx: click.Context) -> None:
    """Buy from a JECP Hub under a hard spending limit, from any MCP host or this command line."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run a command. An error is one line on stderr, and the exit status 1, 2 when it was asked for wrongly, or 3."""
    if sys.platform == "win32":
        sys.stderr.write("jecp-mcp runs on Linux and macOS, and not on Windows yet; use it there within WSL.\n")
        sys.exit(_MISUSED)
    install_output_filter()
    sys.exit(_run())


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what cannot be kept, sent or shown: names of files and texts alike.

    Raises:
        click.UsageError: one of them is no UTF-8.
    """
    for at, argument in enumerate(arguments, 1):
        # A byte that is not UTF-8 comes from the system as half of a surrogate pair (PEP 383).
        if argument.encode("utf-8", "ignore") != (given := os.fsencode(argument)):
            raise click.UsageError(f"argument {at} has bytes that are not UTF-8: {given[:_SHOWN]!r}")


def _run() -> int:
    try:
        _check_arguments(sys.argv[1:])
        ended = jecp_mcp.main(prog_name="jecp-mcp", standalone_mode=False)
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (click.Abort, click.ClickException, JecpMcpError) as exc:
        return _report(exc)
    except BaseExceptionGroup as group:
        lone = _alone(group)
        if isinstance(lone, (click.Abort, click.ClickException, JecpMcpError)):
            return _report(lone)
        raise
    return ended if isinstance(ended, int) else 0


def _alone(error: BaseException) -> BaseException:
    """What a task raised, out of the groups that task groups wrap it in: what is alone there is told like any other."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _report(error: click.Abort | click.ClickException | JecpMcpError) -> int:
    """Say what went wrong in one line; returns the exit status."""
    if isinstance(error, click.Abort):
        _say("interrupted")
        return _INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # Its message is the help, which is to be read as it is laid out.
        click.echo(error.format_message(), err=True)
        return _MISUSED
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        _say(error.format_message() + (f" (see {context.command_path} --help)" if context is not None else ""))
        return _MISUSED
    _say(str(error))
    if isinstance(error, PaidNotShown):
        return _PAID_NOT_SHOWN
    return _MISUSED if isinstance(error, (SettingsError, ExtraMissing)) else _FAILED


def _say(text: str) -> None:
    name = "jecp-mcp:"
    # Where it is closed, standard output is the only place left to say so.
    stream = sys.stderr or sys.stdout
    # A full disk or a reader that has gone changes nothing about how it ended.
    with contextlib.suppress(OSError):
        if stream is not None and colours(stream):
            colour_stream(stream).write(click.style(name, fg="red"))
            name = ""
        print(f"{name} {' '.join(text.split())}", file=stream)
