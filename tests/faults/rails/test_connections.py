"""Connections: whom they trust, how long they are waited for, and that none is left behind."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import os
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpcore2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jecp_mcp.http import ExchangeFailed, Http
from tests.faults.rails.raw_hub import Request, hangs, raw_hub, says

pytestmark = pytest.mark.anyio


def certificate(folder: Path, address: str) -> Path:
    """A certificate that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Hub")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative_name(address)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{address}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def alternative_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def served(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def trusted(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Put the certificate in the place of the system's store."""
    monkeypatch.setattr(httpcore2, "default_ssl_context", lambda **_: ssl.create_default_context(cafile=str(path)))


async def test_a_certificate_nobody_vouches_for_gets_no_request(tmp_path: Path) -> None:
    async with raw_hub(says({}), tls=served(certificate(tmp_path, "127.0.0.1"))) as hub, Http(hub.url) as http:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert (caught.value.sent, caught.value.phase, hub.heard) == (False, "tls", [])


async def test_a_certificate_for_another_address_gets_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path, "127.0.0.2")
    trusted(monkeypatch, path)
    async with raw_hub(says({}), tls=served(path)) as hub, Http(hub.url) as http:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert (caught.value.sent, caught.value.phase, hub.heard) == (False, "tls", [])


async def breaks_the_cipher(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Plain text in the middle of an encrypted connection."""
    writer.transport.pause_reading()
    os.write(writer.get_extra_info("socket").fileno(), b"HTTP/1.1 200 OK\r\n\r\n" * 4)
    await hangs(_request, writer)


async def leaves_without_goodbye(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Half a body, and the TCP connection ends without TLS's own end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()


@pytest.mark.requirement("AUTH-9.3-1")
async def test_a_peer_that_speaks_only_an_older_tls_gets_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path, "127.0.0.1")
    trusted(monkeypatch, path)
    old = served(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with raw_hub(says({}), tls=old) as hub, Http(hub.url) as http:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert (caught.value.sent, caught.value.phase, hub.heard) == (False, "tls", [])


@pytest.mark.parametrize("script", [breaks_the_cipher, leaves_without_goodbye])
async def test_a_fault_of_tls_after_the_request_counts_as_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: object
) -> None:
    path = certificate(tmp_path, "127.0.0.1")
    trusted(monkeypatch, path)
    async with raw_hub(says({}), script, tls=served(path)) as hub, Http(hub.url) as http:  # type: ignore[arg-type]
        assert (await http.exchange("POST", hub.url + "/x", body=b"{}")).status == 200
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert (caught.value.sent, len(hub.heard), hub.connections) == (True, 2, 1)
        assert caught.value.phase in {"answer", "body"}


async def test_a_request_that_found_no_free_connection_was_not_sent() -> None:
    arrived = anyio.Event()

    async def notices(request: Request, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await hangs(request, writer)

    async with raw_hub(notices) as hub, Http(hub.url) as http, anyio.create_task_group() as tasks:

        async def hold() -> None:
            await http.exchange("POST", hub.url + "/x", body=b"{}", timeout=600)

        # One by one: a loaded machine takes longer for all at once than a connection may take.
        for _ in range(64):
            arrived = anyio.Event()
            tasks.start_soon(hold)
            with anyio.fail_after(60):
                await arrived.wait()
        with pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}", timeout=0.05)
        tasks.cancel_scope.cancel()
        assert (caught.value.sent, len(hub.heard)) == (False, 64)


async def test_a_reused_connection_that_ends_under_the_request_counts_as_sent() -> None:
    async def second(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with raw_hub(says({}), second) as hub, Http(hub.url) as http:
        await http.exchange("POST", hub.url + "/x", body=b"{}")
        with pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert (caught.value.sent, caught.value.phase, hub.connections) == (True, "answer", 1)


class Watched:
    """A server that says when a request reached it and when its client was gone."""

    def __init__(self, until: bytes, reply: bytes) -> None:
        self._until, self._reply = until, reply
        self.arrived, self.gone = anyio.Event(), anyio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(self._until)
            writer.write(self._reply)
            await writer.drain()
            self.arrived.set()
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def watched(until: bytes, reply: bytes = b"") -> AsyncIterator[tuple[Watched, str]]:
    seen = Watched(until, reply)
    server = await asyncio.start_server(seen.accept, "127.0.0.1", 0)
    try:
        yield seen, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
MOMENTS = {
    "in the TLS handshake": ("https", b"\x16\x03", b""),
    "waiting for the answer": ("http", b"\r\n\r\n", b""),
    "in the head": ("http", b"\r\n\r\n", b"HTTP/1.1 200"),
    "in the body": ("http", b"\r\n\r\n", HALF),
}


@pytest.mark.parametrize("reading", ["at once", "as it comes"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_exchange_leaves_no_connection_behind(moment: str, reading: str) -> None:
    scheme, until, reply = MOMENTS[moment]
    async with watched(until, reply) as (seen, address), Http(f"{scheme}://{address}") as http:

        async def ask() -> None:
            if reading == "at once":
                await http.exchange("POST", f"{scheme}://{address}/x", body=b"{}")
                return
            async with http.stream("POST", f"{scheme}://{address}/x", body=b"{}") as answer:
                async for _ in answer.chunks:
                    pass

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await seen.arrived.wait()
                tasks.cancel_scope.cancel()
            await seen.gone.wait()


async def test_a_listener_that_leaves_a_stream_closes_its_connection() -> None:
    async with watched(b"\r\n\r\n", HALF) as (seen, address), Http(f"http://{address}") as http:
        with anyio.fail_after(60):
            async with http.stream("POST", f"http://{address}/x", body=b"{}") as answer:
                async for chunk in answer.chunks:
                    assert chunk == b"{"
                    break
            await seen.gone.wait()


async def test_a_closed_client_drops_its_idle_connections_and_opens_again_when_asked() -> None:
    async with watched(b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (seen, address):
        http = Http(f"http://{address}")
        with anyio.fail_after(60):
            assert (await http.exchange("GET", f"http://{address}/x")).status == 200
            assert not seen.gone.is_set()
            await http.aclose()
            await seen.gone.wait()
            assert (await http.exchange("GET", f"http://{address}/x")).status == 200
            await http.aclose()
            await http.aclose()
