"""A request to sell something, read and with_key for form (JECP 01-protocol §3). Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.errors import WireError
from jecp_mcp.money import MICRO_PER_USDC, MicroUSDC
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.x402_payments import Sent
from jecp_mcp.wire.jecp.envelope import MAX_INPUT_BYTES, MAX_METADATA_BYTES, MAX_REQUEST_BYTES, PROTOCOL
from jecp_mcp.wire.jecp.ids import split_capability, valid_action, valid_call_id

MOST_BUDGET_USDC = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """A well-formed request.

    Attributes:
        capability: as asked for, perhaps with ``@version``.
        arguments: the input as plain JSON values, for the schema and the work.
        digest: what the request asks for; the same id with another digest is another request. JECP ADR-0001: the
            provenance hash belongs to it.
        size: bytes of the body.
        budget: the mandate's bound for this call, micro-USDC; None without one.
        mandate_credentials: agent id and key of the mandate; None without one.
        sent: the payment that came along; None where the wallet pays.
    """

    dialect: Dialect
    call_id: str
    capability: str
    action: str
    arguments: Any
    digest: bytes
    size: int
    streaming: bool
    metadata: Any = None
    budget: MicroUSDC | None = None
    expires_at: UnixMs | None = None
    provenance: object = None
    mandate_credentials: tuple[str, str] | None = None
    sent: Sent | None = None

    def paid_by(self, sent: Sent) -> Call:
        """The same with its payment, which belongs to what is asked for (JECP ADR-0004)."""
        return replace(self, sent=sent, digest=hashlib.sha256(self.digest + sent.digest).digest())

    @property
    def builtin(self) -> bool:
        """Whether it asks for a capability of the Hub's own."""
        return "/" not in self.capability


def read_call(body: bytes, dialect: Dialect, *, accepts_stream: bool) -> Call:
    """Read a request.

    Raises:
        Refused: it is not well-formed, or a part is larger than allowed.
    """
    if len(body) > MAX_REQUEST_BYTES:
        raise Refused("INPUT_TOO_LARGE", f"The request is larger than {MAX_REQUEST_BYTES} bytes.")
    try:
        request = jsontext.loads(body, max_bytes=MAX_REQUEST_BYTES)
    except WireError as exc:
        raise Refused("PARSE_ERROR", f"The request cannot be read: {exc}.") from exc
    if not isinstance(request, dict):
        raise Refused("PARSE_ERROR", "The request is not a JSON object.")
    version = request.get("jecp")
    if version != PROTOCOL:
        raise Refused(
            "UNSUPPORTED_VERSION",
            "jecp version must be '1.0'.",
            details={"supported": [PROTOCOL], "received": str(version)[:20]},
        )
    call_id = request.get("id")
    if call_id is None or call_id == "":
        raise Refused("MISSING_ID", "id is required.")
    if not valid_call_id(call_id):
        raise Refused("INVALID_REQUEST", "id must be 4 to 64 letters, digits, '-' or '_'.")
    capability, action = _read_names(request, dialect)
    arguments = request.get("input", {})
    written = jsontext.dumps(arguments)
    if len(written) > MAX_INPUT_BYTES:
        raise Refused("INPUT_TOO_LARGE", f"input is larger than {MAX_INPUT_BYTES} bytes.")
    metadata = request.get("metadata")
    if metadata is not None and len(jsontext.dumps(metadata)) > MAX_METADATA_BYTES:
        raise Refused("INPUT_TOO_LARGE", f"metadata is larger than {MAX_METADATA_BYTES} bytes.")
    mandate = request.get("mandate")
    budget, expires_at, provenance, credentials = _mandate(mandate)
    asked = [capability.encode(), action.encode(), written, str(provenance or "").encode()]
    return Call(
        dialect=dialect,
        call_id=call_id,
        capability=capability,
        action=action,
        arguments=jsontext.plain(arguments),
        digest=hashlib.sha256(b"\x00".join(asked)).digest(),
        size=len(body),
        streaming=accepts_stream or _stream_mode(request),
        metadata=metadata,
        budget=budget,
        expires_at=expires_at,
        provenance=provenance,
        mandate_credentials=credentials,
    )


def _read_names(request: Mapping[str, Any], dialect: Dialect) -> tuple[str, str]:
    capability, action = request.get("capability"), request.get("action")
    if not isinstance(capability, str) or not isinstance(action, str):
        raise Refused("INVALID_REQUEST", "capability and action are required.")
    try:
        asked = split_capability(capability)
    except WireError as exc:
        raise Refused("INVALID_CAPABILITY", f"{capability[:100]!r} is not a capability id.") from exc
    if dialect.variant == "invoke" and not asked.namespace:
        raise Refused("INVALID_CAPABILITY", "capability must be in 'namespace/name' format.")
    if dialect.variant == "jecp" and asked.namespace:
        raise Refused("CAPABILITY_NOT_FOUND", f"Unknown capability: {capability}; providers' are at /v1/invoke.")
    if not valid_action(action):
        raise Refused("INVALID_REQUEST", f"{action[:100]!r} is not an action id.")
    return capability, action


def _stream_mode(request: Mapping[str, Any]) -> bool:
    delivery = request.get("delivery")
    if delivery is None:
        return False
    mode = delivery.get("mode", "sync") if isinstance(delivery, Mapping) else None
    if mode not in ("sync", "stream"):
        raise Refused("INVALID_REQUEST", "delivery.mode must be sync or stream here.")
    return bool(mode == "stream")


def _mandate(mandate: Any) -> tuple[MicroUSDC | None, UnixMs | None, object, tuple[str, str] | None]:
    """The bound, the end, the provenance hash and the credentials of a mandate."""
    if mandate is None:
        return None, None, None, None
    if not isinstance(mandate, Mapping):
        raise Refused("INVALID_REQUEST", "mandate must be an object.")
    agent_id, api_key = mandate.get("agent_id"), mandate.get("api_key")
    if not isinstance(agent_id, str) or not isinstance(api_key, str):
        raise Refused("INVALID_REQUEST", "mandate.agent_id and mandate.api_key are required.")
    budget = mandate.get("budget_usdc")
    bound = None
    if budget is not None:
        if isinstance(budget, bool) or not isinstance(budget, (int, Decimal)) or not 0 <= budget <= MOST_BUDGET_USDC:
            raise Refused("INVALID_REQUEST", f"mandate.budget_usdc must be a number from 0 to {MOST_BUDGET_USDC}.")
        # A bound finer than a micro-USDC allows only what lies below it.
        bound = MicroUSDC(int(budget * MICRO_PER_USDC))
    expires = mandate.get("expires_at")
    ends = None
    if expires is not None:
        try:
            ends = parse_iso(expires)
        except (TypeError, ValueError, OverflowError) as exc:
            raise Refused("INVALID_REQUEST", "mandate.expires_at must be an RFC 3339 instant.") from exc
    return bound, ends, mandate.get("provenance_hash"), (agent_id, api_key)
