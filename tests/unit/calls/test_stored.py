"""A call is written down without loss, and equal calls have equal fingerprints."""

import pytest

from jecp_mcp.calls.stored import fingerprint, pack, unpack
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest


def test_a_stored_request_comes_back_byte_for_byte() -> None:
    request = StoredRequest(
        "jecp",
        "hub agent",
        "call_1234",
        "/v1/invoke",
        b'{"a":"\n\xc3\xa9"}',
        MicroUSDC(5000),
        UnixMs(7),
        True,
        42.5,
        True,
    )
    assert unpack(pack(request)) == request
    plain = StoredRequest("jecp", "hub agent", "call_1234", "/v1/invoke", b"", MicroUSDC(0), UnixMs(0))
    assert unpack(pack(plain)) == plain


def test_the_written_form_is_the_same_in_every_version_of_the_program() -> None:
    """A later version replays what an earlier one left, and finds the identical call by its fingerprint."""
    request = StoredRequest("jecp", "hub ä", "call_1234", "/v1/invoke", b'{"a":1}', MicroUSDC(5000), UnixMs(7))
    assert pack(request) == (
        b'{"v":1,"rail":"jecp","account":"hub \\u00e4","call_id":"call_1234","path":"/v1/invoke","budget":5000,"until":7,'
        b'"streaming":false,"timeout":30.0,"provenance":false}\n{"a":1}'
    )
    found = fingerprint("local", "hub agent", "docs/pdf:make", {"title": "Zoë", "pages": [1, None]})
    assert found == "18165c116b68c4e362a8876ecaa1e46fa0acc0567b9065c46a0aa12e546ed967"


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (b'{"v":2}\n{}', "a stored request has an unknown form; it was not written by this version"),
        (b'{"v":1}', "a stored request has an unknown form; it was not written by this version"),
        (b"\xff\n{}", "a stored request cannot be read; the ledger is not what was written"),
    ],
)
def test_another_form_is_told_from_damage(stored: bytes, why: str) -> None:
    with pytest.raises(LedgerDamaged, match=why):
        unpack(stored)


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
