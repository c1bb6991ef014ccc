"""Calling a provider's endpoint with the Hub's signature, and reading its answer (JECP 04-manifest §6.2).

It is called through the gate, which dials no address but one it has judged. Its refusals say nothing of the money: a
wallet pays only for an answer that keeps the provider's own schema, and x402 has paid before the provider is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Union, assert_never

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.sandbox.call_checks import AcceptedCall
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.pricing import Tariff
from jecp_mcp.sandbox.providers.accounts import Provider, Providers
from jecp_mcp.sandbox.providers.registration import endpoint_host
from jecp_mcp.sandbox.success_answers import output_text
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.jecp.envelope import MAX_ANSWER_BYTES, PROTOCOL
from jecp_mcp.wire.jecp.forwarded import ACTION_HEADER, NAMESPACE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from jecp_mcp.wire.jecp.stream import (
    CONNECTION_ENDED,
    CallStream,
    Cancelled,
    Completed,
    Delta,
    Ending,
    Failed,
    Metered,
    Progressed,
    is_event_stream,
)
from jecp_mcp.wire.jecp.webhooks import sign

if TYPE_CHECKING:
    from jecp_mcp.sandbox.work.capability import Work

Told = Union[Delta, Metered, Progressed, "tuple[Work, bytes]"]
"""What a provider's stream tells: of the call, or its end."""

HEALTH_SECONDS: Final = 10.0
STREAM_SECONDS: Final = 300.0
"""The longest silence of a stream here; whoever listens gives up before (JECP 01-protocol §4.3)."""
_TEXT: Final = ("application/json", "text/", "application/xml")
_OK: Final = 200
_NOT_OK: Final = 300
_MOST_WORDS: Final = 300


@dataclass(frozen=True, slots=True)
class _Request:
    """A call as it is sent to its provider."""

    place: Place
    headers: Mapping[str, str]
    body: bytes


