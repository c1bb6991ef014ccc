import random
from typing import Any

import pytest

from jecp_mcp.rails.x402.selection import MOST_PER_CALL, Choice, Wanted, choose
from jecp_mcp.rails.x402.wiring import KNOWN
from jecp_mcp.wire.x402.challenge import Challenge, PaymentOption, read_challenge
from tests.unit.wire.x402.messages import (
    BASE,
    PAY_TO,
    v1_body,
    v1_challenge,
    v1_option,
    v2_challenge,
    v2_headers,
    v2_option,
)

PAYER = "0x" + "a1" * 20
WANTED = Wanted(KNOWN, ("eip155:8453", "eip155:137"), PAYER)
POLYGON = {"network": "eip155:137", "asset": "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359"}
SEPOLIA = {
    "network": "eip155:84532",
    "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
    "extra": {"name": "USDC", "version": "2"},
}
SOLANA = {"network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "asset": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "payTo": "2wKupLR9q6wXYppw8Gr2NvWxKBUqm4PPJKkQfoxHDBg4"}  # fmt: skip


def asked(*options: dict[str, Any]) -> Challenge:
    found = read_challenge(v2_headers(v2_challenge(*options)), b"")
    assert isinstance(found, Challenge)
    return found


def why(wanted: Wanted = WANTED, **changes: Any) -> str:
    found, [rejected] = choose(asked(v2_option(**changes)), wanted)
    assert found is None
    return rejected.reason


def test_the_cheapest_is_taken_wherever_it_stands_and_the_others_say_why_not() -> None:
    options = [v2_option(**SOLANA), v2_option(amount="9000"), v2_option(amount="8000"), v2_option(scheme="upto")]
    for turn in range(len(options)):
        turned = [*options[turn:], *options[:turn]]
        found, rejected = choose(asked(*turned), WANTED)
        assert found is not None
        assert (found.amount, found.asset) == (8_000, BASE)
        assert [one.index for one in rejected] == [n for n, option in enumerate(turned) if option is not options[2]]
        assert all(one.reason for one in rejected)


def test_where_the_price_is_the_same_the_operators_order_of_networks_decides() -> None:
    both = asked(v2_option(**POLYGON), v2_option())
    found, _ = choose(both, WANTED)
    other, _ = choose(both, Wanted(KNOWN, ("eip155:137", "eip155:8453"), PAYER))
    assert found is not None
    assert other is not None
    assert (found.asset.network, other.asset.network) == ("eip155:8453", "eip155:137")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scheme": "upto"}, "scheme 'upto'"),
        ({"scheme": "batch-settlement"}, "scheme"),
        (SOLANA, "not known"),
        ({"network": "eip155:1", "asset": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}, "does not pay on eip155:1"),
        ({"asset": "0x" + "11" * 20}, "not known"),
        ({"asset": SEPOLIA["asset"]}, "not known"),
        ({"extra": {"name": "USDC", "version": "2"}}, "EIP-712 name"),
        ({"extra": {"name": "USD Coin", "version": "1"}}, "EIP-712 version"),
        ({"extra": {"name": "USD Coin", "version": 2}}, "EIP-712 version"),
        ({"extra": {}}, "EIP-712 name"),
        ({"extra": None}, "EIP-712 name"),
        ({"extra": {"name": "USD Coin", "version": "2", "decimals": 18}}, "6 decimals"),
        ({"extra": {"name": "USD Coin", "version": "2", "precision": "6"}}, "6 decimals"),
        ({"extra": {"name": "USD Coin", "version": "2", "assetTransferMethod": "permit2"}}, "permit2"),
        ({"extra": {"name": "USD Coin", "version": "2", "assetTransferMethod": ["eip3009"]}}, "transfer method"),
        ({"extra": {"name": "USD Coin", "version": "2", "paymentFlow": "escrow"}}, "escrow"),
        ({"extra": {"name": "USD Coin", "version": "2", "paymentFlow": "upfront"}}, "before it does the work"),
        ({"extra": {"name": "USD Coin", "version": "2", "paymentFlow": None}}, "payment flow"),
        ({"amount": "0"}, "nothing"),
        ({"amount": str(MOST_PER_CALL + 1)}, "more than 1000"),
        ({"amount": str(2**256 - 1)}, "more than 1000"),
        ({"payTo": PAYER}, "the payer or the token"),
        ({"payTo": BASE.address}, "the payer or the token"),
        ({"amount": "1.0"}, "whole number"),
    ],
)  # fmt: skip
def test_what_may_not_be_paid_says_why(changes: dict[str, Any], reason: str) -> None:
    assert reason in why(**changes)


def test_what_the_operator_allows_may_be_paid() -> None:
    flow = {
        "name": "USD Coin",
        "version": "2",
        "paymentFlow": "upfront",
        "decimals": 6,
        "assetTransferMethod": "eip3009",
    }
    found, _ = choose(asked(v2_option(extra=flow)), Wanted(KNOWN, WANTED.networks, PAYER, upfront=True))
    assert found is not None
    only = Wanted(KNOWN, WANTED.networks, PAYER, pay_to=(PAY_TO,))
    assert choose(asked(v2_option()), only)[0] is not None
    assert "does not let" in why(only, payTo="0x" + "cd" * 20)


def test_money_and_test_money_beside_each_other_are_not_guessed_at() -> None:
    found, rejected = choose(asked(v2_option(), v2_option(**SEPOLIA)), WANTED)
    assert found is None
    assert "test money" in rejected[0].reason
    assert choose(asked(v2_option(**SEPOLIA)), Wanted(KNOWN, ("eip155:84532",), PAYER))[0] is not None


def test_version_1_names_networks_by_their_names() -> None:
    found = read_challenge({"content-type": "application/json"}, v1_body(v1_challenge(v1_option(), v1_option(network="eip155:8453"), v1_option(network="solana"))))  # fmt: skip
    assert isinstance(found, Challenge)
    chosen, rejected = choose(found, WANTED)
    assert chosen is not None
    assert (chosen.option.index, chosen.asset) == (0, BASE)
    assert all("not known" in one.reason for one in rejected)


def test_the_amount_chosen_is_the_amount_of_what_is_signed_whatever_the_offers_and_their_order() -> None:
    dice = random.Random(17)
    makes = [
        lambda: v2_option(amount=str(dice.randrange(1, 10**9))),
        lambda: v2_option(**POLYGON, amount=str(dice.randrange(1, 10**9))),
        lambda: v2_option(scheme="upto", amount=str(dice.randrange(1, 100))),
        lambda: v2_option(**SOLANA, amount=str(dice.randrange(1, 100))),
        lambda: v2_option(asset="0x" + "22" * 20, amount="1"),
        lambda: v2_option(extra={"name": "USDC", "version": "2"}, amount="1"),
        lambda: v2_option(amount=dice.choice(["1e3", "-5", "0x5", "007", 3])),
    ]
    for _ in range(300):
        challenge = asked(*(dice.choice(makes)() for _ in range(dice.randrange(1, 9))))
        found, rejected = choose(challenge, WANTED)
        if found is None:
            continue
        honest = [one for one in challenge.options if isinstance(one, PaymentOption) and _payable(one)]
        assert found.amount == min(one.amount for one in honest) == found.option.amount
        assert len(rejected) == len(challenge.options) - 1


def _payable(option: PaymentOption) -> bool:
    found, _ = choose(Challenge(2, (option,)), WANTED)
    return isinstance(found, Choice)
