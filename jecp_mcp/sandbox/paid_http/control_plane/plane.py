"""The control plane: tokens, one decision a key, receipts that become final with the chain's time."""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.sandbox.paid_http.chain.chain import Chain
from jecp_mcp.sandbox.paid_http.control_plane.payer import Answered, Payer
from jecp_mcp.sandbox.paid_http.control_plane.requests import Asked, problem
from jecp_mcp.sandbox.paid_http.control_plane.store import Store
from jecp_mcp.wire.flow402.receipt import written_amount
from jecp_mcp.wire.x402.assets import Asset

ORGANIZATION: Final = "sandbox-org"
AGENT: Final = "sandbox-agent"
TOKEN_SECONDS: Final = 300
REVIEW_ABOVE: Final = 15_000
"""Above this a person must review a payment first, in millionths."""
DENY_ABOVE: Final = 50_000
"""Above this a payment is denied."""
BUDGET: Final = 10_000_000
"""What all payments together may cost."""
FINAL_SECONDS: Final = 24
"""How long a receipt is provisional: twelve blocks of two seconds."""

_DECIMALS: Final = 6
_OK: Final = range(200, 300)


@dataclass(slots=True)
class Script:
    """What happens to the next request for a route instead of what the policy says.

    Attributes:
        outcome: as a decision names it; ``review`` for a denial that waits for a person, ``executing`` once.
    """

    route: str
    outcome: str


