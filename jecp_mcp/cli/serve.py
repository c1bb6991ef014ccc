"""``jecp-mcp serve``: the MCP server. What is imported here is what a host waits for."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from shlex import quote
from socket import socket
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, common_options, start
from jecp_mcp.cli.output_filter import log_as_server
from jecp_mcp.server.log_limits import LogLimits
from jecp_mcp.settings import empty_variables
from jecp_mcp.settings.exposure import writable_by_others

if TYPE_CHECKING:
    from starlette.routing import Route

    from jecp_mcp.cli.assembly import Bridge

log = logging.getLogger(__name__)

_GARBAGE: Final = (20_000, 20, 20)
"""When to look for garbage: a call makes thousands of objects that die by themselves, and five looks at them."""

FIRST_CATALOG_SECONDS: Final = 2.5
"""How long a first start waits for the catalog: hosts ask for the tools once, and give up after 5 to 10 seconds."""

_HANDLER_POLL_SECONDS: Final = 0.02

_WAITS_FOR_HOST: Final = (
    "This waits for an MCP host, which speaks to it over standard input; your host starts it by itself when its "
    "configuration names it. To buy by hand, see `%s`. Ctrl-C ends it."
)


@click.command(
    "serve",
    epilog=examples("jecp-mcp serve", "jecp-mcp serve --sandbox", "jecp-mcp serve --transport http --port 8402"),
)
@click.option(
    "--transport",
    type=click.Choice(["stdio", "sse", "http"]),
    default="stdio",
    show_default=True,
    help="http is Streamable HTTP at /mcp; sse is the older HTTP+SSE at /sse.",
)
@click.option("--host", help="The loopback address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Default: 8402; 0 takes a free one.")
@common_options
def command(
    transport: str,
    host: str | None,
    port: int | None,
    hub: str | None,
    config: Path | None,
    state_dir: Path | None,
) -> None:
    """Serve the Hub's catalog as MCP tools, paid under the mandate."""
    log_as_server()
    for handler in logging.getLogger().handlers:
        handler.addFilter(LogLimits())
    # Starting only makes objects that stay: looking for garbage among them costs a tenth of the start.
    gc.disable()
    options = {"server.host": host, "server.port": port}
    overrides = {key: value for key, value in options.items() if value is not None}
    for variable in empty_variables(os.environ):
        log.warning("%s is empty, which counts as not set", variable)
    given = start(hub, config, state_dir, overrides=overrides)
    for path in writable_by_others(os.environ, config, given.state):
        log.warning("other users may write %s, and so set your limits; run: chmod go-w %s", path, quote(str(path)))
    if transport == "stdio" and sys.stdin.isatty():
        print(_WAITS_FOR_HOST % given.commands.line("call", "--help"), file=sys.stderr, flush=True)
    anyio.run(_serve, given, transport)


