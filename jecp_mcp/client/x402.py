"""The wallet by which a program pays a Hub by x402, put together as the server does it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from jecp_mcp.client.mandate import Mandate
from jecp_mcp.clock import Clock
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import X402
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.payload import PaidBy
from jecp_mcp.rails.jecp.wiring import x402_payments
from jecp_mcp.rails.registry import Parts
from jecp_mcp.settings import HubSettings, Settings, is_loopback
from jecp_mcp.settings.command_lines import PLAIN
from jecp_mcp.settings.wallet_key import (
    KEY_VARIABLE,
    SANDBOX_FILE,
    WalletKey,
    find_wallet_key,
    read_wallet_key,
    stored_wallet_key,
)

if TYPE_CHECKING:
    from jecp_mcp.rails.jecp.x402_payments import X402Payments

_HUB_KEYS: Final = frozenset({"x402_pay_to"})
_PAID_HTTP_KEYS: Final = frozenset({"networks", "rpc", "confirmations", "max_valid_seconds"})


class X402Wallet:
    """Who signs, for whom, and on which networks; the recipients paid so far are pinned beside the ledger."""

    def __init__(
        self, mandate: Mandate, hub: str, payment: PaidBy, key: str | None, x402: Mapping[str, Any] | None
    ) -> None:
        """Check that it can be paid so; the arguments are those of `JecpClient`, `hub` the Hub's address.

        Raises:
            ValueError: there is no key, or one of the arguments is wrong.
            ExtraMissing: what signs is not installed.
        """
        self._settings = _settings(mandate, hub, payment, x402 or {})
        self._state, self._loopback = mandate.ledger.parent, is_loopback(hub)
        try:
            self._given = None if key is None else read_wallet_key(key, "wallet_key")
            if payment != "wallet":
                X402.require()
                self._check()
        except (SettingsError, WireError) as exc:
            raise ValueError(str(exc)) from None

    def payments(self, hub: HubClient, clock: Clock, used: AsyncExitStack) -> Callable[[], X402Payments]:
        """What pays `hub`, or finds out about what was paid so; `used` closes what it opens."""
        parts = Parts(self._settings, self._state / "catalog.jsonl", hub.identity, clock, self._state, self._key, PLAIN)
        return x402_payments(parts, hub, used)

    def _check(self) -> None:
        """Raises `SettingsError`, `WireError`."""
        from jecp_mcp.rails.x402.wiring import check_networks
        from jecp_mcp.wire.x402.secp256k1 import PrivateKey

        check_networks(self._settings.paid_http, loopback=self._loopback, payee="the Hub is")
        found = self._key()
        if found is None:
            reason = f"payment by x402 needs a wallet's key: give wallet_key, or set {KEY_VARIABLE}"
            raise SettingsError("the program", "", reason)
        PrivateKey(found.secret)

    def _key(self) -> WalletKey | None:
        """The key. On this machine only one that was given or the sandbox's own ever pays.

        Raises:
            SettingsError: it cannot be used.
        """
        if self._given is not None:
            return self._given
        if self._loopback:
            return stored_wallet_key(self._state / SANDBOX_FILE)
        return find_wallet_key(os.environ, self._state)


def _settings(mandate: Mandate, hub: str, payment: PaidBy, x402: Mapping[str, Any]) -> Settings:
    """The settings as the server's would be.

    Raises:
        ValueError: a key or a value is wrong.
    """
    unknown = sorted(x402.keys() - _HUB_KEYS - _PAID_HTTP_KEYS)
    if unknown:
        raise ValueError(f"x402 has no {', '.join(unknown)}: it takes {', '.join(sorted(_HUB_KEYS | _PAID_HTTP_KEYS))}")
    known = mandate.server_settings or Settings()
    hubs = {one.base_url: one.x402_pay_to for one in known.every_hub.values()}
    section = {"base_url": hub, "payment": payment, "x402_pay_to": hubs.get(HubSettings(base_url=hub).base_url, ())}
    paid_http = {name: getattr(known.paid_http, name) for name in _PAID_HTTP_KEYS}
    for name, value in x402.items():
        (section if name in _HUB_KEYS else paid_http)[name] = value
    try:
        return Settings.model_validate({"hub": section, "paid_http": paid_http})
    except ValidationError as exc:
        # What was given is not repeated: a node's address may hold a key.
        found = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in found["loc"][1:]) or "x402"
        raise ValueError(f"{where}: {found['msg'].removeprefix('Value error, ')}") from None
