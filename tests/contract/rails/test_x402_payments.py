"""Calls at a Hub that are paid by x402: which are, what is never signed, and what becomes of each end."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli.checks.paid_http import hub_payment_findings
from jecp_mcp.sandbox.x402_payments import SPLITTER
from jecp_mcp.settings import PaidHttpSettings
from jecp_mcp.settings.wallet_key import SANDBOX_FILE
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.hub_x402_house import EITHER, ONLY, PRICE, WALLET, House, X402Hub, house, x402_hub
from tests.x402_sandbox import PaidHttp, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SETTLED = ("settled", PRICE, PRICE)
OTHER = "0x" + "11" * 20


@pytest.fixture(scope="module")
def shop() -> Iterator[PaidHttp]:
    with serving() as served:
        yield served


@pytest.fixture(scope="module", params=["reference", "spec"])
def served(request: pytest.FixtureRequest, shop: PaidHttp) -> Iterator[X402Hub]:
    with x402_hub(shop, request.param) as hub:
        yield hub


@pytest.fixture
def hub(served: X402Hub) -> Iterator[X402Hub]:
    served.wallet("0")
    yield served
    served.put_right()


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The digests that were signed."""
    seen: list[bytes] = []
    sign = PrivateKey.sign

    def signing(self: PrivateKey, digest: bytes) -> bytes:
        seen.append(digest)
        return sign(self, digest)

    monkeypatch.setattr(PrivateKey, "sign", signing)
    return seen


def refused(found: dict[str, Any], code: str, charged: str = "no") -> dict[str, Any]:
    assert (found.get("error", {}).get("code"), found.get("charged")) == (code, charged), found
    return found


async def later(home: House) -> None:
    """Let everything be final, and whatever is open be found out about."""
    home.pass_time(700)
    for _ in range(2):
        await home.bridge.calls.recover()
        await home.bridge.ledger.flush()


@pytest.mark.parametrize(("payment", "tool"), [("auto", EITHER), ("auto", ONLY), ("x402", EITHER), ("x402", ONLY)])
@pytest.mark.requirement("PAYMENT-3-1")
async def test_an_action_is_bought_by_x402_and_the_chain_confirms_it(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, payment: str, tool: str
) -> None:
    if payment == "x402":
        hub.wallet("1")
    async with house(tmp_path, hub, monkeypatch, payment) as home:
        found = await home.call(tool)
        assert found.get("receipt", {}).get("charged") == "yes", found
        assert home.paid == [PRICE]
        assert await home.books() == SETTLED
        assert hub.sold()[-1] == ("x402", PRICE)
        assert await home.marks() == ["authorized"]
        row = await home.row()
        assert (row.rail, row.account) == ("jecp", f"{hub.url} {hub.agent_id}")
        assert row.look_again_at is not None, "a receipt is the Hub's word"
        await later(home)
        assert (await home.row()).look_again_at is None
        assert await home.books() == SETTLED


async def test_a_wallet_that_is_enough_pays_first(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes]
) -> None:
    hub.wallet("1")
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        assert (await home.call(EITHER))["receipt"]["charged"] == "yes"
        assert await home.books() == SETTLED
        assert hub.sold()[-1] == ("wallet", PRICE)
        assert home.paid == signed == []


@pytest.mark.parametrize(("balance", "code"), [("0", "NOT_REFUNDABLE"), ("1", None)])
async def test_money_is_asked_back_only_of_who_holds_it(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, balance: str, code: str | None
) -> None:
    """A payment by signature went to the payee's wallet, and a Hub's refund of it could be no more than words."""
    hub.wallet(balance)
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        call_id = (await home.call(EITHER))["receipt"]["call_id"]
        found = await home.call("jecp_refund", call_id=call_id, reason="It is wrong.")
        if code is None:
            assert found["status"] == "requested"
            again = refused(await home.call("jecp_refund", call_id=call_id, reason="It is wrong."), "DUPLICATE_REFUND")
            assert again["error"]["message"].endswith(" Asking charged nothing.")
        else:
            refused(found, code)
            assert "Asking charged nothing." in found["error"]["message"]
            assert "Nothing was charged" not in str(found)


@pytest.mark.parametrize(
    ("payment", "tool", "key", "code"),
    [
        ("wallet", ONLY, True, "PAYMENT_METHOD_OFF"),
        ("x402", WALLET, True, "PAYMENT_METHOD_OFF"),
        ("x402", EITHER, False, "WALLET_MISSING"),
        ("auto", ONLY, False, "WALLET_MISSING"),
    ],
)
async def test_what_the_settings_cannot_pay_is_refused_before_anything_is_sent(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, payment: str, tool: str, key: bool, code: str
) -> None:
    hub.wallet("1")
    async with house(tmp_path, hub, monkeypatch, payment, key=key) as home:
        sold = hub.sold()
        found = refused(await home.call(tool), code)
        assert found["next_action"]["actor"] == "operator"
        assert await home.rows() == []
        assert hub.sold() == sold


