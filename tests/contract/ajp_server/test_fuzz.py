"""Malformed offers, questions and acknowledgements end in a clear refusal, and what is accepted is what was signed."""

from __future__ import annotations

import copy
import hmac
import json
from random import Random
from typing import Any

import pytest
import rfc8785

from jecp_mcp.ajp_server import Job, Terms, Work
from tests.contract.ajp_server.hirer import SECRET, by_secret
from tests.contract.ajp_server.house import AGENT_KEY, House, house

pytestmark = pytest.mark.anyio

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, 2**53, 2**60, 0.1, "", "x", "\ud800", "\u0000", "é" * 300, "-0", [], [[]], {}, {"a": {}},
    {"__proto__": 1}, "2026-11-26T12:00:00Z", "9999-99-99T99:99:99Z", "provenance:domain:x", "../..", "job_00000000",
)  # fmt: skip
_BYTES = (
    b"",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"\\",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"1e999",
    b"NaN",
    b"null",
)


async def _echo(job: Job) -> Work:
    return Work({"input": job.input, "instruction": job.instruction}, "0.01")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inside for found in _places(item, (*path, key)))]


def _mutated(message: dict[str, Any], random: Random) -> Any:
    """The message with a few members replaced, taken out, or added."""
    message = copy.deepcopy(message)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        *path, last = random.choice([place for place in _places(message) if place])
        inside: Any = message
        for key in path:
            inside = inside[key]
        what = random.randrange(4)
        if what == 0 and isinstance(inside, dict):
            del inside[last]
        elif what == 1 and isinstance(inside, dict):
            inside[str(random.choice(("input", "constructor", "é", "signature")))] = copy.deepcopy(random.choice(_ODD))
        else:
            inside[last] = copy.deepcopy(random.choice(_ODD))
    return message


def _damaged(raw: bytes, random: Random) -> bytes:
    """The bytes with some of them replaced, doubled or cut off."""
    start = random.randrange(len(raw))
    end = random.choice((start, start + 1, start + 5, len(raw)))
    return raw[:start] + random.choice((*_BYTES, raw[start:end] * 2)) + raw[end:]


def _is_signed(raw: bytes) -> bool:
    """Whether the bytes are signed with the secret, by other means than the server's."""
    message = json.loads(raw)
    signature = message.pop("signature")
    return signature == "sha256:" + hmac.digest(SECRET.encode(), rfc8785.dumps(message), "sha256").hex()


def _sent(message: dict[str, Any], random: Random) -> bytes:
    kind = random.randrange(3)
    if kind == 0:
        return _damaged(by_secret(message), random)
    if kind == 1:
        return json.dumps(_mutated(json.loads(by_secret(message)), random)).encode()
    try:
        return by_secret(_mutated(message, random))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        return by_secret(message)


async def _refused_or_true(there: House, seed: int) -> str | None:
    """Send one odd offer and one odd acknowledgement; gives the job's id where it was accepted."""
    random = Random(seed)
    message = there.offer(job_id=f"job_{seed:012}", callback={"url": "https://hirer.example/x"} if seed % 3 else None)
    raw = _sent(message, random)
    answer = await there.client.post(random.choice(("/ajp/jobs", "/ajp")), content=raw)
    body = answer.json()
    odd = random.choice(
        ("..", "%00", "job_00000000", "%ff", "jobs", "a" * 300, f"job_{seed:012}", "{}", "%2e%2e%2fjobs")
    )
    acknowledged = await there.client.post(f"/ajp/jobs/{odd}/ack", content=raw[: random.randrange(50)])
    assert acknowledged.status_code in {404, 405, 409} or acknowledged.json() == {"settled": True, "job_id": odd}, seed
    if answer.status_code != 202:
        assert answer.status_code in {400, 401, 402, 403, 409}, (seed, raw)
        assert body["error"], seed
        return None
    assert _is_signed(raw), (seed, raw)
    return str(body["job_id"])


async def _fuzz(seeds: range) -> None:
    async def nowhere(_host: str, _port: int) -> list[str]:
        return []

    async with house(_echo, terms=Terms(queue=len(seeds)), world={"resolve": nowhere}) as there:
        accepted = {job_id for seed in seeds if (job_id := await _refused_or_true(there, seed))}
        assert len(seeds) / 20 < len(accepted) < len(seeds) * 3 / 4
        for job_id in accepted:
            report = await there.result(job_id)
            assert AGENT_KEY.verifies(report)
            assert report["status"] in {"completed", "failed"}


async def test_500_odd_offers_and_acknowledgements_are_refused_clearly_or_are_what_was_signed() -> None:
    await _fuzz(range(500))


@pytest.mark.slow
async def test_5000_odd_offers_and_acknowledgements_are_refused_clearly_or_are_what_was_signed() -> None:
    await _fuzz(range(500, 5_500))


@pytest.mark.long
async def test_100000_odd_offers_and_acknowledgements_are_refused_clearly_or_are_what_was_signed() -> None:
    for first in range(5_500, 105_500, 5_000):
        await _fuzz(range(first, first + 5_000))
