"""A call is written down without loss, and equal calls have equal fingerprints."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from jecp_mcp.calls.orders import Orders, Wish
from jecp_mcp.calls.stored import dump_answer, fingerprint, identities, identity, identity_of, is_copy, load_answer
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import MAX_DEPTH, MAX_MARKS
from jecp_mcp.rails.registry import Rails


def wish_of(purchase: Purchase) -> Wish:
    """The wish for it where no rail sells it."""
    nobody: Any = None
    return Orders(nobody, nobody, Rails([]), nobody, nobody).wish(purchase, LOCAL)


def test_equal_calls_have_the_same_fingerprint_in_every_version_of_the_program() -> None:
    """A later version finds the identical call by its fingerprint."""
    found = identity("local", "hub agent", "docs/pdf:make", {"title": "Zoë", "pages": [1, None]})
    assert found == "18165c116b68c4e362a8876ecaa1e46fa0acc0567b9065c46a0aa12e546ed967"


@pytest.mark.parametrize("called", ["", "eu", "de"])
@pytest.mark.parametrize("label", ["", "2"])
def test_what_the_operator_calls_a_source_makes_no_other_call(called: str, label: str) -> None:
    """Whether it is the first, a further one, or one that was renamed: what is open there is not bought again."""
    offer = Offer("docs/pdf", "make", "docs", Price(None), source="https://hub.example")
    named = replace(offer, source_name=called)
    wish = wish_of(Purchase("any_tool", named, {"pages": 3}, None, label))
    assert wish.identity == "ee568a093f304229030c02904afb46673c5bea265934df8aceb4004c1f0df9c7"
    assert (wish.fingerprint, wish.former) == (fingerprint(wish.identity, label), None)
    elsewhere = replace(named, source="https://other.example")
    assert wish_of(Purchase("any_tool", elsewhere, {"pages": 3}, None, label)).identity != wish.identity


def test_the_order_of_keys_does_not_make_another_call() -> None:
    assert identity("p", "h", "a:b", {"x": 1, "y": {"k": [1], "j": 2}}) == identity(
        "p", "h", "a:b", {"y": {"j": 2, "k": [1]}, "x": 1}
    )


def test_any_other_value_principal_or_action_makes_another_call() -> None:
    base = identity("p", "h", "a:b", {"x": 1})
    others = [
        identity("q", "h", "a:b", {"x": 1}),
        identity("p", "i", "a:b", {"x": 1}),
        identity("p", "h", "a:c", {"x": 1}),
        identity("p", "h", "a:b", {"x": "1"}),
        identity("p", "h", "a:b", {"x": 1.5}),
        identity("p", "h", "a:b", {"x": 1, "y": None}),
        identity("p", "h", "a:b", {"x": True}),
        identity("p", "h", "a:b", {"x": "1.0"}),
        identity("p", "h", "a:b", {"x": 1.0000000000000002}),
        identity("p", "h", "a:b", {"x": [1]}),
        identity("p", "h", "a:b", {"x": -1}),
    ]
    assert len({base, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        ("1", "1.0"), ("1", "1e0"), ("1", "10E-1"), ("0", "-0.0"), ("-3", "-3.0"), ("100", "1e2"), ("1.5", "15e-1"),
        ("9007199254740992", "9007199254740992.0"), ("10000000000000000000000", "1e22"), ("2500", "2.5e+3"),
        ("49478543209452130", "4.947854320945213e16"),
        ('[1, {"a": [2]}]', '[1.0, {"a": [2.0]}]'), ('["1.0", 2]', '["1.0", 2.0]'),
    ],
)  # fmt: skip
def test_a_number_is_the_same_however_it_is_written(written: str, otherwise: str) -> None:
    """RFC 8259 §6 and JSON Schema know numbers, not their spelling."""
    one, other = ({"x": json.loads(text)} for text in (written, otherwise))
    assert identity("p", "h", "a:b", one) == identity("p", "h", "a:b", other)


def test_what_an_earlier_version_called_a_call_is_known_where_it_was_something_else() -> None:
    whole, spelled = {"x": 2, "y": "1.0"}, {"x": 2.0, "y": "1.0"}
    found, former = identities("p", "h", "a:b", spelled, spelled)
    assert found == identity("p", "h", "a:b", whole)
    assert former == hashlib.sha256(b'["p","h","a:b",{"x":2.0,"y":"1.0"}]').hexdigest() != found
    assert identities("p", "h", "a:b", whole, whole) == (found, None)
    assert identities("p", "h", "a:b", dict(whole), whole) == (found, None)
    assert identities("p", "h", "a:b", {"x": 2}, whole)[1] == found
    plain = {"x": 2, "note": "n"}
    assert identities("p", "h", "a:b", {"x": 2}, plain) == tuple(
        identity("p", "h", "a:b", x) for x in ({"x": 2}, plain)
    )


def test_a_label_makes_a_copy_that_is_known_for_one_and_no_label_none() -> None:
    base = identity("p", "h", "a:b", {"x": 1})
    copies = [fingerprint(base, label) for label in ("", "2", "3", " ", "\ud800")]
    assert copies[0] == base
    assert len(set(copies)) == 5
    assert all(copy.startswith(f"{base}.") for copy in copies[1:])
    assert [is_copy(copy) for copy in copies] == [False, True, True, True, True]
    assert {identity_of(copy) for copy in copies} == {base}
    assert fingerprint(base, "2") == copies[1], "the same label again is the same purchase"
    assert fingerprint(identity("p", "h", "a:b", {"x": 2}), "2").partition(".")[2] != copies[1].partition(".")[2]


def test_what_is_read_of_a_payee_is_kept_however_many_parts_it_has_and_however_deep_it_is() -> None:
    """As deep as may be read, in the wrapping of a rail and of what is stored beside it, and no deeper."""
    many = [0] * MAX_MARKS
    kept = load_answer(dump_answer(Answer("call_1", many, Billing(True), raw={"body": many})))
    assert kept.output == many
    nested: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        nested = [nested]
    kept = load_answer(dump_answer(Answer("call_1", nested, Billing(True), raw={"body": nested})))
    assert kept.output == nested
    with pytest.raises(WireError):
        load_answer(dump_answer(Answer("call_1", nested, Billing(True), raw={"body": [nested]})))
