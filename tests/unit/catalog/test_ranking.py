"""However many documents have a word, each is scored and chosen as the formulas say, and much alike costs little."""

import math
import random
from collections.abc import Mapping, Sequence

import pytest

from jecp_mcp.catalog.diversity import Diversity
from jecp_mcp.catalog.postings import Builder, Postings
from jecp_mcp.catalog.queries import Asked
from jecp_mcp.catalog.ranking import Ranking
from tests.steps import steps
from tests.unit.catalog.offers import of_one_template

COUNT = 4_000
SHARES = {"all": 1.0, "most": 0.8, "half": 0.5, "third": 0.34, "fifth": 0.2, "few": 0.03, "rare": 0.002}
"""Terms, with the share of the documents that have each."""
DICE = random.Random(7)
DOCUMENTS = [
    [term for term, share in SHARES.items() if DICE.random() < share] + ["more"] * DICE.randint(0, 3)
    for _ in range(COUNT)
]
CALLS = [DICE.choice((0, 0, 7, 1_000)) for _ in DOCUMENTS]


def indexed() -> Postings:
    builder = Builder([1.5], [0.5])
    for document in DOCUMENTS:
        builder.add([document])
    return builder.built()


POSTINGS = indexed()


def by_definition(ranking: Ranking, asked: Sequence[Asked], place: int) -> float:
    """The score of a document, looked up word by word."""
    weighed = [{term: word.says * fit * ranking.idf(term) for term, fit in word.answers.items()} for word in asked]
    parts = [max(each * POSTINGS.weight(term, place) for term, each in word.items()) for word in weighed]
    whole = sum(max(word.values()) for word in weighed)
    covered = sum(max(word.values()) for word, part in zip(weighed, parts, strict=True) if part)
    return sum(parts) * (covered / whole) ** 1.5 * (1 + 0.015 * math.log10(1 + CALLS[place]))


def word(says: float = 1.0, **answers: float) -> Asked:
    return Asked(answers, says)


@pytest.mark.parametrize(
    "asked",
    [
        [word(all=1.0)],
        [word(all=1.0), word(most=1.0)],
        [word(half=1.0), word(third=0.55), word(0.25, most=1.0)],
        [word(half=1.0, third=0.55, few=0.85), word(all=1.0, rare=0.55)],
        [word(fifth=1.0, few=1.0, rare=1.0), word(half=1.0, most=0.55, fifth=0.85)],
        [word(rare=1.0), word(all=1.0), word(most=0.75, fifth=0.55)],
        [word(few=1.0), word(most=1.0)],
    ],
)
def test_a_document_s_score_is_the_same_however_many_others_have_its_words(asked: list[Asked]) -> None:
    ranking = Ranking(POSTINGS, CALLS)
    true = {place: score for place in range(COUNT) if (score := by_definition(ranking, asked, place))}
    assert ranking.scores(asked, sparing=False) == pytest.approx(true)


def test_a_common_word_finds_nothing_that_the_rarer_ones_have_not_where_they_found_enough() -> None:
    ranking = Ranking(POSTINGS, CALLS)
    asked = [word(most=1.0), word(half=1.0), word(rare=1.0)]
    found = ranking.scores(asked)
    having = {place for place, document in enumerate(DOCUMENTS) if {"half", "rare"} & set(document)}
    assert found == pytest.approx({place: by_definition(ranking, asked, place) for place in having})


def test_rows_hold_the_weights_of_the_postings() -> None:
    for term in SHARES:
        assert list(POSTINGS.row(term)) == [POSTINGS.weight(term, place) for place in range(COUNT)]
        assert POSTINGS.row(term) is POSTINGS.row(term)
    assert POSTINGS.row("nowhere") == bytes(COUNT)


WORDS = ("convert", "resize", "image", "invoice", "pdf", "page", "word", "text")
NAMES = [DICE.sample(WORDS, DICE.randint(1, 4)) for _ in range(600)]
TELLS = {name: 1.0 + len(name) for names in NAMES for name in names}


def one_by_one(scores: Mapping[int, float], withdrawn: set[int], limit: int) -> list[tuple[int, float]]:
    """Maximal marginal relevance as it is defined, within the best."""
    pool = sorted(scores, key=lambda place: (place in withdrawn, -scores[place], place))[: max(200, limit)]
    chosen: list[tuple[int, float]] = []
    while pool and len(chosen) < limit:
        left = {place: scores[place] * (1 - 0.5 * likest(place, chosen)) for place in pool}
        best = min(pool, key=lambda place: (place in withdrawn, -left[place], place))
        pool.remove(best)
        chosen.append((best, left[best]))
    return chosen


def likest(place: int, chosen: list[tuple[int, float]]) -> float:
    mine = set(NAMES[place])
    return max((tells(mine & set(NAMES[one])) / min(tells(mine), tells(NAMES[one])) for one, _ in chosen), default=0.0)


def tells(names: Sequence[str] | set[str]) -> float:
    return sum(TELLS[name] for name in names)


def diversity_without(withdrawn: set[int]) -> Diversity:
    diversity = Diversity()
    for place, names in enumerate(NAMES):
        diversity.add(names, withdrawn=place in withdrawn)
    diversity.weigh(TELLS.__getitem__)
    return diversity


@pytest.mark.parametrize("limit", [1, 10, 25])
@pytest.mark.parametrize("most_withdrawn", [0, 100, 500])
@pytest.mark.parametrize("distinct", [1, 5, 600])
def test_what_is_chosen_is_the_best_of_what_is_left_each_time(limit: int, most_withdrawn: int, distinct: int) -> None:
    dice = random.Random(limit + most_withdrawn + distinct)
    withdrawn = set(dice.sample(range(len(NAMES)), most_withdrawn))
    scores = {place: 1.0 + dice.randrange(distinct) for place in dice.sample(range(len(NAMES)), 550)}
    chosen = diversity_without(withdrawn).choose(scores, limit)
    expected = one_by_one(scores, withdrawn, limit)
    assert [place for place, _ in chosen] == [place for place, _ in expected]
    assert [left for _, left in chosen] == pytest.approx([left for _, left in expected])


def test_as_many_are_chosen_as_asked_for_or_found() -> None:
    scores = dict.fromkeys(range(300), 1.0)
    assert {limit: len(diversity_without({5}).choose(scores, limit)) for limit in (0, 250, 400)} == {
        0: 0,
        250: 250,
        400: 300,
    }
    assert diversity_without({5}).choose(scores, 400)[-1][0] == 5
    assert diversity_without(set()).choose({}, 10) == []


def test_where_all_actions_are_of_one_template_a_search_takes_few_steps_for_each() -> None:
    index = of_one_template(COUNT)
    query = "convert an invoice document from Word to PDF and translate the text to German"
    assert len(index.search(query).hits) == 10
    assert steps(lambda: index.search(query)) < 10 * COUNT
