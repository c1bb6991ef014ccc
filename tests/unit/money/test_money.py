"""Amounts are exact: what is accepted, what is refused, and how they are written."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.errors import MoneyError, TooMuchMoney
from jecp_mcp.money import MOST_USDC, format_usdc, parse_balance, parse_charge, parse_price, parse_usdc


@pytest.mark.parametrize(
    ("value", "micro"),
    [
        ("0", 0), ("0.000001", 1), (" 0.25 ", 250_000), ("1.500000", 1_500_000), ("0.2500000000", 250_000),
        (0, 0), (3, 3_000_000), (Decimal("0.1"), 100_000), (Decimal("1E+2"), 100_000_000), (Decimal("-0"), 0),
        (str(MOST_USDC), MOST_USDC * 1_000_000), (MOST_USDC, MOST_USDC * 1_000_000),
    ],
)  # fmt: skip
def test_an_amount_is_read_to_the_last_millionth(value: object, micro: int) -> None:
    found = parse_usdc(value)
    assert found == micro
    assert type(found) is int


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (0.25, "an amount must be decimal text, not float"), (True, "not bool"), (None, "not NoneType"),
        (b"1", "not bytes"), ([], "not list"),
        ("", "'' is not an amount in USDC"), ("-1", "'-1' is not an amount"), ("1e3", "'1e3' is not an amount"),
        ("1,5", "is not an amount"), ("٣", "is not an amount"), (".5", "is not an amount"), ("5.", "is not an amount"),
        ("NaN", "is not an amount"), ("12345678901", "is not an amount"),
        (Decimal("NaN"), "must be a finite number"), (Decimal("Infinity"), "must be a finite number"),
        (Decimal("-0.000001"), "must not be negative"), (-1, "must not be negative"),
        (MOST_USDC + 1, "must not exceed 1000000000 USDC"), (f"{MOST_USDC}.000001", "must not exceed"),
        ("0.0000001", "at most six decimals"), (Decimal("0.1234567"), "at most six decimals"),
        ("0.25" + "0" * 50 + "1", "at most six decimals"), (Decimal("1E-60"), "at most six decimals"),
        (Decimal("9." + "9" * 60), "at most six decimals"),
    ],
)  # fmt: skip
def test_what_is_not_exactly_an_amount_is_refused_and_the_refusal_says_why(value: object, why: str) -> None:
    with pytest.raises(MoneyError, match=why):
        parse_usdc(value)


def test_a_refusal_repeats_no_more_than_the_beginning_of_a_strangers_text() -> None:
    with pytest.raises(MoneyError) as text:
        parse_usdc("x" * 9_000)
    assert str(text.value).count("x") == 40
    with pytest.raises(MoneyError) as currency:
        parse_price("1", "x" * 9_000)
    assert str(currency.value).startswith(f"the currency '{'x' * 20}' is unknown")


DIGITS = st.integers(min_value=0, max_value=10**60)


@given(digits=DIGITS, exponent=st.integers(min_value=-300, max_value=9), written=st.booleans())
def test_what_was_charged_is_rounded_up_to_the_micro_and_a_balance_down(
    digits: int, exponent: int, written: bool
) -> None:
    amount = Decimal(digits).scaleb(exponent) if digits < 10**28 else Decimal(f"{digits}E{exponent}")
    said = str(amount) if written else amount
    exact = Fraction(digits) * Fraction(10) ** exponent * 1_000_000
    if exact > MOST_USDC * 1_000_000:
        for read in (parse_charge, parse_balance):
            with pytest.raises(TooMuchMoney, match="more than 1000000000 USDC was said"):
                read(said)
        return
    up, down = parse_charge(said), parse_balance(said)
    assert up - 1 < exact <= up
    assert down <= exact < down + 1


@pytest.mark.parametrize(
    ("said", "micro"),
    [
        ("$5.00", 5_000_000), ("5 USDC", 5_000_000), ("5.0000001 USD", 5_000_001), (Decimal("5.0000001"), 5_000_001),
        (Decimal("0.30000000000000004"), 300_001), (Decimal("0.00000123"), 2), (Decimal("1E-999999"), 1),
        (Decimal("1E-999999999"), 1), (Decimal("-0.0"), 0), ("1e-3", 1_000), ("1." + "0" * 90 + "1", 1_000_001), (2, 2_000_000),
        (MOST_USDC, MOST_USDC * 1_000_000),
    ],
)  # fmt: skip
def test_what_was_charged_is_read_however_it_is_written(said: object, micro: int) -> None:
    assert parse_charge(said) == micro


@pytest.mark.parametrize(
    "said",
    [None, True, 0.25, [], {}, "", "$", "-1", -1, Decimal("-0.0000001"), "5,00", "1,000.00", "5 EUR", "EUR 5", "NaN",
     Decimal("NaN"), Decimal("Infinity"), "five", "\u0665", "0x5", "1_000"],
)  # fmt: skip
def test_what_names_no_amount_is_no_charge_of_any(said: object) -> None:
    with pytest.raises(MoneyError) as caught:
        parse_charge(said)
    assert not isinstance(caught.value, TooMuchMoney)


@pytest.mark.parametrize("value", ["$0.005", " $ 0.005 ", "0.005", Decimal("0.005")])
def test_a_price_may_carry_a_dollar_sign(value: object) -> None:
    assert parse_price(value) == 5_000


@pytest.mark.parametrize("currency", ["USD", "USDC", "usd", "usdc"])
def test_a_price_is_quoted_in_usd_or_usdc(currency: str) -> None:
    assert parse_price("1", currency) == 1_000_000


@pytest.mark.parametrize("currency", ["EUR", "", None, 840])
def test_a_price_in_another_currency_is_refused(currency: object) -> None:
    with pytest.raises(MoneyError, match=f"{str(currency)!r} is unknown"):
        parse_price("1", currency)


@pytest.mark.parametrize("price", ["0.005$", "$$1", "-$1", "$"])
def test_a_price_with_a_misplaced_dollar_sign_is_refused(price: str) -> None:
    with pytest.raises(MoneyError):
        parse_price(price)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"), (1, "0.000001"), (5_000, "0.005"), (10_000, "0.01"), (100_000, "0.10"), (250_000, "0.25"),
        (1_000_000, "1.00"), (1_500_000, "1.50"), (2_000_001, "2.000001"), (100_000_000, "100.00"), (-1, "-0.000001"),
        (-1_500_000, "-1.50"),
    ],
)  # fmt: skip
def test_an_amount_is_written_whole_with_at_least_two_decimals(amount: int, text: str) -> None:
    assert format_usdc(amount) == text
