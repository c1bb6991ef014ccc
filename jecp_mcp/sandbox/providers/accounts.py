"""The providers' accounts: who they are, their keys, and what they have proven. Each change is one transaction."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import uuid4

import apsw

from jecp_mcp.sandbox.agents import VENDOR_PREFIX
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.providers.refusals import ProviderRefused
from jecp_mcp.sandbox.providers.registration import Registration

ROTATIONS_A_DAY: Final = 3
ONBOARDING_MS: Final = 24 * 3_600_000
"""How long a link to the onboarding page holds."""
_DAY_MS: Final = 86_400_000
_COLUMNS: Final = (
    "provider_id, namespace, display_name, endpoint_url, host, country, payout_address, hmac_secret, dns_token,"
    " verified_at IS NOT NULL, stripe_verified_at IS NOT NULL, balance, total_calls"
)


class Provider(NamedTuple):
    """A provider's account. `balance` is what it is owed, micro-USDC."""

    provider_id: str
    namespace: str
    display_name: str
    endpoint_url: str
    host: str
    country: str
    payout_address: str | None
    hmac_secret: str
    dns_token: str
    dns_verified: int
    stripe_verified: int
    balance: int
    total_calls: int

    @property
    def status(self) -> str:
        """Where it stands (JECP 04-manifest §8.6.1)."""
        return "verified" if self.dns_verified else "dns_pending"


@dataclass(frozen=True, slots=True)
class NewProvider:
    """What a registration gives; the key, and the provider's secret, are shown this once."""

    provider: Provider
    api_key: str


class KeyChange(NamedTuple):
    """A new key, and how many rotations there were within a day."""

    api_key: str
    rotations: int


def _hash_key(api_key: str) -> bytes:
    """A key as it is stored. Keys are random, so a plain digest suffices."""
    return hashlib.sha256(api_key.encode()).digest()


def _new_key() -> str:
    return f"{VENDOR_PREFIX}_pk_{secrets.token_hex(24)}"


class Providers:
    """The providers in a `HubDatabase`."""

    def __init__(self, database: HubDatabase) -> None:
        self._database = database

    def register(self, wanted: Registration, at: int) -> NewProvider:
        """Make an account.

        Raises:
            Refused: the namespace belongs to another.
        """
        api_key, secret = _new_key(), base64.b64encode(secrets.token_bytes(32)).decode("ascii")
        try:
            with self._database.atomic():
                self._database.rows(
                    "INSERT INTO providers (provider_id, namespace, display_name, owner_email, endpoint_url, host,"
                    " country, website, payout_address, key_hash, hmac_secret, dns_token, created_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    str(uuid4()), wanted.namespace, wanted.display_name, wanted.owner_email, wanted.endpoint_url,
                    wanted.host, wanted.country, wanted.website, wanted.payout_address, _hash_key(api_key), secret,
                    secrets.token_hex(16), at,
                )  # fmt: skip
        except apsw.ConstraintError as exc:
            raise namespace_taken(wanted.namespace) from exc
        made = self.of_namespace(wanted.namespace)
        assert made is not None
        return NewProvider(made, api_key)

    def get(self, provider_id: str) -> Provider | None:
        """A provider by its id."""
        return self._one("provider_id = ?", provider_id)

    def of_namespace(self, namespace: str) -> Provider | None:
        """Who sells under a namespace, if it is one who registered."""
        return self._one("namespace = ?", namespace)

    def authenticate(self, authorization: str | None, at: int) -> Provider:
        """Who asks, by ``Authorization: Bearer`` (JECP 04-manifest §8.6).

        Raises:
            Refused: nobody said who, or it is not so.
        """
        scheme, _, api_key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not api_key.strip():
            raise ProviderRefused("AUTH_REQUIRED", "Missing Authorization: Bearer <provider_api_key>.")
        hashed = _hash_key(api_key.strip())
        found = self._one("key_hash = ?1 OR (previous_hash = ?1 AND previous_until > ?2)", hashed, at)
        if found is None:
            raise ProviderRefused("INVALID_API_KEY", "No provider has this API key.")
        return found

    def rotate_key(self, provider_id: str, grace_ms: int, at: int) -> KeyChange:
        """Give a provider a new key; the old one works `grace_ms` longer, any before that no more.

        Raises:
            Refused: it had its rotations of the day; the key stays.
        """
        with self._database.atomic():
            done = self._database.rows(
                "SELECT at FROM provider_rotations WHERE provider_id = ? AND at > ? ORDER BY at",
                provider_id,
                at - _DAY_MS,
            )
            if len(done) >= ROTATIONS_A_DAY:
                wait = max(1, -((at - done[0][0] - _DAY_MS) // 1000))
                raise ProviderRefused(
                    "ROTATION_24H_CAP",
                    f"A key may be rotated {ROTATIONS_A_DAY} times within 24 hours. The key is as it was.",
                    retry_after=min(wait, 600),
                    details={"next_slot_in_seconds": wait},
                )
            api_key = _new_key()
            self._database.rows(
                "UPDATE providers SET previous_hash = key_hash, previous_until = ?, key_hash = ? WHERE provider_id = ?",
                at + grace_ms,
                _hash_key(api_key),
                provider_id,
            )
            self._database.rows("INSERT INTO provider_rotations VALUES (?, ?)", provider_id, at)
        return KeyChange(api_key, len(done) + 1)

    def note_verified(self, provider_id: str, at: int) -> None:
        """Remember that a provider proved its host is its own."""
        with self._database.atomic():
            self._database.rows(
                "UPDATE providers SET verified_at = coalesce(verified_at, ?) WHERE provider_id = ?", at, provider_id
            )

    def open_onboarding(self, provider_id: str, at: int) -> tuple[str, int]:
        """A link's token to the page where a provider says where it is paid, and until when it holds."""
        token, until = secrets.token_urlsafe(24), at + ONBOARDING_MS
        with self._database.atomic():
            self._database.rows("DELETE FROM provider_onboardings WHERE until <= ?", at)
            self._database.rows("INSERT INTO provider_onboardings VALUES (?, ?, ?)", token, provider_id, until)
        return token, until

    def onboarding(self, token: str, at: int) -> Provider | None:
        """Whose onboarding page a token opens; None for one that holds no longer."""
        row = self._database.row(
            "SELECT provider_id FROM provider_onboardings WHERE token = ? AND until > ?", token, at
        )
        return None if row is None else self.get(row[0])

    def note_onboarded(self, provider_id: str, at: int) -> None:
        """Remember that a provider can be paid."""
        with self._database.atomic():
            self._database.rows(
                "UPDATE providers SET stripe_verified_at = coalesce(stripe_verified_at, ?) WHERE provider_id = ?",
                at,
                provider_id,
            )

    def _one(self, where: str, *values: object) -> Provider | None:
        row = self._database.row(f"SELECT {_COLUMNS} FROM providers WHERE {where}", *values)  # noqa: S608  # ours
        return None if row is None else Provider(*row)


def namespace_taken(namespace: str) -> ProviderRefused:
    """The refusal of a namespace that is another's."""
    return ProviderRefused("NAMESPACE_TAKEN", f"The namespace '{namespace}' belongs to another provider.")
