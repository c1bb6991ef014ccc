"""What a warm purchase from an HTTP merchant works: CPU time of this process, beside the same exchanges made bare.

    python -m tests.bench.bench_paid_http [--calls 60] [--rounds 7] [--profile N]

The sandbox runs in a process of its own, so that its work is not counted. Of ours everything is: all threads, from the
dispatcher down, the signature, the ledger's writes. ``paid_http_prepare`` makes one unpaid request and
``paid_http_execute`` one paid request; the yardstick makes the same by the HTTP library alone, with a payment that was
signed before. What is left of each is the wallet's own part. They take turns by rounds. Garbage is looked for as rarely as
in a server.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli.assembly import Bridge, build
from jecp_mcp.cli.options import Start
from jecp_mcp.cli.serve import tune_garbage_collection
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.settings.wallet_key import WalletKey
from jecp_mcp.wire.x402.payment import payment_header
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.paid_http_house import sandbox_settings
from tests.x402_sandbox import PaidHttp, Payer

ROOM = {"daily_usdc": "1000", "per_call_usdc": "1"}
WARM_UP = 20
PATH = "/abstract"
BOUND_MS = 5.0


def text_of(number: int) -> dict[str, str]:
    """What is bought, another each time."""
    return {"text": f"A short text about nothing in particular, number {number}. It has two sentences."}


@contextmanager
def sandbox(folder: Path) -> Iterator[PaidHttp]:
    """The sandbox in a process of its own."""
    command = [sys.executable, "-m", "jecp_mcp", "sandbox", "--port", "0", "--data", str(folder / "hub.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            with httpx2.Client(timeout=60) as http:
                yield PaidHttp(said["x402"], said["control_key"], http)
        finally:
            process.terminate()


async def buy(bridge: Bridge, shop: PaidHttp, numbers: Sequence[int]) -> tuple[float, float]:
    """Buy as a model does; the CPU seconds that preparing and executing took."""
    caller, prepare, execute = Caller(LOCAL), 0.0, 0.0
    for number in numbers:
        began = time.process_time()
        asked = {"url": f"{shop.url}{PATH}", "json": text_of(number)}
        prepared = await bridge.dispatcher.call("paid_http_prepare", asked, caller)
        between = time.process_time()
        assert prepared.structured is not None
        chosen = {"prepared_id": prepared.structured["prepared_id"]}
        bought = await bridge.dispatcher.call("paid_http_execute", chosen, caller)
        assert not bought.is_error, bought
        prepare, execute = prepare + between - began, execute + time.process_time() - between
    return prepare, execute


async def exchange(http: httpx2.AsyncHTTPTransport, url: str, number: int, headers: dict[str, str]) -> int:
    """One request by the HTTP library alone; its status."""
    body = json.dumps(text_of(number)).encode()
    sent = {"Host": httpx2.URL(url).netloc.decode(), "Content-Type": "application/json", **headers}
    request = httpx2.Request("POST", url, headers=sent, content=body)
    answer = await http.handle_async_request(request)
    await answer.aread()
    return answer.status_code


async def bare(
    http: httpx2.AsyncHTTPTransport, payer: Payer, shop: PaidHttp, numbers: Sequence[int]
) -> tuple[float, float]:
    """The CPU seconds of the same requests with nothing around them: the unpaid ones, and the paid ones."""
    url = f"{shop.url}{PATH}"
    challenge = payer.challenge(PATH, "POST", json=text_of(0))
    payments = [payment_header(payer.sign(challenge, identifier=f"bench-{secrets.token_hex(8)}")) for _ in numbers]
    asked, paid = 0.0, 0.0
    for number, (name, value) in zip(numbers, payments, strict=True):
        began = time.process_time()
        assert await exchange(http, url, number, {}) == 402
        between = time.process_time()
        assert await exchange(http, url, number, {name: value}) == 200
        asked, paid = asked + between - began, paid + time.process_time() - between
    return asked, paid


async def measure(bridge: Bridge, shop: PaidHttp, given: argparse.Namespace) -> None:
    """Print what each half of a purchase costs, and the wallet's own part of it."""
    payer, taken = shop.payer(), list[tuple[float, ...]]()
    async with httpx2.AsyncHTTPTransport(trust_env=False) as http:
        for round_ in range(-1, given.rounds):
            numbers = range(1_000 + round_ * given.calls, 1_000 + (round_ + 1) * given.calls)
            ours, theirs = await buy(bridge, shop, numbers), await bare(http, payer, shop, numbers)
            if round_ >= 0:
                taken.append(tuple(seconds / given.calls * 1000 for seconds in (*ours, *theirs)))
    whole = [[one[which] for one in taken] for which in range(4)]
    for name, ours_ms, theirs_ms in (("prepare", whole[0], whole[2]), ("execute", whole[1], whole[3])):
        own = statistics.median(mine - bare_ms for mine, bare_ms in zip(ours_ms, theirs_ms, strict=True))
        least, most = statistics.median(theirs_ms), statistics.median(ours_ms)
        within = "within" if own <= BOUND_MS else "OVER"
        print(
            f"  paid_http_{name}   {most:7.3f} ms of CPU ({min(ours_ms):.3f} to {max(ours_ms):.3f}); its request bare "
            f"{least:.3f}; ratio {most / least:.2f}; own part {own:.3f} ms, {within} {BOUND_MS:g}"
        )


def show(profile: cProfile.Profile, count: int) -> None:
    """Print where the time went."""
    for order in ("tottime", "cumulative"):
        pstats.Stats(profile).sort_stats(order).print_stats(count)


async def main(given: argparse.Namespace) -> None:
    """Run it all."""
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name)) as shop:
        folder, secret = Path(name), secrets.token_bytes(32)
        faucet: dict[str, Any] = {"address": PrivateKey(secret).address}
        shop.http.post(shop.where["faucet"], json=faucet).raise_for_status()
        start = Start(sandbox_settings(shop, ROOM), folder / "state", None, play_wallet=WalletKey(secret, "bench"))
        async with build(start) as bridge:
            await buy(bridge, shop, range(WARM_UP))
            tune_garbage_collection()
            if given.profile:
                with cProfile.Profile() as profile:
                    await buy(bridge, shop, range(100, 100 + given.calls))
                show(profile, given.profile)
            else:
                await measure(bridge, shop, given)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="print the N costliest functions instead")
    anyio.run(main, parser.parse_args())
