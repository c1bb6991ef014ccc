"""``jecp-mcp sandbox``: an embedded Hub with test money, for trying things out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from jecp_mcp import extras
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.hub_record import DATA_FILE, HubRecord
from jecp_mcp.cli.saved_files import TargetPath
from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import sandbox_dir
from jecp_mcp.settings.merchants import read_place

Dialect = Literal["reference", "spec"]


def _check_origin(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        place = read_place(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    if place.scheme != "https" or place.url != f"{place.origin}/":
        raise click.BadParameter("it is an https origin, such as https://hub.example.com")
    return place.origin


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
@click.option("--data", metavar="FILE", type=TargetPath(path_type=Path), help="Where the Hub keeps its state.")
@click.option(
    "--catalog",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True),
    help="More providers' manifests, as JSON.",
)
@click.option(
    "--loopback",
    is_flag=True,
    help="Call providers and webhooks on this machine, by plain http too, and nowhere else; else public https alone.",
)
@click.option(
    "--public-url",
    metavar="ORIGIN",
    callback=_check_origin,
    help="Where others reach the Hub: the https origin of a proxy before it, which then stands in its links.",
)
@click.option("--linger", metavar="SECONDS", type=float, hidden=True, help="End when nobody has used it for so long.")
@click.option("--alive", metavar="FD", type=int, hidden=True, help="The lock on the Hub's life, from who starts it.")
def command(
    port: int,
    dialect: Dialect,
    data: Path | None,
    catalog: Path | None,
    loopback: bool,
    public_url: str | None,
    linger: float | None,
    alive: int | None,
) -> None:
    """Run a Hub on this machine that sells real work for test money, and beside it a merchant and agents.

    Prints one JSON line, {"hub", "agent_id", "api_key", "control_key", "console", "x402", "402flow", "ajp"}, when it is
    ready: the test agent's credentials, and the key to the sandbox's own controls (faults, wallets, catalog), which is
    another at every start. With that key the page at "console" shows agents, sales, requests and webhooks, live. The
    Hub's page, at the address of "hub", says how to connect a host, and fills the wallet; "x402" has the addresses of
    the merchant, its facilitator, and the nodes and faucet of a chain of test money; "402flow" has a control plane, its
    key, and the merchant's other address, where it pays; "ajp" has the agents that can be hired, and the key of who may
    hire them. "serve --sandbox" joins a Hub that runs on the same file.
    """
    extras.SANDBOX.require()
    if alive is not None:
        _detach(alive)
    from jecp_mcp.sandbox.run import SandboxConfig, agents_beside, paid_http_beside, serve

    if data is not None and data.is_dir():
        raise click.UsageError(f"--data {data} is a folder; name a file", click.get_current_context())
    record = HubRecord(sandbox_dir(os.environ) / DATA_FILE if data is None else data)
    record.create()
    if alive is None and not record.claim_for_life():
        where = f"at {record.hub.url}" if record.hub else "and is not ready yet"
        raise SettingsError(
            str(record.data), "", f"a sandbox runs on this file already, {where}; for another one, name another --data"
        )

    def announce(ready: Mapping[str, Any]) -> None:
        record.write(ready)
        print(json.dumps(ready), flush=True)
        if alive is None:
            click.echo(f"Console: {ready['console']} (its key is the line's control_key)", err=True)

    config = SandboxConfig(data=record.data, dialect=dialect, catalog=catalog, loopback=loopback, public_url=public_url)

    def stay() -> float:
        return config.links.stay_seconds(config.clock.now()) if linger else 0

    serving = partial(serve, config, port, announce, paid_http_beside(config), agents_beside(config))
    asyncio.run(_serve_until_stopped(serving, record, linger, stay))


def _detach(alive: int) -> None:
    """Go on in a process that no other waits for, in a session of its own: signals to a terminal's group miss it."""
    os.set_inheritable(alive, False)
    if os.fork():
        os._exit(0)
    os.setsid()


async def _serve_until_stopped(
    serve: Callable[[], Coroutine[Any, Any, None]],
    record: HubRecord,
    linger: float | None,
    stay: Callable[[], float],
) -> None:
    """Serve until SIGINT, SIGTERM or, with `linger`, until nobody has used the Hub for so many seconds.

    Args:
        serve: serves until it is cancelled.
        record: says who uses the Hub.
        linger: None where it is not for its users that it runs.
        stay: as for `HubRecord.close_when_unused`.
    """
    loop = asyncio.get_running_loop()
    # Told to end once, the Hub ends in its own time; a cancel scope would tell it again at every step.
    serving = loop.create_task(serve())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    if linger is not None:
        end = partial(loop.call_soon_threadsafe, serving.cancel)
        threading.Thread(
            target=_when_unused, args=(record.users(), linger, stay, end), name="users", daemon=True
        ).start()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _when_unused(users: int, linger: float, stay: Callable[[], float], then: Callable[[], object]) -> None:
    HubRecord.close_when_unused(users, linger, stay)
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        then()