async def test_without_a_key_the_hubs_own_refusal_stands(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, hub, monkeypatch, "auto", key=False) as home:
        assert refused(await home.call(EITHER), "PAYMENT_REQUIRED")["next_action"]["tool"] == "jecp_topup"


async def test_a_call_above_the_limit_is_refused_before_the_hub_is_asked(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes]
) -> None:
    async with house(tmp_path, hub, monkeypatch, "auto", mandate={"per_call_usdc": "0.004"}) as home:
        assert (await home.call(EITHER))["charged"] == "no"
        assert await home.rows() == []
        assert home.paid == signed == []


FORBIDDEN: list[tuple[dict[str, Any], str]] = [
    ({"max_amount_required": str(PRICE + 1)}, "held for the call"),
    ({"max_amount_required": "0"}, "it asks for nothing"),
    ({"max_timeout_seconds": 5}, "within 5 seconds"),
    ({"network": "base"}, "does not pay on"),
    ({"asset_decimals": 2}, "has 6 decimals"),
    ({"extra": {"name": "Another", "version": "1"}}, "EIP-712 name"),
    ({"pay_to": "0x" + "00" * 20}, "zero address"),
    ({"scheme": "upto"}, "only exact"),
]


@pytest.mark.parametrize("payment", ["auto", "x402"])
async def test_what_the_hub_asks_can_never_raise_what_was_reserved_nor_change_what_is_paid_with(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes], payment: str
) -> None:
    async with house(tmp_path, hub, monkeypatch, payment) as home:
        for changes, says in FORBIDDEN:
            with pytest.MonkeyPatch.context() as patch:
                _asking(patch, changes)
                found = refused(await home.call(EITHER, text=says), "CHALLENGE_REFUSED")
            assert says in found["error"]["message"]
        rows = await home.rows()
        assert {(row.state.value, row.mark) for row in rows} == {("released", None)}
        assert len(rows) == len(FORBIDDEN)
        assert home.paid == signed == []


def _asking(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    """Let the Hub ask for something else than its facilitator would take."""
    from jecp_mcp.sandbox import x402_payments

    written = x402_payments.from_version_1
    monkeypatch.setattr(x402_payments, "from_version_1", lambda *given: {**written(*given), **changes})


async def test_a_hub_may_ask_for_less(tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "jecp_mcp.sandbox.x402_payments.requirements"
    from jecp_mcp.sandbox.x402_payments import requirements

    for where in (asked, "jecp_mcp.sandbox.hub.requirements", "jecp_mcp.sandbox.call_checks.requirements"):
        monkeypatch.setattr(where, lambda *given: {**requirements(*given), "maxAmountRequired": "4000"})
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        assert (await home.call(EITHER))["receipt"]["charged"] == "yes"
        assert home.paid == [4_000]
        assert await home.books() == ("settled", PRICE, 4_000)


async def test_the_first_recipient_is_the_only_one_unless_the_settings_name_them(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes]
) -> None:
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        assert (await home.call(EITHER))["receipt"]["charged"] == "yes"
        signed.clear()
        _asking(monkeypatch, {"pay_to": OTHER})
        found = refused(await home.call(EITHER, text="another"), "CHALLENGE_REFUSED")
        assert OTHER in found["error"]["message"]
        assert signed == []
    async with house(tmp_path / "named", hub, monkeypatch, "auto", x402_pay_to=[SPLITTER]) as home:
        found = refused(await home.call(EITHER), "CHALLENGE_REFUSED")
        assert "does not let" in found["error"]["message"]
        assert signed == []


CODES = (
    "X402_PAYMENT_INVALID",
    "X402_NOT_ACCEPTED",
    "X402_SETTLEMENT_TIMEOUT",
    "X402_FACILITATOR_UNREACHABLE",
    "X402_SETTLEMENT_REUSED",
)


async def test_after_a_payment_was_sent_no_code_of_x402s_frees_it_before_the_chain_does(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes]
) -> None:
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        for code in CODES:
            hub.fault(f"code:{code}")
            found = refused(await home.call(EITHER, text=code), code, "unknown")
            assert found["next_action"]["tool"] == "jecp_status"
            hub.fault(f"code:{code}")
            again = await home.call(EITHER, text=code)
            assert again["charged"] == "unknown"
            assert again["call_id"] == found["call_id"], "no second call while one is open"
        assert {row.state.value for row in await home.rows()} == {"in_doubt"}
        assert len(set(signed)) == len(CODES), "no second authorization while one is open"
        hub.fault(f"code:{CODES[0]}", times=50)
        await later(home)
        assert {row.state.value for row in await home.rows()} == {"in_doubt"}, "such a code comes before the look-up"
        hub.put_right()
        await later(home)
        assert {(row.state.value, row.charged) for row in await home.rows()} == {("reconciled_free", 0)}
        assert home.paid == []
        assert len(set(signed)) == len(CODES)


