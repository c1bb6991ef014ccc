"""What may stand in ``server.allowed_hosts`` and ``server.allowed_origins``: what a browser can send. Pure: no I/O."""

from __future__ import annotations

import re
from typing import Final

_HOST: Final = r"(?:[\w-]+(?:\.[\w-]+)*\.?|\[[0-9a-f:.]+\])"
_PORT: Final = r"(?::(?P<port>[0-9]{1,5}|\*))?"
_AUTHORITY: Final = re.compile(_HOST + _PORT, re.ASCII)
_ORIGIN: Final = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_HOST}{_PORT}", re.ASCII)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def check_host(text: str) -> str:
    """The value of a Host header as clients send it, or with ``:*`` for any port.

    Raises:
        ValueError: no Host header is like this.
    """
    host = text.strip().lower()
    if _AUTHORITY.fullmatch(host) is None:
        raise ValueError(f"{text!r} is no host: write it like bridge.example or bridge.example:8402, :* for any port")
    return host


def check_origin(text: str) -> str:
    """An origin as browsers send it (RFC 6454 §6.2): no slash behind it, no default port; or ``:*`` for any port.

    Raises:
        ValueError: no Origin header is like this, or it would stand for anybody's page.
    """
    origin = text.strip().lower().removesuffix("/")
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise ValueError(
            f"{text!r} is no origin: write it like https://app.example or http://localhost:3000, :* for any port; "
            "none stands for every site"
        )
    port = found["port"]
    return origin.removesuffix(f":{port}") if port and port == _DEFAULT_PORTS.get(found["scheme"]) else origin
