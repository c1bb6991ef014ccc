"""`JecpProviderClient`: what a provider asks of a JECP Hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import anyio
from pydantic import SecretStr

from jecp_mcp import jsontext
from jecp_mcp.client.connection import HubConnection
from jecp_mcp.client.error_classes import error_of, error_without_answer
from jecp_mcp.client.errors import ManifestParseError
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, Http
from jecp_mcp.masking import Mask
from jecp_mcp.rails.jecp.codes import HUB_MISBEHAVED, HUB_UNREACHABLE
from jecp_mcp.settings import DEFAULT_HUB, credential_fault
from jecp_mcp.wire.jecp import provider_account as wire
from jecp_mcp.wire.jecp.account import KeyRotation
from jecp_mcp.wire.jecp.hub_answer import MAX_ANSWER_BYTES, HubAnswer
from jecp_mcp.wire.jecp.manifest_text import looks_like_json

T = TypeVar("T")
_SECONDS: Final = 30.0
_JSON: Final = "application/json"
_YAML: Final = "application/x-yaml"


class JecpProviderClient(HubConnection):
    """One provider at one Hub: it proves its host, publishes manifests, has its key replaced, says where it is paid.

    ::

        made = await JecpProviderClient.register(namespace="words", ...)  # keep made.api_key and made.hmac_secret
        async with JecpProviderClient(made.api_key) as hub:
            await hub.wait_for_dns()  # once made.dns_record is published
            await hub.publish(Path("jecp.yaml").read_bytes())

    Nothing is sent again by itself. What serves the calls that the Hub forwards is `jecp_mcp.provider`.
    """

    def __init__(self, api_key: str, *, base_url: str = DEFAULT_HUB, timeout: float = _SECONDS) -> None:
        """Act for the provider whose key this is, at the Hub at `base_url`.

        Args:
            api_key: the provider's, not an agent's.
            base_url: an https origin, or plain http on this machine.
            timeout: how long one request may take, in seconds.

        Raises:
            ValueError: the Hub is no such origin, or the key could stand in no header.
        """
        if (fault := credential_fault(api_key)) is not None:
            raise ValueError(f"api_key {fault}")
        super().__init__(base_url)
        self._key = SecretStr(api_key)
        self._origin, self._seconds = base_url.rstrip("/"), timeout

    @classmethod
    async def register(
        cls,
        *,
        namespace: str,
        display_name: str,
        owner_email: str,
        endpoint_url: str,
        country: str,
        website: str | None = None,
        usdc_payout_address: str | None = None,
        base_url: str = DEFAULT_HUB,
    ) -> wire.ProviderRegistration:
        """Make a provider. Its key and its secret are shown this once: keep both.

        Args:
            namespace: what its capabilities' ids begin with, for good.
            endpoint_url: where the Hub calls it; the host is the one to be proven.
            country: where it is paid, ISO 3166-1 alpha-2.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        body = wire.registration_body(
            namespace=namespace,
            display_name=display_name,
            owner_email=owner_email,
            endpoint_url=endpoint_url,
            country=country,
            website=website,
            usdc_payout_address=usdc_payout_address,
        )
        async with Http(base_url) as http:
            url = f"{base_url.rstrip('/')}/v1/providers/register"
            answer = await _ask(http, "POST", url, {"Content-Type": _JSON}, body, _SECONDS, None)
        return _read(lambda told: wire.parse_registration(told, endpoint_url), answer)

    async def me(self) -> wire.ProviderAccount:
        """How the provider stands.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        return _read(wire.parse_account, await self._request("GET", "/v1/providers/me"))

    async def verify_dns(self) -> wire.DnsStatus:
        """Have the Hub look for the TXT record once. That it is not there yet is no error.

        Raises:
            JecpError: the Hub does not take the key, failed, or could not be reached.
        """
        return _read(wire.parse_dns_status, await self._request("POST", "/v1/providers/verify-dns", b"{}"))

    async def wait_for_dns(
        self,
        *,
        interval: float = 10.0,
        timeout: float = 600.0,  # noqa: ASYNC109 - what is told at its end is no error
        on_attempt: Callable[[int, wire.DnsStatus], None] | None = None,
    ) -> wire.DnsStatus:
        """Have the Hub look until it finds the record, or `timeout` seconds have passed; the last it said.

        Args:
            interval: seconds between two attempts.
            on_attempt: hears of each, which count from 1.

        Raises:
            JecpError: as `verify_dns`.
        """
        ends, number = anyio.current_time() + timeout, 0
        while True:
            number += 1
            status = await self.verify_dns()
            if on_attempt is not None:
                on_attempt(number, status)
            if status.verified or anyio.current_time() + interval >= ends:
                return status
            await anyio.sleep(interval)

    async def publish(
        self, manifest: str | bytes | Mapping[str, Any], *, content_type: str | None = None
    ) -> wire.PublishedManifest:
        """Publish a manifest: its YAML or JSON text, sent as it is, or its value.

        Args:
            manifest: what ``jecp.yaml`` holds.
            content_type: of a text; found out by how it begins unless given.

        Raises:
            JecpError: the Hub refused, or could not be reached; ``details["errors"]`` has each fault with its place.
        """
        text = jsontext.dumps(manifest) if isinstance(manifest, Mapping) else manifest
        body = text.encode() if isinstance(text, str) else text
        kind = content_type or (_JSON if looks_like_json(body) else _YAML)
        return _read(wire.parse_published, await self._request("POST", "/v1/manifests", body, kind))

    async def rotate_key(self, *, grace_seconds: int | None = None, revoke_old: bool = False) -> KeyRotation:
        """Have the key replaced. This client uses the new one from then on; it is shown this once: keep it.

        Args:
            grace_seconds: how long the old one is taken too; None leaves that to the Hub.
            revoke_old: take it no more, for a key that somebody else may know.

        Raises:
            JecpError: the Hub refused, or could not be reached.
            ValueError: no Hub takes an old key for so long.
        """
        body = wire.rotation_body(grace_seconds, revoke_old=revoke_old)
        made = _read(wire.parse_rotation, await self._request("POST", "/v1/providers/me/rotate-key", body))
        self._key = SecretStr(made.api_key)
        return made

    async def connect_stripe(self) -> wire.OnboardingLink:
        """The link to the page where a person says where the provider is paid.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        return _read(wire.parse_onboarding, await self._request("POST", "/v1/providers/connect-stripe", b"{}"))

    async def _request(self, method: str, path: str, body: bytes | None = None, kind: str = _JSON) -> HubAnswer:
        key = self._key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
        return await _ask(self._http, method, self._origin + path, headers, body, self._seconds, Mask(key))


async def _ask(
    http: Http,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    seconds: float,
    mask: Mask | None,
) -> HubAnswer:
    try:
        answer = await http.exchange(
            method,
            url,
            headers={"Accept": _JSON, **headers},
            body=body,
            timeout=seconds,
            max_bytes=MAX_ANSWER_BYTES,
        )
    except ExchangeFailed as exc:
        raise error_without_answer(HUB_UNREACHABLE, f"The Hub did not answer: {exc}.") from exc
    return HubAnswer(answer.body, answer.status, answer.headers, SystemClock().now(), mask)


def _read(parse: Callable[[HubAnswer], T | Refusal], answer: HubAnswer) -> T:
    try:
        parsed = parse(answer)
    except WireError as exc:
        raise error_without_answer(HUB_MISBEHAVED, f"The Hub's answer cannot be used: {exc}.") from exc
    if isinstance(parsed, Refusal):
        # Nothing else that a provider sends has to be parsed by the Hub's own leave.
        raise ManifestParseError(parsed) if parsed.code == "PARSE_ERROR" else error_of(parsed)
    return parsed
