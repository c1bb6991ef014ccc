import hashlib
import hmac

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.provenance import (
    Subcause,
    build,
    drift_seconds,
    verify,
)

AGENT, KEY, NONCE = "acme_ag_0123456789abcdef", "acme_ak_0123456789abcdef0123", "0123456789abcdef"
AT = UnixMs(1_900_000_000_123)
# printf 'acme_ag_0123456789abcdef:1900000000:0123456789abcdef' | openssl dgst -sha256 -hmac 'acme_ak_0123456789abcdef0123'
GOOD = "v2:1900000000:0123456789abcdef:4e11b25879c5b904557db9b91244aa9d55f3e459cb5dd8be667bf7727475eb6f"


def check(value: object, *, now: int = AT, seen: bool = False, key: str = KEY) -> Subcause | None:
    return verify(value, AGENT, key, now=UnixMs(now), seen=lambda _: seen)


@pytest.mark.requirement("AUTH-5-1", "AUTH-5.2-3", "AUTH-5.6-1")
def test_the_hash_is_the_one_openssl_computes() -> None:
    assert build(AGENT, KEY, at=AT, nonce=NONCE) == GOOD
    assert check(GOOD) is None


@pytest.mark.requirement("AUTH-5.2-4")
def test_a_comparison_in_constant_time_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    other = GOOD[:-1] + "0"
    assert check(other) is Subcause.HMAC_MISMATCH
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: True)
    assert check(other) is None


@pytest.mark.parametrize("nonce", ["", "abc", "0123456789ABCDEF", "zzzzzzzzzzzzzzzz", "0" * 129])
def test_a_nonce_that_is_no_long_hex_is_refused(nonce: str) -> None:
    with pytest.raises(WireError):
        build(AGENT, KEY, at=AT, nonce=nonce)


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "not-v2",
        "v2:1900000000:abcdef",
        GOOD + "0",
        GOOD + "\n",
        GOOD.replace("1900000000", "x"),
        GOOD[:-1] + "z",
        None,
        7,
    ],
)
@pytest.mark.requirement("AUTH-5.2-1")
def test_a_hash_of_the_wrong_shape_is_malformed(wire: object) -> None:
    assert check(wire) is Subcause.WIRE_MALFORMED


@pytest.mark.requirement("AUTH-5-1", "AUTH-5.4-1", "AUTH-5.6-1")
def test_the_first_version_is_no_longer_available() -> None:
    assert check("a" * 64) is Subcause.V1_UNAVAILABLE


@pytest.mark.parametrize(
    ("seconds", "expected"), [(300, None), (-300, None), (301, "clock_skew"), (-301, "clock_skew")]
)
@pytest.mark.requirement("AUTH-5.2-2", "AUTH-5.2-5", "ERROR-PROVENANCE_MISMATCH-3")
def test_the_clock_may_be_off_by_three_hundred_seconds_and_no_more(seconds: int, expected: str | None) -> None:
    now = AT + seconds * 1000
    assert check(GOOD, now=now) == expected
    assert drift_seconds(GOOD, UnixMs(now)) == -seconds


@pytest.mark.requirement("AUTH-5.2-3", "AUTH-5.5-1")
def test_another_key_does_not_verify() -> None:
    assert check(GOOD, key=KEY + "x") is Subcause.HMAC_MISMATCH


def test_a_seen_nonce_is_a_replay_and_only_an_authentic_hash_asks_for_it() -> None:
    assert check(GOOD, seen=True) is Subcause.NONCE_REPLAY

    def asked(_: str) -> bool:
        raise AssertionError("an outsider could burn nonces")

    assert verify(GOOD, AGENT, "other", now=AT, seen=asked) is Subcause.HMAC_MISMATCH


def test_a_nonce_written_in_capitals_is_asked_for_as_it_is_remembered() -> None:
    shouted = NONCE.upper()
    digest = hmac.new(KEY.encode(), f"{AGENT}:1900000000:{shouted}".encode(), hashlib.sha256).hexdigest()
    value, asked = f"v2:1900000000:{shouted}:{digest}", list[str]()
    assert verify(value, AGENT, KEY, now=AT, seen=lambda nonce: bool(asked.append(nonce))) is None
    assert asked == [NONCE]


def test_the_message_signs_agent_time_and_nonce() -> None:
    digest = hmac.new(KEY.encode(), f"{AGENT}:1900000000:{NONCE}".encode(), hashlib.sha256).hexdigest()
    assert digest == GOOD.rpartition(":")[2]
