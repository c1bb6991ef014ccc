"""A sandbox Hub as other processes find it: its record, and the locks that say whether it lives and who uses it.

Beside the Hub's file stands a folder, ``sandbox.hub`` beside ``sandbox.sqlite``, which only its owner can read. The
kernel lets go of a lock (flock(2)) however its process ends, so that nothing here outlives what it speaks of:

- ``record.json``: where the Hub is and with which keys; while the next one starts, the last one's stands in it.
- ``alive`` is locked by the Hub for as long as it lives, and by who starts one until the Hub has it.
- ``users`` is locked, shared, by whoever uses the Hub; the Hub that nobody uses locks it for itself and ends.
- the folder itself is locked for the moment of looking, so that one who looks is not taken for a Hub.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from jecp_mcp.errors import SettingsError

DATA_FILE: Final = "sandbox.sqlite"
"""The file of a state folder's own Hub."""

_LOOK_SECONDS = 5.0
_MOST_BYTES = 65_536
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class SandboxMerchant:
    """What sells by x402 beside a sandbox Hub, by URLs.

    Attributes:
        url: the merchant.
        rpc: two nodes of the chain that it is paid on.
        faucet: gives an address test money, once.
        chain: the chain's controls.
    """

    url: str
    rpc: tuple[str, ...]
    faucet: str
    chain: str


@dataclass(frozen=True, slots=True)
class SandboxControlPlane:
    """The 402flow control plane beside a sandbox Hub, and the merchant that it pays, by URLs.

    Attributes:
        key: its bootstrap key, which is worth nothing elsewhere.
    """

    url: str
    merchant: str
    organization: str
    agent: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SandboxAgents:
    """Who can be hired by AJP beside a sandbox Hub, and who hires them.

    Attributes:
        hirer: the id of who hires.
        key: the key that they sign with, which is worth nothing elsewhere.
        agents: each as `jecp_mcp.sandbox.ajp.run` says it.
        index_url: where it is asked how they stand; None beside a Hub of an earlier version.
    """

    hirer: str
    key: str = field(repr=False)
    agents: tuple[Mapping[str, Any], ...]
    index_url: str | None = None


@dataclass(frozen=True, slots=True)
class SandboxHub:
    """A running sandbox Hub and its test agent; the merchant and the agents beside it, where it has them."""

    url: str
    agent_id: str
    api_key: str = field(repr=False)
    control_key: str = field(repr=False)
    merchant: SandboxMerchant | None = None
    agents: SandboxAgents | None = None
    control_plane: SandboxControlPlane | None = None


