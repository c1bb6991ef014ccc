"""Every spelling of one call has one fingerprint, and no two calls have the same: arguments, addresses, jobs, labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jecp_mcp.calls.stored import fingerprint, identity, is_copy
from jecp_mcp.rails.ajp.payload import job_of
from jecp_mcp.rails.paid_http.request import identity_of, read_request
from jecp_mcp.settings.merchants import read_place

pytestmark = pytest.mark.slow
settings.register_profile("identity", max_examples=300, deadline=None)
quietly = settings.get_profile("identity")

Draw = Callable[[st.SearchStrategy[Any]], Any]
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.5, 1e16, 1e22, 2.5, -0.0, 1e300]),
)
TEXTS = st.one_of(st.text(max_size=6), st.sampled_from(["1", "1.0", "1e+16", "true", "null", ""]))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(TEXTS, VALUES, max_size=4)


def spelled(value: Any, draw: Draw) -> str:
    """The value as JSON text in one of the ways in which it can be written."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, int | float):
        exact = Decimal(repr(value))
        written = [repr(value), f"{exact:E}", f"{exact:e}", f"{exact.scaleb(3):f}e-3", f"{exact:f}"]
        if exact == exact.to_integral_value():
            written.append(f"{int(exact)}.0")
        return str(draw(st.sampled_from(written)))
    if isinstance(value, dict):
        members = draw(st.permutations(list(value.items())))
        return "{" + ", ".join(f"{json.dumps(key)}:{spelled(item, draw)}" for key, item in members) + "}"
    return "[" + ",".join(spelled(item, draw) for item in value) + "]"


def meaning(value: Any) -> Any:
    """What two values have in common that are equal in JSON: no number is a boolean, and none a text."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__, value
    if isinstance(value, int | float):
        return "number", Decimal(repr(value))
    if isinstance(value, dict):
        return "object", frozenset((key, meaning(item)) for key, item in value.items())
    return "array", tuple(meaning(item) for item in value)


@quietly
@given(ARGUMENTS, st.data())
def test_arguments_are_the_same_however_they_are_written(arguments: dict[str, Any], data: st.DataObject) -> None:
    one, other = (json.loads(spelled(arguments, data.draw)) for _ in range(2))
    assert identity("p", "h", "a:b", one) == identity("p", "h", "a:b", other) == identity("p", "h", "a:b", arguments)


@quietly
@given(ARGUMENTS, ARGUMENTS, TEXTS, TEXTS)
def test_no_two_calls_have_the_same_fingerprint(
    one: dict[str, Any], other: dict[str, Any], label: str, another: str
) -> None:
    same = meaning(one) == meaning(other) and label == another
    first, second = (fingerprint(identity("p", "h", "a:b", of), by) for of, by in ((one, label), (other, another)))
    assert (first == second) is same
    assert (is_copy(first), is_copy(second)) == (bool(label), bool(another))


# What stands for itself, what must be encoded to stand for itself, and what says something else once it is encoded.
OCTETS = st.lists(
    st.one_of(st.sampled_from(list("aZ09-._~")), st.sampled_from(list('"<>^`{|}[]%é')), st.sampled_from(list("&=+/?:@!,;"))),
    max_size=8,
)  # fmt: skip


def address(octets: list[str], draw: Draw) -> str:
    """An address of the same octets, in one of its spellings."""

    def one(octet: str) -> str:
        if octet.isascii() and (octet in "&=+/?:@!,;" or (octet != "%" and draw(st.booleans()))):
            return octet
        encoded = "".join(f"%{byte:02X}" for byte in octet.encode())
        return encoded.lower() if draw(st.booleans()) else encoded

    port = draw(st.sampled_from(["", ":443"]))
    return f"{draw(st.sampled_from(['https', 'HTTPS']))}://API.example.com{port}/x?q={''.join(map(one, octets))}"


@quietly
@given(OCTETS, OCTETS, st.data())
def test_an_address_is_the_same_in_every_spelling_and_no_other_one(
    octets: list[str], others: list[str], data: st.DataObject
) -> None:
    urls = [address(octets, data.draw), address(octets, data.draw), address(others, data.draw)]
    one, same, other = (identity_of(read_request({"url": url}).arguments) for url in urls)
    assert one == same
    assert (one == other) is (octets == others)
    assert identity_of(one) == one
    assert unquote_to_bytes(one["url"]) == unquote_to_bytes(read_place(urls[0]).url)


BOUNDS = st.fixed_dictionaries(
    {},
    optional={
        "max_usdc": st.sampled_from(["0.01", "0.010", "1", "much"]),
        "max_seconds": st.sampled_from([1, 1.0, 90]),
        "parent_job_id": st.sampled_from(["job_parent1", "job_parent2"]),
    },
)
JOBS = st.fixed_dictionaries(
    {"instruction": st.sampled_from(["Count", "Sum"])},
    optional={
        "input": st.sampled_from([{}, {"n": 1}, {"n": 1.0}]),
        "output_format": st.sampled_from(["any", "json"]),
        "agent": st.sampled_from(["a", "b"]),
    },
)


@quietly
@given(JOBS, JOBS, BOUNDS, BOUNDS)
def test_a_job_is_what_is_to_be_done_whatever_it_may_take(
    one: dict[str, Any], other: dict[str, Any], within: dict[str, Any], otherwise: dict[str, Any]
) -> None:
    unsaid = {"input": {}, "output_format": "any"}
    first, second = (
        identity("p", "ajp", "ajp:hire", job_of(of | bounds)) for of, bounds in ((one, within), (other, otherwise))
    )
    assert (first == second) is (unsaid | one == unsaid | other)
