"""How the server is reached: stdio, Streamable HTTP, and the HTTP+SSE transport it replaced.

HTTP binds to loopback only: without authentication, whoever reaches the port spends the wallet.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, cast

import anyio
from mcp.server.stdio import stdio_server

from jecp_mcp.errors import SettingsError
from jecp_mcp.server.front_page import explain_http_errors
from jecp_mcp.server.http_guard import MOST_BYTES, HttpGuard
from jecp_mcp.server.invalid_messages import valid_messages
from jecp_mcp.server.mcp_server import SSE_MESSAGES, BridgeServer
from jecp_mcp.server.parent_watch import ParentWatch
from jecp_mcp.server.stdio import claim_stdio
from jecp_mcp.settings import ServerSettings

if TYPE_CHECKING:
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_BACKLOG = 128
"""How many connections may wait in the kernel to be accepted."""
MOST_SESSIONS = 512
"""How many 2025-era sessions of Streamable HTTP there may be; one ends that is idle for half an hour, or in the way."""
_DRAIN_SECONDS = 3
PATHS: Final = {"http": "/mcp", "sse": "/sse"}
"""Where each HTTP transport is served."""


async def serve_stdio(server: BridgeServer) -> None:
    """Serve one client over stdin and stdout until it closes stdin or ends, or SIGINT or SIGTERM arrives."""
    watch = ParentWatch()
    lines, output = await claim_stdio()
    # The SDK types its parameters as files; it only iterates over the lines, and writes and flushes.
    source = cast("anyio.AsyncFile[str]", valid_messages(watch.listen(lines), output.say))
    sink = cast("anyio.AsyncFile[str]", output)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
        tasks.start_soon(_cancel_without_parent, tasks.cancel_scope, watch)
        async with stdio_server(stdin=source, stdout=sink) as (read, write):
            await server.run(read, write, server.create_initialization_options())
            # What is still to be written has this long: a host that closed stdin may never read again.
            tasks.start_soon(_cancel_after, tasks.cancel_scope, _DRAIN_SECONDS)
        tasks.cancel_scope.cancel()


async def _cancel_after(scope: anyio.CancelScope, seconds: float) -> None:
    await anyio.sleep(seconds)
    scope.cancel()


async def _cancel_without_parent(scope: anyio.CancelScope, watch: ParentWatch) -> None:
    await watch.wait()
    log.info("the process that started this one has ended, ending")
    scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("%s received, ending", number.name)
            scope.cancel()
            return


class _Listener(socket.socket):
    """A socket whose queue is `_BACKLOG` long, also when asyncio listens with the number that it accepts at once."""

    def listen(self, backlog: int = _BACKLOG, /) -> None:
        """Let clients connect."""
        super().listen(max(backlog, _BACKLOG))


def listen(settings: ServerSettings) -> socket.socket:
    """Bind the port.

    Raises:
        SettingsError: the address is not loopback, or cannot be bound.
    """
    if settings.host not in _LOOPBACK:
        raise SettingsError(
            "server",
            "server.host",
            f"{settings.host} is not a loopback address; there is no authentication yet, so only 127.0.0.1, ::1 or "
            "localhost can be bound",
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, because asyncio turns Nagle's delay off only where it reads the protocol as TCP.
    bound = _Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
        # From here on a client that connects waits; before, it would be refused.
        bound.listen()
    except OSError as exc:
        bound.close()
        why = f"cannot listen on port {settings.port}: {exc.strerror}; --port 0 takes a free one"
        raise SettingsError("server", "server.port", why) from exc
    return bound


def security(settings: ServerSettings, port: int) -> TransportSecuritySettings:
    """The Host and Origin headers that are let in: this address at this port, and what the operator listed."""
    from mcp.server.transport_security import TransportSecuritySettings

    names = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*names, *settings.allowed_hosts],
        allowed_origins=[*(f"http://{name}" for name in names), *settings.allowed_origins],
    )


def origin(settings: ServerSettings, bound: socket.socket) -> str:
    """Where a bound server is reached."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{bound.getsockname()[1]}"


async def serve_http(
    server: BridgeServer, settings: ServerSettings, bound: socket.socket, beside: Sequence[Route] = ()
) -> None:
    """Serve Streamable HTTP at ``/mcp``, and what is `beside` it, until SIGINT or SIGTERM."""
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from jecp_mcp.server.http_accept import AnyAccept
    from jecp_mcp.server.http_sessions import HttpSessions

    rules = security(settings, bound.getsockname()[1])
    app = server.streamable_http_app(
        host=settings.host,
        transport_security=rules,
        custom_starlette_routes=list(beside),
        max_request_body_size=MOST_BYTES,
        max_sessions=MOST_SESSIONS,
    )
    explain_http_errors(app)
    without = StreamableHTTPSessionManager(
        server, stateless=True, security_settings=rules, max_request_body_size=MOST_BYTES
    )
    sessions = HttpSessions(app, PATHS["http"], rules.allowed_hosts[0], MOST_SESSIONS, without.handle_request)
    # The outermost: no other may answer a request that this one has not seen.
    server.middleware.insert(0, sessions.watch_call)
    async with without.run():
        await _serve(AnyAccept(sessions, PATHS["http"]), settings, bound, PATHS["http"], rules, beside)


async def serve_sse(
    server: BridgeServer, settings: ServerSettings, bound: socket.socket, beside: Sequence[Route] = ()
) -> None:
    """Serve the 2024-11 HTTP+SSE transport at ``/sse``, and what is `beside` it, until SIGINT or SIGTERM."""
    rules = security(settings, bound.getsockname()[1])
    await _serve(_sse_app(server, rules, beside), settings, bound, PATHS["sse"], rules, beside)


def _sse_app(server: BridgeServer, rules: TransportSecuritySettings, beside: Sequence[Route]) -> Starlette:
    from mcp.server.sse import SseServerTransport
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    transport = SseServerTransport(SSE_MESSAGES, security_settings=rules, max_request_body_size=MOST_BYTES)

    class Connect:
        """One SSE connection, as a plain ASGI application: its response is the stream itself."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async with AsyncExitStack() as stack:
                try:
                    read, write = await stack.enter_async_context(transport.connect_sse(scope, receive, send))
                except ValueError:
                    # The transport has already answered the refused Host or Origin itself.
                    return
                await server.run(read, write, server.create_initialization_options())

    app = Starlette(
        routes=[
            Route(PATHS["sse"], Connect(), methods=["GET"]),
            Mount(SSE_MESSAGES, app=transport.handle_post_message),
            *beside,
        ]
    )
    explain_http_errors(app)
    return app


async def _serve(
    app: ASGIApp,
    settings: ServerSettings,
    bound: socket.socket,
    path: str,
    rules: TransportSecuritySettings,
    beside: Sequence[Route],
) -> None:
    import uvicorn

    from jecp_mcp.server.cors import Cors
    from jecp_mcp.server.http_limits import ACCEPTED, Connections, HttpLimits, bounded_protocol

    limits = HttpLimits.of_process()
    guarded = HttpGuard(app, limits, rules.allowed_origins, streams=[path], pages=beside)
    config = uvicorn.Config(
        Cors(guarded, rules.allowed_origins, [path, SSE_MESSAGES]),
        http=bounded_protocol(Connections(limits.connections)),
        ws="none",
        backlog=ACCEPTED,
        proxy_headers=False,
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    print(f"jecp-mcp listens on {origin(settings, bound)}{path}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is for people
    with bound:
        await uvicorn.Server(config).serve(sockets=[bound])
