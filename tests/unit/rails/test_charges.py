"""What a charge counts as, however the Hub writes its amount; and what a bill beside a failure proves."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.calls.stored import dump_answer, load_answer
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, conclude
from jecp_mcp.rails.jecp.retries import next_wait
from jecp_mcp.wire.jecp.codes import CODES
from jecp_mcp.wire.jecp.envelope import parse_answer

HOLD = MicroUSDC(5_000)
MOST = 1_000_000 * 1_000_000


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
        ('{"charged":true,"amount_usdc":1000000}', MOST, False),
        ('{"charged":true,"amount_usdc":1000000.000001}', MOST, True),
        ('{"charged":true,"amount_usdc":1e9}', MOST, True),
        ('{"charged":true,"amount_usdc":2e9}', MOST, True),
        ('{"charged":true,"amount_usdc":"2000000000"}', MOST, True),
        ('{"charged":true,"amount_usdc":null,"cost_usdc":1}', 1_000_000, False),
        ('{"charged":true,"amount_usdc":"a lot","cost_usdc":1}', 1_000_000, True),
        ('{"charged":true,"amount_usdc":"a lot","cost_usdc":0.001}', HOLD, True),
        ('{"charged":true,"amount_usdc":0.00000123}', 2, False),
        ('{"charged":true,"amount_usdc":0.30000000000000004}', 300_001, False),
        ('{"charged":true,"amount_usdc":0.001,"currency":"EUR"}', HOLD, True),
        ('{"charged":true,"amount_usdc":3,"currency":"EUR"}', 3_000_000, True),
        ('{"charged":true,"amount_usdc":0.001,"currency":"USD"}', 1_000, False),
        ('{"charged":true,"amount_usdc":0.001,"currency":"usdc"}', 1_000, False),
        ('{"charged":true,"amount_usdc":0.001,"currency":null}', HOLD, True),
        ('{"cost_usdc":"five"}', HOLD, True),
        ("{}", HOLD, True),
    ],
)
def test_an_odd_amount_counts_as_what_it_says_or_at_least_the_hold(billing: str, counts: int, estimated: bool) -> None:
    found = concluded(envelope(billing, "success"))
    assert (found.verdict, found.amount, found.estimated) == (Verdict.CHARGED, counts, estimated)
    assert found.answer is not None
    assert load_answer(dump_answer(found.answer)) == found.answer


def test_the_sum_of_millions_of_lying_bills_is_still_a_number_that_a_ledger_holds() -> None:
    for said in ("1e9", "999999999.999999", '"1000000000"', "1e300"):
        found = concluded(envelope(f'{{"charged":true,"amount_usdc":{said}}}', "success"))
        assert found.amount * 9_000_000 < 2**63


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
    "said to be free where the error says it": {"error": {"billing": {"charged": False, "amount_usdc": 0.005}}},
    "said to be free at the top": {"charged": False, "amount_usdc": 0.005},
    "nothing at all": {"billing": None, "charged": None, "error": {"billing": False, "charged": None}},
}


def refused(code: str, extra: dict[str, Any]) -> Evidence:
    body = {"jecp": "1.0", "status": "failed", **extra}
    body["error"] = {"code": code, "message": "No.", **extra.get("error", {})}
    return Replied(parse_answer(json.dumps(body).encode(), {}, 400))


Place = Callable[[Any], dict[str, Any]]

WHERE_A_BILL_STANDS: dict[str, Place] = {
    "billing": lambda bill: {"billing": bill},
    "error.billing": lambda bill: {"error": {"billing": bill}},
    "error.details.billing": lambda bill: {"error": {"details": {"billing": bill}}},
    "details.billing": lambda bill: {"details": {"billing": bill}},
}
WHERE_A_WORD_STANDS: dict[str, Place] = {
    "charged": lambda word: {"charged": word},
    "error.charged": lambda word: {"error": {"charged": word}},
    "error.details.charged": lambda word: {"error": {"details": {"charged": word}}},
    "details.charged": lambda word: {"details": {"charged": word}},
} | {f"{name}.charged": (lambda word, put=put: put({"charged": word})) for name, put in WHERE_A_BILL_STANDS.items()}
FREE_WORDS: dict[str, dict[str, Any]] = {name: put(False) for name, put in WHERE_A_WORD_STANDS.items()}

WORDS: st.SearchStrategy[Any] = (
    st.sampled_from([True, 1, 0, "true", "True", "yes", "false", "1", "", [], {}, 0.005, "0.005", ["0.005"]])
    | st.text()
    | st.integers()
    | st.lists(st.booleans())
)
AMOUNTS = st.sampled_from([0.005, "0.005", "$0.005", 1, "five", -1, [], True])
BILLED: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["0.005", 0.005, True, "", [], [{"charged": True, "amount_usdc": 0.005}], ["tx_1"]]),
    st.builds(lambda key, said: {key: said}, st.sampled_from(["amount_usdc", "cost_usdc"]), AMOUNTS),
    st.just({"transaction_id": "tx_1"}),
    st.just({"charged": None, "transaction_id": 7}),
)


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both, part by part."""
    return one | other | {key: merged(one[key], other[key]) for key in one.keys() & other.keys()}


