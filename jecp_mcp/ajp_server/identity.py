"""Who an agent is: its id, its key, where it takes jobs, and the declaration that says so. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.ajp.declaration import sign_declaration, standard_place
from jecp_mcp.wire.ajp.signatures import PrivateKey
from jecp_mcp.wire.ajp.values import VERSION

_RECEIVER: Final = "ajp:receiver"
_JOBS: Final = "/jobs"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an agent is.

    Attributes:
        provenance_id: such as ``provenance:domain:words.example``: whoever serves that name's declaration is the agent.
        private_key: base64 of an Ed25519 key's PKCS #8; keep it out of your code.
        endpoint: the public address where it takes jobs, https.
        name: at most 100 characters.
        description: what it does, at most 1 000 characters.
        capabilities: what it can, such as ``summarise:text``, beside ``ajp:receiver``.
        constraints: what it promises, such as ``no:pii``.
    """

    provenance_id: str
    private_key: str = field(repr=False)
    endpoint: str
    name: str
    description: str
    capabilities: Sequence[str] = ()
    constraints: Sequence[str] = ()


class Declared:
    """An identity that was checked.

    Attributes:
        id: the agent's.
        key: signs its results.
        declaration: what is served, signed.
        declaration_path: where, on the agent's own host; None where its id has another place, to which it is copied.
        path: below which jobs are taken, without a slash at its end; the part before ``/jobs``.
    """

    def __init__(self, identity: Identity, *, loopback: bool) -> None:
        """Check an identity.

        Args:
            loopback: whether the agent is for this machine only, as in the sandbox.

        Raises:
            SettingsError: it cannot be one; the key is never repeated.
        """
        try:
            self.id = identity.provenance_id
            self.key = PrivateKey(identity.private_key)
            endpoint = _endpoint(identity.endpoint, loopback=loopback)
            place = standard_place(self.id, loopback=loopback)
            self.declaration: dict[str, Any] = sign_declaration(
                {
                    "provenance_id": self.id,
                    "name": identity.name,
                    "description": identity.description,
                    "capabilities": list(dict.fromkeys((_RECEIVER, *identity.capabilities))),
                    "constraints": list(identity.constraints),
                    "ajp": {"endpoint": identity.endpoint, "version": VERSION},
                },
                self.key,
            )
        except WireError as exc:
            raise SettingsError("the agent's identity", "", str(exc)) from exc
        self.path = urlsplit(endpoint.url).path.rstrip("/").removesuffix(_JOBS)
        self.declaration_path = place.path if place is not None and place.origin == endpoint.origin else None


def _endpoint(url: str, *, loopback: bool) -> Place:
    try:
        place = read_place(url)
    except ValueError as exc:
        raise WireError(f"endpoint: {exc}") from exc
    if not place.is_reachable(loopback=loopback):
        raise WireError("endpoint must be an address on this machine" if loopback else "endpoint must be public https")
    return place
