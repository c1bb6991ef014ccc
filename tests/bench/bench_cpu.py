"""What a warm paid call works: its function calls by module, and the server's CPU time beside a bare server's.

    python -m tests.bench.bench_cpu [--calls 200] [--rounds 7] [--callers 16] [--against FOLDER] [--functions N]

The function calls are counted in this process, in all its threads, from the dispatcher down. CPU time is that of the
server process, all of its threads, read from outside; it is compared with that of a bare SDK server whose calls POST
the same purchase and write nothing down, and with the floor: one that besides writes each down, durable before it
leaves and again after it, and does nothing else. Servers take turns by rounds, the one of another checkout in FOLDER as
well.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from mcp import Client
from pydantic import SecretStr

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli.assembly import build
from jecp_mcp.cli.options import Start
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.settings import Credentials, load_settings
from tests.acceptance.roads import LEGACY, MODERN, SandboxHub, sandbox, server_env
from tests.bench.function_calls import FunctionCalls, place
from tests.bench.stopwatch import BARE, UNTYPICAL, bridge, listed, text_counter

ROOT = Path(__file__).parents[2]
TEXT = "A short text, counted for the benchmark."
WARM_UP = 50
OURS, OTHER = "jecp-mcp", "jecp-mcp of the other checkout"
FLOOR, YARDSTICK = "bare, with two durable writes", "bare SDK server that POSTs"
LIMITS = {"mandate__daily_usdc": "1000", "mandate__per_call_usdc": "1"}
STDIO_BOUND, HTTP_BOUND = 1.15, 1.25
INFO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}

Buy = Callable[[int], Awaitable[None]]


class Measured(NamedTuple):
    """The tool that is called, and how many there are beside it."""

    tool: str
    path: str
    tools: int


class Started(NamedTuple):
    """A server process, and how to buy from it `calls` times, beginning with a number."""

    pid: int
    buy: Callable[[int, int], Awaitable[None]]


async def count_functions(hub: SandboxHub, folder: Path, measured: Measured, calls: int, names: int) -> None:
    """Print what a call runs from the dispatcher down."""
    env = server_env(hub.url, hub.agent_id, hub.api_key, **LIMITS)
    credentials = Credentials(agent_id=hub.agent_id, api_key=SecretStr(hub.api_key), source="bench")
    start, caller = Start(load_settings(None, environ=env), folder / "counted", credentials), Caller(LOCAL)
    found = FunctionCalls()
    with found.watching():
        async with build(start) as made:
            await made.refresh()
            made.recover()
            for number in range(WARM_UP + calls):
                arguments = {"text": f"{TEXT} {number}"}
                if number < WARM_UP:
                    result = await made.dispatcher.call(measured.tool, arguments, caller)
                else:
                    with found.counting():
                        result = await made.dispatcher.call(measured.tool, arguments, caller)
                assert not result.is_error, result
    modules = found.by_module()
    ours = [hits for name, hits in modules.items() if not name.startswith("(")]
    print(f"function calls of a warm call: {sum(ours) / calls:.1f} in {len(ours)} modules of ours")
    for name, hits in modules.most_common():
        print(f"  {hits / calls:8.1f}  {name}")
    own = Counter({code: hits for code, hits in found.counts.items() if not place(code).startswith("(")})
    for code, hits in own.most_common(names):
        print(f"  {hits / calls:8.1f}  {place(code)}  {code.co_qualname}")


def cpu_seconds(pid: int) -> float:
    """What a process has had of CPU time so far, by the kernel's clock of that process (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def running(arguments: list[str], env: Mapping[str, str], checkout: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """A server process, ended at the end."""
    env = {key: value for key, value in env.items() if key not in UNTYPICAL} | {"PYTHONPATH": str(checkout)}
    pipe = subprocess.PIPE
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, cwd=checkout, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.terminate()


def drained(process: subprocess.Popen[str]) -> None:
    """Keep reading what a server says, so that it never has to wait."""
    assert process.stderr is not None
    threading.Thread(target=process.stderr.read, daemon=True).start()


