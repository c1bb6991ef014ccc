"""Everything the bridge itself refuses with, exactly as a model reads it, in `own_refusals.json` for review.

What a Hub can cause stands in `tests/acceptance/errors/every_error.json`; the command that is named there writes both.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

import jecp_mcp.calls.refusals as words
from jecp_mcp.calls import consent_refusals
from jecp_mcp.calls.ports import Caller, Charge, Decision, Question, Reply
from jecp_mcp.calls.prepared import PREPARED_MS
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Price
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import ClockWentBack, LedgerDamaged, LedgerUnavailable, SettingsError, WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.mandate.grants import MOST_QUESTIONS, GrantKind, GrantRef
from jecp_mcp.mandate.records import NotGood
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails import send_permit
from jecp_mcp.rails.ajp import outcome as hiring
from jecp_mcp.rails.ajp.declarations import distrusted
from jecp_mcp.rails.base import StoredRequest, account_changed
from jecp_mcp.rails.flow402 import outcome as flow402
from jecp_mcp.rails.flow402 import refusals as governed
from jecp_mcp.rails.jecp import rail, x402_payments
from jecp_mcp.rails.jecp.outcome import Lost, Unreadable, conclude
from jecp_mcp.rails.jecp.payment_methods import paid_by
from jecp_mcp.rails.paid_http import refusals as merchants
from jecp_mcp.rails.paid_http.refusals import Rejected
from jecp_mcp.rails.x402 import outcome as x402
from jecp_mcp.settings.ajp import AgentSettings
from jecp_mcp.tools.error_results import error_object
from jecp_mcp.tools.own import paid_http
from jecp_mcp.tools.types import Text
from jecp_mcp.wire.ajp.report import JobRefusal, JobReport, JobStatus
from jecp_mcp.wire.ajp.signatures import Coverage
from jecp_mcp.wire.x402.settlement import Settlement
from tests.unit.calls.test_refusals import row
from tests.unit.tools_results.scene import ACTION, context, refused

from .error_codes import every_code
from .shop import ACTIONS, INVOICE, SUMMARY, Account, Script, Shop, catalog, charged, good, lost, opened

PAID = x402.Paid(MicroUSDC(10_000), 10_000, "0x" + "a1" * 20, frozenset({"eip155:8453"}), first=True)
ASKED_OF = flow402.Asked(MicroUSDC(10_000), ("USDC",), first=True)
AGENT = AgentSettings(name="words", id="provenance:domain:agent.example")
HELD = MicroUSDC(50_000)
FILE = Path(__file__).with_name("own_refusals.json")
TOOL, VIDEO, ODD = "docs_invoice_render", "media_video_render", "data_odd_count"
GIVEN = {"n": 1}
BUYING = {"tool": TOOL, "arguments": GIVEN}

Play = Callable[[Shop], Awaitable[Any]]


@dataclass
class Person:
    """A person who answers the host's question, always the same."""

    decision: Decision
    why: str = ""
    can_ask: bool = True

    async def approve(self, _question: Question) -> Reply:
        return Reply(self.decision, self.why)

    async def show_link(self, _purpose: str, _message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        return Reply(self.decision, self.why, await make())


@dataclass(frozen=True)
class Scene:
    """How to get a refusal: the call that is refused, and what comes before it.

    Attributes:
        before: what happens first; what it returns are the arguments, if they are None here.
    """

    tool: str = TOOL
    arguments: Mapping[str, Any] | None = field(default_factory=lambda: GIVEN)
    mandate: Mapping[str, Any] = field(default_factory=dict)
    script: Script = good
    account: Callable[[], Account] = Account
    person: Person | None = None
    before: Play | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def buys(*others: Mapping[str, Any], **more: Any) -> Play:
    async def before(shop: Shop) -> None:
        for arguments in others or (GIVEN,):
            await shop.dispatcher.call(TOOL, arguments, Caller(LOCAL, **more))

    return before


async def prepared(shop: Shop) -> dict[str, Any]:
    made = (await shop.dispatcher.call("jecp_prepare", BUYING, Caller(LOCAL))).structured
    assert made is not None
    return {"prepared_id": made["prepared_id"]}


async def expired(shop: Shop) -> dict[str, Any]:
    made = await prepared(shop)
    shop.clock.at = UnixMs(shop.clock.at + PREPARED_MS + 1)
    return made


async def superseded(shop: Shop) -> dict[str, Any]:
    made = await prepared(shop)
    await prepared(shop)
    return made


def offered_instead(**changes: Any) -> Play:
    async def before(shop: Shop) -> dict[str, Any]:
        made = await prepared(shop)
        shop.registry.publish(catalog([replace(INVOICE, **changes), SUMMARY]))
        return made

    return before


async def withdrawn(shop: Shop) -> dict[str, Any]:
    made = await prepared(shop)
    shop.registry.publish(catalog([one for one in ACTIONS if one is not INVOICE]))
    return made


def in_state(state: str) -> Play:
    async def before(shop: Shop) -> dict[str, Any]:
        await buys()(shop)
        if state == "written off":
            shop.clock.at = UnixMs(shop.clock.at + 3_600_000)
            await shop.calls.recover()
        return {"call_id": "call_0001", "reason": "It is wrong."}

    return before


def ends(evidence: Any) -> Script:
    def script(request: StoredRequest, replay: bool) -> Outcome:
        return conclude([evidence], replay=replay, budget=request.hold)

    return script


def failing(request: StoredRequest, replay: bool) -> Outcome:
    raise RuntimeError("a fault of ours")


def refused_by(refusal: Refusal) -> Script:
    def script(_request: StoredRequest, _replay: bool) -> Outcome:
        return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, "nothing was sent")

    return script