@pytest.mark.parametrize("place", WHERE_A_WORD_STANDS)
@given(word=WORDS, code=st.sampled_from(PROVEN_FREE), replay=st.booleans())
def test_no_spelling_of_charged_anywhere_gives_the_money_back(
    place: str, word: object, code: str, replay: bool
) -> None:
    evidence = refused(code, WHERE_A_WORD_STANDS[place](word))
    found = conclude([evidence], replay=replay, budget=HOLD).verdict
    plainly = place == "billing.charged" and word is True
    assert found is (Verdict.CHARGED if plainly else Verdict.IN_DOUBT)


@pytest.mark.parametrize("place", WHERE_A_BILL_STANDS)
@given(bill=BILLED, code=st.sampled_from(PROVEN_FREE))
def test_no_bill_anywhere_gives_the_money_back(place: str, bill: object, code: str) -> None:
    evidence = refused(code, WHERE_A_BILL_STANDS[place](bill))
    assert conclude([evidence], replay=False, budget=HOLD).verdict is Verdict.IN_DOUBT


@pytest.mark.parametrize(
    ("free", "place"),
    [(free, place) for free in FREE_WORDS for place in WHERE_A_BILL_STANDS if free != f"{place}.charged"],
)
@given(bill=BILLED, code=st.sampled_from(PROVEN_FREE))
def test_a_word_that_it_was_free_says_nothing_of_a_bill_elsewhere(
    free: str, place: str, bill: object, code: str
) -> None:
    evidence = refused(code, merged(FREE_WORDS[free], WHERE_A_BILL_STANDS[place](bill)))
    assert conclude([evidence], replay=False, budget=HOLD).verdict is Verdict.IN_DOUBT


@pytest.mark.parametrize("free", FREE_WORDS)
@given(code=st.sampled_from(PROVEN_FREE))
def test_a_word_that_it_was_free_changes_nothing_of_what_is_free(free: str, code: str) -> None:
    assert conclude([refused(code, FREE_WORDS[free])], replay=False, budget=HOLD).verdict is Verdict.NOT_CHARGED


def test_most_refusals_prove_that_nothing_was_charged() -> None:
    assert len(PROVEN_FREE) > 20


@pytest.mark.parametrize("bill", BILLS)
def test_a_refusal_beside_a_bill_is_in_doubt(bill: str) -> None:
    for code in PROVEN_FREE:
        found = conclude([refused(code, BILLS[bill])], replay=False, budget=HOLD)
        assert (found.verdict, found.amount) == (Verdict.IN_DOUBT, 0), code


@pytest.mark.parametrize("bill", NO_BILLS)
def test_a_refusal_that_bills_nothing_is_free(bill: str) -> None:
    for code in PROVEN_FREE:
        found = conclude([refused(code, NO_BILLS[bill])], replay=False, budget=HOLD)
        assert found.verdict is Verdict.NOT_CHARGED, code


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
