"""What hiring works: CPU of a hire beside its bare requests, and of a thousand open jobs that are asked for.

    python -m tests.bench.bench_hiring [--calls 20] [--rounds 12] [--jobs 1000] [--seconds 130] [--profile N]

What a hire works is told in half a minute; the open jobs, which take minutes, are asked for with ``--jobs``. The agent runs in a process of its own, so that its work is not counted. Of ours everything is: all threads, from the
dispatcher down, the signatures, the ledger's writes. A hire makes an offer, one look and an acknowledgement; the yardstick
makes the same by the HTTP library alone, with an offer that was signed before. What is left is the hire's own part. They
take turns by short rounds, so that whatever else the machine does meets both alike: where it is busy, both cost more, and
their ratio tells more than the milliseconds.

The open jobs are as old as it takes to be asked for once a minute.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
import httpx2

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import Bridge, build
from jecp_mcp.cli.serve import tune_garbage_collection
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.rails.ajp import rail
from jecp_mcp.wire.ajp.offer import read_offer
from jecp_mcp.wire.ajp.signatures import PrivateKey, new_private_key, seal
from tests.ajp_agent import Agent, serving
from tests.bench.bench_paid_http import WARM_UP, show
from tests.crash.calls.hiring_worker import TOOL, Life, hurry
from tests.paid_http_house import TurnedClock

BOUND_MS, BOUND_SHARE, BOUND_MB = 5.0, 0.10, 150
KEY = new_private_key()


def serve(ours: Connection, key: str, polls: int) -> None:
    """An agent, until the other end is closed; says its id first, then what it has counted whenever it is asked."""
    with serving(Agent(PrivateKey(key), polls=polls)) as agent:
        ours.send(agent.id)
        try:
            while ours.recv():
                ours.send((sum(agent.asked.values()), agent.connections, agent.offers[-1] if agent.offers else b""))
        except EOFError:
            return


@contextmanager
def served(polls: int) -> Iterator[tuple[str, Connection]]:
    """An agent in a process of its own: its id, and who to ask what it has counted."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, KEY, polls))
    process.start()
    theirs.close()
    try:
        yield ours.recv(), ours
    finally:
        ours.close()
        process.join()


async def hire(bridge: Bridge, numbers: Sequence[int]) -> float:
    """Hire as a model does; the CPU seconds that it took."""
    began = time.process_time()
    for number in numbers:
        found = await bridge.dispatcher.call(TOOL, {"instruction": f"Count, number {number}"}, Caller(LOCAL))
        assert not found.is_error, found
    return time.process_time() - began


async def bare(http: httpx2.AsyncHTTPTransport, endpoint: str, offer: bytes, numbers: Sequence[int]) -> float:
    """The CPU seconds of the same requests with nothing around them."""
    read = {key: value for key, value in read_offer(offer)[1].items() if key != "signature"}
    sealed = [(name := f"job_bare{number:08}", seal({**read, "job_id": name}, PrivateKey(KEY))) for number in numbers]
    began = time.process_time()
    for name, raw in sealed:
        for method, path, body in (("POST", "", raw), ("GET", f"/{name}", b""), ("POST", f"/{name}/ack", b"{}")):
            url = httpx2.URL(f"{endpoint}/jobs{path}")
            headers = {"Host": url.netloc.decode(), "Content-Type": "application/json"}
            answer = await http.handle_async_request(httpx2.Request(method, url, headers=headers, content=body))
            json.loads(await answer.aread())
    return time.process_time() - began


async def measure_hire(bridge: Bridge, agent_id: str, control: Connection, given: argparse.Namespace) -> None:
    """Print what a hire costs, and its own part."""
    await hire(bridge, range(WARM_UP))
    tune_garbage_collection()
    control.send(True)
    *_, offer = control.recv()
    if given.profile:
        with cProfile.Profile() as profile:
            await hire(bridge, range(100, 100 + given.calls))
        show(profile, given.profile)
        return
    ours, theirs = list[float](), list[float]()
    endpoint = f"http://{agent_id.removeprefix('provenance:domain:')}/agent"
    async with httpx2.AsyncHTTPTransport(trust_env=False) as http:
        for round_ in range(-1, given.rounds):
            numbers = range(1_000 + round_ * given.calls, 1_000 + (round_ + 1) * given.calls)
            mine, other = await hire(bridge, numbers), await bare(http, endpoint, offer, numbers)
            if round_ >= 0:
                ours.append(mine / given.calls * 1000)
                theirs.append(other / given.calls * 1000)
    own = statistics.median(mine - other for mine, other in zip(ours, theirs, strict=True))
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    within = "within" if own <= BOUND_MS else "OVER"
    print(
        f"  a hire   {statistics.median(ours):7.3f} ms of CPU ({min(ours):.3f} to {max(ours):.3f}); its three requests "
        f"bare {statistics.median(theirs):.3f}; ratio {ratio:.2f}; own part {own:.3f} ms, {within} {BOUND_MS:g}"
    )


async def measure_open(bridge: Bridge, clock: TurnedClock, control: Connection, given: argparse.Namespace) -> None:
    """Print what asking for many open jobs takes."""
    rail.PATIENCE_SECONDS = 0.0  # type: ignore[misc]
    for number in range(given.jobs):
        await bridge.dispatcher.call(TOOL, {"instruction": f"Last, number {number}"}, Caller(LOCAL))
    clock.ahead += 500
    await bridge.calls.recover()
    tune_garbage_collection()
    control.send(True)
    before, _, _ = control.recv()
    began, clock_began = time.process_time(), time.monotonic()
    with cProfile.Profile() as profile:
        if not given.profile:
            profile.disable()
        with anyio.move_on_after(given.seconds):
            await bridge.calls.keep_recovering()
    worked, passed = time.process_time() - began, time.monotonic() - clock_began
    control.send(True)
    asked, connections, _ = control.recv()
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    polls = asked - before
    print(
        f"  {given.jobs} open jobs   {worked / passed:.1%} of a core ({'within' if worked / passed <= BOUND_SHARE else 'OVER'} "
        f"{BOUND_SHARE:.0%}), {polls} looks in {passed:.0f} s, {worked / max(polls, 1) * 1000:.2f} ms each; {size:.0f} MB at "
        f"most ({'within' if size <= BOUND_MB else 'OVER'} {BOUND_MB}); {connections} connections"
    )
    if given.profile:
        show(profile, given.profile)


async def main(given: argparse.Namespace) -> None:
    """Run it all."""
    hurry(60.0)
    clock = TurnedClock()
    assembly.SystemClock = lambda: clock  # type: ignore[assignment, misc]
    for polls in (0, 10**9) if given.jobs else (0,):
        with tempfile.TemporaryDirectory() as name, served(polls) as (agent_id, control):
            life = Life(Path(name), KEY, agent_id, "1000", 0, 60.0, (), 0)
            async with build(life.start) as bridge:
                await bridge.source.refresh()
                if polls:
                    await measure_open(bridge, clock, control, given)
                else:
                    await measure_hire(bridge, agent_id, control, given)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="measure so many open jobs too")
    parser.add_argument("--seconds", type=int, default=130)
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="print the N costliest functions instead")
    anyio.run(main, parser.parse_args())