def silent(request: StoredRequest, replay: bool) -> Outcome:
    return lost()


PDF = b"%PDF-1.7" + bytes(292)


def selling_pdf(request: StoredRequest, _replay: bool) -> Outcome:
    return charged(request, {"pdf": base64.b64encode(PDF).decode()})


async def without_room(shop: Shop) -> None:
    await buys()(shop)
    shutil.rmtree(shop.store._directory)
    shop.store._directory.write_text("no folder")


async def deleted(shop: Shop) -> dict[str, Any]:
    await buys()(shop)
    (kept,) = shop.store.list()
    kept.path.unlink()
    return {"uri": kept.uri}


def nameless(request: StoredRequest, replay: bool) -> Outcome:
    return replace(good(request, replay), reference=None)


ASKS = {"approve_above_usdc": "0.01"}

SCENES: dict[str, Scene] = {
    "arguments of the wrong kind": Scene(arguments={"n": "one"}),
    "arguments of jecp_call of the wrong kind": Scene("jecp_call", BUYING | {"arguments": {}}),
    "arguments of a tool of ours": Scene("jecp_topup", {"amount_usd": 7}),
    "an amount that is none": Scene("jecp_search", {"query": "x", "max_price_usdc": "much"}),
    "a tool that does not exist": Scene("docs_invioce_render"),
    "an action that jecp_call does not know": Scene("jecp_call", BUYING | {"tool": "docs/invioce:render"}),
    "an action that jecp_prepare does not know": Scene("jecp_prepare", BUYING | {"tool": "docs/invioce:render"}),
    "an action that jecp_describe does not know": Scene("jecp_describe", {"tool": "docs/invioce:render"}),
    "an action that is set aside": Scene("jecp_call", BUYING | {"tool": "data/bomb:count"}),
    "an action that the operator's settings leave out": Scene(
        "jecp_call", BUYING | {"tool": "law/nda:draft"}, left_out={"catalog.namespaces": ("law/nda:draft",)}
    ),
    "an action the operator denies": Scene(mandate={"deny": ["docs/*"]}),
    "a price over the cap": Scene(VIDEO),
    "a price over the cap for what it matches": Scene(
        mandate={"limits": [{"match": "docs/*", "per_call_usdc": "0.02"}]}
    ),
    "an action without a price": Scene(ODD),
    "a mandate that has ended": Scene(mandate={"expires_at": "2026-11-01T00:00:00Z"}),
    "a price above what the agent gave": Scene("jecp_call", BUYING | {"max_usdc": "0.01"}),
    "a most that is no amount": Scene("jecp_call", BUYING | {"max_usdc": "0.0000001"}),
    "a label for a tool that buys nothing": Scene("jecp_call", {"tool": "jecp_wallet", "arguments": {}, "label": "2"}),
    "another copy of a call whose answer was lost": Scene(
        "jecp_call", BUYING | {"label": "2"}, script=silent, before=buys()
    ),
    "an hour's limit that is full": Scene(arguments={"n": 2}, mandate={"hourly_usdc": "0.06"}, before=buys()),
    "a day's limit that is full": Scene(arguments={"n": 2}, mandate={"daily_usdc": "0.06"}, before=buys()),
    "a limit for ever that is full": Scene(arguments={"n": 2}, mandate={"total_usdc": "0.06"}, before=buys()),
    "a limit smaller than the price": Scene(mandate={"hourly_usdc": "0.03"}),
    "a limit for what it matches that is full": Scene(
        arguments={"n": 2}, mandate={"limits": [{"match": "docs/*", "hourly_usdc": "0.06"}]}, before=buys()
    ),
    "approval where nobody can be asked": Scene(mandate=ASKS),
    "approval that was dismissed": Scene(mandate=ASKS, person=Person(Decision.CANCELLED, "the question was dismissed")),
    "approval that took too long": Scene(mandate=ASKS, person=Person(Decision.CANCELLED, "nobody answered in time")),
    "approval on its way": Scene(mandate=ASKS, person=Person(Decision.WAITING)),
    "approval beside too many others": Scene(
        arguments={"n": 100}, mandate=ASKS, before=buys(*({"n": number} for number in range(MOST_QUESTIONS)))
    ),
    "approval refused": Scene(mandate=ASKS, person=Person(Decision.DECLINED)),
    "a first purchase from a provider": Scene(mandate={"approve_new_payees": True}),
    "a full limit that a person was asked about": Scene(
        arguments={"n": 2},
        mandate={"total_usdc": "0.06", "raise_limits_in_host": True},
        before=buys(),
        person=Person(Decision.DECLINED),
    ),
    "a prepared call that does not exist": Scene("jecp_execute", {"prepared_id": "prep_nobody"}),
    "a prepared call that expired": Scene("jecp_execute", None, before=expired),
    "a prepared call that was superseded": Scene("jecp_execute", None, before=superseded),
    "a prepared call whose price rose": Scene(
        "jecp_execute", None, before=offered_instead(price=Price(MicroUSDC(60_000)))
    ),
    "a version that is not sold": Scene("jecp_call", {"tool": "docs/invoice@9.0.0", "arguments": GIVEN}),
    "a prepared call of an older version": Scene("jecp_execute", None, before=offered_instead(version="2.0.0")),
    "a prepared call that is not sold any more": Scene("jecp_execute", None, before=withdrawn),
    "no account": Scene(script=good, account=lambda: Account(registered=False)),
    "no account for a top-up": Scene("jecp_topup", {"amount_usd": 5}, account=lambda: Account(registered=False)),
    "an account there is already": Scene("jecp_register", {}),
    "an account whose key cannot be kept": Scene(
        "jecp_register", {},
        account=lambda: Account(registered=False, fault=SettingsError("the keyring", "", "it is locked")),
    ),
    "a payment link to nowhere": Scene("jecp_topup", {"amount_usd": 5}, account=lambda: Account(checkout="https://evil.example/")),
    "an account that changed meanwhile": Scene(script=refused_by(account_changed())),
    "a Hub that is away": Scene(script=ends(Lost(sent=False, reason="connection refused"))),
    "an answer that was lost": Scene(script=ends(Lost(sent=True, reason="the connection was closed"))),
    "an answer that is none": Scene(script=ends(Unreadable(502, "the body is not JSON"))),
    "a call in doubt that is repeated": Scene(script=silent, before=buys()),
    "a call that nobody has": Scene("jecp_status", {"call_id": "call_nobody"}),
    "a fault of ours": Scene(script=failing),
    "a file that nobody has": Scene("jecp_file", {"uri": "jecp://artifact/" + "0" * 32}),
    "a file of a call that nobody has": Scene("jecp_file", {"call_id": "call_nobody"}),
    "a file of a call without one": Scene("jecp_file", {"call_id": "call_0001"}, before=buys()),
    "a file that is not named": Scene("jecp_file", {}),
    "a file beyond its end": Scene("jecp_file", {"call_id": "call_0001", "offset": 301}, script=selling_pdf, before=buys()),
    "a file that the disk cannot keep": Scene("jecp_file", {"call_id": "call_0001"}, script=selling_pdf, before=without_room),
    "a file that is gone from the disk": Scene("jecp_file", None, script=selling_pdf, before=deleted),
    "a refund for a call that nobody has": Scene("jecp_refund", {"call_id": "call_nobody", "reason": "x"}),
    "a refund without a reason": Scene("jecp_refund", {"call_id": "call_0001"}, before=buys()),
    "a refund for what is in doubt": Scene("jecp_refund", None, script=silent, before=in_state("in doubt")),
    "a refund for what is written off": Scene("jecp_refund", None, script=silent, before=in_state("written off")),
    "a refund of what has no transaction": Scene("jecp_refund", {"call_id": "call_0001", "reason": "x"}, script=nameless, before=buys()),
    "a refund for what was free": Scene("jecp_refund", None, script=refused_by(Refusal("PROVIDER_ERROR", "No.")), before=in_state("free")),
}  # fmt: skip