class Forwarder:
    """Calls of providers' endpoints, and looks whether they are healthy, each through a gate that its owner closes."""

    def __init__(
        self, providers: Providers, gate: HttpGate, health_gate: HttpGate, clock: Clock, *, loopback: bool
    ) -> None:
        self._providers, self._gate, self._health_gate = providers, gate, health_gate
        self._clock, self._loopback = clock, loopback

    async def is_healthy(self, endpoint: str) -> bool:
        """Whether ``POST <endpoint>/health`` answers 200 within ten seconds (JECP 04-manifest §6.1)."""
        try:
            place = read_place(f"{endpoint.rstrip('/')}/health")
            answer = await self._health_gate.exchange(
                "POST", place, body=b"", timeout=HEALTH_SECONDS, max_bytes=64 * 1024
            )
        except ExchangeFailed:
            return False
        return answer.status == _OK

    async def call(self, accepted: AcceptedCall) -> tuple[Work, bytes]:
        """Have a provider do a call; what it gave, and its JSON text.

        Raises:
            Refused: nobody may be called, it did not answer in time, failed, or gave what its schema does not allow.
        """
        offer, asked = accepted.offer, self._request(accepted, "application/json, */*;q=0.5")
        try:
            async with asyncio.timeout(offer.timeout_seconds):
                answer = await self._gate.exchange(
                    "POST",
                    asked.place,
                    headers=asked.headers,
                    body=asked.body,
                    # The one above decides; this one is there so that nothing hangs.
                    timeout=offer.timeout_seconds + 1,
                    max_bytes=MAX_ANSWER_BYTES,
                )
        except TimeoutError as exc:
            raise Refused("PROVIDER_TIMEOUT", "The provider did not answer in time.") from exc
        except ExchangeFailed as exc:
            raise _failed_exchange(exc) from exc
        work = _read(answer.status, answer.headers.get("content-type", "application/json"), answer.body, offer.tariff)
        return _checked(accepted, work)

    async def stream(self, accepted: AcceptedCall) -> AsyncGenerator[Told, None]:
        """Have a provider do a call and tell of it meanwhile; the last that comes is what it gave, and its JSON text.

        A provider may answer as a whole all the same. How long it may take is for whoever listens.

        Raises:
            Refused: as `call`; also where its stream breaks off, or breaks the protocol.
        """
        asked = self._request(accepted, "text/event-stream, application/json;q=0.9, */*;q=0.5")
        opening = self._gate.stream(
            "POST",
            asked.place,
            headers=asked.headers,
            body=asked.body,
            timeout=STREAM_SECONDS,
            max_bytes=MAX_ANSWER_BYTES,
        )
        begun = False
        try:
            async with opening as answer:
                kind = answer.headers.get("content-type", "application/json")
                if not is_event_stream(answer.headers):
                    body = b"".join([chunk async for chunk in answer.chunks])
                    yield _checked(accepted, _read(answer.status, kind, body, accepted.offer.tariff))
                    return
                begun = True
                call, used = CallStream(accepted.call.call_id, max_event_bytes=MAX_ANSWER_BYTES), dict[str, Any]()
                async for chunk in answer.chunks:
                    for told in call.feed(chunk):
                        if isinstance(told, Metered):
                            used.update(told.raw)
                        if isinstance(told, Delta | Metered | Progressed):
                            yield told
                    if call.ending is not None:
                        break
                yield _checked(accepted, _ended(call.end(), used, accepted.offer.tariff))
        except ExchangeFailed as exc:
            if begun and exc.phase != "size":
                raise Refused("PROVIDER_DISCONNECT", "The provider's stream broke off.") from exc
            raise _failed_exchange(exc) from exc
        except WireError as exc:
            raise Refused("PROVIDER_ERROR", f"The provider's stream cannot be read: {exc}.") from exc

    def _request(self, accepted: AcceptedCall, accept: str) -> _Request:
        """What is sent to a call's provider, signed.

        Raises:
            Refused: nobody may be called.
        """
        provider = self._provider_of(accepted)
        call, listing = accepted.call, accepted.listing
        request = {
            "jecp": PROTOCOL,
            "id": call.call_id,
            "capability": call.capability,
            "action": call.action,
            "input": call.arguments,
        }
        body, now = jsontext.dumps(request), self._clock.now() // 1000
        headers = {
            "content-type": "application/json",
            "accept": accept,
            SIGNATURE_HEADER: sign(provider.hmac_secret, now, body),
            TIMESTAMP_HEADER: str(now),
            NAMESPACE_HEADER: listing.namespace,
            ACTION_HEADER: call.action,
        }
        return _Request(read_place(listing.manifest["endpoint"]), headers, body)

    def _provider_of(self, accepted: AcceptedCall) -> Provider:
        """Who is called.

        Raises:
            Refused: nobody registered for this namespace, or is not proven to be at this endpoint, or cannot be called.
        """
        listing = accepted.listing
        provider = self._providers.of_namespace(listing.namespace)
        if provider is None:
            raise _unreachable("nobody is registered for this namespace")
        try:
            host = endpoint_host(listing.manifest["endpoint"], "endpoint", loopback=self._loopback)
        except Refused as refused:
            where = "on this machine" if self._loopback else "on the public network"
            raise _unreachable(f"this Hub calls providers {where} only") from refused
        if not provider.dns_verified or host != provider.host:
            raise _unreachable("its host is not proven to be its own")
        return provider


def _checked(accepted: AcceptedCall, work: Work) -> tuple[Work, bytes]:
    """What a provider gave, with its JSON text.

    Raises:
        Refused: its own schema does not allow it.
    """
    offer, output = accepted.offer, output_text(work, accepted.offer)
    broken = offer.output_violations(jsontext.plain(jsontext.loads(output, max_bytes=len(output), max_marks=None)))
    if broken:
        raise Refused(
            "OUTPUT_INVALID",
            "The provider's answer breaks its own output schema.",
            details={"capability": accepted.listing.id, "action": offer.id, "errors": broken},
        )
    return work, output


