"""The operator's settings: TOML file, ``JECP_MCP_<SECTION>__<KEY>`` variables, credentials from their own places.

A wrong key or value is refused with its source, key and reason before anything starts. Amounts are decimal text.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator

from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.errors import MoneyError, SettingsError
from jecp_mcp.money import MicroUSDC, parse_usdc

DEFAULT_HUB = "https://jecp.dev"
_PREFIX = "JECP_MCP_"
_RESERVED = frozenset({"JECP_MCP_CONFIG", "JECP_MCP_STATE_DIR"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _amount(value: object) -> MicroUSDC:
    if not isinstance(value, str):
        raise ValueError('an amount is decimal text in USDC, in quotes, such as "0.25"')
    try:
        return parse_usdc(value)
    except MoneyError as exc:
        raise ValueError(str(exc)) from exc


def _instant(value: object) -> UnixMs:
    text = value if isinstance(value, str) else getattr(value, "isoformat", lambda: "")()
    try:
        return parse_iso(text)
    except ValueError as exc:
        raise ValueError("an instant is RFC 3339 text such as 2027-01-31T00:00:00Z") from exc


Amount = Annotated[int, BeforeValidator(_amount)]
Instant = Annotated[int, BeforeValidator(_instant)]


def is_loopback(url: str) -> bool:
    """Whether `url` points at this machine by name or literal address."""
    host = urlsplit(url).hostname
    return host is not None and host in _LOOPBACK


def check_hub_url(url: str) -> str:
    """Normalise a Hub origin.

    Raises:
        ValueError: it is no origin, carries credentials, or is plain http to another machine.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("a Hub is an https origin such as https://jecp.dev")
    if parts.username or parts.password:
        raise ValueError("a Hub URL carries no credentials")
    if parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError("a Hub URL is an origin, without path or query")
    if parts.scheme == "http" and not is_loopback(url):
        raise ValueError("plain http is allowed to loopback only; use https")
    return f"{parts.scheme}://{parts.netloc.lower()}"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubSettings(_Section):
    """[hub]"""

    base_url: str = DEFAULT_HUB
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    link_origins: tuple[str, ...] = ()

    @field_validator("base_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        return check_hub_url(value)


class LimitSettings(_Section):
    """[[mandate.limits]]: caps for the actions a pattern matches, beside the general ones."""

    match: str = Field(min_length=1, max_length=200)
    per_call_usdc: Amount | None = None
    session_usdc: Amount | None = None
    hourly_usdc: Amount | None = None
    daily_usdc: Amount | None = None
    monthly_usdc: Amount | None = None
    total_usdc: Amount | None = None


class MandateSettings(_Section):
    """[mandate]"""

    per_call_usdc: Amount = MicroUSDC(250_000)
    session_usdc: Amount | None = None
    hourly_usdc: Amount | None = None
    daily_usdc: Amount = MicroUSDC(2_000_000)
    monthly_usdc: Amount | None = None
    total_usdc: Amount | None = None
    expires_at: Instant | None = None
    approve_above_usdc: Amount | None = None
    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()
    unknown_price: Literal["deny"] | Amount = "deny"
    limits: tuple[LimitSettings, ...] = ()


class ToolSettings(_Section):
    """[tools]"""

    mode: Literal["auto", "direct", "search"] = "auto"
    max_tools: int = Field(default=40, ge=1, le=1000)
    pinned: tuple[str, ...] = ()


class CatalogSettings(_Section):
    """[catalog]"""

    refresh_seconds: int = Field(default=300, ge=5, le=86_400)
    namespaces: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class ArtifactSettings(_Section):
    """[artifacts]"""

    inline_max_bytes: int = Field(default=262_144, ge=0, le=700_000)
    keep_days: int = Field(default=30, ge=1, le=3650)
    max_total_bytes: int = Field(default=1_073_741_824, ge=1_048_576)


class ServerSettings(_Section):
    """[server]"""

    host: str = "127.0.0.1"
    port: int = Field(default=8402, ge=0, le=65_535)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()


class Credentials(BaseModel):
    """An agent's identity at a Hub. The key never leaves this object but into a request."""

    model_config = ConfigDict(frozen=True)

    agent_id: str
    api_key: SecretStr
    source: str


class Settings(_Section):
    """All sections, and what comes from outside the file."""

    hub: HubSettings = HubSettings()
    mandate: MandateSettings = MandateSettings()
    tools: ToolSettings = ToolSettings()
    catalog: CatalogSettings = CatalogSettings()
    artifacts: ArtifactSettings = ArtifactSettings()
    server: ServerSettings = ServerSettings()