class HubRecord:
    """What is written down beside a sandbox Hub's file."""

    def __init__(self, data: Path) -> None:
        """Look beside `data`, the Hub's SQLite file. Nothing is created yet."""
        self.data = data.absolute()
        self.folder = self.data.with_suffix(".hub")
        self.log = self.folder / "log"
        self._record = self.folder / "record.json"
        self._alive = self.folder / "alive"
        self._users = self.folder / "users"

    def create(self) -> None:
        """Make the folder, and the one that it and the Hub's file are in.

        Raises:
            SettingsError: that cannot be done.
        """
        try:
            self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as exc:
            raise SettingsError(
                str(self.folder), "", f"this folder cannot hold what a sandbox writes down: {exc.strerror}"
            ) from exc

    # -- whether it lives --------------------------------------------------------------------------------------------

    @contextmanager
    def claim(self) -> Iterator[int | None]:
        """Become the one Hub of this file, or the one who starts it; None where one lives or is being started.

        Gives a descriptor whose lock is let go at the end, unless another process has inherited it by then.
        """
        descriptor = _open(self._alive)
        try:
            with _locked_folder(self.folder):
                mine = _lock(descriptor, fcntl.LOCK_EX)
                if mine:
                    # What stands there is a dead Hub's: whoever looks next must not go by it.
                    self._write({"port": self.port, "last": self._last()})
            yield descriptor if mine else None
        finally:
            os.close(descriptor)

    def claim_for_life(self) -> bool:
        """Become the one Hub of this file until this process ends; False where one lives or is being started."""
        with self.claim() as descriptor:
            if descriptor is None:
                return False
            os.dup(descriptor)  # Nobody closes this one: the kernel does, however this process ends.
            return True

    def lives(self) -> bool:
        """Whether a Hub lives, or is being started."""
        if not self._alive.exists():
            return False
        descriptor = _open(self._alive)
        try:
            with _locked_folder(self.folder):
                if not _lock(descriptor, fcntl.LOCK_SH):
                    return True
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return False
        finally:
            os.close(descriptor)

    # -- where it is -------------------------------------------------------------------------------------------------

    @property
    def hub(self) -> SandboxHub | None:
        """The Hub as it wrote itself down; None before it answers, and once it was found dead."""
        return _hub(self._read())

    @property
    def last(self) -> SandboxHub | None:
        """The Hub as it last wrote itself down, also where it has ended since; None where none ever did."""
        return _hub(self._last())

    @property
    def port(self) -> int | None:
        """The port of this file's Hub, the last one's where none lives; None when there was none."""
        port = self._read().get("port")
        return port if isinstance(port, int) and 0 < port <= _HIGHEST_PORT else None

    def write(self, ready: Mapping[str, Any]) -> None:
        """Write down a Hub that answers, by the line that it prints (`jecp_mcp.sandbox.run.Ready`)."""
        self._write({**ready, "port": int(ready["hub"].rpartition(":")[2]), "pid": os.getpid()})

    def _last(self) -> Mapping[str, Any]:
        said = self._read()
        last = said if "hub" in said else said.get("last")
        return last if isinstance(last, dict) else {}

    def _write(self, said: Mapping[str, Any]) -> None:
        beside = self.folder / f"record.{secrets.token_hex(4)}"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(said, file)
        beside.replace(self._record)

    def _read(self) -> dict[str, Any]:
        try:
            with self._record.open(encoding="utf-8") as file:
                said = json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    # -- who uses it -------------------------------------------------------------------------------------------------

    @contextmanager
    def use(self) -> Iterator[bool]:
        """Use the Hub, so that it does not end by itself; False while one is ending."""
        descriptor = _open(self._users)
        try:
            yield _lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def users(self) -> int:
        """The file that users lock, open: the Hub's own, also once the folder was taken away or replaced."""
        return _open(self._users)

    @staticmethod
    def close_when_unused(descriptor: int, linger: float, stay: Callable[[], float] = lambda: 0) -> None:
        """Block until nobody has used the Hub for `linger` seconds; then let nobody use it until this process ended.

        Args:
            descriptor: of `users`.
            stay: for how many seconds more somebody who is no user may come.
        """
        while True:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(linger)
            while (left := stay()) > 0:
                time.sleep(min(left, _LOOK_SECONDS))
            if _lock(descriptor, fcntl.LOCK_EX):
                return

    # -- what it says ------------------------------------------------------------------------------------------------

    def new_log(self) -> IO[bytes]:
        """The file for what the Hub writes to stderr, empty."""
        return os.fdopen(_open(self.log, os.O_TRUNC), "wb", buffering=0)

    def last_words(self) -> str:
        """The last line of the Hub's log."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace")[-_MOST_BYTES:].splitlines()
            return next((line.removeprefix("jecp-mcp: ") for line in reversed(lines) if line.strip()), "")
        return ""


def _hub(said: Mapping[str, Any]) -> SandboxHub | None:
    try:
        url, agent_id, api_key, control_key = (
            str(said[name]) for name in ("hub", "agent_id", "api_key", "control_key")
        )
        beside = _merchant(said.get("x402")), _agents(said.get("ajp")), _control_plane(said.get("402flow"))
        return SandboxHub(url, agent_id, api_key, control_key, *beside)
    except KeyError:
        return None


def _merchant(said: Any) -> SandboxMerchant | None:
    """The merchant as it was written down.

    Raises:
        KeyError: it was not written down in whole.
    """
    if said is None:
        return None
    return SandboxMerchant(str(said["merchant"]), tuple(map(str, said["rpc"])), str(said["faucet"]), str(said["chain"]))


def _control_plane(said: Any) -> SandboxControlPlane | None:
    """The control plane as it was written down.

    Raises:
        KeyError: it was not written down in whole.
    """
    if said is None:
        return None
    return SandboxControlPlane(
        *(str(said[name]) for name in ("control_plane", "merchant", "organization", "agent", "bootstrap_key"))
    )


def _agents(said: Any) -> SandboxAgents | None:
    """The agents as they were written down.

    Raises:
        KeyError: they were not written down in whole.
    """
    if said is None:
        return None
    hirer = said["hirer"]
    index = said.get("index_url")
    known = None if index is None else str(index)
    return SandboxAgents(str(hirer["id"]), str(hirer["private_key"]), tuple(said["agents"]), known)


def _open(path: Path, also: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | also, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    # Held for a few calls of the system, so that waiting for it may block.
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
