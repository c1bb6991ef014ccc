"""The settings' sections, keys, bounds and defaults. Pure: no I/O.

Amounts are decimal text in USDC and become integers of micro-USDC; instants are RFC 3339 and become milliseconds since
the Unix epoch, UTC. The defaults hold where the operator said nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings.ajp import AjpSettings
from jecp_mcp.settings.fields import Amount, Instant, Seconds, Section, Whole, Words, read_price_to_assume
from jecp_mcp.settings.flow402 import Flow402Settings
from jecp_mcp.settings.merchants import overlap
from jecp_mcp.settings.origins import check_host, check_origin
from jecp_mcp.settings.paid_http import Address, PaidHttpSettings
from jecp_mcp.settings.patterns import Over, check_pattern
from jecp_mcp.source_names import FIRST

DEFAULT_HUB = "https://jecp.dev"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:.]{2,45}", re.ASCII)
_DEFAULT_PORTS = {"https": 443, "http": 80}
_HEADER_SAFE = re.compile(r"[!-~]{4,512}", re.ASCII)
_PLACEHOLDER = re.compile(r"\$\{.*\}|\$\w+|<.*>|%\w+%|.*(?:\.\.\.|…)")


_Glob = Annotated[str, Field(min_length=1, max_length=200)]

Pattern = Annotated[_Glob, AfterValidator(lambda text: check_pattern(text, Over.EVERY_NAME))]
"""A glob over an action's key, its capability or its tool's name."""

IdPattern = Annotated[_Glob, AfterValidator(lambda text: check_pattern(text, Over.IDS))]
"""A glob over an action's key or its capability."""

PinPattern = Annotated[_Glob, AfterValidator(lambda text: check_pattern(text, Over.KEYS_AND_TOOLS))]
"""A tool's name, or a glob over an action's key."""

Patterns = Annotated[tuple[Pattern, ...], Field(max_length=200)]
IdPatterns = Annotated[tuple[IdPattern, ...], Field(max_length=200)]
PinPatterns = Annotated[tuple[PinPattern, ...], Field(max_length=200)]


ChangeKind = Literal[
    "new",
    "price_up",
    "price_down",
    "schema_wider",
    "schema_narrower",
    "text",
    "effects",
    "version",
    "sunset",
    "rename",
    "look_alike",
]
"""A way in which an action is not what was seen of it before."""


def is_loopback(url: str) -> bool:
    """Whether `url` points at this machine by name or literal address."""
    host = urlsplit(url).hostname
    return host is not None and host in _LOOPBACK


def check_hub_url(url: str) -> str:
    """Normalise a Hub origin: lower case, no default port, no trailing slash.

    Raises:
        ValueError: it is no origin, carries credentials, or is plain http to another machine.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("a Hub is an https origin such as https://jecp.dev")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a Hub URL carries no credentials")
    if parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError("a Hub URL is an origin, without path or query")
    if parts.scheme == "http" and not is_loopback(url.strip()):
        raise ValueError("plain http is allowed to loopback only; use https")
    if not _HOST.fullmatch(parts.hostname):
        raise ValueError("a Hub's host is a name or an address in ASCII; an international name needs its xn-- form")
    try:
        port = parts.port
    except ValueError as exc:
        raise ValueError("a Hub's port is a number up to 65535") from exc
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, _DEFAULT_PORTS[parts.scheme]} else "")


def is_placeholder(value: str) -> bool:
    """Whether a text stands where a value was to be filled in."""
    return _PLACEHOLDER.fullmatch(value) is not None


def credential_fault(value: str) -> str | None:
    """Why a text can be no agent id or API key: it could not stand in a header, or was never filled in.

    Also what a Hub calls a key is held against this, before it is stored. The text itself is never repeated.
    """
    if is_placeholder(value):
        return "is a placeholder that nobody filled in"
    if not _HEADER_SAFE.fullmatch(value):
        return "is no credential: 4 to 512 printable ASCII characters without spaces"
    return None


class HubSettings(Section):
    """[hub]: which Hub, and how long to wait for it.

    Attributes:
        base_url: the Hub's origin.
        timeout_seconds: how long one attempt of a call may take where the catalog does not ask for more.
        link_origins: origins beside the Hub's own whose https links may be shown.
        payment: what calls are paid with: the wallet at the Hub, x402 from a wallet of one's own, or that where the
            wallet at the Hub is not enough.
        x402_pay_to: the only recipients taken by x402; with none, the first one that is signed for is it.
    """

    base_url: str = DEFAULT_HUB
    timeout_seconds: Seconds = Field(default=30.0, gt=0, le=600, allow_inf_nan=False)
    link_origins: Words = ()
    payment: Literal["wallet", "x402", "auto"] = "wallet"
    x402_pay_to: Annotated[tuple[Address, ...], Field(max_length=20)] = ()

    @field_validator("base_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        return check_hub_url(value)


class NamedHubSettings(HubSettings):
    """[[hubs]]: a further Hub.

    Attributes:
        name: what it is called: before its actions' keys and its tools' names, in patterns, options and variables.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9]{0,11}$")
    base_url: str

    @field_validator("name")
    @classmethod
    def _free(cls, value: str) -> str:
        if value in {FIRST, "jecp"}:
            raise ValueError(f'"{value}" is taken: "{FIRST}" is the Hub of [hub], and "jecp" begins our own tools')
        return value


