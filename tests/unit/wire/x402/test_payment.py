import base64
import json
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.x402.challenge import Challenge, read_challenge
from jecp_mcp.wire.x402.payment import (
    PAYMENT_IDENTIFIER,
    Authorization,
    Payment,
    payment_header,
    payment_json,
    read_payment,
    read_payment_json,
    with_identifier,
)
from jecp_mcp.wire.x402.values import MAX_SENT_HEADER, decode_header, encode_header
from tests.unit.wire.x402.messages import PAY_TO, v2_challenge, v2_headers, v2_option

ME = "0x857b06519e91e3a54538791bdbb0e22373e36b66"
SIGNATURE = bytes(range(65))
AUTHORIZATION = Authorization(ME, PAY_TO, 10_000, 0, 1_800_000_000, b"\x07" * 32)
V1 = Payment(1, AUTHORIZATION, SIGNATURE, {"scheme": "exact", "network": "base"})
CALL = "call_0123456789abcdef"


def v2(extensions: Any = None, **changes: Any) -> Payment:
    found = read_challenge(v2_headers(v2_challenge(v2_option(**changes), extensions=extensions or {})), b"")
    assert isinstance(found, Challenge)
    return Payment(2, AUTHORIZATION, SIGNATURE, found.options[0].raw, found.resource, found.extensions)  # type: ignore[union-attr]


@pytest.mark.parametrize(("payment", "name"), [(V1, "X-PAYMENT"), (v2(), "PAYMENT-SIGNATURE")])
def test_what_one_side_sends_the_other_reads(payment: Payment, name: str) -> None:
    sent = payment_header(payment)
    assert sent[0] == name
    assert read_payment({sent[0].lower(): sent[1]}) == payment


@pytest.mark.requirement("PAYMENT-3.1-1")
def test_a_header_is_one_line_of_standard_base64() -> None:
    # Bytes that the alphabet for addresses would write otherwise.
    _, value = payment_header(Payment(1, AUTHORIZATION, SIGNATURE, {"scheme": "exact", "network": "ÿ?ÿ~base"}))
    text = base64.b64decode(value, validate=True)
    assert base64.b64encode(text).decode() == value
    assert json.loads(text.decode())["network"] == "ÿ?ÿ~base"
    assert (text[:1], text[-1:]) == (b"{", b"}")


def test_the_chosen_entry_and_what_was_declared_go_back_unchanged() -> None:
    odd = {"name": "USD Coin", "version": "2", "paymentFlow": "authorization", "n": [1, {"ä": None}]}
    found = decode_header(payment_header(v2({"bazaar": {"info": {"x": 1}}}, extra=odd))[1], "x")
    assert found["accepted"] == v2_option(extra=odd)
    assert list(found["accepted"]) == list(v2_option())
    assert found["extensions"] == {"bazaar": {"info": {"x": 1}}}
    assert found["resource"]["url"] == "https://api.example.com/report"


def test_numbers_are_decimal_text_and_bytes_hexadecimal() -> None:
    assert payment_json(V1) == {
        "x402Version": 1,
        "scheme": "exact",
        "network": "base",
        "payload": {
            "signature": "0x" + SIGNATURE.hex(),
            "authorization": {
                "from": ME,
                "to": PAY_TO,
                "value": "10000",
                "validAfter": "0",
                "validBefore": "1800000000",
                "nonce": "0x" + "07" * 32,
            },
        },
    }


def test_a_request_without_a_payment_has_none_and_one_with_two_is_refused() -> None:
    assert read_payment({"content-type": "x"}) is None
    first, second = payment_header(V1), payment_header(v2())
    with pytest.raises(WireError, match="two payments"):
        read_payment({first[0].lower(): first[1], second[0].lower(): second[1]})


def test_a_header_that_grows_too_long_leaves_out_what_the_merchant_knows() -> None:
    declared = {"bazaar": {"schema": "s" * MAX_SENT_HEADER}, PAYMENT_IDENTIFIER: {"info": {"required": True}}}
    payment = v2(with_identifier(declared, CALL))
    value = payment_header(payment)[1]
    found = read_payment({"payment-signature": value})
    assert len(value) <= MAX_SENT_HEADER
    assert found is not None
    assert (found.identifier, found.accepted, set(found.extensions)) == (CALL, payment.accepted, {PAYMENT_IDENTIFIER})


def test_an_option_too_long_to_be_sent_back_is_refused() -> None:
    with pytest.raises(WireError, match="longer"):
        payment_header(v2(extra={"x": "s" * MAX_SENT_HEADER}))


def test_the_identifier_goes_along_only_where_it_is_declared() -> None:
    assert with_identifier({"bazaar": {}}, CALL) == {"bazaar": {}}
    assert v2().identifier is None
    declared = {PAYMENT_IDENTIFIER: {"info": {"required": False}, "schema": {}}}
    assert with_identifier(declared, CALL)[PAYMENT_IDENTIFIER] == {
        "info": {"required": False, "id": CALL},
        "schema": {},
    }
    for bad in ({PAYMENT_IDENTIFIER: True}, {PAYMENT_IDENTIFIER: {}}):
        with pytest.raises(WireError):
            with_identifier(bad, CALL)


@pytest.mark.parametrize("given", [{"id": "short"}, {"id": 7}, {"id": "ä" * 20}, "x", None])
def test_an_identifier_that_is_none_is_none(given: Any) -> None:
    assert v2({PAYMENT_IDENTIFIER: {"info": given}}).identifier is None


def broken(*path: str, value: Any) -> Any:
    found: Any = decode_header(encode_header(payment_json(v2())), "x")
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return found


@pytest.mark.parametrize(
    "found",
    [
        broken("x402Version", value=1),
        broken("payload", value=[]),
        broken("accepted", value=None),
        broken("accepted", "scheme", value=1),
        broken("resource", value="x"),
        broken("extensions", value=[1]),
        broken("payload", "signature", value="0x" + "0" * 128),
        broken("payload", "signature", value=None),
        broken("payload", "authorization", value=None),
        *(
            broken("payload", "authorization", name, value=value)
            for name, values in {
                "from": ("", "0x" + "0" * 40, None),
                "to": (7, "0x1"),
                "value": (10_000, "1e4", "-1", "010"),
                "validAfter": (0, "", None),
                "validBefore": (1_800_000_000, "x"),
                "nonce": ("0x07", 7, "07" * 33),
            }.items()
            for value in values
        ),
    ],
)
def test_a_payment_that_is_not_the_protocols_is_refused(found: Any) -> None:
    with pytest.raises(WireError):
        read_payment_json(found, 2)


def test_a_signature_is_in_no_repr() -> None:
    assert SIGNATURE.hex() not in repr(V1)
    assert repr(SIGNATURE) not in repr(V1)
