"""A port for what is to be at an address that was known before, or is to come back there."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

_PORTS = range(30_000, 32_768)
"""Below those that systems give to whoever takes any, and above those that sandboxes look for first."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now, and that no other test is given by chance meanwhile."""
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
