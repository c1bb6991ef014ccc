"""``jecp-mcp deny``: a person's no to what a host could not ask."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from jecp_mcp.cli.approve import answer, tell
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import as_json, common_options, start


@click.command("deny", epilog=examples("jecp-mcp deny K7QW-2MXB"))
@click.argument("code")
@common_options
@as_json
def command(code: str, hub: str | None, config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Refuse one call under its CODE. The agent is told that you said no."""
    tell(anyio.run(answer, start(hub, config, state_dir), code, False), json_wanted=as_json)
