"""An agent's declaration of itself: its key, its endpoint, and the one place where it may stand. Pure: no I/O.

A declaration is believed because of where it stands, and its signature says that the key's owner wrote all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.ajp import values
from jecp_mcp.wire.ajp.canonical import canonical
from jecp_mcp.wire.ajp.signatures import PrivateKey, PublicKey
from jecp_mcp.wire.values import mapping, preview, text

MAX_BYTES: Final = 65_536
"""The longest declaration read, in bytes."""
WELL_KNOWN: Final = "/.well-known/provenance.json"
"""Where the declaration of ``provenance:domain:…`` stands, below its path."""

_SIGNED_VERSIONS: Final = ("0.2", "0.3")
_PREFIX: Final = b"provenance-declaration-v1:"
_CAPABILITY: Final = re.compile(r"[a-z][a-z0-9_-]*(?::[a-z0-9_:-]+)?", re.ASCII)
_CONSTRAINT: Final = re.compile(r"no:[a-z0-9_:.-]+", re.ASCII)
_GITHUB: Final = re.compile(r"([A-Za-z0-9-]{1,39})/([A-Za-z0-9._-]{1,100})", re.ASCII)
_GITHUB_HOST: Final = "raw.githubusercontent.com"
_DOMAIN: Final = re.compile(r"([a-z0-9.-]{1,253}(?::\d{1,5})?)((?:/[A-Za-z0-9._~-]+)*)", re.ASCII)
# A commit's name also finds what others have forked and proposed: git takes four of its digits, and whatever its
# `describe` puts before them.
_BRANCH: Final = re.compile(r"(?!(?:.*-g)?[0-9A-Fa-f]{4,}\Z)[A-Za-z0-9._-]{1,100}", re.ASCII)
_HTTPS_PORT: Final = 443


class Coverage(StrEnum):
    """What a declaration's signature covers: all of it, or the id and the key alone, as before version 0.2."""

    DECLARATION = "declaration"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an agent declares, with a signature that was verified.

    Attributes:
        endpoint: where it takes jobs; None where it takes none.
        covers: what the signature covers; the rest is only as good as the place it was found at.
        body: the whole of it.
    """

    id: str
    name: str
    description: str
    key: PublicKey
    endpoint: str | None
    capabilities: tuple[str, ...]
    constraints: tuple[str, ...]
    covers: Coverage
    body: JSONObject = field(repr=False)


def read_declaration(raw: bytes) -> Declaration:
    """Read a declaration in JSON, and verify its signature. Where it was found is `stands_at`.

    Raises:
        WireError: it is none, or is not signed by its own key.
    """
    body = values.message(raw, "the declaration", MAX_BYTES)
    identity = mapping(body.get("identity"), "identity")
    algorithm = identity.get("algorithm", "ed25519")
    if algorithm != "ed25519":
        raise WireError(f"identity.algorithm is {preview(algorithm)}, and only ed25519 is known")
    found, key = values.provenance_id(body.get("provenance_id"), "provenance_id"), _key(identity)
    signature = identity.get("signature")
    if not isinstance(signature, str):
        raise WireError("identity.signature is missing: anybody could have written the declaration")
    whole = values.one_of(body.get("provenance"), "provenance", ("0.1", *_SIGNED_VERSIONS)) in _SIGNED_VERSIONS
    signed = _signed_form(body) if whole else f"{found}:{key.text}".encode()
    if not key.proves(signed, f"ed25519:{signature}"):
        raise WireError("identity.signature is not of this declaration: it was changed, or signed by another key")
    ajp = {} if body.get("ajp") is None else mapping(body["ajp"], "ajp")
    if "version" in ajp:
        values.version(ajp["version"])
    return Declaration(
        id=found,
        name=text(body.get("name"), "name", 100),
        description=text(body.get("description"), "description", 1_000),
        key=key,
        endpoint=values.optional_text(ajp.get("endpoint"), "ajp.endpoint", 1_500),
        capabilities=_listed(body.get("capabilities"), "capabilities", _CAPABILITY),
        constraints=_listed(body.get("constraints"), "constraints", _CONSTRAINT),
        covers=Coverage.DECLARATION if whole else Coverage.IDENTITY,
        body=body,
    )


def sign_declaration(body: JSONObject, key: PrivateKey) -> dict[str, Any]:
    """The declaration with `key` as its key, and signed by it as a whole.

    Raises:
        WireError: it is no declaration.
    """
    declared = {**body, "provenance": "0.2", "identity": {"public_key": key.public.text, "algorithm": "ed25519"}}
    signature = key.sign(_signed_form(declared)).removeprefix("ed25519:")
    declared["identity"] = {**declared["identity"], "signature": signature}
    read_declaration(canonical(declared))
    return declared


def standard_place(provenance_id: str, *, loopback: bool = False) -> Place | None:
    """Where the declaration of an id stands; None where nobody can know.

    Args:
        loopback: whether ids are of agents on this machine, and of no others: the sandbox's.
    """
    _, platform, path = values.provenance_id(provenance_id, "the agent's id").split(":", 2)
    github, domain = _GITHUB.fullmatch(path), _DOMAIN.fullmatch(path)
    try:
        if platform == "github" and github is not None and not loopback:
            return read_place(f"https://{_GITHUB_HOST}/{github[1]}/{github[2]}/HEAD/PROVENANCE.yml")
        if platform == "domain" and domain is not None:
            place = read_place(f"{'http' if loopback else 'https'}://{domain[1]}{domain[2]}{WELL_KNOWN}")
            return place if place.loopback == loopback and (loopback or place.port == _HTTPS_PORT) else None
    except ValueError:
        return None
    return None


def stands_at(provenance_id: str, url: str, *, loopback: bool = False) -> bool:
    """Whether an address belongs to whoever the id names: every part of it at its exact position.

    Args:
        loopback: as `standard_place`.
    """
    try:
        place, standard = read_place(url), standard_place(provenance_id, loopback=loopback)
    except (ValueError, WireError):
        return False
    if standard is None or place.origin != standard.origin or "?" in place.url:
        return False
    if standard.host != _GITHUB_HOST or not provenance_id.startswith("provenance:github:"):
        return place.path == standard.path
    parts, wanted = place.path.split("/"), standard.path.split("/")
    return (
        len(parts) == len(wanted)
        and parts[-1] == wanted[-1]
        and [part.lower() for part in parts[:3]] == [part.lower() for part in wanted[:3]]
        and _BRANCH.fullmatch(parts[3]) is not None
    )


def _signed_form(body: JSONObject) -> bytes:
    identity = mapping(body.get("identity"), "identity")
    rest = {key: value for key, value in identity.items() if key != "signature"}
    return _PREFIX + canonical({**body, "identity": rest})


def _key(identity: JSONObject) -> PublicKey:
    return PublicKey(text(identity.get("public_key"), "identity.public_key"))


def _listed(value: object, what: str, form: re.Pattern[str]) -> tuple[str, ...]:
    found = values.texts(value, what)
    for one in found:
        if form.fullmatch(one) is None:
            raise WireError(f"{what} has the entry {preview(one)}, which is none of that form")
    return found
