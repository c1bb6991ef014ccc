"""What a quote and the ledger keep of a request for a decision, and no secret. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.rails.paid_http.roads import PriceSummary
from jecp_mcp.rails.stored_form import read_form, write_form

_FORM: Final = "402flow/1"


@dataclass(frozen=True, slots=True)
class _Stored:
    """Whatever is stored as one JSON object of its fields."""

    def pack(self) -> bytes:
        """As a quote or the ledger keeps it."""
        return write_form(_FORM, {one.name: getattr(self, one.name) for one in fields(self)})

    @classmethod
    def unpack(cls, stored: bytes) -> Self:
        """Read what `pack` wrote.

        Raises:
            WireError: it is something else.
        """
        found = read_form(_FORM, stored)
        try:
            return cls(**found)
        except TypeError as exc:
            raise WireError("the stored request cannot be read; the ledger is not what was written") from exc


@dataclass(frozen=True, slots=True)
class Terms(_Stored):
    """What a merchant asks for, and what of it a control plane is given.

    Attributes:
        version: x402's, 1 or 2.
        networks: where it can be paid.
        tokens: the symbols and addresses of what it can be paid with.
        challenge_headers, challenge_body: the challenge as it is passed on.
        others: what else was offered, and why it is not taken.
        hints: what the merchant says that the request needs.
        warnings: what is odd about the challenge, in our words.
        asked_at: when it was asked, Unix ms.
        least: what it costs by the cheapest way to pay, micro-USDC; 0 where an earlier version wrote it.
    """

    version: int
    networks: Sequence[str]
    tokens: Sequence[str]
    challenge_headers: Mapping[str, str]
    challenge_body: JSONObject | None
    others: Sequence[JSONObject] = ()
    hints: JSONObject = field(default_factory=nothing)
    warnings: Sequence[str] = ()
    asked_at: int = 0
    least: int = 0


@dataclass(frozen=True, slots=True)
class Payload(_Stored):
    """A request for a decision, without its key, which is the call's id.

    Attributes:
        url, method, headers, body: the merchant's request.
        tokens, networks, least: as of `Terms`; the last two empty where an earlier version wrote it.
        prepared_at, resend_until: Unix ms: when it was written down, and until when it may leave.
    """

    organization: str
    agent: str
    url: str
    method: str
    headers: Mapping[str, str]
    body: str | None
    challenge_headers: Mapping[str, str]
    challenge_body: JSONObject | None
    tokens: Sequence[str]
    prepared_at: int
    resend_until: int
    networks: Sequence[str] = ()
    least: int = 0


def summary_of(stored: bytes) -> PriceSummary:
    """What a model is shown of a quote's payload.

    Raises:
        WireError: it is something else.
    """
    terms = Terms.unpack(stored)
    payment: dict[str, Any] = {"networks": list(terms.networks), "paid_by": "402flow"}
    return PriceSummary(
        version=terms.version,
        where=" or ".join(terms.networks),
        payment=payment,
        asked_at=terms.asked_at,
        others=terms.others,
        hints=terms.hints,
        warnings=terms.warnings,
    )
