"""What the mechanical agent recovers from alone, and where it rightly stops, on a scripted Hub: every next_action type.

``test_the_two_lists`` prints both lists: run it with ``-s``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests import hub_actions
from tests.acceptance.errors.mechanical import MOST_STEPS, Ended, run
from tests.acceptance.errors.seats import ERAS, YEARS, ledger, seated, total
from tests.acceptance.errors.stage import AGENT, EXAMPLE, KEY, PLAIN, SUCCESSOR, Stage, open_stage, refusal
from tests.acceptance.roads import output_of
from tests.daily import mostly_slow
from tests.faults.hub.hostile import Script, says, vanishes
from tests.ports import free_port

pytestmark = pytest.mark.anyio

LONG = 30
"""A Retry-After longer than is waited for inside a call: the error reaches the agent at once."""

CONFIG = """
[mandate]
per_call_usdc = "0.05"
daily_usdc = "100"
approve_above_usdc = "0.03"
deny = ["cold/*"]
"""

PAGE = says(b"<h1>502</h1>", "502 Bad Gateway", "text/html")


@dataclass(frozen=True)
class Scene:
    """One trouble.

    Attributes:
        types: the next_action types on the way.
        refusals: what the Hub says to the purchase, once each; then it sells.
        tool, arguments: what is called; None for the purchase of the scene's own text.
        how: how it ends.
        charged: whether the Hub takes the money while it refuses.
    """

    types: tuple[str, ...]
    refusals: tuple[Script, ...] = ()
    tool: str = PLAIN
    arguments: Mapping[str, Any] | None = None
    how: str = "answered"
    charged: bool = field(default=False, compare=False)


def no(code: str, status: int, word: str | None = None, **more: Any) -> Script:
    said = None if word is None else {"type": word, **more.pop("said", {})}
    return refusal(code, status, word=said, wait=LONG, **more)


DEPRECATED = {"successor": SUCCESSOR, "sunset_at": "2026-01-01T00:00:00Z"}

RECOVERED: dict[str, Scene] = {
    "a rate limit": Scene(("retry_after",), (no("RATE_LIMITED", 429),)),
    "a rate limit, twice": Scene(("retry_after",) * 2, (no("RATE_LIMITED", 429), no("RATE_LIMITED", 429, "wait"))),
    "a Hub's own fault": Scene(("retry_after",), (no("SERVICE_ERROR", 500),)),
    "a fault that may have been charged": Scene(("check_status",), (no("INTERNAL_ERROR", 500),), charged=True),
    "a fault whose Hub says to repeat": Scene(("check_status",), (no("INTERNAL_ERROR", 500, "retry_after"),), charged=True),
    "a doubt that lasts": Scene(("check_status",) * 2, (no("SERVICE_DEGRADED", 503),) * 2, charged=True),
    "a code nobody knows": Scene(("check_status",), (no("MOON_IN_EIGHTH_HOUSE", 418, "consult_the_stars"),)),
    "an answer that never came": Scene(("check_status",), (vanishes,) * 4, charged=True),
    "a proxy's page": Scene(("check_status",), (PAGE,) * 4, charged=True),
    "a capability the Hub lost": Scene(("discover",), (no("CAPABILITY_NOT_FOUND", 404, "discover"),)),
    "an action the Hub lost": Scene(("see_manifest",), (no("ACTION_NOT_FOUND", 404, "see_manifest"),)),
    "an input the Hub refuses": Scene(("fix_input",), (no("INPUT_SCHEMA_VIOLATION", 400),)),
    "an input whose Hub shows its schema": Scene(("see_manifest",), (no("VALIDATION_FAILED", 400, "lookup_schema"),)),
    "a withdrawn action": Scene(("use_successor",), (no("CAPABILITY_DEPRECATED", 410, details=DEPRECATED),)),
    "a withdrawn action without an heir": Scene(("use_successor",), (no("CAPABILITY_DEPRECATED", 410),)),
    "a provider that fails": Scene(("try_alternative_provider",), (no("PROVIDER_ERROR", 502),)),
    "a Hub that offers both": Scene(("retry_or_alternative",), (no("SERVICE_ERROR", 500, "retry_or_alternative"),)),
    "two providers that fail": Scene(("try_alternative_provider",) * 2, (no("PROVIDER_UNREACHABLE", 502),) * 2),
    "arguments of the wrong kind": Scene(("fix_input",), arguments={"text": 7}),
    "a tool that does not exist": Scene(("discover",), tool="acme_desk_wriite"),
    "a price over the cap": Scene(("find_cheaper",), tool="bolt_shrine_write"),
    "a call id that is wrong": Scene(("list_calls",), tool="jecp_status", arguments={"call_id": "call_wrong"}),
}  # fmt: skip

HUMAN, OPERATOR = "human", "operator"


def stop(how: str, types: tuple[str, ...], *refusals: Script, **more: Any) -> Scene:
    return Scene(types, refusals, how=how, **more)


def foreign(word: str) -> Scene:
    return stop(OPERATOR, (word,), no("PAYMENT_REQUIRED", 402, word))


CHARGED = {"billing": {"charged": True, "amount_usdc": 0.01}}

STOPPED: dict[str, Scene] = {
    "an empty wallet": stop(HUMAN, ("topup", "open_url"), no("INSUFFICIENT_BALANCE", 402)),
    "an empty wallet and a link": stop(HUMAN, ("topup_url", "open_url"), no("PAYMENT_REQUIRED", 402, "topup_url")),
    "a tier not yet earned": stop(HUMAN, ("earn_trust",), no("INSUFFICIENT_TRUST", 403)),
    "a price that needs a person": stop(HUMAN, ("ask_human",), tool="bolt_vault_seal"),
    "a charged refusal": stop(HUMAN, ("ask_user",), no("PROVIDER_ERROR", 502, **CHARGED), charged=True),
    "a key the Hub refuses": stop(OPERATOR, ("register",), no("INVALID_API_KEY", 401)),
    "a price above the listed one": stop(OPERATOR, ("increase_mandate",), no("INSUFFICIENT_BUDGET", 402)),
    "a mandate the Hub calls ended": stop(OPERATOR, ("refresh_mandate",), no("MANDATE_EXPIRED", 403)),
    "a cap the Hub wants raised": foreign("raise_cap"),
    "a protocol too old": stop(OPERATOR, ("upgrade_client",), no("UNSUPPORTED_VERSION", 400)),
    "an action that cannot be streamed": stop(OPERATOR, ("drop_streaming_accept",), no("NOT_STREAMABLE", 406)),
    "a clock that is off": stop(OPERATOR, ("set_clock",), no("PROVENANCE_MISMATCH", 403, details={"subcause": "clock_skew"})),
    "an action the operator denies": stop(OPERATOR, ("ask_operator",), tool="cold_storage_freeze"),
    "an action without a price": stop(OPERATOR, ("ask_operator",), tool="bolt_yard_haul"),
    "a payment to sign": foreign("x402_settle"),
    "a signer to check": foreign("check_signer"),
    "a signature to renew": foreign("resign"),
    "a wallet to switch to": foreign("switch_to_wallet"),
    "gas to check": foreign("check_gas"),
    "an intent to review": stop(HUMAN, ("review_intent",), no("PAYMENT_REQUIRED", 402, "review_intent")),
    "a wallet to link": foreign("link_wallet"),
    "a type nobody knows": foreign("consult_the_stars"),
}  # fmt: skip


@dataclass
class Place:
    """A server with its Hub, and the texts that were bought or not."""

    hub: Stage
    client: Client
    state: Path
    waited: list[float] = field(default_factory=list)

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def go(self, label: str, scene: Scene) -> tuple[Ended, list[str]]:
        """Play a scene; how it ended, and the ids the Hub charged meanwhile."""
        script = [self.hub.after_charging(one) if scene.charged else one for one in scene.refusals]
        self.hub.refuses(label, *script, *([self.hub.sells] if scene.how == "answered" else []))
        before = set(self.hub.charged)
        arguments = {"text": label} if scene.arguments is None else scene.arguments
        ended = await run(self.client, self.wait, scene.tool, arguments)
        return ended, [one for one in self.hub.charged if one not in before]


@pytest.fixture(scope="module", params=YEARS)
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    state = tmp_path_factory.mktemp("mechanical")
    config = state / "strict.toml"
    config.write_text(CONFIG)
    with open_stage() as hub:
        era = ERAS[request.param]
        async with seated(hub.url, state, era, agent=(AGENT, KEY), awaits=PLAIN, config=str(config)) as client:
            yield Place(hub, client, state)


SLOW = {"a proxy's page"}
"""What is waited for inside the call takes seconds; one such scene is enough for every day."""


@pytest.mark.parametrize("trouble", mostly_slow(RECOVERED, set(RECOVERED) - SLOW))
async def test_it_recovers_alone_from(place: Place, trouble: str) -> None:
    scene = RECOVERED[trouble]
    ended, charged = await place.go(trouble, scene)
    assert (ended.how, tuple(ended.types)) == ("answered", scene.types), ended.last
    if scene.tool == "jecp_status":
        assert not charged
        return
    assert "wrote" in output_of(ended.answer)
    assert len(charged) == 1


@pytest.mark.parametrize("trouble", STOPPED)
async def test_it_stops_and_spends_nothing_at(place: Place, trouble: str) -> None:
    scene = STOPPED[trouble]
    ended, charged = await place.go(trouble, scene)
    assert (ended.how, tuple(ended.types)) == (scene.how, scene.types), ended.last
    assert len(charged) == (1 if scene.charged else 0)
    assert len(place.hub.bodies[trouble]) <= 1


async def test_a_person_who_pays_lets_the_same_call_through(place: Place) -> None:
    ended, charged = await place.go("paid by a person", STOPPED["an empty wallet"])
    assert ended.how == "human"
    assert ended.last is not None
    assert ended.last["next_action"]["url"] == f"{place.hub.url}/checkout/1"
    assert not charged
    place.hub.script["paid by a person"] = []
    again = await run(place.client, place.wait, PLAIN, {"text": "paid by a person"})
    assert (again.how, again.types) == ("answered", [])


async def test_it_waits_as_long_as_it_is_told(place: Place) -> None:
    place.waited.clear()
    await place.go("told to wait", RECOVERED["a rate limit"])
    assert place.waited == [LONG]


async def test_a_hub_that_never_relents_is_asked_a_bounded_number_of_times(place: Place) -> None:
    place.hub.refuses("never", no("RATE_LIMITED", 429))
    ended = await run(place.client, place.wait, PLAIN, {"text": "never"})
    assert (ended.how, ended.types) == ("nobody", ["retry_after"] * MOST_STEPS)
    assert len(place.hub.bodies["never"]) == MOST_STEPS


async def test_the_ledger_equals_the_hubs_books_after_all_of_it(place: Place) -> None:
    theirs = {call: Decimal(amount) / 1_000_000 for call, amount in place.hub.charged.items()}

    async def ours() -> tuple[dict[str, Decimal], Decimal]:
        rows = await anyio.to_thread.run_sync(ledger, place.hub.url, place.state)
        charged = {row["call_id"]: Decimal(row["charged_usdc"]) for row in rows if Decimal(row["charged_usdc"])}
        return charged, total(rows, "held_usdc")

    with anyio.move_on_after(60):
        # A server that still runs writes the end of a call a moment after its answer.
        while await ours() != (theirs, 0):
            await anyio.sleep(0.05)
    assert await ours() == (theirs, 0)


async def test_it_registers_itself_where_there_is_no_account(tmp_path: Path) -> None:
    with open_stage() as hub:
        async with seated(hub.url, tmp_path, agent=None, awaits=PLAIN) as client:
            ended = await run(client, anyio.sleep, PLAIN, EXAMPLE)
            assert (ended.how, ended.types) == ("answered", ["register"])


@pytest.mark.slow
async def test_it_waits_until_a_hub_that_is_away_is_back(tmp_path: Path) -> None:
    port = free_port()
    with open_stage(port=port) as before:
        async with seated(before.url, tmp_path, agent=(AGENT, KEY), awaits=PLAIN):
            pass
    with ExitStack() as later:
        back: list[Stage] = []

        async def wait(_seconds: float) -> None:
            back.append(later.enter_context(open_stage(port=port)))

        async with seated(before.url, tmp_path, agent=(AGENT, KEY), awaits=PLAIN) as client:
            ended = await run(client, wait, PLAIN, EXAMPLE)
        assert (ended.how, ended.types) == ("answered", ["retry_after"])
        assert [len(hub.charged) for hub in back] == [1]


async def test_it_stops_at_a_ledger_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"This is not a database. " * 400)
    with open_stage() as hub:
        async with seated(hub.url, tmp_path, agent=(AGENT, KEY), awaits=PLAIN) as client:
            ended = await run(client, anyio.sleep, PLAIN, EXAMPLE)
            assert (ended.how, ended.types) == ("operator", ["mend_ledger"])
        assert not hub.bodies


def test_the_two_lists() -> None:
    """Every type there is stands in a list. ``register`` is in both: with no account, and with one that is refused."""
    recovered = {kind for scene in RECOVERED.values() for kind in scene.types} | {"register"}
    stopped = {kind for scene in STOPPED.values() for kind in scene.types} | {"mend_ledger"}
    print("\nrecovers alone from:", *sorted(recovered), "\nrightly stops at:", *sorted(stopped))
    assert recovered == {
        "check_status", "discover", "find_cheaper", "fix_input", "list_calls", "register", "retry_after",
        "retry_or_alternative", "see_manifest", "try_alternative_provider", "use_successor",
    }  # fmt: skip
    assert stopped == {
        "ask_human", "ask_operator", "ask_user", "check_gas", "check_signer", "consult_the_stars", "drop_streaming_accept",
        "earn_trust", "increase_mandate", "link_wallet", "mend_ledger", "open_url", "raise_cap", "refresh_mandate",
        "register", "resign", "review_intent", "set_clock", "switch_to_wallet", "topup", "topup_url", "upgrade_client",
        "x402_settle",
    }  # fmt: skip
    assert recovered | stopped >= hub_actions.TYPES
    assert recovered & stopped == {"register"}
