"""Processes that use a sandbox Hub and can be killed at any moment, and the Hub's own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from jecp_mcp.cli.hub_record import HubRecord

_USE = """
import json, sys
from pathlib import Path
import anyio, anyio.to_thread
from jecp_mcp.cli.hub_process import sandbox_hub
async def use():
    async with sandbox_hub(Path(sys.argv[1]), linger=float(sys.argv[2])) as hub:
        print(json.dumps([hub.url, hub.agent_id, hub.api_key]), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
anyio.run(use)
"""


class HubUser:
    """A process that uses the Hub of `data` until it is told to leave, or killed."""

    def __init__(self, data: Path, *, linger: float = 0, wait: bool = True) -> None:
        self._record = HubRecord(data)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _USE, str(data), str(linger)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hub: tuple[str, str, str] | None = None
        if wait:
            assert self.hub

    @property
    def hub(self) -> tuple[str, str, str]:
        """The Hub's URL, its agent's id and key."""
        if self._hub is None:
            assert self._process.stdout is not None
            url, agent_id, api_key = json.loads(self._process.stdout.readline())
            self._hub = (url, agent_id, api_key)
        return self._hub

    def leave(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def kill_when_started(self) -> None:
        """Kill it as soon as it has started a Hub that does not answer yet."""
        while not self._record.folder.exists() or not self._record.lives():
            os.sched_yield()
        self.kill()

    def wait_for_another_hub(self, before: int) -> None:
        """Wait until another Hub process than `before` answers."""
        while hub_pid(self._record.data) in {0, before}:
            os.sched_yield()


def hub_pid(data: Path) -> int:
    """The process of the Hub that wrote itself down; 0 where none has."""
    said = json.loads((HubRecord(data).folder / "record.json").read_text())
    return int(said.get("pid", 0))


def ended(pid: int) -> None:
    """Wait until a process has ended; where nobody asks for its status, it stays as a zombie."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in {"Z", "X"}:
            return
        os.sched_yield()
