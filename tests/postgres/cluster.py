"""A PostgreSQL server of the tests' own: a real one, in a temporary folder, reached by a socket there."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.lacking import lacking

_FOLDERS = "usr/lib/postgresql", "usr/pgsql"
_OPTIONS = """
listen_addresses = ''
max_connections = 60
shared_buffers = 64MB
autovacuum = on
max_wal_size = 256MB
"""


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, the newest; None where there is none."""
    found = shutil.which("pg_ctl")
    if found is not None and Path(found).resolve().with_name("initdb").exists():
        return Path(found).resolve().parent
    folders = [folder for root in _FOLDERS for folder in Path("/", root).glob("*/bin") if (folder / "initdb").exists()]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def required() -> Path:
    """As `binaries`; without them the test is skipped, or fails where they are required."""
    found = binaries()
    if found is None:
        lacking("no PostgreSQL server is installed (Debian: apt-get install postgresql)", "REQUIRE_POSTGRES")
    return found


class Cluster:
    """One server."""

    def __init__(self, folder: Path) -> None:
        self._binaries = required()
        self._folder = folder
        # The server refuses to run as root.
        self._user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "postgres", "postgres")
        self._databases = 0
        self._run(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D", "data"
        )
        settings = folder / "data" / "postgresql.conf"
        with settings.open("a") as file:
            file.write(f"{_OPTIONS}unix_socket_directories = '{folder}'\n")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._run("pg_ctl", "start", "--wait", "--silent", "-D", "data", "-l", "log")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is as good as pulling the plug."""
        self._run("pg_ctl", "stop", "--wait", "--silent", "-D", "data", "-m", mode)

    def remove(self) -> None:
        """Stop it if it runs, and remove its files."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._folder)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://{user}@/{database}?host={self._folder}"

    def database(self) -> str:
        """The address of a new, empty database."""
        self._databases += 1
        name = f"ledger{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def emptied(self) -> str:
        """The address of a database that holds nothing; to make a new one each time would take the disk longer."""
        url = self.url("emptied")
        if not self.execute("SELECT FROM pg_database WHERE datname = 'emptied'"):
            self.execute("CREATE DATABASE emptied")
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'emptied'")
        for schema in ("jecp_mcp", "public"):
            self.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE", url)
        self.execute("CREATE SCHEMA public", url)
        return url

    def execute(self, sql: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the operator."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            found = connection.execute(sql)
            return found.fetchall() if found.description is not None else []

    @contextmanager
    def standby(self) -> Iterator["Cluster"]:
        """A running copy of this server that only follows it."""
        copy = Cluster.__new__(Cluster)
        copy._binaries, copy._user = self._binaries, self._user
        copy._folder = Path(tempfile.mkdtemp(prefix="jecp-pg-", dir="/tmp"))
        if self._user:
            shutil.chown(copy._folder, "postgres", "postgres")
        try:
            target = str(copy._folder / "data")
            self._run(
                "pg_basebackup", "-h", str(self._folder), "-U", "postgres", "-D", target, "-R", "--checkpoint=fast"
            )
            with (copy._folder / "data" / "postgresql.conf").open("a") as file:
                file.write(f"unix_socket_directories = '{copy._folder}'\n")
            copy.start()
            yield copy
        finally:
            copy.remove()

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / name, *arguments],
            cwd=self._folder,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._user,
        )


def new_cluster() -> Cluster:
    """A running server in a folder of its own; a socket's path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="jecp-pg-", dir="/tmp"))
    try:
        cluster = Cluster(folder)
        cluster.start()
    except BaseException:
        shutil.rmtree(folder)
        raise
    return cluster
