"""``jecp-mcp demo``: a real MCP client, the real server and a sandbox, each a process, telling the whole story."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import anyio
import anyio.to_thread
import click

from jecp_mcp import extras
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.saved_files import check_folder

if TYPE_CHECKING:
    from jecp_mcp.cli.hub_record import SandboxHub

PER_CALL, PER_DAY = "0.25", "2.00"


@click.command("demo", epilog=examples("jecp-mcp demo --output bought"))
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    help="Where the bought files are saved.",
)
def command(output: Path) -> None:
    """Watch the whole story with test money, at a Hub, a merchant and agents: buying, refusals, recovery, the books."""
    extras.SANDBOX.require()
    check_folder(output)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jecp-") as folder:
        checks = anyio.run(_play, Path(folder), output)
    print(f"\n{checks} checks held in {time.monotonic() - begun:.1f} s.")


async def _play(folder: Path, output: Path) -> int:
    from jecp_mcp.cli.hub_process import private_hub
    from jecp_mcp.cli.hub_record import DATA_FILE, HubRecord

    state = folder / "state"
    data = state / DATA_FILE
    # One process reads its modules while the other one starts, here and below.
    with ThreadPoolExecutor(1) as reader, (folder / "log").open("w+", encoding="utf-8") as log:
        reading = reader.submit(import_module, "mcp.client.stdio")
        try:
            async with private_hub(data) as hub:
                await anyio.to_thread.run_sync(reading.result)
                return await _tell(hub, state, output, log, reader)
        except BaseException:
            # What the two processes said is in a folder that is about to go.
            log.seek(0)
            sys.stderr.write(log.read())
            hub_log = HubRecord(data).log
            if hub_log.exists():
                sys.stderr.write(hub_log.read_text(encoding="utf-8"))
            raise


async def _tell(hub: SandboxHub, state: Path, output: Path, log: TextIO, reader: Executor) -> int:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "jecp_mcp", "serve", "--sandbox", "--state-dir", str(state)],
        env=_environment(),
    )
    script = "jecp_mcp.cli.demo_script"
    reading = [reader.submit(import_module, name) for name in (script, "jecp_mcp.mandate.opening")]
    async with Client(stdio_client(server, errlog=log)) as client:
        for module in reading:
            await anyio.to_thread.run_sync(module.result)
        from jecp_mcp.cli.demo_host import Host
        from jecp_mcp.cli.demo_log import DemoLog
        from jecp_mcp.cli.demo_script import DemoScript

        demo_log = DemoLog()
        await DemoScript(Host(client, demo_log), hub, demo_log, state, output, PER_CALL).run()
        return demo_log.checks


def _environment() -> dict[str, str]:
    """What a host gives the server: this machine's own JECP settings stay out of the story."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    return kept | {
        "JECP_MCP_MANDATE__PER_CALL_USDC": PER_CALL,
        "JECP_MCP_MANDATE__DAILY_USDC": PER_DAY,
        # The demo waits for each answer itself, also on a machine that is busy.
        "JECP_MCP_SERVER__ANSWER_SECONDS": "600",
        "JECP_MCP_CONFIG": os.devnull,
    }
