"""What the tools of paid HTTP show of a price, whichever road pays it. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.settings.merchants import hosts, read_place


@dataclass(frozen=True, slots=True)
class PriceSummary:
    """What a quote's payload says of a price.

    Attributes:
        version: x402's, 1 or 2.
        where: the networks that it can be paid on, as a sentence names them.
        payment: more facts of the payment, for programs.
        asked_at: when the merchant was asked, Unix ms.
        others: what else was offered, and why it is not taken.
        hints: what the merchant says that its request needs (`jecp_mcp.rails.paid_http.hints`).
        warnings: what is odd about it, in our words.
    """

    version: int
    where: str
    payment: Mapping[str, Any]
    asked_at: int
    others: Sequence[JSONObject] = ()
    hints: JSONObject = field(default_factory=nothing)
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Road:
    """A way to pay merchants.

    Attributes:
        merchants: who is paid by it, as the operator wrote them.
        summarise: reads a quote's payload; raises `WireError` for one of another road.
    """

    merchants: Sequence[str]
    summarise: Callable[[bytes], PriceSummary]

    def pays(self, origin: str) -> bool:
        """Whether a merchant at an origin is paid by it: each host is paid by one road alone."""
        place = read_place(origin)
        return any(hosts(merchant, place) for merchant in self.merchants)
