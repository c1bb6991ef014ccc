"""A call is written down without loss, and equal calls have equal fingerprints."""

from jecp_mcp.calls.stored import fingerprint


def test_equal_calls_have_the_same_fingerprint_in_every_version_of_the_program() -> None:
    """A later version finds the identical call by its fingerprint."""
    found = fingerprint("local", "hub agent", "docs/pdf:make", {"title": "Zoë", "pages": [1, None]})
    assert found == "18165c116b68c4e362a8876ecaa1e46fa0acc0567b9065c46a0aa12e546ed967"


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