class LimitSettings(Section):
    """[[mandate.limits]]: caps for the actions a pattern matches, beside the general ones."""

    match: Pattern
    per_call_usdc: Amount | None = None
    session_usdc: Amount | None = None
    hourly_usdc: Amount | None = None
    daily_usdc: Amount | None = None
    monthly_usdc: Amount | None = None
    total_usdc: Amount | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if all(getattr(self, name) is None for name in LimitSettings.model_fields if name != "match"):
            raise ValueError(f'limits nothing: give "{self.match}" at least one limit, such as daily_usdc')
        return self


class MandateSettings(Section):
    """[mandate]: what may be spent.

    Attributes:
        approve_new_payees: whether a person must approve the first purchase from each provider.
        raise_limits_in_host: whether whoever holds the chat may let a call past a full limit; else only the operator,
            in a terminal.
        unknown_price: ``deny``, or what to hold for a call whose price the catalog does not say, micro-USDC.
    """

    per_call_usdc: Amount = MicroUSDC(250_000)
    session_usdc: Amount | None = None
    hourly_usdc: Amount | None = None
    daily_usdc: Amount = MicroUSDC(2_000_000)
    monthly_usdc: Amount | None = None
    total_usdc: Amount | None = None
    expires_at: Instant | None = None
    approve_above_usdc: Amount | None = None
    approve_new_payees: bool = False
    raise_limits_in_host: bool = False
    allow: Patterns = ("*", "*::*")
    deny: Patterns = ()
    unknown_price: Annotated[Literal["deny"] | int, BeforeValidator(read_price_to_assume)] = "deny"
    limits: Annotated[tuple[LimitSettings, ...], Field(max_length=100)] = ()


HostProfile = Literal["strict", "claude", "cursor", "gemini", "vscode", "windsurf", "open"]
"""A kind of host, by what it takes."""


class ToolSettings(Section):
    """[tools]: how the catalog becomes tools.

    Attributes:
        host_profile: what the hosts take that list the tools; ``auto`` goes by what each client says of itself.
        server_name: what the hosts' configuration calls this server; many put it before each tool's name.
    """

    mode: Literal["auto", "direct", "search"] = "auto"
    max_tools: Whole = Field(default=40, ge=1, le=1000)
    pinned: PinPatterns = ()
    host_profile: Literal["auto"] | HostProfile = "auto"
    server_name: str = Field(default="jecp", pattern=r"^[A-Za-z0-9_.-]{1,32}$")


class CatalogSettings(Section):
    """[catalog]: which part of the Hub's catalog, how fresh, and what may change in it unasked.

    Attributes:
        only: globs over an action's key or capability; where there are any, one of them must match.
        without: globs over the same; none of them may match.
        max_price_usdc: only actions whose price, or base price when metered, is known and at most this, micro-USDC.
        max_tier: only actions that need no higher trust tier.
        embeddings: whether searches also go by meaning, where the extra for that is installed.
        tolerate: changes of an action since it was first seen or approved that need no approval.
        max_price_rise_percent: how far a price may pass the one first seen or approved.
    """

    refresh_seconds: Whole = Field(default=300, ge=5, le=86_400)
    namespaces: Words = ()
    tags: Words = ()
    only: IdPatterns = ()
    without: IdPatterns = ()
    max_price_usdc: Amount | None = None
    max_tier: Literal["bronze", "silver", "gold", "platinum"] | None = None
    embeddings: bool = True
    tolerate: Annotated[tuple[ChangeKind, ...], Field(max_length=20)] = (
        "new",
        "price_down",
        "schema_wider",
        "version",
        "sunset",
    )
    max_price_rise_percent: Whole = Field(default=0, ge=0, le=1_000)

    def scope(self) -> str:
        """What tells one part of a catalog from another: ``""`` for all of it."""
        chosen = (sorted(self.namespaces), sorted(self.tags), sorted(self.only), sorted(self.without))
        bounds = (self.max_price_usdc, self.max_tier)
        return repr((*chosen, *bounds)) if any(chosen) or bounds != (None, None) else ""


