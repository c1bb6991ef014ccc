"""The command line. Each command's module is imported only when it is called: a host waits for ``serve`` to start."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import NoReturn

import click

from jecp_mcp import __version__
from jecp_mcp.cli.output_filter import install_output_filter
from jecp_mcp.errors import JecpMcpError, PaidNotShown, SettingsError

COMMANDS = (
    "serve",
    "demo",
    "call",
    "files",
    "catalog",
    "budget",
    "approve",
    "deny",
    "ledger",
    "reconcile",
    "doctor",
    "sandbox",
)
"""In the order a newcomer reads them."""

_FAILED, _MISUSED, _PAID_NOT_SHOWN, _INTERRUPTED = 1, 2, 3, 130


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a misspelt command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0][:40]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jecp-mcp")
def jecp_mcp() -> None:
    """Buy from a JECP Hub under a hard spending limit, from any MCP host or this command line."""


def main() -> NoReturn:
    """Run a command. An error is one line on stderr, and the exit status 1, 2 when it was asked for wrongly, or 3."""
    install_output_filter()
    sys.exit(_run())


def _run() -> int:
    try:
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
        # Task groups wrap what a task raises; an error of ours that is alone in there is told like any other.
        lone: BaseException = group
        while isinstance(lone, BaseExceptionGroup) and len(lone.exceptions) == 1:
            lone = lone.exceptions[0]
        if isinstance(lone, (click.Abort, click.ClickException, JecpMcpError)):
            return _report(lone)
        raise
    return ended if isinstance(ended, int) else 0


def _report(error: click.Abort | click.ClickException | JecpMcpError) -> int:
    """Say what went wrong in one line; returns the exit status."""
    if isinstance(error, click.Abort):
        _say("interrupted")
        return _INTERRUPTED
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        _say(error.format_message() + (f" (see {context.command_path} --help)" if context is not None else ""))
        return _MISUSED
    _say(str(error))
    if isinstance(error, PaidNotShown):
        return _PAID_NOT_SHOWN
    return _MISUSED if isinstance(error, SettingsError) else _FAILED


def _say(text: str) -> None:
    # A full disk or a reader that has gone changes nothing about how it ended.
    with contextlib.suppress(OSError):
        print(f"jecp-mcp: {' '.join(text.split())}", file=sys.stderr)
