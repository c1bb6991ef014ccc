"""Hirers written by hand, each as a page of the protocol's documentation has it, at our server."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import rfc8785

from jecp_mcp.ajp_server import Trust
from jecp_mcp.sandbox.ajp.config import AgentsConfig
from jecp_mcp.sandbox.ajp.run import Served, serve_agents
from tests.contract.ajp_server.hirer import Key, iso, public_key, verify
from tests.contract.ajp_server.house import AGENT_ID, House, house

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_ENDED = {"completed", "failed", "expired"}


class Client:
    """As ajp-protocol's client: it polls, takes what it is given for the result, and acknowledges it unseen.

    Where it appends ``/jobs`` to an endpoint, the guides of older versions do not: `mount` is what comes after.
    """

    def __init__(self, sender: str, key: Key, http: httpx2.AsyncClient, mount: str) -> None:
        self._sender, self._key, self._http, self._mount = sender, key, http, mount

    def offer(self, to: str, **options: Any) -> dict[str, Any]:
        now, seconds = int(time.time() * 1000), options.get("max_seconds", 120)
        return {
            "ajp": "0.1",
            "job_id": f"job_{now:x}{secrets.token_hex(6)}",
            "parent_job_id": None,
            "from": {"type": "orchestrator", "provenance_id": self._sender},
            "to": {"provenance_id": to},
            "task": {
                "type": "task",
                "instruction": options["instruction"],
                "input": options.get("input", {}),
                "output_format": "json",
            },
            "context": {"memory": [], "credentials": {}, "constraints": []},
            "budget": {"max_usd": options.get("max_usd", 1.0), "max_seconds": seconds, "max_llm_tokens": 10000},
            "callback": None,
            "issued_at": iso(now),
            "expires_at": iso(now + seconds * 1000),
        }

    async def hire(self, endpoint: str, to: str, **options: Any) -> dict[str, Any]:
        base = f"{endpoint.removesuffix('/')}{self._mount}"
        body = self.offer(to, **options)
        body["signature"] = f"ed25519:{self._key.sign(rfc8785.dumps(body))}"
        answer = await self._http.post(base, json=body)
        if answer.status_code == 429:
            return {"status": "rejected", "retry_after": answer.json()["retry_after"]}
        if answer.status_code == 402:
            return {"status": "rejected", "reason": answer.json()["reason"]}
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["job_id"]
        for _ in range(5_000):
            result = (await self._http.get(f"{base}/{job_id}")).json()
            if result["status"] in _ENDED:
                break
        acknowledged = await self._http.post(f"{base}/{job_id}/ack", json={})
        return {**result, "settled": acknowledged.json().get("settled", False)}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def agents() -> AsyncIterator[Served]:
    async with serve_agents(AgentsConfig()) as line:
        yield line


@pytest.mark.parametrize("mount", ["/jobs", ""], ids=["specification", "guide"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_documented_client_hires_at_both_mounts_and_what_it_does_not_check_holds(
    agents: Served, mount: str, slash: str
) -> None:
    hirer = agents["hirer"]
    named = {one["name"]: one for one in agents["agents"]}
    async with httpx2.AsyncClient(timeout=60) as http:
        client = Client(hirer["id"], Key("", hirer["private_key"]), http, mount)

        async def hire(name: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            provenance_id = named[name]["id"]
            place = provenance_id.removeprefix("provenance:domain:")
            declared = (await http.get(f"http://{place}/.well-known/provenance.json")).json()
            given = {"instruction": "Count.", "input": {"text": "a b c"}, **options}
            return declared, await client.hire(declared["ajp"]["endpoint"] + slash, provenance_id, **given)

        declared, result = await hire("counter")
        assert (result["status"], result["output"]["words"], result.pop("settled")) == ("completed", 3, True)
        assert result["usage"]["cost_usd"] <= 1.0
        verify(public_key(declared)[0], result)  # the whole of it, as the specification has it
        assert set(result) >= {
            "ajp", "job_id", "status", "output", "constraints_asserted", "completed_at", "agent", "usage", "started_at",
            "updated_at", "signature",
        }  # fmt: skip
        _, failed = await hire("summariser", input={"text": "a b c", "sentences": 0})
        assert (failed["status"], failed["settled"]) == ("failed", False)  # which it acknowledges too, and owes nothing
        _, poor = await hire("counter", max_usd=0.001)
        assert "$0.01" in poor["reason"]
        _, later = await hire("busy")
        assert later["retry_after"] >= 1


@pytest.fixture
async def here() -> AsyncIterator[House]:
    async with house(trust=Trust("a secret of ours")) as found:
        yield found


@pytest.mark.parametrize("mount", ["/ajp/jobs", "/ajp"])
async def test_a_person_with_the_secret_hires_as_the_guide_says(here: House, mount: str) -> None:
    offer = here.offer(**{"from": {"type": "human", "id": "user_42"}})
    digest = hmac.new(b"a secret of ours", rfc8785.dumps(offer), hashlib.sha256).hexdigest()
    raw = json.dumps({**offer, "signature": f"sha256:{digest}"}, indent=2).encode()  # however it is laid out
    assert (await here.post(raw, mount))[0] == 202
    report = await here.result()
    assert (report["status"], report["agent"]["provenance_id"]) == ("completed", AGENT_ID)
    assert await here.ack(path=mount) == (200, {"settled": True, "job_id": offer["job_id"]})
    # Signed by another, of another length, and as another kind: none of them is a person with the secret.
    for wrong in (f"sha256:{'0' * 64}", "sha256:00", f"ed25519:{digest}", 7):
        offer["job_id"] = "job_0000000000000002"
        status, answer = await here.post(json.dumps({**offer, "signature": wrong}).encode(), mount)
        assert status in {400, 401}
        assert answer["error"]
