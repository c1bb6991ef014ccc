"""What a quote and the ledger keep of a paid request: everything that rebuilds its bytes, and no secret. Pure: no I/O.

No signature is kept: it follows from the key and the authorization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.rails.paid_http.roads import PriceSummary
from jecp_mcp.rails.stored_form import read_form, write_form
from jecp_mcp.wire.x402.payment import Authorization

_FORM: Final = 1


@dataclass(frozen=True, slots=True)
class Terms:
    """What a merchant asks for, as it was chosen from its challenge.

    Attributes:
        version: x402's, 1 or 2.
        network: the chain's CAIP-2 id.
        amount: in the token's smallest units.
        option: the chosen entry of ``accepts``, unchanged.
        resource, extensions: the challenge's own, in version 2.
        others: what else was offered, and why it is not taken.
        hints: what the merchant says that the request needs (`jecp_mcp.rails.paid_http.hints`).
        warnings: what is odd about the challenge, in our words.
        asked_at: when it was asked, Unix ms.
        agreed: whether its recipient may be paid whoever was paid at the merchant before: the settings say so, or a
            person must, of whom it is asked.
    """

    version: int
    network: str
    asset: str
    pay_to: str
    amount: int
    max_timeout_seconds: int
    option: JSONObject
    resource: JSONObject = field(default_factory=nothing)
    extensions: JSONObject = field(default_factory=nothing)
    others: Sequence[JSONObject] = ()
    hints: JSONObject = field(default_factory=nothing)
    warnings: Sequence[str] = ()
    asked_at: int = 0
    agreed: bool = False

    def pack(self) -> bytes:
        """As a quote keeps it."""
        return write_form(_FORM, _fields(self))

    @staticmethod
    def unpack(stored: bytes) -> Terms:
        """Read what `pack` wrote.

        Raises:
            WireError: it is something else.
        """
        return _terms(stored)


@dataclass(frozen=True, slots=True)
class Payload:
    """A request with its payment, unsigned.

    Attributes:
        headers: the model's own.
        authorization: what is signed.
        seconds: how long one attempt may take.
    """

    url: str
    method: str
    headers: Mapping[str, str]
    body: str | None
    terms: Terms
    authorization: Authorization
    seconds: float

    def pack(self) -> bytes:
        """As the ledger keeps it."""
        told = _fields(self)
        told["terms"] = _fields(self.terms) | {"others": [], "hints": {}}
        told["authorization"] = _fields(self.authorization) | {"nonce": self.authorization.nonce.hex()}
        return write_form(_FORM, told)

    @classmethod
    def unpack(cls, stored: bytes) -> Payload:
        """Read what `pack` wrote.

        Raises:
            WireError: it is something else.
        """
        found = read_form(_FORM, stored)
        try:
            signed = dict(found["authorization"])
            authorization = Authorization(**{**signed, "nonce": bytes.fromhex(signed["nonce"])})
            parts = {"terms": Terms(**found["terms"]), "authorization": authorization}
            return cls(**{**found, **parts, "seconds": float(found["seconds"])})
        except (KeyError, TypeError, ValueError, AssertionError) as exc:
            raise WireError("the stored request cannot be read; the ledger is not what was written") from exc


@lru_cache(maxsize=8)
def _terms(stored: bytes) -> Terms:
    """What a price was agreed on; each step of a purchase asks for it, and nothing changes what it holds."""
    try:
        return Terms(**read_form(_FORM, stored))
    except TypeError as exc:
        raise WireError("what is stored of the price cannot be read") from exc


def summary_of(stored: bytes) -> PriceSummary:
    """What a model is shown of a quote's payload.

    Raises:
        WireError: it is something else.
    """
    terms = Terms.unpack(stored)
    return PriceSummary(
        version=terms.version,
        where=terms.network,
        payment={"network": terms.network, "pay_to": terms.pay_to},
        asked_at=terms.asked_at,
        others=terms.others,
        hints=terms.hints,
        warnings=terms.warnings,
    )


def _fields(of: Terms | Payload | Authorization) -> dict[str, Any]:
    return {name: getattr(of, name) for name in type(of).__slots__}
