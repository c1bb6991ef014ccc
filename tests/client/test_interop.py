"""The TypeScript SDK's and its CLI's requests, of interop.toml, at the sandbox; and ours beside them."""

from __future__ import annotations

import json
import tomllib
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from jecp_mcp import JecpClient, JecpProviderClient
from jecp_mcp.wire.jecp.stream import EventSplitter
from tests.acceptance.roads import SandboxHub, sandbox
from tests.contract.providers.conftest import endpoint, manifest
from tests.faults.rails.raw_hub import Request, passes_on, raw_hub

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REQUESTS = tomllib.loads(Path(__file__).with_name("interop.toml").read_text(encoding="utf-8"))["request"]
TRANSPORT = {"host", "user-agent", "accept-encoding", "connection", "content-length", "accept"}
"""What every HTTP library sends in its own way; an Accept counts where the row has one."""
PROFILE = ("plumbline/csv", "profile", {"csv": "a\n1\n"})


@dataclass
class Stage:
    """A Hub with an agent and an endpoint, and what was kept of its answers."""

    hub: SandboxHub
    kept: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["reference", "spec"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite", "--loopback", "--dialect", request.param) as hub:
        yield hub


@contextmanager
def staged(place: SandboxHub, namespace: str) -> Iterator[Stage]:
    with endpoint() as point:
        point.instead = (200, "application/json", b"{}")
        agent = place.new_agent()
        made = manifest(namespace, point.url)
        names = {
            "agent_id": agent.agent_id,
            "api_key": agent.api_key,
            "endpoint": point.url,
            "namespace": namespace,
            "manifest": json.dumps(made),
            **{name: str(uuid.uuid4()) for name in ("uuid", "uuid2", "uuid3")},
        }
        yield Stage(agent, names)


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[name]
    return value


def test_what_the_typescript_clients_send_is_understood(place: SandboxHub) -> None:
    with staged(place, "interop-theirs") as stage:
        for row in REQUESTS:
            method, path = Template(row["send"]).substitute(stage.kept).split(" ")
            known = {
                "content-type": "application/json",
                "x-agent-id": stage.kept["agent_id"],
                "x-api-key": stage.kept["api_key"],
                "accept": row.get("accept", "*/*"),
                "authorization": f"Bearer {stage.kept.get('provider_key')}",
            }
            body = Template(row.get("body", "")).substitute(stage.kept).replace("\n", "\\n")
            sent = {name: known[name] for name in row.get("headers", ("content-type",) if body else ())}
            answer = httpx2.request(
                method, stage.hub.url + path, headers=sent, content=body.encode() or None, timeout=60
            )
            assert answer.is_success, (row["source"], answer.status_code, answer.text)
            if "events" in row:
                assert {event.name for event in EventSplitter().feed(answer.content)} >= set(row["events"])
                continue
            told = answer.json()
            assert told.keys() >= set(row["reads"]), row["source"]
            stage.kept |= {name: at(told, place_of) for name, place_of in row.get("keep", {}).items()}


Ours = Callable[[Stage, JecpClient, Callable[[], JecpProviderClient]], Awaitable[Any]]


async def paged(client: JecpClient) -> None:
    async for _ in client.catalog.pages(page_size=1):
        return


async def streamed(client: JecpClient) -> None:
    given = {"text": "the mill", "keyword": "the"}
    async with client.stream("lectern/concordance", "keyword-in-context", given, budget="0.05") as events:
        async for _ in events:
            pass


async def registered(stage: Stage, base_url: str) -> None:
    made = await JecpProviderClient.register(
        namespace=stage.kept["namespace"],
        display_name="Words",
        owner_email="o@words.example",
        endpoint_url=stage.kept["endpoint"],
        country="JP",
        website="https://words.example",
        base_url=base_url,
    )
    stage.kept["provider_key"] = made.api_key


async def bought(stage: Stage, client: JecpClient) -> None:
    stage.kept["transaction_id"] = (await client.invoke(*PROFILE, budget="0.05")).billing.reference or ""


async def refunded(stage: Stage, client: JecpClient) -> None:
    evidence = "https://evidence.example/1"
    asked = await client.request_refund(stage.kept["transaction_id"], "not as told", evidence_url=evidence)
    stage.kept["refund_id"] = asked.refund_id


async def subscribed(stage: Stage, client: JecpClient) -> None:
    made = await client.subscriptions.create(stage.kept["endpoint"], ["invocation.completed"])
    stage.kept["subscription_id"] = made.subscription_id


OURS: dict[str, Ours] = {
    "guide": lambda _, client, __: client.guide(),
    "catalog": lambda _, client, __: client.catalog.page(page_size=2, namespace="plumbline", tags=("csv",)),
    "pages": lambda _, client, __: paged(client),
    "topup": lambda _, client, __: client.topup(20),
    "invoke": lambda stage, client, __: bought(stage, client),
    "stream": lambda _, client, __: streamed(client),
    "request_refund": lambda stage, client, __: refunded(stage, client),
    "refund": lambda stage, client, __: client.refund(stage.kept["refund_id"]),
    "refunds": lambda _, client, __: client.refunds(),
    "subscribe": lambda stage, client, __: subscribed(stage, client),
    "subscriptions": lambda _, client, __: client.subscriptions.list(),
    "test_subscription": lambda stage, client, __: client.subscriptions.test(stage.kept["subscription_id"]),
    "rotate_key": lambda _, client, __: client.rotate_key(grace_seconds=3600),
    "me": lambda _, __, provider: provider().me(),
    "verify_dns": lambda _, __, provider: provider().verify_dns(),
    "connect_stripe": lambda _, __, provider: provider().connect_stripe(),
    "publish": lambda stage, __, provider: provider().publish(stage.kept["manifest"]),
    "provider_rotate_key": lambda _, __, provider: provider().rotate_key(grace_seconds=3600),
}


async def test_our_client_sends_the_same_but_for_what_is_said(place: SandboxHub) -> None:
    with staged(place, "interop-ours") as stage:
        async with raw_hub(passes_on(place.url)) as hub:
            client = JecpClient(stage.hub.agent_id, stage.hub.api_key, base_url=hub.url)

            def provider() -> JecpProviderClient:
                return JecpProviderClient(stage.kept["provider_key"], base_url=hub.url)

            for row in (row for row in REQUESTS if "ours" in row):
                before = len(hub.heard)
                match row["ours"]:
                    case "register":
                        told = json.loads(row["body"])
                        await JecpClient.register(told.pop("name"), base_url=hub.url, **told)
                    case "provider_register":
                        await registered(stage, hub.url)
                    case ours:
                        await OURS[ours](stage, client, provider)
                [sent] = hub.heard[before:]
                assert differences(row, stage.kept, sent) == {}, row["source"]
            await client.aclose()


def differences(row: Mapping[str, Any], kept: Mapping[str, str], sent: Request) -> dict[str, Any]:
    """Where our request is another one than theirs, and the row does not say so."""
    method, path = Template(row["send"]).substitute(kept).split(" ")
    theirs, ours = urlsplit(path), urlsplit(sent.path)
    body = Template(row.get("body", "")).substitute(kept).replace("\n", "\\n")
    accept = {"accept"} if "accept" in row else set()
    found = {
        "headers": (set(row.get("headers", ("content-type",) if body else ())), set(sent.headers) - TRANSPORT | accept),
        "query": (set(parse_qs(theirs.query)), set(parse_qs(ours.query))),
        "body": (shape(json.loads(body)) if body else set(), shape(json.loads(sent.body)) if sent.body else set()),
    }
    made: dict[str, Any] = {}
    # The specification's own path, where a Hub's guide names it.
    if (method, theirs.path) != (sent.method, ours.path.replace("/api/agent/", "/api/agents/")):
        made["send"] = (sent.method, ours.path)
    for part, (wanted, got) in found.items():
        more, less = (set(row.get(name, {}).get(part, ())) for name in ("ours_adds", "ours_omits"))
        beside = {one for one in got - more if not any(one.startswith(f"{each}.") for each in more)}
        if wanted - less != beside:
            made[part] = sorted((wanted - less) ^ beside)
    if accept and row["accept"] not in sent.headers["accept"]:
        made["accept"] = sent.headers["accept"]
    return made


def shape(value: Any, before: str = "") -> set[str]:
    """The members of an object, by their paths; what stands in an input or a manifest's actions is not looked into."""
    found: set[str] = set()
    for name, item in value.items() if isinstance(value, dict) else ():
        found.add(before + name)
        if name != "input":
            found |= shape(item, f"{before}{name}.")
    return found
