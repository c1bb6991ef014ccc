"""``jecp-mcp sandbox``: an embedded Hub with test money, for trying things out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from jecp_mcp import extras
from jecp_mcp.cli.examples import examples
from jecp_mcp.settings import state_dir

Dialect = Literal["reference", "spec"]


@click.command(
    "sandbox",
    epilog=examples("jecp-mcp sandbox", "jecp-mcp sandbox --port 0 --dialect spec"),
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8401, show_default=True, help="0 takes a free one.")
@click.option(
    "--dialect",
    type=click.Choice(["reference", "spec"]),
    default="reference",
    show_default=True,
    help="Answer as the reference Hub does, or as the specification says.",
)
@click.option("--data", metavar="FILE", type=click.Path(path_type=Path), help="Where the Hub keeps its state.")
@click.option(
    "--catalog",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True),
    help="More providers' manifests, as JSON.",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input closes.")
def command(port: int, dialect: Dialect, data: Path | None, catalog: Path | None, with_parent: bool) -> None:
    """Run a Hub on this machine that sells real work for test money.

    Prints one JSON line, {"hub", "agent_id", "api_key", "control_key"}, when it is ready: the test agent's credentials,
    and the key to the Hub's own controls (faults, wallets, catalog), which is another at every start.
    """
    extras.SANDBOX.require()
    from jecp_mcp.sandbox.run import SandboxConfig, serve

    if data is None:
        data = state_dir(os.environ) / "sandbox.sqlite"
    data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = SandboxConfig(data=data, dialect=dialect, catalog=catalog)
    asyncio.run(_serve_until_stopped(partial(serve, config, port, _announce), with_parent))


def _announce(ready: Mapping[str, str]) -> None:
    print(json.dumps(ready), flush=True)


async def _serve_until_stopped(serve: Callable[[], Coroutine[Any, Any, None]], with_parent: bool) -> None:
    """Serve until SIGINT, SIGTERM or, `with_parent`, the end of standard input."""
    loop = asyncio.get_running_loop()
    # Told to end once, the Hub ends in its own time; a cancel scope would tell it again at every step.
    serving = loop.create_task(serve())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    if with_parent:
        end = partial(loop.call_soon_threadsafe, serving.cancel)
        threading.Thread(target=_at_end_of_stdin, args=(end,), name="parent", daemon=True).start()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _at_end_of_stdin(then: Callable[[], object]) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        then()