class ControlPlane:
    """One organization's, with one agent."""

    def __init__(self, store: Store, payer: Payer, chain: Chain, asset: Asset, merchants: tuple[str, ...]) -> None:
        """Decide.

        Args:
            store: what is remembered.
            payer: pays the merchants.
            chain: whose time is also that of tokens, and makes receipts final.
            asset: what is paid with.
            merchants: what the addresses begin with of those that may be paid.
        """
        self._store, self._payer, self._chain, self._asset = store, payer, chain, asset
        self._merchants = merchants
        self._tokens: dict[str, int] = {}
        self._working: set[str] = set()
        self.scripts: list[Script] = []
        self.first_statuses: list[str] = []
        self.exchanges = 0

    def exchange(self, bearer: str) -> dict[str, Any]:
        """A token for the bootstrap key.

        Raises:
            BadRequest: it is another key.
        """
        if not hmac.compare_digest(bearer.encode(), self._store.bootstrap_key.encode()):
            raise problem(401, "The bootstrap key is not known.")
        self.exchanges += 1
        token, ends = f"rt_{secrets.token_urlsafe(24)}", self._now() + TOKEN_SECONDS * 1000
        self._tokens[token] = ends
        return {"token": token, "expiresAt": iso(ends)}

    def expire_tokens(self) -> None:
        """Take back every token."""
        self._tokens.clear()

    def admit(self, bearer: str) -> None:
        """Let a token in.

        Raises:
            BadRequest: it is none that is good.
        """
        if self._tokens.get(bearer, 0) <= self._now():
            raise problem(401, "The runtime token is not known or has expired.")

    def _now(self) -> UnixMs:
        return UnixMs(self._chain.now() * 1000)

    async def decide(self, asked: Asked) -> dict[str, Any]:
        """The one decision of a key.

        Raises:
            BadRequest: the key was used for another request, or the organization or agent is not known.
        """
        if (asked.organization, asked.agent) != (ORGANIZATION, AGENT):
            raise problem(403, "The bootstrap key is not this organization's or agent's.")
        known = self._store.decision(asked.key)
        if known is not None and known["digest"] != asked.digest:
            raise problem(409, "The idempotency key was used for another request.")
        if asked.key in self._working:
            return _executing(known["ids"] if known is not None else _ids())
        if known is not None and known["decision"] is not None:
            return dict(known["decision"])
        if known is not None:
            # It ended while it paid, and nothing says what became of that.
            return self._kept(asked, known | {"decision": _inconclusive(known["ids"])})
        self._working.add(asked.key)
        try:
            return await self._decided(asked)
        finally:
            self._working.discard(asked.key)

    async def _decided(self, asked: Asked) -> dict[str, Any]:
        ids = _ids()
        entry: dict[str, Any] = {"digest": asked.digest, "amount": 0, "paid": False, "ids": ids}
        option = None if asked.challenge is None else self._payer.option(asked.challenge)
        script = self._script(asked)
        if script == "executing":
            # Nothing is kept: the next time it is asked, it is paid.
            return _executing(ids)
        if not asked.wanted.url.startswith(self._merchants):
            return self._kept(asked, entry | {"decision": _deny(ids, "policy_denied", "The merchant is not allowed.")})
        if asked.challenge is None or option is None:
            return self._kept(asked, entry | {"decision": _deny(ids, "challenge_no_supported_candidates")})
        refusal = _UNPAID[script](ids) if script in _UNPAID else self._refusal(option.amount, ids)
        if refusal is not None:
            return self._kept(asked, entry | {"decision": refusal})
        self._store.keep_decision(asked.key, entry | {"amount": option.amount, "decision": None})
        answered = await self._payer.pay(asked.wanted, asked.challenge, option)
        paid = answered is not None and answered.transaction is not None
        entry |= {"amount": option.amount if paid else 0, "paid": paid}
        return self._kept(asked, entry | {"decision": self._ended(asked, answered, option.amount, ids)})

    def _kept(self, asked: Asked, entry: dict[str, Any]) -> dict[str, Any]:
        self._store.keep_decision(asked.key, entry)
        return dict(entry["decision"])

    def _script(self, asked: Asked) -> str:
        path = asked.wanted.url.partition("://")[2].partition("/")[2].partition("?")[0]
        found = next((one for one in self.scripts if one.route in {"*", f"/{path}"}), None)
        if found is None:
            return ""
        self.scripts.remove(found)
        return found.outcome

    def _refusal(self, amount: int, ids: Mapping[str, str]) -> dict[str, Any] | None:
        """What the policy says against a payment; None where it allows it."""
        if amount > DENY_ABOVE:
            return _deny(ids, "policy_denied", "One payment may cost at most 0.05.")
        if amount > REVIEW_ABOVE:
            return _review(ids)
        spent = sum(one["amount"] for one in self._store.decisions().values())
        return _deny(ids, "policy_denied", "The budget is spent.") if spent + amount > BUDGET else None

    def _ended(self, asked: Asked, answered: Answered | None, amount: int, ids: Mapping[str, str]) -> dict[str, Any]:
        if answered is None:
            return _inconclusive(ids)
        response = {
            "status": answered.status,
            "headers": dict(answered.headers),
            "body": answered.body.decode("utf-8", "replace"),
        }
        fulfilled = answered.status in _OK
        if answered.transaction is None and not fulfilled:
            said = {"reasonCode": "merchant_rejected", "reason": "The merchant did not take the payment."}
            return {"outcome": "execution_failed", **ids, **said, "merchantResponse": response}
        receipt = self._receipt(asked, amount, ids, answered, fulfilled=fulfilled)
        made = {**ids, "merchantResponse": response, "receipt": receipt}
        if fulfilled:
            return {"outcome": "allow", "reasonCode": "policy_allow", "reason": "Within the policy.", **made}
        return {
            "outcome": "paid_fulfillment_failed",
            "reasonCode": "merchant_execution_failed",
            "reason": "The merchant took the payment and failed.",
            "settlementEvidenceClass": "settled",
            "fulfillmentStatus": "failed",
            **made,
        }

    def _receipt(
        self, asked: Asked, amount: int, ids: Mapping[str, str], answered: Answered, *, fulfilled: bool
    ) -> dict[str, Any]:
        status = self.first_statuses.pop(0) if self.first_statuses else "provisional"
        receipt = {
            "receiptId": str(uuid.uuid4()),
            **ids,
            "organizationId": str(uuid.uuid5(uuid.NAMESPACE_DNS, ORGANIZATION)),
            "agentId": str(uuid.uuid5(uuid.NAMESPACE_DNS, AGENT)),
            "protocol": "x402",
            "money": {
                "asset": self._asset.address,
                "amount": written_amount(amount, _DECIMALS),
                "amountMinor": str(amount),
                "precision": _DECIMALS,
                "unit": "minor",
            },
            "authorizationOutcome": "allowed",
            **_standing(status),
            "requestUrl": asked.wanted.url,
            "requestMethod": asked.wanted.method,
            "fulfillmentStatus": "succeeded" if fulfilled else "failed",
            "createdAt": iso(self._now()),
        }
        if answered.transaction is not None:
            receipt["settlementIdentifier"] = answered.transaction
        final_at = self._chain.now() + FINAL_SECONDS if status == "provisional" else None
        self._store.keep_receipt({"receipt": receipt, "final_at": final_at})
        return receipt

    def receipt(self, receipt_id: str) -> dict[str, Any]:
        """A receipt as it stands.

        Raises:
            BadRequest: there is none.
        """
        entry = self._store.receipt(receipt_id)
        if entry is None:
            raise problem(404, "There is no such receipt.")
        final_at = entry["final_at"]
        if entry["receipt"]["status"] == "provisional" and final_at is not None and self._chain.now() >= final_at:
            entry["receipt"] |= {
                "status": "confirmed",
                "reconciliationStatus": "resolved",
                "confirmationSource": "chain_observer",
                "confirmedAt": iso(self._now()),
            }
            self._store.keep_receipt(entry)
        return dict(entry["receipt"])

    def change_receipt(
        self, receipt_id: str, status: str, replacement: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Let a receipt stand otherwise; one made provisional stays so.

        Args:
            replacement: another one takes its place, with that status, and differs in these members.

        Raises:
            BadRequest: there is none.
        """
        entry = self._store.receipt(receipt_id)
        if entry is None:
            raise problem(404, "There is no such receipt.")
        changed: dict[str, Any] = entry["receipt"] | _standing(status)
        if replacement is not None:
            changed |= {"receiptId": str(uuid.uuid4()), **replacement}
            self._store.keep_receipt(
                {"receipt": entry["receipt"] | {"supersededByReceiptId": changed["receiptId"]}, "final_at": None}
            )
        self._store.keep_receipt({"receipt": changed, "final_at": None})
        return changed


def _standing(status: str) -> dict[str, str]:
    """How a receipt stands, and whether anybody still works on finding that out."""
    reconciled = {"provisional": "required", "refunded": "refunded"}
    return {"status": status, "reconciliationStatus": reconciled.get(status, "resolved")}


def _ids() -> dict[str, str]:
    return {"paidRequestId": str(uuid.uuid4()), "paymentAttemptId": str(uuid.uuid4())}


def _deny(ids: Mapping[str, str], code: str, why: str = "The policy denies this payment.") -> dict[str, Any]:
    return {"outcome": "deny", "paidRequestId": ids["paidRequestId"], "reasonCode": code, "reason": why}


def _review(ids: Mapping[str, str]) -> dict[str, Any]:
    why = "A person must review a payment above 0.015 first."
    return _deny(ids, "policy_review_required", why) | {"policyReviewEventId": str(uuid.uuid4())}


def _executing(ids: Mapping[str, str]) -> dict[str, Any]:
    said = {"reasonCode": "payment_execution_in_progress", "reason": "The payment is on its way."}
    return {"outcome": "executing", **ids, **said}


def _inconclusive(ids: Mapping[str, str]) -> dict[str, Any]:
    said = {"reasonCode": "merchant_transport_lost", "reason": "The merchant was lost on the way."}
    return {"outcome": "inconclusive", **ids, **said}


def _preflight(ids: Mapping[str, str]) -> dict[str, Any]:
    said = {"reasonCode": "preflight_incompatible", "reason": "No rail can pay this challenge."}
    return {"outcome": "preflight_failed", **ids, **said}


_UNPAID: Final[Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]]] = {
    "deny": lambda ids: _deny(ids, "policy_denied"),
    "review": _review,
    "preflight_failed": _preflight,
    "inconclusive": _inconclusive,
}

OUTCOMES: Final = (*_UNPAID, "executing")
"""What can be scripted; every other outcome follows from what the merchant does."""