class ArtifactSettings(Section):
    """[artifacts]: files that paid calls produced."""

    inline_max_bytes: Whole = Field(default=262_144, ge=0, le=700_000)
    keep_days: Whole = Field(default=30, ge=1, le=3650)
    max_total_bytes: Whole = Field(default=1_073_741_824, ge=1_048_576)


class ServerSettings(Section):
    """[server]: where the HTTP transports listen, and how long a host is waited for.

    Attributes:
        ask_seconds: how long a 2025-era host may take with a person's answer before the question is left for them
            outside it. Hosts give a tool call a minute.
        answer_seconds: after how long a call that is still running is answered by its id; None goes by the host.
    """

    host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    port: Whole = Field(default=8402, ge=0, le=65_535)
    ask_seconds: Seconds = Field(default=45.0, gt=0, le=600, allow_inf_nan=False)
    answer_seconds: Seconds | None = Field(default=None, gt=0, le=3_600, allow_inf_nan=False)
    allowed_hosts: Words = ()
    allowed_origins: Words = ()

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_host, value))

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_origin, value))


class LedgerSettings(Section):
    """[ledger]: the books, and where they are kept.

    Attributes:
        url: a PostgreSQL server that several replicas share; None keeps the ledger in a file of the state folder.
        keep_bodies_days: how long the request and answer of a call that has ended are kept. Long after any Hub's
            idempotency window and a quarter's questions about a bill; amounts, states and proofs stay for ever.
        keep_bodies_mb: how many megabytes (of 2**20 bytes) of the requests and answers of calls that have ended are
            kept: beyond, the oldest delivered go first, those that nobody received last.
    """

    url: SecretStr | None = None
    keep_bodies_days: Whole = Field(default=90, ge=1, le=3650)
    keep_bodies_mb: Whole = Field(default=512, ge=1, le=1_000_000)

    @field_validator("url")
    @classmethod
    def _server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value().strip()
        try:
            scheme = urlsplit(text).scheme
        except ValueError:
            scheme = ""
        if scheme not in {"postgresql", "postgres"}:
            raise ValueError("a ledger's URL is like postgresql://user@host/database; keep the password in ~/.pgpass")
        return SecretStr(text)


class Settings(Section):
    """All sections."""

    hub: HubSettings = Field(default_factory=HubSettings)
    hubs: Annotated[tuple[NamedHubSettings, ...], Field(max_length=16)] = ()
    mandate: MandateSettings = Field(default_factory=MandateSettings)
    tools: ToolSettings = Field(default_factory=ToolSettings)
    catalog: CatalogSettings = Field(default_factory=CatalogSettings)
    artifacts: ArtifactSettings = Field(default_factory=ArtifactSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    ledger: LedgerSettings = Field(default_factory=LedgerSettings)
    paid_http: PaidHttpSettings = Field(default_factory=PaidHttpSettings)
    flow402: Flow402Settings = Field(default_factory=Flow402Settings)
    ajp: AjpSettings = Field(default_factory=AjpSettings)

    @property
    def every_hub(self) -> Mapping[str, HubSettings]:
        """The Hubs by name, in their order; that of ``[hub]``, which is called by none, under ``""``."""
        return {"": self.hub, **{one.name: one for one in self.hubs}}

    @property
    def named_sources(self) -> tuple[tuple[str, str], ...]:
        """The address and the name of each Hub."""
        return tuple((hub.base_url, name) for name, hub in self.every_hub.items())

    @property
    def named_payees(self) -> tuple[tuple[str, str, str], ...]:
        """Each offer that the operator gave a name: its source, its key there, and its key by that name."""
        return self.ajp.named_payees

    @model_validator(mode="after")
    def _pays_each_merchant_by_one_road(self) -> Self:
        for one in self.flow402.merchants:
            other = next((other for other in self.paid_http.merchants if overlap(one, other)), None)
            if other is not None:
                raise ValueError(
                    f"{one} in flow402.merchants and {other} in paid_http.merchants have a host in common, which is "
                    "paid by one of the two alone"
                )
        return self


class Credentials(BaseModel):
    """An agent's identity at a Hub. The key never leaves this object but into a request."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    agent_id: str
    api_key: SecretStr
    source: str
