"""Who sent an offer: proven by the key that their declaration publishes, or by the secret that people share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
from anyio import to_thread

from jecp_mcp.agent_declarations import AnotherDeclared, PublishedDeclarations
from jecp_mcp.ajp_server.fetch_limits import FetchLimits
from jecp_mcp.ajp_server.refusals import Refused
from jecp_mcp.ajp_server.work import StandingUnknown, Trust
from jecp_mcp.clock import Clock
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.ajp import declaration as declarations
from jecp_mcp.wire.ajp.canonical import LARGE
from jecp_mcp.wire.ajp.declaration import Declaration
from jecp_mcp.wire.ajp.offer import JobOffer, SenderType
from jecp_mcp.wire.ajp.report import LEGACY_SIGNATURE
from jecp_mcp.wire.ajp.signatures import Coverage, SharedSecret, Verifier, coverage

_STANDING_SECONDS: Final = 10.0
"""How long somebody may take to say how a sender stands."""
_PROOFS_AT_ONCE: Final = 2
"""How many large offers' signatures are checked at the same time: one takes up to a third of a second."""
_PROOFS_WAITING: Final = 8
_AGAIN_SECONDS: Final = 5

_log = logging.getLogger(__name__)


class Pins(Protocol):
    """Remembers the first key of a sender."""

    def pin(self, sender: str, fingerprint: str) -> str:
        """The fingerprint of a sender's first key: this one, where none is kept yet."""
        ...

    def is_pinned(self, sender: str) -> bool:
        """Whether a key of theirs is remembered."""
        ...


@dataclass(slots=True)
class _Fetch:
    """A declaration that is being fetched for all who wait for it, and what came of that."""

    done: anyio.Event = field(default_factory=anyio.Event)
    refused: Refused | None = None


def host_of(sender: str) -> str:
    """Who stands behind a provenance id and its like: the host of a declaration, the owner of a repository."""
    _, platform, path = sender.split(":", 2)
    return f"{platform}:{path.partition('/')[0].lower()}"


