"""A call is written down without loss, and equal calls have equal fingerprints."""

import pytest

from jecp_mcp.calls.stored import fingerprint, pack, unpack
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest


def test_a_stored_request_comes_back_byte_for_byte() -> None:
    request = StoredRequest(
        "jecp", "hub agent", "call_1234", "/v1/invoke", b'{"a":"\n\xc3\xa9"}', MicroUSDC(5000), True, 42.5
    )
    assert unpack(pack(request)) == request


@pytest.mark.parametrize("stored", [b"", b"{}", b"{}\n", b'{"v":2}\n{}', b'{"v":1,"rail":"jecp"}\n{}', b"\xff\n{}"])
def test_a_value_nobody_packed_is_named_as_damage(stored: bytes) -> None:
    with pytest.raises(LedgerDamaged):
        unpack(stored)


def test_the_order_of_keys_does_not_make_another_call() -> None:
    assert fingerprint("p", "h", "a:b", {"x": 1, "y": {"k": [1], "j": 2}}) == fingerprint(
        "p", "h", "a:b", {"y": {"j": 2, "k": [1]}, "x": 1}
    )


def test_any_other_value_principal_or_action_makes_another_call() -> None:
    base = fingerprint("p", "h", "a:b", {"x": 1})
    others = [
        fingerprint("q", "h", "a:b", {"x": 1}),
        fingerprint("p", "i", "a:b", {"x": 1}),
        fingerprint("p", "h", "a:c", {"x": 1}),
        fingerprint("p", "h", "a:b", {"x": "1"}),
        fingerprint("p", "h", "a:b", {"x": 1.5}),
        fingerprint("p", "h", "a:b", {"x": 1, "y": None}),
    ]
    assert len({base, *others}) == 7