ASKED = Question(
    "local",
    "docs",
    "hub agent",
    "docs/invoice:render",
    MicroUSDC(50_000),
    QuoteKind.EXACT,
    "",
    "f",
    "It costs more than 0.01 USDC.",
    {},
)

STANDING: dict[str, tuple[Refusal, Charge]] = {
    "a ledger that cannot be written": (words.ledger_trouble(LedgerUnavailable("the disk is full")), Charge.NO),
    "a ledger that is damaged": (words.ledger_trouble(LedgerDamaged("row 7 was edited")), Charge.NO),
    "a ledger that cannot be read": (words.unreadable(LedgerUnavailable("the disk is gone")), Charge.UNKNOWN),
    "a clock that went back": (words.ledger_trouble(ClockWentBack(
        "the clock shows 2026-11-21T09:00:00.000Z, and the ledger was last written at 2026-11-21T10:00:00.000Z; what "
        "has left the limits' windows is not known"
    )), Charge.NO),
    "a clock that is ahead of the Hub's": (words.clock_wrong(400.0), Charge.NO),
    "a clock that leapt": (words.clock_leapt(90_000.0), Charge.NO),
    "a clock that is off the ledger server's": (words.clocks_apart(-90_000.0), Charge.NO),
    "a price that changed each time a person was asked": (consent_refusals.price_keeps_changing(ACTION), Charge.NO),
    "an offer that nothing here pays for": (words.no_rail(replace(ACTION, source="https://merchant.example")), Charge.NO),
    "a call that fits no request": (words.unwritable(WireError("the input is larger than 5 MB")), Charge.NO),
    "approval of what cannot be shown": (consent_refusals.not_showable(ASKED), Charge.NO),
    "a prepared call that another version wrote": (consent_refusals.prepared_unreadable(), Charge.NO),
    "an approval that was used up just now": (consent_refusals.not_good(NotGood(GrantRef(GrantKind.APPROVAL, "x"), None)), Charge.NO),
    "the identical call is running": (words.in_progress(row(State.SENT)), Charge.UNKNOWN),
    "an identical call is in doubt": (words.in_doubt(row(State.IN_DOUBT)), Charge.UNKNOWN),
    "a call in doubt for which a limit has no room": (
        words.held_back(row(State.IN_DOUBT), Refusal("LIMIT_REACHED", "full"), UnixMs(1_800_000_600_000)), Charge.UNKNOWN,
    ),
    "a call in doubt that the operator has forbidden since": (
        words.held_back(row(State.IN_DOUBT), Refusal("DENIED_BY_POLICY", "denied"), UnixMs(1_800_000_600_000)), Charge.UNKNOWN,
    ),
    "a call in doubt of another account": (words.account_not_here(row(State.IN_DOUBT)), Charge.UNKNOWN),
    "a call that another process took over": (words.taken_over(), Charge.UNKNOWN),
    "a clock that was set back on the way": (words.clock_set_back(), Charge.NO),
    "a ledger that takes minutes": (words.ledger_too_slow(), Charge.NO),
    "a call that could be sent no more": (send_permit._too_late(UnixMs(1_800_000_000_000)), Charge.NO),
    "a call that is over and was paid for": (words.standing(row(State.SETTLED)), Charge.YES),
    "a call that is over and was free": (words.standing(row(State.RELEASED)), Charge.NO),
    "a call that was written off": (words.standing(row(State.WRITTEN_OFF)), Charge.UNKNOWN),
    "a server that is closing": (words.shutting_down(ACTION), Charge.NO),
    "a server that closed during the call": (words.left_running(50_000), Charge.UNKNOWN),
    "no account on this machine": (rail._missing(), Charge.NO),
    "a merchant that is not listed": (merchants.not_listed(), Charge.NO),
    "no wallet that pays merchants": (merchants.no_wallet(), Charge.NO),
    "a merchant that gives no price": (merchants.unreachable(ExchangeFailed(sent=False, phase="connect", reason="no")), Charge.NO),
    "a merchant that refuses the request": (merchants.refused(HttpAnswer(404, {"content-type": "text/plain"}, b"no such thing")), Charge.NO),
    "a merchant that redirects the request": (merchants.refused(HttpAnswer(302, {"location": "https://other.example/"}, b"")), Charge.NO),
    "a merchant that asks for what nobody pays": (
        merchants.not_payable("none of its ways to pay may be used", [Rejected(0, "upto eip155:8453 USDC", "the scheme is not paid")]),
        Charge.NO,
    ),
    "a payment whose answer was lost": (x402.conclude(x402.Lost(sent=True, reason="the connection was lost"), PAID).refusal, Charge.UNKNOWN),
    "a merchant that took the payment and refused": (
        x402.conclude(x402.Answered(403, Answer(None, {}, Billing()), Settlement(True, "", ""), words="go away"), PAID).refusal,
        Charge.YES,
    ),
    "a payment that was taken and brought nothing": (x402.conclude(x402.OnChain(True), PAID).refusal, Charge.YES),
    "a payment that was never taken": (x402.conclude(x402.OnChain(False), PAID).refusal, Charge.NO),
    "an action that takes nothing the settings allow": (paid_by(replace(ACTION, extra={"payment_methods": ["x402"]}), "wallet", ""), Charge.NO),
    "an action paid by x402, without a key": (paid_by(replace(ACTION, extra={"payment_methods": ["x402"]}), "auto", ""), Charge.NO),
    "a Hub that asks for more than is held": (x402_payments._refused("it asks for 0.06 USDC, and 0.05 USDC are held for the call"), Charge.NO),
    "no key to the control plane": (governed.no_key(), Charge.NO),
    "a control plane that gives no token": (governed.no_token("connection refused"), Charge.NO),
    "a control plane that refuses the request": (flow402.conclude(flow402.RequestRefused(403, "Unsupported SDK version."), ASKED_OF).refusal, Charge.NO),
    "a control plane that denies the payment": (governed.denied("policy_denied", "The budget is spent.", None), Charge.NO),
    "a control plane whose operator must review the payment": (
        governed.denied("policy_review_required", "Above 0.01.", "11111111-2222-4333-8444-555555555555"), Charge.NO,
    ),
    "a control plane that cannot pay the merchant": (governed.impossible("preflight_incompatible", "No rail."), Charge.NO),
    "a control plane whose answer was lost": (flow402.conclude(flow402.Lost(sent=True, reason="reset"), ASKED_OF).refusal, Charge.UNKNOWN),
    "nothing to sign an offer with": (hiring.no_key("there is no key to sign offers with"), Charge.NO),
    "an agent that cannot be reached": (hiring.never_sent("connection refused", None).refusal, Charge.NO),
    "an agent whose key is another": (distrusted(AGENT, "its key is abc, and the setting fingerprint names another"), Charge.NO),
    "an agent that takes no job": (hiring.refused(403, JobRefusal("not today", "NO_PUBLIC_KEY"), None).refusal, Charge.NO),
    "an agent that takes no signature over the whole offer": (hiring.refused(401, JobRefusal(), None).refusal, Charge.NO),
    "an agent that is busy": (hiring.refused(429, JobRefusal("full"), 30).refusal, Charge.NO),
    "a job that was not done": (hiring.failed(JobReport("job_00000001", JobStatus.FAILED, None, message="no")).refusal, Charge.NO),
    "a job whose offer was lost": (hiring.in_doubt("no answer came (reset)", HELD).refusal, Charge.UNKNOWN),
    "a result by another key": (hiring.unproven(Coverage.WRONG, another=False, hold=HELD).refusal, Charge.UNKNOWN),
    "a result signed as before 0.3": (hiring.unproven(Coverage.LEGACY, another=False, hold=HELD).refusal, Charge.UNKNOWN),
    "a prepared request that lacks a field": (
        paid_http._incomplete([{"location": "body", "field": "text", "code": "missing_required_field"}]), Charge.NO,
    ),
}  # fmt: skip
"""What a shop does not come to: the real words, in the context of an ordinary call."""