async def test_a_payment_that_was_taken_is_charged_whatever_the_hub_said(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes]
) -> None:
    codes = (*CODES, "PROVIDER_ERROR", "INTERNAL_ERROR")
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        for code in codes:
            hub.fault(f"code:{code}", after_settlement=True)
            found = await home.call(EITHER, text=code)
            assert found["charged"] == "unknown"
            # The Hub knows the settlement and says so; it never did the work.
            status = await home.call("jecp_status", call_id=found["call_id"])
            assert status["charged"] == "yes", status
        await later(home)
        assert {(row.state.value, row.charged) for row in await home.rows()} == {("reconciled_charged", PRICE)}
        assert home.paid == [PRICE] * len(codes)
        assert len(set(signed)) == len(codes)


LOSSES: list[tuple[str, dict[str, Any]]] = [
    ("drop_after_charge", {}),
    ("status:502 html", {"after_charge": True}),
    ("code:X402_SETTLEMENT_TIMEOUT", {"after_charge": True}),
    ("drop_before", {}),
    ("status:502 html", {}),
]


async def test_a_lost_answer_is_fetched_with_the_identical_payment(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes]
) -> None:
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        for number, (fault, more) in enumerate(LOSSES):
            hub.fault(fault, **more)
            found = await home.call(EITHER, text=str(number))
            assert found["charged"] == "unknown", found
            step = found["next_action"]
            bought = await home.call(step["tool"], **step["arguments"])
            assert bought.get("receipt", {}).get("charged") == "yes", bought
        assert home.paid == [PRICE] * len(LOSSES)
        assert {(row.state.value, row.charged) for row in await home.rows()} == {("reconciled_charged", PRICE)}
        assert len(set(signed)) == len(LOSSES)


async def test_without_nodes_a_payment_whose_end_is_lost_stays_counted(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fault("drop_before", times=50)
    async with house(tmp_path, hub, monkeypatch, "auto", nodes=False) as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
        await later(home)
        assert await home.books() == ("in_doubt", PRICE, 0)
        home.pass_time(86_400)
        await home.bridge.calls.recover()
        assert await home.books() == ("written_off", PRICE, 0)


async def test_the_chain_alone_frees_nothing_while_the_hub_is_silent(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fault("drop_before", times=50)
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
        await later(home)
        assert await home.books() == ("in_doubt", PRICE, 0), (
            "a Hub that took it for a call of the wallet's has not spoken"
        )
        hub.put_right()
        await later(home)
        assert await home.books() == ("reconciled_free", PRICE, 0)
        assert home.paid == []


async def test_a_call_in_doubt_is_finished_after_the_settings_changed(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secrets.token_bytes(32)
    hub.fault("drop_after_charge")
    async with house(tmp_path, hub, monkeypatch, "auto", secret=secret) as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
    async with house(tmp_path, hub, monkeypatch, "wallet", secret=secret) as home:
        await later(home)
        assert (await home.books())[2] == PRICE


async def test_a_payment_written_down_is_not_sent_once_its_action_is_denied_and_is_free_once_it_cannot_be_taken(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, signed: list[bytes]
) -> None:
    secret = secrets.token_bytes(32)
    hub.fault("drop_before")
    async with house(tmp_path, hub, monkeypatch, secret=secret) as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
        home.pass_time(60)
    mandate = {"deny": ["lab/counting:*"]}
    async with house(tmp_path, hub, monkeypatch, secret=secret, mandate=mandate) as home:
        home.clock.ahead += 60
        await home.bridge.calls.recover()
        assert (await home.books(), home.paid) == (("in_doubt", PRICE, 0), [])
        await later(home)
        assert (await home.books(), home.paid) == (("reconciled_free", PRICE, 0), [])


async def test_the_doctor_says_who_pays_the_hub_and_what_is_missing(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, hub, monkeypatch, "auto") as home:
        start = home.bridge.start
        said = [(one.level.value, one.what) for one in await hub_payment_findings(start)]
        assert [level for level, _ in said] == ["ok", "ok"]
        assert home.wallet.address in said[0][1]
        assert "holds 25.00 SANDBOX-USD" in said[1][1]
        [lacking] = await hub_payment_findings(dataclasses.replace(start, play_wallet=None))
        assert (lacking.level.value, lacking.what) == (
            "fault",
            f"there is no key to play money in {tmp_path / SANDBOX_FILE}",
        )
        other = start.settings.model_copy(update={"paid_http": PaidHttpSettings()})
        [wrong] = await hub_payment_findings(dataclasses.replace(start, settings=other))
        assert f"the Hub at {start.settings.hub.base_url} is on this machine" in wrong.what
        assert wrong.money == "nothing starts, so nothing can be bought"