def over_stdio(process: subprocess.Popen[str], tool: str) -> Started:
    """Spoken to in plain lines, one call after another."""
    drained(process)

    def send(message: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()

    def ask(number: int, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        send({"id": number, "method": method, "params": params})
        assert process.stdout is not None
        for line in iter(process.stdout.readline, ""):
            answer = json.loads(line)
            if answer.get("id") == number:
                return dict(answer["result"])
        raise AssertionError("the server ended")

    async def buy(first: int, calls: int) -> None:
        for number in range(first, first + calls):
            result = ask(number, "tools/call", {"name": tool, "arguments": {"text": f"{TEXT} {number}"}})
            assert not result.get("isError"), result

    ask(0, "initialize", INFO)
    send({"method": "notifications/initialized"})
    return Started(process.pid, buy)


async def over_http(stack: AsyncExitStack, process: subprocess.Popen[str], tool: str, callers: int) -> Started:
    """Spoken to by so many clients at once."""
    assert process.stderr is not None
    url = next(line.split("listens on ")[1].strip() for line in process.stderr if "listens on " in line)
    drained(process)
    clients = [await stack.enter_async_context(Client(url, mode=MODERN)) for _ in range(callers)]

    async def buy(first: int, calls: int) -> None:
        async def some(which: int) -> None:
            for number in range(first + which, first + calls, callers):
                result = await clients[which].call_tool(tool, {"text": f"{TEXT} {number}"})
                assert not result.is_error, result

        async with anyio.create_task_group() as tasks:
            for which in range(callers):
                tasks.start_soon(some, which)

    return Started(process.pid, buy)


async def measure(servers: Mapping[str, Started], rounds: int, calls: int, bound: float) -> None:
    """Print each server's CPU time and calls a second, their ratios to the yardstick's, and ours to the floor's."""
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    wall: dict[str, list[float]] = {name: [] for name in servers}
    number = 1
    for round_ in range(-1, rounds):
        for name in [*servers][:: 1 if round_ % 2 else -1]:
            server = servers[name]
            before, begun = cpu_seconds(server.pid), time.perf_counter()
            await server.buy(number, calls)
            if round_ >= 0:
                wall[name].append((time.perf_counter() - begun) / calls)
                cpu[name].append((cpu_seconds(server.pid) - before) / calls * 1000)
            number += calls
    middle = {name: statistics.median(times) for name, times in cpu.items()}
    rate = {name: 1 / statistics.median(times) for name, times in wall.items()}
    for name, times in cpu.items():
        ratio = "" if name == YARDSTICK else f"   ratio {middle[name] / middle[YARDSTICK]:.3f} (bound {bound})"
        spread = f"{middle[name]:7.3f} ms of CPU, {min(times):.3f} to {max(times):.3f}"
        print(
            f"  {name:<32} {spread}   {rate[name]:6.1f} calls/s, {rate[name] / rate[YARDSTICK]:.2f} of the bare{ratio}"
        )

    def beside(name: str, other: str) -> float:
        return statistics.median(ours / theirs for ours, theirs in zip(cpu[name], cpu[other], strict=True))

    print(f"  {OURS} beside {FLOOR}: {beside(OURS, FLOOR):.3f}")
    if OTHER in servers:
        print(f"  {OURS} beside {OTHER}: {(beside(OURS, OTHER) - 1) * 100:+.1f} %")


async def main(given: argparse.Namespace) -> None:
    """Run it all."""
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name) / "hub.sqlite") as first:
        folder = Path(name)
        hub = first.new_agent("1000.00")
        tools = await listed(bridge(hub, folder / "listed"), LEGACY, folder / "log")
        tool, capability, action = text_counter(tools)
        measured = Measured(tool, f"{capability}/{action}", len(tools))
        if not given.only_cpu:
            await count_functions(hub, folder, measured, given.calls, given.functions)
        env = server_env(hub.url, hub.agent_id, hub.api_key, **LIMITS)
        checkouts = {OURS: ROOT} | ({OTHER: given.against} if given.against else {})

        def commands(*transport: str) -> Iterator[tuple[str, list[str], Path]]:
            for number, (name, checkout) in enumerate(checkouts.items()):
                state = str(folder / f"state-{number}-{len(transport)}")
                yield name, ["-m", "jecp_mcp", "serve", "--state-dir", state, *transport], checkout
            yardstick = [str(BARE), str(measured.tools), measured.path, "http" if transport else "stdio"]
            yield FLOOR, [*yardstick, str(folder / f"floor-{len(transport)}.sqlite")], ROOT
            yield YARDSTICK, yardstick, ROOT

        if given.rounds:
            async with AsyncExitStack() as stack:
                processes = {
                    name: stack.enter_context(running(arguments, env, checkout))
                    for name, arguments, checkout in commands()
                }
                servers = {
                    name: over_stdio(process, measured.tool if name in checkouts else "echo_1")
                    for name, process in processes.items()
                }
                print("over stdio, one call after another")
                await measure(servers, given.rounds, given.calls, STDIO_BOUND)
        if given.rounds and given.callers:
            async with AsyncExitStack() as stack:
                servers = {}
                for kind, arguments, checkout in commands("--transport", "http", "--port", "0"):
                    process = stack.enter_context(running(arguments, env, checkout))
                    wanted = measured.tool if kind in checkouts else "echo_1"
                    servers[kind] = await over_http(stack, process, wanted, given.callers)
                print(f"over Streamable HTTP, {given.callers} callers")
                await measure(servers, given.rounds, given.calls, HTTP_BOUND)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--functions", type=int, default=0, help="list so many of our functions")
    parser.add_argument("--only-cpu", action="store_true")
    anyio.run(main, parser.parse_args())
