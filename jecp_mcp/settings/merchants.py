"""Which addresses of paid HTTP an operator allows: an origin, or hosts below a name, each with a path. Pure: no I/O.

A merchant is written ``https://api.example.com``, ``https://*.example.org/v1/`` or ``http://127.0.0.1:8403``. A ``*``
stands for one or more whole labels of a host's name, and only at its beginning. A path means itself and all below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

PAID_HTTP: Final = "paid-http"
"""The namespace of all merchants in the mandate, ``paid-http/host:method``, and the source of what they sell."""

MAX_URL: Final = 2_048
"""The longest address taken, in characters."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
_PORTS: Final = {"https": 443, "http": 80}
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}", re.ASCII)
_WILDCARD: Final = re.compile(rf"\*\.(?:{_LABEL}\.)+{_LABEL}", re.ASCII)
_VISIBLE: Final = re.compile(r"[!-~]+", re.ASCII)
# A dot segment, plain or percent-encoded, would leave the path it was allowed for; so might a backslash.
_DOTS: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)|\\|%5c|%2f", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes.

    Attributes:
        url: the whole address as it is requested.
        origin: with no default port.
        host: in lower case.
        path: with its leading slash, without the query.
    """

    url: str
    origin: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, by name or literal address."""
        return self.host in _LOOPBACK

    def below(self, part: str) -> Place:
        """What stands below it: `part` is the rest of a path that needs no encoding; the place itself has no query."""
        url, path = f"{self.url.rstrip('/')}/{part}", f"{self.path.rstrip('/')}/{part}"
        return Place(url, self.origin, self.scheme, self.host, self.port, path)

    def is_reachable(self, *, loopback: bool) -> bool:
        """Whether it is on this machine, where everybody is, or else not, and by https."""
        return self.loopback if loopback else self.scheme == "https" and not self.loopback


@lru_cache(maxsize=256)
def read_place(url: str) -> Place:
    """Take an address apart.

    Raises:
        ValueError: it is no plain http or https address that means the same to everybody who reads it.
    """
    if len(url) > MAX_URL or _VISIBLE.fullmatch(url) is None:
        raise ValueError(f"an address has at most {MAX_URL} visible ASCII characters; encode all others")
    parts, scheme, host, port = _split(url)
    if "@" in parts.netloc:
        raise ValueError("an address carries no user name or password")
    if "#" in url:
        raise ValueError("an address has no fragment")
    if _HOST.fullmatch(host) is None:
        raise ValueError("an address needs a host's name; an international one in its xn-- form")
    path = parts.path or "/"
    if not path.startswith("/") or _DOTS.search(path):
        raise ValueError("an address's path has no dot segments and no encoded slashes")
    origin = _origin(scheme, host, port)
    query = f"?{parts.query}" if "?" in url else ""
    return Place(f"{origin}{path}{query}", origin, scheme, host, port, path)


def check_merchant(text: str) -> str:
    """The same merchant, normalised.

    Raises:
        ValueError: it is none, or would stand for anybody.
    """
    text = text.strip()
    starred = text.replace("://*.", "://any.", 1)
    if starred == text:
        place = read_place(text)
    else:
        place = read_place(starred)
        if _WILDCARD.fullmatch(f"*.{place.host.removeprefix('any.')}") is None:
            raise ValueError("a * stands before at least two labels, such as https://*.example.org")
    if "?" in text:
        raise ValueError("a merchant is an origin, with a path where only that is meant, and no query")
    if place.scheme == "http" and not place.loopback:
        raise ValueError("a merchant is reached by https; plain http is for the sandbox on this machine")
    path = "" if place.path == "/" else place.path
    return (place.origin if starred == text else place.origin.replace("://any.", "://*.", 1)) + path


@lru_cache(maxsize=256)
def _merchant(text: str) -> tuple[str, str, int, str]:
    """A normalised merchant's scheme, host, port and path."""
    parts, scheme, host, port = _split(text)
    return scheme, host, port, parts.path


def hosts(merchant: str, place: Place) -> bool:
    """Whether an address is at a merchant's origin, or below its name, whatever the path."""
    scheme, host, port, _ = _merchant(merchant)
    if (scheme, port) != (place.scheme, place.port):
        return False
    if host.startswith("*."):
        return place.host.endswith(host[1:]) and place.host != host[2:]
    return host == place.host


def overlap(one: str, other: str) -> bool:
    """Whether two merchants may have an origin in common."""
    return any(
        hosts(first, read_place(second.replace("://*.", "://any.", 1)))
        for first, second in ((one, other), (other, one))
    )


def allows(merchant: str, place: Place) -> bool:
    """Whether an address belongs to a merchant as `check_merchant` gives it."""
    path = _merchant(merchant)[3]
    if not hosts(merchant, place):
        return False
    below = path if path.endswith("/") else f"{path}/"
    return place.path == path or place.path.startswith(below)


def _split(url: str) -> tuple[SplitResult, str, str, int]:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, (parts.hostname or "").lower(), parts.port
    except ValueError as exc:
        raise ValueError("an address's port is a number up to 65535, and its host a name") from exc
    if scheme not in _PORTS:
        raise ValueError("an address begins with https://")
    return parts, scheme, host, _PORTS[scheme] if port is None else port


def _origin(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{host}" if port == _PORTS[scheme] else f"{scheme}://{host}:{port}"
