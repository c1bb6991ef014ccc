"""A hirer written by hand from the protocol's documents: it shares no code with the server that it asks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

SECRET = "correct horse"


class Key:
    """An Ed25519 key: the same for the same name, or a given one."""

    def __init__(self, name: str, given: str | None = None) -> None:
        if given is None:
            self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        else:
            found = load_der_private_key(base64.b64decode(given), None)
            assert isinstance(found, Ed25519PrivateKey)
            self.key = found
        der = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self.private = base64.b64encode(der).decode()
        self._spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = base64.b64encode(self._spki).decode()
        self.fingerprint = hashlib.sha256(self._spki).hexdigest()

    def sign(self, data: bytes) -> str:
        return base64.b64encode(self.key.sign(data)).decode()

    def verifies(self, message: dict[str, Any]) -> bool:
        """Whether a message is signed over all of it."""
        verify(self.key.public_key(), message)
        return True


def verify(key: Any, message: dict[str, Any]) -> None:
    """See that a message is signed over all of it; raises where it is not."""
    rest = {name: value for name, value in message.items() if name != "signature"}
    kind, _, signature = message["signature"].partition(":")
    assert kind == "ed25519"
    key.verify(base64.b64decode(signature), rfc8785.dumps(rest))


def public_key(declared: dict[str, Any]) -> tuple[Any, str]:
    """The key of a declaration, and its fingerprint."""
    der = base64.b64decode(declared["identity"]["public_key"])
    return load_der_public_key(der), hashlib.sha256(der).hexdigest()


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def offer(now: int, agent: str, /, **changed: Any) -> dict[str, Any]:
    """An unsigned offer as ajp-protocol's client makes one, with members changed."""
    return {
        "ajp": "0.1",
        "job_id": "job_0000000000000001",
        "parent_job_id": None,
        "from": {"type": "human", "id": "user_1", "provenance_id": None, "declaration_url": None},
        "to": {"provenance_id": agent},
        "task": {
            "type": "count",
            "instruction": "Count the words.",
            "input": {"text": "a b c"},
            "output_format": "json",
        },
        "context": {"credentials": {}, "memory": [], "constraints": []},
        "budget": {"max_usd": 0.5, "max_seconds": 30, "max_llm_tokens": 10000},
        "callback": None,
        "issued_at": iso(now),
        "expires_at": iso(now + 120_000),
        **changed,
    }


def by_secret(message: dict[str, Any], secret: str = SECRET) -> bytes:
    """The offer signed as a person does."""
    digest = hmac.new(secret.encode(), rfc8785.dumps(message), hashlib.sha256).hexdigest()
    return json.dumps({**message, "signature": f"sha256:{digest}"}).encode()


def by_key(message: dict[str, Any], key: Key) -> bytes:
    """The offer signed as an agent does."""
    return json.dumps({**message, "signature": f"ed25519:{key.sign(rfc8785.dumps(message))}"}).encode()


def legacy(message: dict[str, Any], key: Key) -> bytes:
    """The offer signed as before ajp-protocol 0.3: each object within keeps the keys that also stand at the top."""

    def reduced(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: reduced(value[name]) for name in sorted(message) if name in value}
        return [reduced(one) for one in value] if isinstance(value, list) else value

    text = json.dumps(reduced(message), separators=(",", ":"), ensure_ascii=False)
    return json.dumps({**message, "signature": f"ed25519:{key.sign(text.encode())}"}).encode()


def declaration(provenance_id: str, key: Key, **more: Any) -> bytes:
    """A signed declaration, version 0.2."""
    body: dict[str, Any] = {
        "provenance": "0.2",
        "provenance_id": provenance_id,
        "name": "A hirer",
        "description": "Hires others.",
        "capabilities": ["delegate:agents"],
        "constraints": ["no:pii"],
        **more,
        "identity": {"public_key": key.public, "algorithm": "ed25519"},
    }
    signed = b"provenance-declaration-v1:" + rfc8785.dumps(body)
    body["identity"] = {**body["identity"], "signature": key.sign(signed)}
    return json.dumps(body).encode()
