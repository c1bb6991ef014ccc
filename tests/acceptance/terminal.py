"""What a person types at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.acceptance.roads import SandboxHub, server_env


def at_a_terminal(hub: SandboxHub, state: Path, *arguments: str, answer: str | None = None) -> tuple[int, str]:
    """Run a command as a person does; returns its status and what they saw."""
    command = [sys.executable, "-m", "jecp_mcp", *arguments, "--state-dir", str(state)]
    env = server_env(hub.url, hub.agent_id, hub.api_key)
    person, terminal = pty.openpty()
    seen = b""
    try:
        process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
        os.close(terminal)
        while answer is not None and b"[y/N]" not in seen:
            seen += os.read(person, 4096)
        if answer is not None:
            os.write(person, answer.encode() + b"\n")
        while True:
            try:
                seen += os.read(person, 4096)
            except OSError:
                break
        return process.wait(60), seen.decode()
    finally:
        os.close(person)
