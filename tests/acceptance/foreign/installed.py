"""The foreign clients, each kind in an environment of its own: some need version 1 of the official SDK, some version 2.

An environment is made once for each set of packages and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SDK_1 = tuple((HERE / "python_sdk_1.txt").read_text().split())
SDK_2 = tuple((HERE / "python_sdk_2.txt").read_text().split())
CREWAI = tuple((HERE / "python_crewai.txt").read_text().split())
"""What each environment holds, to the last version: nothing is resolved anew, and a run is like the one before."""
NODE = (
    "node@22",
    "@modelcontextprotocol/sdk@1.32.2",
    "@modelcontextprotocol/client@2.4.0",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@x402/core@2.27.0",
    "@x402/evm@2.27.0",
    "@x402/express@2.27.0",
    "@x402/fetch@2.27.0",
    "express@5",
    "viem@2.57.20",
    "ethers@6.17.0",
)

SCRIPTS = HERE / "clients"


@dataclass(frozen=True)
class ForeignClient:
    """A client, the packages it comes in, and how its script in `clients` is told its protocol era."""

    name: str
    script: str
    packages: tuple[str, ...]
    era: str = ""
    large: bool = False
    """Whether it takes a gigabyte to install, which only `.ci/full` does."""

    def __str__(self) -> str:
        return self.name

    def command(self) -> list[str]:
        """How its script is run; skips where it cannot be installed, unless it must be."""
        if self.packages is NODE:
            folder = node_folder()
            return [str(folder / "node_modules" / ".bin" / "node"), str(folder / self.script)]
        folder = _environment(self.packages, _install_python)
        return [str(folder / "bin" / "python"), str(SCRIPTS / self.script)]


CLIENTS = [
    ForeignClient("python-sdk-2025", "sdk_python.py", SDK_2, "legacy"),
    ForeignClient("python-sdk-2026", "sdk_python.py", SDK_2, "2026-07-28"),
    ForeignClient("typescript-sdk-1", "sdk_typescript_1.mjs", NODE),
    ForeignClient("typescript-sdk-2", "sdk_typescript_2.mjs", NODE),
    ForeignClient("fastmcp", "fastmcp_client.py", SDK_2),
    ForeignClient("openai-agents", "openai_agents.py", SDK_2),
    ForeignClient("pydantic-ai", "pydantic_ai_client.py", SDK_2),
    ForeignClient("llama-index", "llama_index_client.py", SDK_2),
    ForeignClient("langchain", "langchain_client.py", SDK_1),
    ForeignClient("google-adk", "google_adk.py", SDK_1),
    ForeignClient("crewai", "crewai_native.py", CREWAI, large=True),
    ForeignClient("crewai-adapter", "crewai_adapter.py", CREWAI, large=True),
]


def node_folder(*scripts: Path) -> Path:
    """Where Node and what others made for it are, with all scripts of ours beside them, and these."""
    folder = _environment(NODE, _install_node)
    for script in (*SCRIPTS.glob("*.mjs"), *HERE.glob("*.mjs"), *scripts):
        there = folder / script.name
        if not there.exists() or there.read_bytes() != script.read_bytes():
            # Another worker may be running it.
            beside = folder / f"{script.name}.{os.getpid()}"
            shutil.copy(script, beside)
            beside.replace(there)
    return folder


class NotInstalled(Exception):
    """An environment could not be made."""


def _environment(packages: Sequence[str], install: Callable[[Path, Sequence[str]], None]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jecp-mcp-foreign-clients"
    kind = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()[:16]
    folder = cache / kind
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        being_made = cache / f"{kind}.{os.getpid()}"
        try:
            install(being_made, packages)
            being_made.rename(folder)
        except (OSError, subprocess.SubprocessError, NotInstalled) as exc:
            shutil.rmtree(being_made, ignore_errors=True)
            if not folder.exists():
                if os.environ.get("REQUIRE_FOREIGN_CLIENTS"):
                    raise
                pytest.skip(f"the foreign clients cannot be installed: {exc}")
    return folder


def _install_python(folder: Path, packages: Sequence[str]) -> None:
    # Not moved after it was made: scripts in it name their place. It is only ever run as `bin/python`, which knows.
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", *packages])


def _install_node(folder: Path, packages: Sequence[str]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is not here")
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "foreign", "private": true, "type": "module"}')
    _run([npm, "install", "--no-audit", "--no-fund", "--loglevel", "error", *packages], cwd=folder)


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise NotInstalled(f"{command[0]}: {done.stderr[-500:]}")