_RANDOM = re.compile(r"\b(?:prep_[0-9A-Za-z_-]{12,}|[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}\b)")


async def told(scene: Scene, path: Path) -> dict[str, Any]:
    """What the refused call of a scene gets."""
    async with opened(
        path, scene.script, mandate=scene.mandate, account=scene.account(), left_out=scene.left_out
    ) as shop:
        arguments = scene.arguments
        if scene.before is not None:
            made = await scene.before(shop)
            arguments = made if arguments is None else arguments
        assert arguments is not None
        result = await shop.dispatcher.call(scene.tool, arguments, Caller(LOCAL, asker=scene.person))
    assert result.is_error, result.structured
    assert isinstance(result.blocks[0], Text)
    assert json.loads(result.blocks[0].text) == result.structured
    masked = _RANDOM.sub(lambda one: "prep_…" if one[0].startswith("prep_") else "CODE-CODE", result.blocks[0].text)
    found: dict[str, Any] = json.loads(masked)
    return found


def standing(name: str) -> dict[str, Any]:
    refusal, charge = STANDING[name]
    return error_object(refused(refusal, charge, None if charge is Charge.NO else "call_1"), context())


@pytest.fixture(scope="module")
def reviewed() -> dict[str, Any]:
    return dict(json.loads(FILE.read_text(encoding="utf-8")))


