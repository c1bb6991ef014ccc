"""What of a challenge a control plane is given: only what was looked at, and what it costs at most."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.rails.flow402.payload import Payload, Terms, summary_of
from jecp_mcp.rails.flow402.selection import narrowed, select
from jecp_mcp.wire.x402.challenge import Challenge, read_challenge
from tests.unit.wire.x402.messages import header, v1_challenge, v1_option, v2_challenge, v2_option

BASE = "eip155:8453"
SOLANA = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
ON_SOLANA = {
    "network": SOLANA,
    "asset": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "payTo": "2wKupLR9q6wXYppw8Gr2NvWxKBUqm4PPJKkQfoxHDBg4",
    "extra": {},
}


def asked_by(*options: dict, **more: Any) -> Challenge:
    read = read_challenge({"payment-required": header(v2_challenge(*options, **more)), "set-cookie": "a=b"}, b"<html>")
    assert isinstance(read, Challenge)
    return read


def asked_in_body(*options: dict, **more: Any) -> Challenge:
    read = read_challenge({"content-type": "text/x+json"}, json.dumps(v1_challenge(*options, **more)).encode())
    assert isinstance(read, Challenge)
    return read


def test_every_payable_way_is_passed_on_and_nothing_else_of_the_answer() -> None:
    challenge = asked_by(v2_option(scheme="upto"), v2_option(), v2_option(**ON_SOLANA, amount="30000"))
    taken, rejected = select(challenge, [BASE, SOLANA])
    assert [one.token.network for one in taken] == [BASE, SOLANA]
    assert max(one.amount for one in taken) == 30_000
    [upto] = rejected
    assert "upto" in upto.label
    headers, body = narrowed(challenge, taken)
    assert body is None
    assert headers.keys() == {"payment-required"}
    said = json.loads(base64.b64decode(headers["payment-required"]))
    assert said == v2_challenge(v2_option(), v2_option(**ON_SOLANA, amount="30000"))


def test_a_version_1_challenge_is_passed_on_in_the_body() -> None:
    challenge = asked_in_body(v1_option(), v1_option(scheme="upto"))
    taken, _ = select(challenge, [BASE])
    headers, said = narrowed(challenge, taken)
    assert (headers, said) == ({"content-type": "application/json"}, v1_challenge(v1_option()))


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (v2_option(scheme="upto"), "no price before"),
        (v2_option(network="eip155:5"), "not known"),
        (v2_option(network="eip155:1"), "is not known"),
        (v2_option(asset="0x" + "1" * 40), "is not known"),
        (v2_option(**ON_SOLANA), "does not pay on"),
        (v2_option(extra={"decimals": 18}), "6 decimals"),
        (v2_option(extra={"name": "USDC", "version": "2"}), "the token's name"),
        (v2_option(extra={"assetTransferMethod": "permit2"}), "not passed on"),
        (v2_option(extra={"paymentFlow": "upfront"}), "not passed on"),
        (v2_option(amount="0"), "asks for nothing"),
        (v2_option(amount="1000000001"), "more than"),
        (v2_option(amount="1e6"), "no whole number"),
        (v2_option(maxAmountRequired="900000000"), "a second amount"),
        (v2_option(maxAmountRequired=1), "a second amount"),
    ],
)
def test_what_cannot_be_priced_or_is_not_allowed_is_not_passed_on(option: dict, reason: str) -> None:
    challenge = asked_by(option)
    taken, [rejected] = select(challenge, [BASE])
    assert taken == ()
    assert reason in rejected.reason


DEAR = {"amount": "900000000", "maxAmountRequired": "900000000", "payTo": "0x" + "6" * 40, "price": "900"}


def test_nothing_that_was_not_looked_at_is_passed_on() -> None:
    wrapped = {"x402Version": 1, "protocol": "x402", "accepts": [v1_option(maxAmountRequired="900000000")]}
    smuggled = {
        "challenge": wrapped,
        "paymentRequirements": [DEAR],
        "maxAmountRequired": "9",
        "extensions": {"a": DEAR},
    }
    usual = {"name": "USD Coin", "version": "2"}
    odd = {"extra": usual | DEAR | {"precision": 6, "name2": DEAR}, "price": "900", "outputSchema": DEAR, "decimals": 2}
    challenge = asked_by(v2_option(**odd), resource={"url": "https://a.example/x", "price": "9"}, **smuggled)
    headers, body = narrowed(challenge, select(challenge, [BASE])[0])
    assert body is None
    assert json.loads(base64.b64decode(headers["payment-required"])) == v2_challenge(
        v2_option(extra=usual | {"precision": 6}), resource={"url": "https://a.example/x"}
    )
    challenge = asked_in_body(v1_option(**odd), **smuggled)
    headers, body = narrowed(challenge, select(challenge, [BASE])[0])
    assert (headers, body) == (
        {"content-type": "application/json"},
        v1_challenge(v1_option(extra=usual | {"precision": 6})),
    )


def test_a_second_amount_in_version_1_is_refused_too() -> None:
    option = v1_option() | {"amount": "900000000"}
    taken, [rejected] = select(asked_in_body(option), [BASE])
    assert taken == ()
    assert "a second amount" in rejected.reason


def test_what_is_stored_is_read_as_it_was_and_nothing_else_is() -> None:
    terms = Terms(
        2,
        [BASE],
        ["USDC"],
        {"payment-required": "x"},
        None,
        others=[],
        hints={"description": "d"},
        warnings=["w"],
        asked_at=5,
    )
    assert Terms.unpack(terms.pack()) == terms
    assert summary_of(terms.pack()).payment == {"networks": [BASE], "paid_by": "402flow"}
    payload = Payload("org", "agent", "https://a.example/", "GET", {}, None, {}, None, ["USDC"], 1, 2, [BASE], 7)
    assert Payload.unpack(payload.pack()) == payload
    older = {name: value for name, value in json.loads(payload.pack()).items() if name not in {"networks", "least"}}
    assert Payload.unpack(json.dumps(older).encode()) == replace(payload, networks=(), least=0)
    for wrong in (b"{}", b'{"v":1}', b'{"v":"402flow/1"}', b"[]", b"x"):
        with pytest.raises(WireError):
            Payload.unpack(wrong)
    with pytest.raises(WireError):
        summary_of(payload.pack())
