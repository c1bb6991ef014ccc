"""Whatever a merchant sends ends in values or in `WireError`, and what is read is sent back unchanged."""

import base64
import json
import random
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.x402.challenge import Challenge, PaymentOption, read_challenge
from jecp_mcp.wire.x402.payment import read_payment
from jecp_mcp.wire.x402.settlement import read_settlement
from tests.unit.wire.x402.messages import PAY_TO, header, v1_challenge, v1_option, v2_challenge, v2_option

DAILY = 300
THOROUGH = 5_000
EXHAUSTING = 100_000
VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**80, "", "0", "1e6", "0x10", "-1", "01", "9" * 90, "a" * 3_000, "\x00", "\u202e", [], {}, [[]], {"a": {}},
    PAY_TO, "0x" + "0" * 40, "eip155:1", "solana:x", "base", "exact", "upto", 2, 1, 3, "ä" * 60,
]  # fmt: skip
KNOWN = [
    v2_challenge(v2_option(), v2_option(network="eip155:1")),
    v1_challenge(v1_option()),
    {"success": True, "transaction": "0x1", "network": "base", "payer": PAY_TO, "amount": "1", "errorReason": None},
    {
        "x402Version": 2,
        "accepted": v2_option(),
        "payload": {
            "signature": "0x" + "1" * 130,
            "authorization": {"from": PAY_TO, "to": PAY_TO, "value": "1", "validAfter": "0", "validBefore": "1", "nonce": "0x" + "2" * 64},
        },
    },
]  # fmt: skip


def mutated(value: Any, dice: random.Random) -> Any:
    """The value with some of its parts exchanged, taken away or added."""
    if dice.random() < 0.08:
        return dice.choice(VALUES)
    if isinstance(value, dict):
        kept = {key: mutated(item, dice) for key, item in value.items() if dice.random() > 0.04}
        if dice.random() < 0.05:
            kept[dice.choice([*value, "extra", "x402Version"])] = dice.choice(VALUES)
        return kept
    if isinstance(value, list):
        return [mutated(item, dice) for item in value] * dice.choice([1, 1, 1, 1, 0, 2, 40])
    return value


def damaged(raw: bytes, dice: random.Random) -> bytes:
    """The bytes with some of them wrong."""
    if dice.random() < 0.7:
        return raw
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + dice.choice([b"", b"\xff", b'"', b"[" * 100, b"\\ud800", b"\x00"]) + raw[at + dice.randrange(4) :]


def sent(dice: random.Random) -> None:
    """Read one hostile message in every place where it may stand."""
    raw = damaged(json.dumps(mutated(dice.choice(KNOWN), dice)).encode(), dice)
    text = base64.b64encode(raw).decode()
    if dice.random() < 0.2:
        text = damaged(text.encode(), dice).decode("latin-1")
    for reader in (
        lambda: read_challenge({"payment-required": text}, b""),
        lambda: read_challenge({"content-type": "application/json"}, raw),
        lambda: read_payment({"payment-signature": text}),
        lambda: read_payment({"x-payment": text}),
        lambda: read_settlement({"payment-response": text}),
    ):
        try:
            found = reader()
        except WireError as exc:
            said = str(exc)
        else:
            said = ""
            _check(found)
        assert said.isprintable()


def _check(found: Any) -> None:
    for option in found.options if isinstance(found, Challenge) else ():
        if isinstance(option, PaymentOption):
            assert 0 <= option.amount < 2**256
            assert isinstance(option.raw.get("amount", option.raw.get("maxAmountRequired")), str)
        else:
            assert option.reason.isprintable()


def test_no_message_gets_past_the_readers() -> None:
    dice = random.Random(402)
    for _ in range(DAILY):
        sent(dice)


@pytest.mark.slow
def test_no_message_of_many_gets_past_the_readers() -> None:
    dice = random.Random(4020)
    for _ in range(THOROUGH):
        sent(dice)


@pytest.mark.long
def test_no_message_of_very_many_gets_past_the_readers() -> None:
    dice = random.Random(40_200)
    for _ in range(EXHAUSTING):
        sent(dice)


def test_an_honest_message_survives_the_fuzzers_places() -> None:
    assert isinstance(read_challenge({"payment-required": header(v2_challenge())}, b""), Challenge)
