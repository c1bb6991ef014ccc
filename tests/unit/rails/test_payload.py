"""A request is written down without loss, and what nobody wrote is told from it."""

from __future__ import annotations

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.rails.jecp.payload import Payload, pack, unpack


@pytest.mark.parametrize("payload", [Payload("/v1/invoke", b'{"a":"\n\xc3\xa9"}', True, 42.5, True), Payload("/", b"")])
def test_a_payload_comes_back_byte_for_byte(payload: Payload) -> None:
    assert unpack(pack(payload)) == payload


def test_the_written_form_is_the_same_in_every_version_of_the_program() -> None:
    """A later version replays what an earlier one left."""
    assert pack(Payload("/v1/invoke", b'{"a":1}')) == b'[2,"/v1/invoke",false,30.0,false]\n{"a":1}'


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (b'{"v":2}\n{}', "unknown form"),
        (b'[1,"/",false,30.0,false]\n{}', "unknown form"),
        (b'[2,"/",false,30.0,false]', "unknown form"),
        (b"[]\n{}", "cannot be read"),
        (b"[2]\n{}", "cannot be read"),
        (b'[2,"/",false,"soon",false]\n{}', "cannot be read"),
        (b"\xff\n{}", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_another_form_is_told_from_damage(stored: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        unpack(stored)