@pytest.mark.anyio
@pytest.mark.parametrize("name", SCENES)
async def test_a_refusal_reads_as_it_was_reviewed(reviewed: dict[str, Any], tmp_path: Path, name: str) -> None:
    assert await told(SCENES[name], tmp_path) == reviewed[name]


@pytest.mark.parametrize("name", STANDING)
def test_a_refusal_that_no_shop_comes_to_reads_as_it_was_reviewed(reviewed: dict[str, Any], name: str) -> None:
    assert standing(name) == reviewed[name]


def test_every_code_of_ours_is_among_them(reviewed: dict[str, Any]) -> None:
    ours = {one.code for one in every_code().values() if one.charged}
    assert reviewed.keys() == SCENES.keys() | STANDING.keys()
    assert ours == {found["error"]["code"] for found in reviewed.values()}


def test_a_code_is_documented_with_what_it_charges_and_who_acts_next(reviewed: dict[str, Any]) -> None:
    documented = every_code()
    for name, found in reviewed.items():
        code = documented[found["error"]["code"]]
        assert found["charged"] in code.charged, name
        assert found.get("next_action", {"actor": "nobody"})["actor"] in code.actors, name


async def _all() -> dict[str, Any]:
    made = {name: standing(name) for name in STANDING}
    for name, scene in SCENES.items():
        with tempfile.TemporaryDirectory() as path:
            made[name] = await told(scene, Path(path))
    return made


def write() -> None:
    """Write the file anew."""
    lines = [
        f"  {json.dumps(name)}:\n    {json.dumps(found, ensure_ascii=False)}"
        for name, found in sorted(anyio.run(_all).items())
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
