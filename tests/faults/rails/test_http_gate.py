"""The gate: nobody is asked but at an address that was looked at, and nothing is followed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.http import ExchangeFailed, Http
from jecp_mcp.http_gate import HttpGate, resolve
from jecp_mcp.settings.merchants import read_place
from tests.faults.rails.raw_hub import raw_hub, says, streams
from tests.faults.rails.test_connections import certificate, served, trusted

pytestmark = pytest.mark.anyio

SHOP = read_place("https://shop.example/buy")


def names(*addresses: str) -> object:
    async def found(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return found


async def refused(gate: HttpGate, url: str = SHOP.url) -> str:
    with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
        await gate.exchange("GET", read_place(url))
    assert (caught.value.sent, caught.value.phase) == (False, "url")
    return caught.value.reason


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "fec0::1",
        "192.88.99.1",
        "not an address",
    ],
)
@pytest.mark.requirement("AUTH-9.7.1.1-5", "AUTH-9.7.1.1-6", "AUTH-9.7.1.2-1")
async def test_an_address_off_the_public_network_is_never_dialled(address: str) -> None:
    async with HttpGate(SystemClock(), resolve=names("8.8.8.8", address)) as gate:  # type: ignore[arg-type]
        assert "not on the public network" in await refused(gate)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
async def test_a_public_address_is_dialled(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[str] = []

    async def exchange(_self: Http, _method: str, _url: str, *, address: str, **_: object) -> object:
        dialled.append(address)
        raise ExchangeFailed(sent=False, phase="connect", reason="refused")

    monkeypatch.setattr(Http, "exchange", exchange)
    async with HttpGate(SystemClock(), resolve=names(address, "1.1.1.1")) as gate:  # type: ignore[arg-type]
        with pytest.raises(ExchangeFailed):
            await gate.exchange("GET", SHOP)
    assert dialled == [address, "1.1.1.1"]


async def test_nothing_is_tried_a_second_time_that_may_have_left(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[str] = []

    async def exchange(_self: Http, _method: str, _url: str, *, address: str, **_: object) -> object:
        dialled.append(address)
        raise ExchangeFailed(sent=True, phase="answer", reason="lost")

    monkeypatch.setattr(Http, "exchange", exchange)
    async with HttpGate(SystemClock(), resolve=names("8.8.8.8", "1.1.1.1")) as gate:  # type: ignore[arg-type]
        with pytest.raises(ExchangeFailed):
            await gate.exchange("GET", SHOP)
    assert dialled == ["8.8.8.8"]


async def test_this_machine_is_asked_in_the_sandbox_alone_and_nobody_else_there() -> None:
    async with HttpGate(SystemClock()) as gate:
        assert "this machine" in await refused(gate, "http://127.0.0.1:1/")
        assert "this machine" in await refused(gate, "https://localhost/")
    async with HttpGate(SystemClock(), resolve=names("127.0.0.1")) as gate:  # type: ignore[arg-type]
        assert "plain http" in await refused(gate, "http://shop.example/")
    async with HttpGate(SystemClock(), loopback=True) as gate:
        assert "the network" in await refused(gate)
    async with HttpGate(SystemClock(), loopback=True, resolve=names("8.8.8.8")) as gate:  # type: ignore[arg-type]
        assert "not on the public network" in await refused(gate, "http://localhost:1/")


@pytest.mark.parametrize(
    ("failure", "about"), [(OSError("no"), "cannot be resolved"), (UnicodeError("no"), "cannot be resolved")]
)
async def test_a_name_that_leads_nowhere_is_said(failure: Exception, about: str) -> None:
    async def fails(_host: str, _port: int) -> Sequence[str]:
        raise failure

    async with HttpGate(SystemClock(), resolve=fails) as gate:
        assert about in await refused(gate)
    async with HttpGate(SystemClock(), resolve=names()) as gate:  # type: ignore[arg-type]
        assert "no address" in await refused(gate)


async def test_a_name_is_not_waited_for_beyond_the_deadline() -> None:
    async def hangs(_host: str, _port: int) -> Sequence[str]:
        await anyio.sleep_forever()
        raise AssertionError

    async with HttpGate(SystemClock(), resolve=hangs) as gate:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed, match="in time"):
            await gate.exchange("GET", SHOP, timeout=0.01)


@pytest.mark.requirement("AUTH-9.3-2", "AUTH-9.7-3", "AUTH-9.7.1.1-7")
async def test_the_vetted_address_is_dialled_and_must_have_the_names_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path, "shop.example")
    trusted(monkeypatch, path)
    async with raw_hub(says({}), tls=served(path)) as hub:
        port = hub.url.rpartition(":")[2]
        async with Http(f"https://shop.example:{port}") as http:
            answer = await http.exchange("GET", f"https://shop.example:{port}/x", address="127.0.0.1")
            assert (answer.status, len(hub.heard)) == (200, 1)
            assert hub.heard[0].headers["host"] == f"shop.example:{port}"
        async with Http(f"https://other.example:{port}") as http:
            with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
                await http.exchange("GET", f"https://other.example:{port}/x", address="127.0.0.1")
            assert (caught.value.sent, caught.value.phase, len(hub.heard)) == (False, "tls", 1)


@pytest.mark.requirement("AUTH-9.7.1.1-8")
async def test_a_redirect_is_an_answer() -> None:
    there = says({}, "302 Found", "Location: http://127.0.0.1:1/elsewhere")
    async with raw_hub(there) as hub, HttpGate(SystemClock(), loopback=True) as gate:
        answer = await gate.exchange("GET", read_place(hub.url + "/x"))
        assert (answer.status, len(hub.heard)) == (302, 1)


async def test_the_connections_of_origins_long_unused_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Http] = []

    async def exchange(self: Http, *_: object, **__: object) -> object:
        raise ExchangeFailed(sent=False, phase="tls", reason="x")

    async def aclose(self: Http) -> None:
        closed.append(self)

    monkeypatch.setattr(Http, "exchange", exchange)
    monkeypatch.setattr(Http, "aclose", aclose)
    async with HttpGate(SystemClock(), resolve=names("8.8.8.8")) as gate:  # type: ignore[arg-type]
        for number in range(20):
            with contextlib.suppress(ExchangeFailed):
                await gate.exchange("GET", read_place(f"https://shop{number}.example/"))
        assert len(closed) == 4
    assert len(set(map(id, closed))) == 20


async def test_the_systems_resolver_gives_addresses() -> None:
    assert "127.0.0.1" in await resolve("localhost", 80)


async def test_a_name_is_asked_for_again_when_its_addresses_are_old_or_away(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, phase = list[str](), ["tls"]
    clock = SystemClock()
    now = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])

    async def found(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["8.8.8.8"]

    async def exchange(_self: Http, *_: object, **__: object) -> object:
        raise ExchangeFailed(sent=False, phase=phase[0], reason="x")

    monkeypatch.setattr(Http, "exchange", exchange)
    async with HttpGate(clock, resolve=found) as gate:
        for now[0], phase[0], times in ((1.0, "tls", 1), (20.0, "tls", 1), (40.0, "connect", 2), (41.0, "tls", 3)):
            with pytest.raises(ExchangeFailed):
                await gate.exchange("GET", SHOP)
            assert len(asked) == times


async def test_a_stream_goes_to_a_vetted_address_too_and_to_the_next_where_one_is_dead() -> None:
    async with HttpGate(SystemClock(), resolve=names("8.8.8.8", "10.0.0.1")) as gate:  # type: ignore[arg-type]
        with pytest.raises(ExchangeFailed, match="not on the public network"):
            async with gate.stream("GET", SHOP):
                pass
    async with raw_hub(streams(("open", {}), ("chunk", {"delta": "x"}))) as hub:
        place = read_place(hub.url.replace("127.0.0.1", "localhost") + "/jecp")
        # Nothing listens on the first.
        dead_first = names("127.0.0.2", "127.0.0.1")
        async with (
            HttpGate(SystemClock(), loopback=True, resolve=dead_first) as gate,  # type: ignore[arg-type]
            gate.stream("POST", place, body=b"{}") as answer,
        ):
            body = b"".join([chunk async for chunk in answer.chunks])
        assert (answer.status, b"event: chunk" in body) == (200, True)
        only_dead = names("127.0.0.2")
        async with HttpGate(SystemClock(), loopback=True, resolve=only_dead) as gate:  # type: ignore[arg-type]
            with pytest.raises(ExchangeFailed) as failed:
                async with gate.stream("POST", place, body=b"{}"):
                    pass
        assert (failed.value.sent, failed.value.phase) == (False, "connect")
        assert len(hub.heard) == 1