async def _serve(given: Start, transport: str) -> None:
    async with AsyncExitStack() as stack:
        if given.sandbox:
            from jecp_mcp.cli.hub_process import at_hub

            given = await stack.enter_async_context(at_hub(given))
            _tell_sandbox(given)
        from jecp_mcp.cli.assembly import build
        from jecp_mcp.cli.unmatched_patterns import PatternNotices
        from jecp_mcp.mandate.opening import tls_weakness

        weak = tls_weakness(given.settings.ledger)
        if weak is not None:
            log.warning("%s", weak)
        notice = _ListChanged()
        bridge = await stack.enter_async_context(build(given, changed=notice, shared_disk=transport == "stdio"))
        if (fault := bridge.ledger.fault) is not None:
            log.error("nothing can be bought: %s; see %s", fault, given.commands.line("doctor", "--ledger"))
        if given.asked_hub is None:
            # Where one Hub's offers are left out, so is what patterns mean there.
            notices = PatternNotices(given.settings)
            notices.look(bridge.source.current)
            bridge.source.subscribe(lambda _diff: notices.look(bridge.source.current))
        await _first_catalog(bridge)
        from jecp_mcp.server import transports
        from jecp_mcp.server.elicitation import Askers
        from jecp_mcp.server.list_changed import ListChangedNotifier
        from jecp_mcp.server.log_messages import LogMessages
        from jecp_mcp.server.mcp_server import build_server
        from jecp_mcp.server.resource_updates import ResourceUpdates

        notifier = ListChangedNotifier()
        notice.tell = notifier.note_change
        updates, logs = ResourceUpdates(notifier.publish), LogMessages()
        for handler in logging.getLogger().handlers:
            # Behind the limits, which keep back what they keep back from both.
            handler.addFilter(logs.take)
        bridge.calls.ended = updates.note_call
        bridge.source.subscribe(lambda _diff: updates.note_catalog())
        bridge.keep_fresh()
        bridge.recover()
        bridge.check_ledger()
        asking = Askers(patience=given.settings.server.ask_seconds)
        server = build_server(
            bridge.dispatcher,
            notifier,
            asking,
            tools=given.settings.tools,
            answer_seconds=given.settings.server.answer_seconds,
            fresh_seconds=bridge.fresh_seconds,
            updates=updates,
            logs=logs,
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(notifier.run)
        tasks.start_soon(updates.run)
        tasks.start_soon(logs.run)
        tune_garbage_collection()
        if transport == "stdio":
            await transports.serve_stdio(server)
        else:
            serve = transports.serve_http if transport == "http" else transports.serve_sse
            bound = transports.listen(given.settings.server)
            with _signals_for_http():
                await serve(server, given.settings.server, bound, _pages(bridge, given, bound, transport))
        tasks.cancel_scope.cancel()


def tune_garbage_collection() -> None:
    """Look for garbage as rarely as becomes a server, and never among what has been made until now."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    gc.enable()


def _tell_sandbox(given: Start) -> None:
    """Where the Hub with test money is, and how a person fills the wallet there; on stderr, like all for people."""
    hub, account = given.settings.hub.base_url, given.credentials
    assert account is not None, "a sandbox comes with its test agent"
    print(
        f"buying with test money from the sandbox Hub at {hub}, whose page shows prices, wallet and calls; fill the "
        f"wallet with test money at {hub}/topup?agent_id={account.agent_id}",
        file=sys.stderr,
        flush=True,
    )


def _pages(bridge: Bridge, given: Start, bound: socket, transport: str) -> Sequence[Route]:
    """The pages for people. One takes answers to what the host could not ask; its PIN is for whoever reads stderr."""
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.server.approvals import PATH, ApprovalsPage, Gate
    from jecp_mcp.server.front_page import FrontPage
    from jecp_mcp.server.transports import PATHS, origin

    clock, here = SystemClock(), origin(given.settings.server, bound)
    gate = Gate(clock)
    bridge.dispatcher.page = f"{here}{PATH}"
    print(f"approvals are answered at {bridge.dispatcher.page}, PIN {gate.pin}", file=sys.stderr, flush=True)
    front = FrontPage(transport, here + PATHS[transport], given.hub or "", bridge.dispatcher.page)
    return [*front.routes(), *ApprovalsPage(bridge.ledger, gate, bound.getsockname()[1], clock).routes()]


@contextmanager
def _signals_for_http() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the HTTP server and not the process.

    The server has handlers of its own while it runs. A signal that comes before them waits for them; the one that the
    server raises again when it has ended would kill the process before the ledger is brought up to date.
    """
    loop = asyncio.get_running_loop()
    over = False

    def handle(number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(pass_on, number)

    def pass_on(number: int) -> None:
        if over:
            return
        if signal.getsignal(number) is handle:
            loop.call_later(_HANDLER_POLL_SECONDS, pass_on, number)
        else:
            signal.raise_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    try:
        yield
    finally:
        over = True


class _ListChanged:
    """Passes on that the list of tools changed, once there is somebody to tell."""

    def __init__(self) -> None:
        self.tell: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self.tell is not None:
            self.tell()


async def _first_catalog(bridge: Bridge) -> None:
    """Import the server while the catalog is on its way; wait a little for a catalog never seen before."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_import_server)
        if not bridge.known:
            with anyio.move_on_after(FIRST_CATALOG_SECONDS):
                await bridge.refresh()


async def _import_server() -> None:
    await anyio.to_thread.run_sync(import_module, "jecp_mcp.server.transports")
