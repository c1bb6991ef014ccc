"""What a charge counts as, however the Hub writes its amount; and what a bill beside a failure proves."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.money import MOST_USDC, MicroUSDC
from jecp_mcp.rails.base import Outcome, Verdict
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, conclude, next_wait
from jecp_mcp.wire.codes import CODES
from jecp_mcp.wire.envelope import dump_answer, load_answer, parse_answer

HOLD = MicroUSDC(5_000)
MOST = MOST_USDC * 1_000_000


def envelope(billing: str, status: str) -> bytes:
    ending = '"result":{}' if status == "success" else '"error":{"code":"PROVIDER_ERROR","message":"No."}'
    return f'{{"jecp":"1.0","status":"{status}",{ending},"billing":{billing}}}'.encode()


def concluded(body: bytes, status: int = 200) -> Outcome:
    return conclude([Replied(parse_answer(body, {}, status))], replay=False, budget=HOLD)


NUMBERS = st.decimals(min_value=0, max_value=10**11, allow_nan=False, allow_infinity=False).map(str)
READABLE = NUMBERS | NUMBERS.map(lambda text: f'"{text}"') | NUMBERS.map(lambda text: f'"${text}"')
JUNK = st.sampled_from(['"5,00"', '"-1"', "-3", '"five"', "[]", "{}", "true", '"5 EUR"'])


def worth(text: str) -> Fraction:
    return Fraction(text.strip('"').removeprefix("$")) * 1_000_000


@pytest.mark.parametrize("status", ["success", "failed"])
@given(amounts=st.lists(READABLE | JUNK | st.just("null"), min_size=2, max_size=2))
def test_a_charge_never_counts_less_than_any_amount_that_was_said_nor_more_than_a_micro_above_it(
    status: str, amounts: list[str]
) -> None:
    found = concluded(envelope(f'{{"charged":true,"amount_usdc":{amounts[0]},"cost_usdc":{amounts[1]}}}', status))
    said = [worth(one) for one in amounts if one.strip('"$')[:1].isdigit() and "," not in one and "EUR" not in one]
    whole = bool(said) and len(said) == sum(one != "null" for one in amounts) and all(one <= MOST for one in said)
    assert found.verdict is Verdict.CHARGED
    assert found.estimated is not whole
    least = max([Fraction(0), *(min(one, Fraction(MOST)) for one in said)])
    if whole:
        assert found.amount - 1 < max(said) <= found.amount
    else:
        assert found.amount >= max(least, HOLD)
        assert found.amount <= max(least + 1, HOLD)
        assert found.evidence.endswith("cannot be read")


@pytest.mark.parametrize(
    ("billing", "counts", "estimated"),
    [
        ('{"charged":true,"amount_usdc":5.0000001}', 5_000_001, False),
        ('{"charged":true,"amount_usdc":"$5.00"}', 5_000_000, False),
        ('{"charged":true,"amount_usdc":2e9}', MOST, True),
        ('{"charged":true,"amount_usdc":"2000000000"}', MOST, True),
        ('{"charged":true,"amount_usdc":null,"cost_usdc":1}', 1_000_000, False),
        ('{"charged":true,"amount_usdc":"a lot","cost_usdc":1}', 1_000_000, True),
        ('{"charged":true,"amount_usdc":"a lot","cost_usdc":0.001}', HOLD, True),
        ('{"charged":true,"amount_usdc":0.00000123}', 2, False),
        ('{"charged":true,"amount_usdc":0.30000000000000004}', 300_001, False),
        ('{"charged":true,"amount_usdc":0.001,"currency":"EUR"}', HOLD, True),
        ('{"charged":true,"amount_usdc":3,"currency":"EUR"}', 3_000_000, True),
        ('{"cost_usdc":"five"}', HOLD, True),
        ("{}", HOLD, True),
    ],
)
def test_an_odd_amount_counts_as_what_it_says_or_at_least_the_hold(billing: str, counts: int, estimated: bool) -> None:
    found = concluded(envelope(billing, "success"))
    assert (found.verdict, found.amount, found.estimated) == (Verdict.CHARGED, counts, estimated)
    assert found.answer is not None
    assert load_answer(dump_answer(found.answer)) == found.answer


# A refusal that proves that nothing was charged, as long as it bills nothing.
PROVEN_FREE = [entry.code for entry in CODES.values() if concluded(
    json.dumps({"jecp": "1.0", "status": "failed", "error": {"code": entry.code, "message": "No."}}).encode(), 400
).verdict is Verdict.NOT_CHARGED]  # fmt: skip

BILLS: dict[str, dict[str, Any]] = {
    "an amount": {"billing": {"amount_usdc": 0.005}},
    "the other dialect's amount": {"billing": {"cost_usdc": "0.005", "method": "wallet"}},
    "a tiny amount": {"billing": {"amount_usdc": 0.0000001}},
    "an amount that cannot be read": {"billing": {"amount_usdc": "five"}},
    "an amount beyond measure": {"billing": {"amount_usdc": 2_000_000_000}},
    "a transaction": {"billing": {"transaction_id": "tx_1"}},
    "a transaction by number": {"billing": {"transaction_id": 17, "amount_usdc": 0}},
    "a word for whether": {"billing": {"charged": "false", "amount_usdc": 0.005}},
    "a transaction at the top": {"transaction_id": "tx_1"},
    "an amount at the top": {"amount_usdc": 0.005},
    "a bill in the error": {"error": {"billing": {"amount_usdc": 0.005}}},
    "a bill in the details": {"error": {"details": {"billing": {"transaction_id": "tx_1"}}}},
}
NO_BILLS: dict[str, dict[str, Any]] = {
    "none": {},
    "nothing taken": {"billing": {"amount_usdc": 0, "transaction_id": None}},
    "said to be free": {"billing": {"charged": False, "amount_usdc": 0.005, "transaction_id": "tx_1"}},
    "a price beside a balance": {"error": {"details": {"price_usdc": 0.005, "balance_usdc": 0, "amount_usdc": 0.005}}},
    "no object": {"billing": "0.005"},
}


def refused(code: str, extra: dict[str, Any]) -> Evidence:
    body = {"jecp": "1.0", "status": "failed", **extra}
    body["error"] = {"code": code, "message": "No.", **extra.get("error", {})}
    return Replied(parse_answer(json.dumps(body).encode(), {}, 400))


def test_most_refusals_prove_that_nothing_was_charged() -> None:
    assert len(PROVEN_FREE) > 20


@pytest.mark.parametrize("code", PROVEN_FREE)
@pytest.mark.parametrize("bill", BILLS)
def test_a_refusal_beside_a_bill_is_in_doubt(code: str, bill: str) -> None:
    found = conclude([refused(code, BILLS[bill])], replay=False, budget=HOLD)
    assert (found.verdict, found.amount) == (Verdict.IN_DOUBT, 0)


@pytest.mark.parametrize("code", PROVEN_FREE)
@pytest.mark.parametrize("bill", NO_BILLS)
def test_a_refusal_that_bills_nothing_is_free(code: str, bill: str) -> None:
    assert conclude([refused(code, NO_BILLS[bill])], replay=False, budget=HOLD).verdict is Verdict.NOT_CHARGED


def test_a_bill_says_nothing_against_a_plain_word() -> None:
    billing = {"charged": True, "amount_usdc": Decimal("0.0050001")}
    body = json.dumps(
        {"status": "failed", "jecp": "1.0", "error": {"code": "PROVIDER_ERROR"}, "billing": billing}, default=float
    )
    found = concluded(body.encode(), 502)
    assert (found.verdict, found.amount) == (Verdict.CHARGED, 5_001)


@pytest.mark.parametrize("bill", BILLS)
def test_what_a_bill_left_open_is_not_closed_by_a_later_refusal(bill: str) -> None:
    attempts = [refused("PROVIDER_ERROR", BILLS[bill]), Lost(sent=False, reason="away")]
    assert next_wait(attempts, replay=False, jitter=0.5, left=60) is not None
    attempts += [refused("PROVIDER_ERROR", {})]
    assert conclude(attempts, replay=False, budget=HOLD).verdict is Verdict.IN_DOUBT
