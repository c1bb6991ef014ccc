"""The lists of words that mean the same hold nothing that could never be of use, and phrases are read as phrases."""

from collections import Counter
from collections.abc import Iterable

import pytest

from jecp_mcp.catalog.thesaurus.loading import load_apart, load_stop_words, load_synonyms
from jecp_mcp.catalog.words import is_known, meant_together, stem, synonyms, terms, wanted

STOP, WEAK = load_stop_words()
ALIKE, IMPLIED = load_synonyms()
SAY_NOTHING = frozenset(STOP)
STEMS_OF_NOTHING = frozenset(map(stem, SAY_NOTHING))


def twice(things: Iterable[object]) -> list[object]:
    return [thing for thing, times in Counter(things).items() if times > 1]


@pytest.mark.parametrize("words", [STOP, WEAK], ids=["stop", "weak"])
def test_the_words_of_talk_are_listed_once_each_in_order(words):
    assert words == sorted({word.lower() for word in words})


def test_no_word_says_both_little_and_nothing():
    assert not SAY_NOTHING & set(WEAK)


def test_every_group_of_like_words_has_at_least_two_that_say_something():
    for group in ALIKE:
        assert len({stem(word) for word in group}) > 1, group
        assert not SAY_NOTHING & set(group), group


def test_no_group_is_within_another():
    groups = [frozenset(group) for group in ALIKE]
    assert twice(groups) == []
    by_word: dict[str, list[frozenset[str]]] = {}
    for group in groups:
        for word in group:
            by_word.setdefault(word, []).append(group)
    assert [sorted(group) for group in groups if any(group < other for other in by_word[min(group)])] == []


def test_what_is_said_is_never_only_words_that_say_nothing():
    empty = [said for said, _ in IMPLIED if STEMS_OF_NOTHING.issuperset(terms(said))]
    assert empty == []


def test_a_single_word_that_says_little_implies_nothing():
    assert [said for said, _ in IMPLIED if said in WEAK] == []


def test_what_is_implied_adds_to_what_is_said_and_says_something():
    for said, meant in IMPLIED:
        assert not set(terms(meant)) <= set(terms(said)), said
        assert not SAY_NOTHING & set(meant.split()) - {"to"}, (said, meant)


def test_nothing_is_implied_twice():
    assert (
        twice((frozenset(terms(said)), meant) for said, meant in IMPLIED if SAY_NOTHING.isdisjoint(said.split())) == []
    )
    assert twice(IMPLIED) == []


def test_words_set_apart_share_their_first_form_with_no_other_word():
    lines = load_apart()
    assert twice(word for line in lines for word in line) == []
    for line in lines:
        assert {stem(word) for word in line} == {line[0]}


@pytest.mark.parametrize(
    ("one", "other"),
    [("shipping", "ship"), ("training", "train"), ("recipient", "recipe"), ("animal", "animation"), ("paste", "past")],
)
def test_words_that_only_look_alike_have_stems_of_their_own(one, other):
    assert stem(one) != stem(other)


def meanings(query: str) -> set[str]:
    return set().union(*(meaning for _, meaning in meant_together(query)))


def test_words_may_stand_in_any_order_but_a_phrase_with_little_words_only_as_it_is():
    assert "restor" in meanings("this photo of my aunt is torn")
    assert stem("restore") in meanings("a torn old photo")
    assert stem("pronunciation") in meanings("how would one say this name")
    assert stem("pronunciation") not in meanings("say which films there are and how long they run, by name")


def test_a_phrase_may_have_a_few_other_words_in_it_and_no_more():
    assert stem("dictionary") in meanings("what does petrichor mean")
    assert stem("dictionary") not in meanings("what film does my sister in Leeds, who is ten, mean")


def test_part_of_what_is_said_implies_nothing():
    assert "restor" not in meanings("torn")
    assert "restor" not in meanings("photo")


@pytest.mark.parametrize("word", ["lorry", "petrol", "lawyer", "invoice"])
def test_like_words_are_so_both_ways(word):
    others = synonyms(stem(word))
    assert others
    assert all(stem(word) in synonyms(other) for other in others)


def test_a_word_of_the_lists_is_known_and_another_is_not():
    assert is_known(stem("torn"))
    assert not is_known("qwzx")


def test_talk_is_left_out_of_a_query_and_names_of_things_are_not():
    said = wanted("Hi, I'm basically wondering if somebody could please convert this invoice for me, thanks")
    assert set(said) == {"convert", "invoic"}
