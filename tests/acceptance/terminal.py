"""What a person types at a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.acceptance.roads import SandboxHub, server_env


def at_a_terminal(hub: SandboxHub, state: Path, *arguments: str, answer: str | None = None) -> tuple[int, str]:
    """Run a command as a person does; returns its status and what they saw."""
    command = [sys.executable, "-m", "jecp_mcp", *arguments, "--state-dir", str(state)]
    return typed(command, server_env(hub.url, hub.agent_id, hub.api_key), answer)


def command_in(text: str) -> str:
    """The one command of ours that a text tells a person to run."""
    [command] = re.findall(r"`([^`]*jecp[-_]mcp [^`]*)`", text)
    return command


def another_terminal(home: Path) -> dict[str, str]:
    """The environment of somebody who knows nothing of the server's."""
    return {"PATH": os.defpath, "HOME": str(home)}


def typed_as_told(text: str, home: Path, answer: str | None = None) -> tuple[int, str]:
    """Run the command that a text names, as it stands, in another terminal."""
    return typed(["/bin/sh", "-c", command_in(text)], another_terminal(home), answer)


def typed(command: Sequence[str], env: Mapping[str, str], answer: str | None = None) -> tuple[int, str]:
    """Run a program at a terminal, and answer its question; returns its status and what was to be seen."""
    person, terminal = pty.openpty()
    seen = b""
    try:
        process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
        os.close(terminal)
        try:
            while answer is not None and b"[y/N]" not in seen:
                seen += os.read(person, 4096)
            if answer is not None:
                os.write(person, answer.encode() + b"\n")
            while True:
                seen += os.read(person, 4096)
        except OSError:
            # The program has ended, asked or not.
            pass
        return process.wait(60), seen.decode()
    finally:
        os.close(person)
