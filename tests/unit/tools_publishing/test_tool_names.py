"""Names every host takes, that stay what they were and never stand for something else."""

import re

from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.tool_names import hashed_name, plain_name
from jecp_mcp.tools.publishing.naming import Names

KEYS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,40}/[a-z][a-z0-9-]{0,40}:[a-z][a-z0-9-]{0,40}", fullmatch=True),
    st.text(st.characters(), max_size=80),
    st.sampled_from(["a/b_c:d", "a/b:c_d", "a_b/c:d", "A/b:c", "a/b:c", "jecp/x:y", "jecp:search", "", ":", "/:"]),
)


def named(*keys: str) -> Names:
    names = Names()
    names.assign(keys)
    return names


def test_a_short_key_is_its_own_name():
    assert named("acme/pdf-tools:make-invoice").name("acme/pdf-tools:make-invoice") == "acme_pdf-tools_make-invoice"
    assert named("echo:say").name("echo:say") == "echo_say"


def test_a_long_key_is_cut_and_ends_in_its_hash():
    long = [f"acme/{'c' * 50}:run-{at}" for at in range(2)]
    names = named(*long)
    assert len({names.name(key) for key in long}) == 2
    assert all(len(names.name(key) or "") == 48 for key in long)
    assert names.collisions == ()


def test_no_foreign_name_looks_like_one_of_our_own():
    for key in ("jecp/wallet:topup", "jecp:search", "JECP/wallet:topup", f"jecp/{'x' * 60}:y"):
        assert not (named(key).name(key) or "").lower().startswith("jecp_")


def test_colliding_names_are_told_apart_and_reported():
    names = named("a_b/c:d", "a/b_c:d")
    first, second = names.name("a_b/c:d"), names.name("a/b_c:d")
    assert first != second
    assert "a_b_c_d" not in {first, second}
    assert [collision.plain for collision in names.collisions] == ["a_b_c_d"]


def test_an_id_within_the_grammar_keeps_the_plain_name_against_any_other():
    assert named("A/b:c", "a/b:c").name("a/b:c") == "a_b_c"
    assert named("A/b:c", "a/b:c").name("A/b:c") != "A_b_c"


def test_an_addition_renames_nothing_that_had_its_name():
    names = named("a/b_c:d")
    assert names.name("a/b_c:d") == "a_b_c_d"
    names.assign(["a/b_c:d", "a_b/c:d"])
    assert names.name("a/b_c:d") == "a_b_c_d"
    assert names.name("a_b/c:d") != "a_b_c_d"


def test_a_name_once_given_is_never_given_to_something_else():
    names = named("a/b_c:d")
    names.assign(["a_b/c:d"])
    assert names.name("a_b/c:d") != "a_b_c_d"
    assert names.key("a_b_c_d") is None
    names.assign(["a/b_c:d"])
    assert names.name("a/b_c:d") == "a_b_c_d"


@given(st.lists(KEYS, unique=True, max_size=12), st.lists(KEYS, unique=True, max_size=4))
def test_names_are_valid_unique_reversible_and_stable(keys, more):
    names = named(*keys)
    before = {key: names.name(key) for key in keys}
    for key, name in before.items():
        assert name is not None
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,48}", name)
        assert names.key(name) == key
    assert len({name.lower() for name in before.values() if name}) == len(keys)
    assert {key: named(*reversed(keys)).name(key) for key in keys} == before
    names.assign([*more, *keys])
    assert {key: names.name(key) for key in keys} == before


def test_the_plain_and_hashed_forms_depend_on_the_key_alone():
    assert plain_name("acme/a.b:c") is None
    assert hashed_name("acme/a.b:c") == hashed_name("acme/a.b:c")
    assert re.fullmatch(r"acme_a-b_c_[a-z2-7]{8}", hashed_name("acme/a.b:c"))


LENGTHS = (25, 37, 48, 128)


def all_lengths(*keys: str) -> Names:
    names = Names(LENGTHS)
    names.assign(keys)
    return names


@given(st.lists(KEYS, max_size=8, unique=True))
def test_every_name_of_every_length_leads_to_its_action_and_to_no_other(keys: list[str]) -> None:
    names = all_lengths(*keys)
    given_ = {(length, key): names.within(key, length) or "" for length in LENGTHS for key in keys}
    for (length, key), name in given_.items():
        assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_-]*", name)
        assert len(name) <= length
        assert not name.lower().startswith("jecp_")
        assert names.key(name) == key
    for length in LENGTHS:
        assert len({given_[length, key].lower() for key in keys}) == len(keys)
    # A process that starts again gives the same names, and knows them before it has given one.
    again = all_lengths(*reversed(keys))
    assert all(again.key(name) == key for (_, key), name in given_.items())
    assert {one: again.within(one[1], one[0]) for one in given_} == given_


def test_a_name_that_fits_is_the_same_for_every_length() -> None:
    names = all_lengths("acme/pdf:make")
    assert {names.within("acme/pdf:make", length) for length in LENGTHS} == {"acme_pdf_make"}
    assert names.cut == ()


def test_a_name_too_long_for_a_host_is_cut_there_and_whole_where_it_may_be_long() -> None:
    key = "acme/a-capability-with-a-long-name:an-action-with-a-long-name"
    names = all_lengths(key, "acme/pdf:make")
    assert names.within(key, 128) == "acme_a-capability-with-a-long-name_an-action-with-a-long-name"
    assert names.within(key, 48) == names.name(key) == hashed_name(key)
    assert names.within(key, 25) == hashed_name(key, 8, 25)
    assert names.cut == (key,)


def test_names_that_begin_so_come_in_order() -> None:
    names = all_lengths("b/c:d", "b/a:d", "a/b:c", "b/b:x")
    assert list(names.starting_with("b_")) == ["b_a_d", "b_b_x", "b_c_d"]
    assert list(names.starting_with("z")) == []
    names.assign(["z/z:z"])
    assert list(names.starting_with("z")) == ["z_z_z"]
