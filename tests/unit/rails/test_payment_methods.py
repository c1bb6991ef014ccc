"""What an action is paid with, by its methods, the operator's setting and the key there is; and what is stored of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import AuthorizedCall
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.authorizations import authorize, nonce_of
from jecp_mcp.rails.jecp.payload import PaidBy, Payload, pack, unpack
from jecp_mcp.rails.jecp.payment_methods import finds_out, paid_by
from jecp_mcp.rails.jecp.x402_payments import Authorized

OFFER = Offer("lab/counting", "count", "lab", Price(MicroUSDC(5_000)))
NOBODY, PAYER, PAYEE = "", "0x" + "ab" * 20, "0x" + "cd" * 20


@pytest.mark.parametrize(
    ("methods", "setting", "payer", "by"),
    [
        (None, "wallet", NOBODY, "wallet"),
        (None, "auto", PAYER, "wallet"),
        (None, "x402", PAYER, "PAYMENT_METHOD_OFF"),
        (["stripe"], "auto", PAYER, "wallet"),
        (["stripe", "x402"], "wallet", PAYER, "wallet"),
        (["stripe", "x402"], "auto", PAYER, "auto"),
        (["stripe", "x402"], "auto", NOBODY, "wallet"),
        (["stripe", "x402"], "x402", PAYER, "x402"),
        (["stripe", "x402"], "x402", NOBODY, "WALLET_MISSING"),
        (["x402"], "wallet", PAYER, "PAYMENT_METHOD_OFF"),
        (["x402"], "auto", PAYER, "x402"),
        (["x402"], "auto", NOBODY, "WALLET_MISSING"),
        (["wallet"], "wallet", NOBODY, "wallet"),
        (["wallet", "x402"], "auto", PAYER, "auto"),
        ([], "auto", PAYER, "wallet"),
        ("x402", "auto", PAYER, "wallet"),
        ([7], "wallet", NOBODY, "wallet"),
    ],
)
@pytest.mark.requirement("PAYMENT-7.3-2", "DISCOVERY-4.4.1-2")
def test_an_action_is_paid_with_what_it_takes_and_the_operator_wants(
    methods: Any, setting: PaidBy, payer: str, by: str
) -> None:
    offer = OFFER if methods is None else replace(OFFER, extra={"payment_methods": methods})
    found = paid_by(offer, setting, payer)
    assert (found.code if isinstance(found, Refusal) else found) == by


@pytest.mark.parametrize("by", ["wallet", "x402", "auto"])
def test_a_stored_request_knows_what_pays_for_it(by: PaidBy) -> None:
    payload = Payload("/v1/invoke", b'{"jecp":"1.0"}', paid_by=by)
    assert unpack(pack(payload)) == payload


@pytest.mark.parametrize("head", ['[3,"/v1/invoke",false,30.0,false]', '[3,"/v1/invoke",false,30.0,false,"cash"]'])
def test_a_stored_request_that_does_not_say_is_not_read(head: str) -> None:
    with pytest.raises(WireError):
        unpack(head.encode() + b"\n{}")


def signed(**changes: Any) -> Any:
    given = {"payer": PAYER, "to": PAYEE, "value": 5_000, "worth": MicroUSDC(5_000), "hold": MicroUSDC(5_000)}
    return authorize("call_1", **(given | {"valid_after": 0, "valid_before": 60} | changes))


def test_what_is_signed_never_moves_more_than_is_held() -> None:
    assert signed().nonce == nonce_of("call_1")
    with pytest.raises(WireError):
        signed(worth=MicroUSDC(5_001))


def test_what_is_to_be_signed_is_kept_whole_and_without_a_signature() -> None:
    authorized = Authorized({"scheme": "exact", "asset": PAYEE}, "eip155:8453", signed())
    assert Authorized.unpack(authorized.pack()) == authorized
    for wrong in ("", "{}", authorized.pack().replace("nonce", "none"), authorized.pack().replace('"v":1', '"v":9')):
        with pytest.raises(WireError):
            Authorized.unpack(wrong)


@pytest.mark.parametrize("terms", [f"auto {PAYER}", f"a digest of the price x402 {PAYER}"])
def test_a_payment_that_can_be_taken_is_its_payers_to_look_for_and_later_anybodys(terms: str) -> None:
    call = AuthorizedCall("call_1", terms, UnixMs(1_000))
    assert finds_out(call, PAYER, UnixMs(1_000))
    for other in ("", f"{PAYER[:-1]}0", "0x" + "22" * 20):
        assert not finds_out(call, other, UnixMs(1_000 + 659_999))
        assert finds_out(call, other, UnixMs(1_000 + 660_000))
