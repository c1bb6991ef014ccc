"""The other books of the same user: the sandbox's beside those of the real wallet, and the other way round.

A call or file that is not in the books that were asked may be in the others: then a person is told so, and the command.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace

import anyio.to_thread

from jecp_mcp.cli.options import Start
from jecp_mcp.errors import LedgerError
from jecp_mcp.settings import sandbox_dir, state_dir


def other_books(given: Start) -> Start | None:
    """Where the other books are; None where one folder was named for both."""
    real, sandbox = state_dir(os.environ), sandbox_dir(os.environ)
    if real == sandbox or given.state != (sandbox if given.sandbox else real):
        return None
    folder = real if given.sandbox else sandbox
    commands = given.commands.at_other_books(folder)
    return replace(given, state=folder, sandbox=not given.sandbox, commands=commands)


async def where_else(given: Start, has: Callable[[Start], Awaitable[bool]], *words: str) -> str:
    """What is said after that something is not in the books; empty where it is not in the others either.

    Args:
        given: the books that were asked.
        has: whether it is in others.
        words: the command that looks it up.
    """
    other = other_books(given)
    if other is None or not await has(other):
        return ""
    whose = "The sandbox's books have it" if other.sandbox else "The books of the real wallet have it"
    return f" {whose}: `{other.commands.line(*words)}`"


async def call_elsewhere(given: Start, call_id: str, *words: str) -> str:
    """As `where_else`, of a call."""

    async def has(other: Start) -> bool:
        return await anyio.to_thread.run_sync(_has_call, other, call_id)

    return await where_else(given, has, *words)


def _has_call(other: Start, call_id: str) -> bool:
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.mandate.sqlite.database import LedgerFile
    from jecp_mcp.mandate.sqlite.ledger_queries import LedgerQueries

    if not other.ledger.is_file():
        return False
    try:
        # Reading begins nothing and leaves nobody's mark there.
        with closing(LedgerFile(other.ledger, "nobody", SystemClock())) as file:
            found: bool = file.read(lambda reader: LedgerQueries(reader).row(call_id) is not None)
            return found
    except LedgerError:
        return False
