"""Beyond loopback the server must prove who it is, unless the operator asks for less; then that is named."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from jecp_mcp.cli.main import _run
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.opening import tls_weakness
from jecp_mcp.mandate.postgres.connection import Connection
from jecp_mcp.mandate.postgres.tls import weakness, with_verification
from jecp_mcp.settings import LedgerSettings
from tests.ports import free_port
from tests.postgres.cluster import Cluster, new_cluster

ELSEWHERE = "0.0.0.0"
"""No loopback address, and yet it reaches this machine (Linux, ip(7): INADDR_ANY as a destination)."""


def self_signed(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ledger")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ELSEWHERE))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "server.crt").write_bytes(made.public_bytes(pem))
    (folder / "server.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "server.key").chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(folder / "server.key", "postgres", "postgres")


@pytest.fixture(scope="module")
def tls() -> Iterator[tuple[Cluster, str, Path]]:
    """A server with a certificate of its own making, its address beyond loopback, and the certificate."""
    cluster = new_cluster()
    try:
        cluster.stop()
        data = cluster._folder / "data"
        self_signed(data)
        port = free_port()
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"ssl = on\nlisten_addresses = '127.0.0.1'\nport = {port}\n")
        cluster.start()
        yield cluster, f"postgresql://postgres@{ELSEWHERE}:{port}/postgres", data / "server.crt"
    finally:
        cluster.remove()


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


def test_a_server_elsewhere_that_proves_nothing_is_refused(tls: tuple[Cluster, str, Path]) -> None:
    _, url, _ = tls
    with pytest.raises(LedgerUnavailable, match="certificate"):
        Connection.open(url)


def test_a_server_elsewhere_whose_certificate_is_known_is_used(
    tls: tuple[Cluster, str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, url, certificate = tls
    Connection.open(f"{url}?sslrootcert={certificate}").close()
    monkeypatch.setenv("PGSSLROOTCERT", str(certificate))
    Connection.open(url).close()
    monkeypatch.delenv("PGSSLROOTCERT")
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_bytes(certificate.read_bytes())
    Connection.open(url).close()


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_a_weaker_mode_is_obeyed_and_named(
    tls: tuple[Cluster, str, Path], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    _, url, _ = tls
    Connection.open(f"{url}?sslmode={mode}").close()
    said = tls_weakness(LedgerSettings(url=SecretStr(f"{url}?sslmode={mode}")))
    assert said is not None
    assert f"sslmode={mode}" in said
    monkeypatch.setenv("PGSSLMODE", mode)
    Connection.open(url).close()
    assert tls_weakness(LedgerSettings(url=SecretStr(url))) == said


@pytest.mark.parametrize(
    ("url", "environ", "verified"),
    [
        ("postgresql:///jecp", {}, False),
        ("postgresql:///jecp?host=/run/postgresql", {}, False),
        ("postgresql:///jecp?host=@abstract", {}, False),
        ("postgresql://localhost/jecp", {}, False),
        ("postgresql://127.0.0.1:5433/jecp", {}, False),
        ("postgresql://[::1]/jecp", {}, False),
        ("postgresql://db.example/jecp?hostaddr=127.0.0.1", {}, False),
        ("postgresql://db.example/jecp", {}, True),
        ("postgresql://10.0.0.4/jecp", {}, True),
        ("postgresql://localhost,db.example/jecp", {}, True),
        ("postgresql://localhost/jecp?hostaddr=10.0.0.4", {}, True),
        ("postgresql://localhost.evil.example/jecp", {}, True),
        ("postgresql:///jecp", {"PGHOST": "db.example"}, True),
        ("postgresql://localhost/jecp", {"PGHOSTADDR": "10.0.0.4"}, True),
        ("postgresql:///?service=ledger", {}, True),
        ("postgresql:///jecp", {"PGSERVICE": "ledger"}, True),
    ],
)
def test_only_what_stays_on_the_machine_goes_unverified(url: str, environ: dict[str, str], verified: bool) -> None:
    made = with_verification(psycopg.conninfo.conninfo_to_dict(url), environ, Path("/nowhere"))
    assert (made.get("sslmode"), made.get("sslrootcert")) == (("verify-full", "system") if verified else (None, None))
    assert (weakness(url, {**environ, "PGSSLMODE": "require"}) is not None) is verified
    assert weakness(url, environ) is None
    assert weakness(url, {**environ, "PGSSLMODE": "verify-full"}) is None


def test_without_a_server_or_with_a_url_that_is_none_there_is_nothing_to_name() -> None:
    assert tls_weakness(LedgerSettings()) is None
    assert weakness("postgresql://db.example/jecp?nonsense=1", {}) is None


def test_an_older_libpq_is_left_to_its_own_file_of_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.pq, "version", lambda: 150_000)
    made = with_verification({"host": "db.example"}, {}, Path("/nowhere"))
    assert made == {"host": "db.example", "sslmode": "verify-full"}


def test_the_doctor_names_a_weaker_mode(
    tls: tuple[Cluster, str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, url, _ = tls
    monkeypatch.setenv("JECP_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("JECP_MCP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("JECP_MCP_CONFIG", "/dev/null")
    monkeypatch.setenv("JECP_MCP_LEDGER__URL", f"{url}?sslmode=require")
    monkeypatch.setattr("sys.argv", ["jecp-mcp", "doctor", "--json"])
    _run()
    findings = json.loads(capsys.readouterr().out)["findings"]
    [found] = [one for one in findings if "sslmode=require" in one["what"]]
    assert (found["level"], found["about"]) == ("warning", "ledger")
