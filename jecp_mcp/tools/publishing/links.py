"""Words and links from strangers, made fit to show a model or a person. Pure: no I/O, and nothing here is fetched.

A link is shown only when it is on the Hub's own origin or on one the operator allowed; anything else that looks like a
link is withheld, also inside running text. Stripe's checkout page is shown only where a top-up was asked for:
whoever pays on a page that a stranger opened fills the stranger's wallet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from jecp_mcp.invisible import hides, strip
from jecp_mcp.settings import is_loopback
from jecp_mcp.tools.publishing.cleaning import (
    LINK_WITHHELD,
    clean,
    links_in,
    withheld_notice,
    withhold_links,
)
from jecp_mcp.tools.publishing.prompt_injection import find_injection
from jecp_mcp.wire.jecp.ids import reference

CHECKOUT_ORIGIN = "https://checkout.stripe.com"
KEY_WITHHELD = "[key withheld]"
MAX_URL = 2048

# RFC 3986's characters and no others: a backslash or a blank is where parsers of URLs disagree about the host.
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]!$&'()*+,;=%@]+")
# An agent's or provider's key of any Hub (JECP 02-authentication §3.1): a Hub that echoes ours must not
# reach the model.
_KEY = re.compile(r"(?<![A-Za-z0-9])[a-z]{2,8}_[ap]k_[A-Za-z0-9]{16,}", re.ASCII)

_MAX_DEPTH = 4
_MAX_ITEMS = 12
_MAX_KEY = 60
_MAX_TEXT = 240
_MAX_KEPT = 2_048
"""The longest text that is not cleaned anew each time, in characters."""


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """Which links may be shown.

    Attributes:
        hub: the Hub's origin, such as ``https://jecp.dev``.
        allowed: further origins the operator trusts.
    """

    hub: str
    allowed: tuple[str, ...] = ()

    def allowed_url(self, url: object) -> str | None:
        """The URL when it may be shown, else None."""
        return self._on_origins(url)

    def _on_origins(self, url: object, *further: str) -> str | None:
        if not isinstance(url, str) or len(url) > MAX_URL or not _URL.fullmatch(url):
            return None
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        host = (parts.hostname or "").lower()
        if "@" in parts.netloc or not host:
            return None
        if parts.scheme == "http" and not (is_loopback(url) and is_loopback(self.hub)):
            return None
        bracketed = f"[{host}]" if ":" in host else host
        default = 443 if parts.scheme == "https" else 80
        origin = f"{parts.scheme}://{bracketed}" + ("" if port in (None, default) else f":{port}")
        return url if origin in {_origin(self.hub), *further, *(_origin(item) for item in self.allowed)} else None

    def checkout(self, url: object) -> str | None:
        """The URL of a top-up that was asked for, when it may be shown, else None."""
        return self._on_origins(url, CHECKOUT_ORIGIN)

    def words(self, text: str, limit: int) -> str:
        """A text on one line, without hidden characters or foreign links, at most `limit` characters."""
        # Keys and links are judged before the cut, which could hide the one and turn the other into another.
        text = _KEY.sub(KEY_WITHHELD, clean(text, limit + MAX_URL, one_line=True))
        return clean(withhold_links(text, self._may_stay), limit, one_line=True)

    def safe_text(self, text: str, limit: int) -> str:
        """The Hub's own words as `words` leaves them, or, where they give the model orders, a notice."""
        # What a merchant says of its input comes with each of its prices.
        return _cleaned_before(self, text, limit) if len(text) <= _MAX_KEPT else self._cleaned(text, limit)

    def _cleaned(self, text: str, limit: int) -> str:
        made = self.words(text, limit)
        label = find_injection(made)
        return made if label is None else withheld_notice(label, "Hub")[:limit]

    def _may_stay(self, link: str) -> bool:
        """Whether a link in a text may be shown; one without a scheme is judged as its reader would complete it."""
        return self.allowed_url(link if "://" in link else f"https://{link}") is not None

    def data(self, value: Any, budget: int) -> Any:
        """A stranger's JSON value, its texts as `safe_text` leaves them, cut to about `budget` characters of JSON."""
        return self._data(value, _Budget(budget), 0)

    def _data(self, value: Any, budget: _Budget, depth: int) -> Any:
        if isinstance(value, str):
            text = self.safe_text(value, max(1, min(_MAX_TEXT, budget.left)))
            budget.left -= len(text) + 3
            return text
        if isinstance(value, Mapping):
            made: dict[str, Any] = {}
            for key, item in value.items():
                if budget.left <= 0 or len(made) >= _MAX_ITEMS or depth >= _MAX_DEPTH:
                    break
                name = self.safe_text(str(key), _MAX_KEY)
                budget.left -= len(name) + 4
                made[name] = self._data(item, budget, depth + 1)
            return made
        if isinstance(value, list | tuple):
            items: list[Any] = []
            for item in value:
                if budget.left <= 0 or len(items) >= _MAX_ITEMS or depth >= _MAX_DEPTH:
                    break
                items.append(self._data(item, budget, depth + 1))
            return items
        budget.left -= 8
        return self._number(value)

    @staticmethod
    def _number(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**53 else str(value)[:40]
        if isinstance(value, Decimal):
            # As text: an amount of money in a refusal keeps its digits.
            return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else str(value)[:40]
        return str(value)[:40]


@lru_cache(maxsize=512)
def _cleaned_before(policy: LinkPolicy, text: str, limit: int) -> str:
    return policy._cleaned(text, limit)  # noqa: SLF001 - its own


class _Budget:
    """How many characters may still be spent; shared by every branch of one value."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{host}" + ("" if parts.port in (None, default) else f":{parts.port}")


def hub_id(value: object) -> str | None:
    """An id of the Hub's as a model may read it, or None: also a row of the ledger may hold what is none."""
    found = reference(value)
    if found is None:
        return None
    if links_in(found) or find_injection(found) is not None:
        return LINK_WITHHELD
    return _KEY.sub(KEY_WITHHELD, found)


def unshowable(text: str) -> bool:
    """Whether `text` holds something that `showable` takes away."""
    return hides(text) or _KEY.search(text) is not None


def showable(value: Any) -> Any:
    """The same JSON value without API keys, and without characters that no reader sees and a terminal may obey.

    Unlike `LinkPolicy.words` this keeps blanks, and joiners where their script or emoji needs them: it was paid for.
    """
    if isinstance(value, str):
        return _KEY.sub(KEY_WITHHELD, strip(value))
    if isinstance(value, Mapping):
        return {showable(key): showable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [showable(item) for item in value]
    return value
