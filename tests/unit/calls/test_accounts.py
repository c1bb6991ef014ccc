"""Two accounts on one ledger, as with two Hubs: neither takes the other's payees, money or refunds for its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.domain.outcomes import Refunded
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import ToolFault
from jecp_mcp.mandate.grants import GrantKind, GrantRef
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import MandateSettings
from jecp_mcp.tools.codes import NOT_REFUNDABLE
from jecp_mcp.tools.own import refunds
from jecp_mcp.tools.own.wallet import Wallet
from jecp_mcp.tools.publishing.links import LinkPolicy
from tests.unit.calls.test_pipeline import StillClock, always_charged, buying, opened

pytestmark = pytest.mark.anyio


async def test_who_was_paid_at_one_hub_is_new_at_another(tmp_path: Path) -> None:
    mandate = MandateSettings(approve_new_payees=True)
    async with opened(tmp_path, always_charged) as (calls, _rail, _ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        assert (await calls.pay(buying(n=2), Caller(LOCAL))).charge is Charge.YES
        rail.account = "another agent"
        end = await calls.pay(buying(n=3), Caller(LOCAL))
    assert end.refusal is not None
    assert (end.charge, end.refusal.code) == (Charge.NO, codes.APPROVAL_REQUIRED)


async def test_an_approval_given_for_one_account_buys_nothing_from_another(tmp_path: Path) -> None:
    mandate = MandateSettings(approve_above_usdc="0.01")
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        asked = await calls.pay(buying(), Caller(LOCAL))
        assert asked.refusal is not None
        [grant] = await ledger.grants(GrantKind.APPROVAL)
        await ledger.answer_grant(GrantRef(GrantKind.APPROVAL, grant.grant_id), granted=True, note="at the terminal")
        rail.account = "another agent"
        again = await calls.pay(buying(), Caller(LOCAL))
        assert again.refusal is not None
        assert (again.refusal.code, rail.sent) == (codes.APPROVAL_REQUIRED, [])


async def test_the_wallet_shows_its_own_accounts_balance(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        wallet = Wallet(calls, calls._policy, StillClock())
        await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        assert ((await wallet.overview(LOCAL))["balance_usdc"], await wallet.balance(LOCAL)) == ("0.000007", 7)
        rail.account = "another agent"
        shown = await wallet.overview(LOCAL)
        assert (shown["balance_usdc"], await wallet.balance(LOCAL), shown["charged_usdc"]) == (None, None, "0.10")


async def test_a_refund_of_one_account_is_not_credited_to_anothers_call(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        rail.paid_back = [Refunded("tx_1", MicroUSDC(90_000), "refunded: rf_1")]
        account, rail.account = rail.account, "another agent"
        assert await calls.note_refunds() == 0
        rail.account = account
        assert await calls.note_refunds() == 1


async def test_another_accounts_payment_is_not_asked_back_here(tmp_path: Path) -> None:
    class Hub:
        async def request_refund(self, *_: str) -> None:
            raise AssertionError("the Hub was asked for another account's payment")

    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        rail.account = "another agent"
        asked = {"call_id": end.call_id, "reason": "wrong"}
        with pytest.raises(ToolFault) as fault:
            await refunds.refund(calls, Hub(), asked, Caller(LOCAL), LinkPolicy("https://hub.example"))  # type: ignore[arg-type]
    assert fault.value.code == codes.ACCOUNT_NOT_HERE


async def test_what_was_bought_in_a_way_without_refunds_is_not_asked_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, always_charged) as (calls, _, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        monkeypatch.setattr(type(calls._rails), "accounts", ())
        asked = {"call_id": end.call_id, "reason": "wrong"}
        with pytest.raises(ToolFault, match="knows no refund") as fault:
            await refunds.refund(calls, object(), asked, Caller(LOCAL), LinkPolicy("https://hub.example"))  # type: ignore[arg-type]
    assert fault.value.code == NOT_REFUNDABLE
