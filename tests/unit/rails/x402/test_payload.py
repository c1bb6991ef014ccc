from dataclasses import replace

import pytest

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.rails.authorizations import nonce_of
from jecp_mcp.rails.x402.payload import Payload, Terms
from jecp_mcp.rails.x402.schedule import look_again_at, valid_seconds
from jecp_mcp.wire.x402.payment import Authorization
from tests.unit.wire.x402.messages import BASE, PAY_TO, v2_option

TERMS = Terms(2, BASE.network, BASE.address, PAY_TO, 10_000, 60, v2_option(), {"url": "x"}, {"bazaar": {}}, [{"offer": "x"}], {"description": "d"}, ["odd"], 7)  # fmt: skip
PAYLOAD = Payload(
    "https://api.example.com/x",
    "POST",
    {"a": "1"},
    "{}",
    TERMS,
    Authorization("0x" + "a1" * 20, PAY_TO, 10_000, 0, 1_800_000_000, b"\x07" * 32),
    60.0,
)


def test_what_is_kept_is_what_is_read_but_for_what_only_the_quote_needs() -> None:
    assert Terms.unpack(TERMS.pack()) == TERMS
    kept = Payload.unpack(PAYLOAD.pack())
    assert replace(kept, terms=TERMS) == PAYLOAD
    assert (kept.terms.option, kept.terms.extensions, kept.terms.others) == (TERMS.option, TERMS.extensions, [])


@pytest.mark.parametrize("stored", [b"", b"[]", b"{}", b'{"v":2}', b'{"v":1}', b'{"v":1,"url":"x"}', b"\xff"])
def test_what_another_version_wrote_is_refused(stored: bytes) -> None:
    for reader in (Terms.unpack, Payload.unpack):
        with pytest.raises(WireError):
            reader(stored)


@pytest.mark.parametrize(
    ("name", "value"), [("authorization", {}), ("authorization", {"nonce": "x"}), ("terms", {}), ("seconds", "x")]
)
def test_a_damaged_request_is_refused(name: str, value: object) -> None:
    with pytest.raises(WireError):
        Payload.unpack(jsontext.dumps(jsontext.loads(PAYLOAD.pack(), max_bytes=10**6) | {name: value}))


def test_a_call_has_one_nonce() -> None:
    assert nonce_of("call_1") == nonce_of("call_1")
    assert len({nonce_of(f"call_{n}") for n in range(100)}) == 100


@pytest.mark.parametrize(("asked", "most", "given"), [(60, 300, 60), (1, 300, 30), (604_800, 300, 300), (120, 60, 60)])
def test_a_payment_is_valid_as_long_as_is_needed_and_allowed(asked: int, most: int, given: int) -> None:
    assert valid_seconds(asked, most) == given


def test_a_payment_in_doubt_is_looked_at_more_rarely_and_then_when_the_chain_knows() -> None:
    now, ends = UnixMs(1_000_000), 1_300
    waits = [look_again_at(now, ends, attempts=attempts) - now for attempts in range(8)]
    assert waits[:6] == [3_000, 3_000, 6_000, 12_000, 24_000, 48_000]
    assert waits[6:] == [(ends + 60) * 1000 - now] * 2
    assert look_again_at(UnixMs(1_289_000), ends, attempts=1) == (ends + 60) * 1000
    assert look_again_at(UnixMs(1_400_000), ends, attempts=1) == 1_460_000