def _failed_exchange(failure: ExchangeFailed) -> Refused:
    if failure.phase == "size":
        return Refused("OUTPUT_INVALID", f"The provider's answer is over {MAX_ANSWER_BYTES} bytes.")
    return _unreachable(failure.reason)


def _ended(ending: Ending, used: Mapping[str, Any], tariff: Tariff) -> Work:
    """What a provider's stream came to; `used` is what it metered on the way, where its end does not say.

    Raises:
        Refused: it failed, or ended without a word.
    """
    from jecp_mcp.sandbox.work.capability import Work

    match ending:
        case Completed(answer):
            raw = answer.raw
            execution = raw.get("execution")
            summary = raw.get("meter_summary", execution.get("meter_summary") if isinstance(execution, dict) else None)
            return Work(raw["result"], units=_units({"meter_summary": summary or used}, tariff))
        case Failed(refusal):
            raise _failed(_OK, {"error": {"code": refusal.code, "message": refusal.message}})
        case Cancelled(reason, said=True):
            raise Refused("PROVIDER_ERROR", f"The provider cancelled its stream: {reason[:_MOST_WORDS]}")
        case Cancelled(reason) if reason != CONNECTION_ENDED:
            raise Refused("PROVIDER_ERROR", f"The provider's stream cannot be read: {reason}.")
        case Cancelled():
            raise Refused("PROVIDER_DISCONNECT", "The provider's stream ended before the call did.")
        case _:
            assert_never(ending)


def _unreachable(why: str) -> Refused:
    return Refused("PROVIDER_UNREACHABLE", f"Provider endpoint unreachable: {why}.")


def _read(status: int, content_type: str, body: bytes, tariff: Tariff) -> Work:
    """What a provider delivered: the ``result`` of its envelope, plain JSON or text, or an artifact.

    Raises:
        Refused: it says that it failed, or cannot be read.
    """
    # Loaded by now: the Hub imports its work where it is made.
    from jecp_mcp.sandbox.work.capability import Work

    kind = content_type.strip().lower()
    value: Any = None
    if kind.startswith("application/json"):
        try:
            value = jsontext.loads(body, max_bytes=MAX_ANSWER_BYTES)
        except WireError as exc:
            if _OK <= status < _NOT_OK:
                raise Refused("PROVIDER_ERROR", f"The provider's answer cannot be read: {exc}.") from exc
    if not _OK <= status < _NOT_OK or (isinstance(value, dict) and value.get("status") == "failed"):
        raise _failed(status, value)
    if kind.startswith(_TEXT[1:]):
        return Work({"raw": body.decode("utf-8", "replace")}, units=_units(None, tariff))
    if not kind.startswith(_TEXT[0]):
        return Work(artifact=(content_type[:200], body), units=_units(None, tariff))
    output = value["result"] if isinstance(value, dict) and "result" in value else value
    return Work(output, units=_units(value, tariff))


def _units(value: Any, tariff: Tariff) -> Mapping[str, int]:
    """What a metered call used, by the ``meter_summary`` beside its result.

    Raises:
        Refused: it is metered, and the provider does not say what it used.
    """
    if not tariff.metered:
        return {}
    told = value.get("meter_summary") if isinstance(value, dict) else None
    units = {}
    for unit in tariff.rates:
        amount = told.get(unit) if isinstance(told, dict) else None
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
            raise Refused("OUTPUT_INVALID", f"The provider's answer does not say how many {unit} it used.")
        units[unit] = amount
    try:
        tariff.charge(units, None)
    except MoneyError as exc:
        raise Refused("OUTPUT_INVALID", "The provider's answer says that it used more than can be priced.") from exc
    return units


def _failed(status: int, value: Any) -> Refused:
    error = value.get("error") if isinstance(value, dict) else None
    told = {
        name: text[:_MOST_WORDS]
        for name in ("code", "message")
        if isinstance(error, dict) and isinstance(text := error.get(name), str)
    }
    words = f": {told['message']}" if "message" in told else ""
    return Refused(
        "PROVIDER_ERROR",
        f"The provider returned {status}{words}",
        details={"provider_status": status, **({"provider_error": told} if told else {})},
    )
