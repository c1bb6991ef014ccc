"""A provider's manifest, validated to the letter (JECP 04-manifest §5). Pure: no I/O.

For whoever publishes capabilities. Reading a Hub's catalog is lenient and lives in `jecp_mcp.wire.jecp.catalog`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from jecp_mcp.clock import parse_iso
from jecp_mcp.domain.versions import valid_version
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.money import MicroUSDC, parse_price
from jecp_mcp.wire.json_schemas import pointer

MAX_MANIFEST_BYTES = 10 * 1024
_ENDPOINT = re.compile(r"https://[^\s/@]+(/\S*)?")
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?(/\S*)?")


class ManifestInvalid(WireError):
    """A manifest that breaks the rules.

    Attributes:
        faults: each place, as a JSON pointer (RFC 6901), with what is wrong there.
    """

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        problems = "; ".join(f"{place or '/'}: {reason}" for place, reason in self.faults)
        super().__init__(f"the manifest is not valid: {problems}")


def _price(value: object) -> MicroUSDC:
    try:
        return parse_price(value)
    except MoneyError as exc:
        raise ValueError(str(exc)) from exc


def _semantic(version: str) -> str:
    if not valid_version(version):
        raise ValueError("is no version that a call can name: three numbers without leading zeros, of 9 digits at most")
    return version


_Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$", max_length=64), AfterValidator(_semantic)]
Usd = Annotated[int, BeforeValidator(_price)]
"""A price in USD on the wire, micro-USDC here."""
Rate = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
"""USDC per unit; may be finer than a micro-USDC."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Pricing(_Part):
    """What an action costs. `base` is quoted in USD whatever `currency` the provider is paid in; micro-USDC here."""

    base: Usd
    currency: str = Field(default="USD", pattern=r"^([A-Z]{3,5}|both)$")
    model: Literal["flat", "per_call", "per_token", "per_chunk", "per_second", "tiered"] = "per_call"
    payment_methods: tuple[str, ...] = ()
    input_per_token_usdc: Rate | None = None
    output_per_token_usdc: Rate | None = None
    per_chunk_usdc: Rate | None = None
    audio_per_second_usdc: Rate | None = None

    @model_validator(mode="after")
    def _rates_for_model(self) -> Pricing:
        missing = [name for name in _RATES.get(self.model, ()) if getattr(self, name) is None]
        if missing:
            raise ValueError(f"the model {self.model} needs {' and '.join(missing)}")
        return self


_RATES = {
    "per_token": ("input_per_token_usdc", "output_per_token_usdc"),
    "per_chunk": ("per_chunk_usdc",),
    "per_second": ("audio_per_second_usdc",),
}


class SideEffects(_Part):
    """What an action does beside answering."""

    external_api_call: bool = False
    stores_data: bool = False
    modifies_state: bool = False
    sends_email: bool = False


class Sla(_Part):
    """What the provider promises, in milliseconds."""

    latency_p95_ms: int | None = Field(default=None, ge=1)
    timeout_ms: int = Field(default=30_000, ge=1_000, le=300_000)


class Step(_Part):
    """One step of a workflow: a call of another capability."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    call: str = Field(pattern=r"^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$")
    action: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    input: Mapping[str, Any]


class Composition(_Part):
    """A workflow over other actions, run by the Hub."""

    steps: tuple[Step, ...] = Field(min_length=1, max_length=8)
    max_depth: Literal[1] = 1
    on_step_failure: Literal["rollback", "continue"] = "rollback"
    timeout_total_ms: int = Field(default=60_000, ge=1_000, le=300_000)


class ManifestAction(_Part):
    """One action of a manifest."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{2,63}$")
    name: str | None = Field(default=None, max_length=100)
    description: str = Field(min_length=1, max_length=300)
    streaming: bool = False
    pricing: Pricing
    trust_tier_required: Literal["bronze", "silver", "gold", "platinum"] = "bronze"
    rate_limit_rpm: int = Field(default=0, ge=0)
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    examples: tuple[Mapping[str, Any], ...] = ()
    side_effects: SideEffects | None = None
    sla: Sla | None = None
    composes: Composition | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ManifestAction:
        if self.composes is not None and "streaming" in self.model_fields_set:
            raise ValueError("composes and streaming exclude each other")
        return self


class Compliance(_Part):
    """What the provider says about data protection."""

    pii_handling: Literal["process_only_no_store", "store_with_consent"] | None = None
    gdpr_compliant: bool | None = None
    data_residency: tuple[Annotated[str, Field(min_length=2, max_length=8)], ...] = ()


class Payout(_Part):
    """How the provider is paid."""

    payout_currency: str | None = Field(default=None, pattern=r"^([A-Z]{3,5}|both)$")
    stripe_connect_required: bool | None = None


class Authentication(_Part):
    """How the provider recognises the Hub's calls."""

    type: Literal["api_key", "mtls", "oauth2"]
    header_name: str | None = None


class ManifestDeprecation(_Part):
    """Where the capability stands in its life."""

    status: Literal["active", "deprecated", "sunset"] = "active"
    sunset_at: str | None = None
    successor_version: _Version | None = None

    @model_validator(mode="after")
    def _ends_when(self) -> ManifestDeprecation:
        if self.status != "active" and self.sunset_at is None:
            raise ValueError("a capability on its way out needs sunset_at")
        if self.sunset_at is not None:
            parse_iso(self.sunset_at)
        return self


class Manifest(_Part):
    """A provider's capability."""

    namespace: str = Field(pattern=r"^[a-z][a-z0-9-]{2,31}$")
    display_name: str | None = Field(default=None, min_length=2, max_length=100)
    capability: str = Field(pattern=r"^[a-z][a-z0-9-]{2,63}$")
    version: _Version
    description: str = Field(min_length=1, max_length=500)
    endpoint: str = Field(max_length=2048)
    actions: tuple[ManifestAction, ...] = Field(min_length=1)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=32)], ...] = Field(default=(), max_length=8)
    streaming: bool = False
    website: str | None = None
    support_email: str | None = None
    documentation: str | None = None
    logo_url: str | None = None
    authentication: Authentication | None = None
    compliance: Compliance | None = None
    billing: Payout | None = None
    deprecation: ManifestDeprecation | None = None
    metadata: Mapping[str, Any] | None = None
    extensions: Mapping[str, Any] | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_reachable(cls, endpoint: str, info: ValidationInfo) -> str:
        # On this machine there is no https to be had, and nobody on the way.
        loopback = bool(info.context) and _LOOPBACK.fullmatch(endpoint) is not None
        if _ENDPOINT.fullmatch(endpoint) is None and not loopback:
            raise ValueError("the endpoint is an https address without a user name")
        return endpoint

    @model_validator(mode="after")
    def _no_twins(self) -> Manifest:
        ids = [action.id for action in self.actions]
        if len(set(ids)) != len(ids):
            raise ValueError("two actions share an id")
        return self


def check_manifest(raw: object, *, loopback: bool = False) -> Manifest:
    """Validate a manifest already parsed by `jecp_mcp.jsontext.loads`.

    Args:
        raw: the manifest.
        loopback: whether its endpoint may also be on this machine, by plain http.

    Raises:
        ManifestInvalid: every violation, each with its JSON pointer; at most twenty.
    """
    try:
        return Manifest.model_validate(raw, context={"loopback": True} if loopback else None)
    except ValidationError as exc:
        faults = [(pointer(error["loc"]), error["msg"]) for error in exc.errors(include_url=False)[:20]]
        raise ManifestInvalid(faults) from exc