class Senders:
    """Proves who sent an offer, and says whether they are trusted."""

    def __init__(
        self, trust: Trust, secret: SharedSecret | None, pins: Pins, gate: HttpGate, clock: Clock, *, loopback: bool
    ) -> None:
        """Ask about senders.

        Args:
            trust: who is trusted.
            secret: what people sign with.
            pins: what was seen of them before.
            gate: through which their declarations are fetched.
            clock: says how old a declaration is.
            loopback: whether all of them are on this machine, as in the sandbox.
        """
        self._trust, self._pins, self._loopback = trust, pins, loopback
        self._published = PublishedDeclarations(gate, clock)
        self._secret = secret
        self._limits = FetchLimits(clock)
        self._proving = anyio.CapacityLimiter(_PROOFS_AT_ONCE)
        self._fetches: dict[tuple[str, str], _Fetch] = {}

    async def check(self, offer: JobOffer, body: JSONObject, size: int) -> None:
        """See that an offer is signed by who it says, and that they are trusted.

        Args:
            size: the offer's bytes. The signature of a large one is checked beside the event loop, for that takes long.

        Raises:
            Refused: it is not, or they are not.
        """
        sender = offer.sender
        if sender.type is SenderType.HUMAN:
            if sender.provenance_id is not None:
                # Whoever has the secret could name anybody, and have them billed.
                raise Refused(
                    403,
                    "the secret that people share proves no from.provenance_id; leave it out, or sign with its key",
                    code="PROVENANCE_UNPROVEN",
                )
            if self._secret is None:
                raise Refused(403, "this agent takes no jobs that are signed with a shared secret", code="NO_SECRET")
            _require_whole(await self._coverage(body, self._secret, size))
            return
        assert sender.provenance_id is not None, "the schema asks an agent for its id"
        found = await self._declaration(sender.provenance_id, sender.declaration_url, size)
        _require_whole(await self._coverage(body, found.key, size))
        self._require_declared(found)
        await self._require_standing(found.id)
        # Last, so that a key is remembered only of somebody who may hire.
        self._require_known_key(found)

    async def _declaration(self, sender: str, said: str | None, size: int) -> Declaration:
        standard = declarations.standard_place(sender, loopback=self._loopback)
        url = said or (standard.url if standard else None)
        if url is None:
            raise Refused(
                403,
                "the sender's declaration has no place of its own; say where it is in from.declaration_url",
                code="NO_DECLARATION_URL",
            )
        # Looked at before anything is fetched, so that nobody can have this agent ask an address of their choice.
        if not declarations.stands_at(sender, url, loopback=self._loopback):
            raise Refused(
                403,
                f"from.declaration_url is not where the declaration of {sender} stands",
                code="DECLARATION_LOCATION_MISMATCH",
            )
        place = read_place(url)
        if (kept := self._published.known(sender, place)) is not None:
            return kept
        known = sender in self._trust.known_keys or self._pins.is_pinned(sender)
        with self._limits.waiting(size, known=known):
            # Whoever sends many offers at once is asked for their declaration once.
            while (fetch := self._fetches.get((sender, place.url))) is not None:
                await fetch.done.wait()
                if fetch.refused is not None:
                    raise fetch.refused
                if (kept := self._published.known(sender, place)) is not None:
                    return kept
            with self._limits.fetching(host_of(sender), known=known):
                return await self._fetch_for_all(sender, place)

    async def _fetch_for_all(self, sender: str, place: Place) -> Declaration:
        fetch = self._fetches[sender, place.url] = _Fetch()
        try:
            return await self._fetch(sender, place)
        except Refused as exc:
            fetch.refused = exc
            raise
        finally:
            del self._fetches[sender, place.url]
            fetch.done.set()

    async def _fetch(self, sender: str, place: Place) -> Declaration:
        try:
            return await self._published.fetch(sender, place)
        except ExchangeFailed as exc:
            raise Refused(
                403, "the sender's declaration cannot be fetched", code="DECLARATION_UNREACHABLE", reason=exc.reason
            ) from exc
        except AnotherDeclared as exc:
            raise Refused(
                403, f"the declaration there is of another, not of {sender}", code="DECLARATION_ID_MISMATCH"
            ) from exc
        except WireError as exc:
            raise Refused(
                403, "the sender's declaration is not to be trusted", code="DECLARATION_INVALID", reason=str(exc)
            ) from exc

    async def _coverage(self, body: JSONObject, verifier: Verifier, size: int) -> Coverage:
        if size <= LARGE:
            return coverage(body, verifier)
        if self._proving.statistics().tasks_waiting >= _PROOFS_WAITING:
            raise Refused(429, "too many large offers at once; send the same offer again", retry_after=_AGAIN_SECONDS)
        # Not with the threads of those who work: strangers would have them all.
        return await to_thread.run_sync(coverage, body, verifier, limiter=self._proving)

    def _require_known_key(self, found: Declaration) -> None:
        known = self._trust.known_keys.get(found.id) or self._pins.pin(found.id, found.key.fingerprint)
        if known != found.key.fingerprint:
            _log.warning("%s came with another key than before: %s", found.id, found.key.fingerprint)
            raise Refused(
                403,
                f"the key of {found.id} is not the one it had before; this agent's operator must allow the new one",
                code="KEY_ROTATED",
            )

    def _require_declared(self, found: Declaration) -> None:
        wanted = self._trust.require_capabilities | self._trust.require_constraints
        if wanted and found.covers is not declarations.Coverage.DECLARATION:
            raise Refused(
                403,
                "the signature of the sender's declaration covers its key only; sign all of it (provenance 0.2)",
                code="REQUIREMENTS_UNCHECKABLE",
            )
        lacking = sorted(wanted - {*found.capabilities, *found.constraints})
        if lacking:
            reason = f"the sender's declaration lacks {', '.join(lacking)}"
            raise Refused(403, "the sender is not trusted here", code="REQUIREMENTS_NOT_MET", reason=reason)

    async def _require_standing(self, sender: str) -> None:
        if self._trust.check_standing is None:
            return
        try:
            with anyio.fail_after(_STANDING_SECONDS):
                bad = await self._trust.check_standing(sender)
        except Exception as exc:
            # It is somebody else's code: whatever it raises, no standing is known.
            if not isinstance(exc, StandingUnknown):
                _log.exception("the standing of %s could not be asked for", sender)
            if self._trust.without_standing:
                return
            reason = str(exc) if isinstance(exc, StandingUnknown) else ""
            raise Refused(
                403, "the sender's standing cannot be told now", code="STANDING_UNAVAILABLE", reason=reason
            ) from exc
        if bad is not None:
            raise Refused(403, "the sender is not trusted here", code="BAD_STANDING", reason=bad)


def _require_whole(found: Coverage) -> None:
    if found is Coverage.LEGACY:
        raise Refused(
            401,
            "the signature covers the top level only, as before ajp-protocol 0.3; sign the RFC 8785 form of all of it",
            code=LEGACY_SIGNATURE,
        )
    if found is not Coverage.WHOLE:
        raise Refused(401, "the signature is not of this offer by who it is from")
