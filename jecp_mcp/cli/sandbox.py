"""``jecp-mcp sandbox``: an embedded Hub with test money, for trying things out."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import click

from jecp_mcp.settings import state_dir


@click.command("sandbox")
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
def command(port: int, dialect: str, data: Path | None, catalog: Path | None, with_parent: bool) -> None:
    """Run a Hub on this machine that sells real work for test money.

    Prints one JSON line, {"hub", "agent_id", "api_key"}, when it is ready.
    """
    try:
        from jecp_mcp.sandbox.run import SandboxConfig, serve
    except ModuleNotFoundError as exc:
        raise click.UsageError(
            f"the sandbox needs {exc.name}, which is not installed: pip install 'jecp-mcp[sandbox]'"
        ) from exc
    if data is None:
        data = state_dir(os.environ) / "sandbox.sqlite"
    if with_parent:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    serve(SandboxConfig(data=data, dialect=dialect, catalog=catalog), port, announce)


def announce(hub: str, agent_id: str, api_key: str) -> None:
    """Say where the Hub is and as whom to call it. The key is test money's and stays on this machine."""
    print(json.dumps({"hub": hub, "agent_id": agent_id, "api_key": api_key}), flush=True)


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
