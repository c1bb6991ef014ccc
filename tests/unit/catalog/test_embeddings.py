"""Texts as vectors, and searches that go by them; with a model of a few words whose vectors are written here."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jecp_mcp.catalog import embeddings
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.embeddings import Model, Vectors
from jecp_mcp.catalog.search import Filter, Finder, Index
from tests.unit.catalog.test_catalog_search import action

MEANINGS = {
    "": (0, 0, 0, 0),
    "violin": (1, 0.2, 0, 0),
    "photo": (0, 3, 0, 0),
    "picture": (0, 3, 0.3, 0),
    "selfie": (0, 2, 0.5, 0),
    "rain": (0, 0, 1, 0),
    "weather": (0, 0, 1, 0.1),
    "parasol": (0, 0, 1, 0.3),
    "nothing": (0, 0, 0, 0),
    "contract": (0, 0, 0, 5),
}


@dataclass
class Encoded:
    ids: list[int]


class Words:
    """A tokenizer of whole words; every other word is token 0."""

    def encode_batch(self, texts: list[str], *, add_special_tokens: bool) -> list[Encoded]:
        assert not add_special_tokens
        known = list(MEANINGS)
        return [Encoded([known.index(word) if word in MEANINGS else 0 for word in text.split()]) for text in texts]


MODEL = Model(Words(), np.array(list(MEANINGS.values()), dtype=np.float16))
PICTURES = action("acme/images:retouch", title="picture retouching")
WEATHER = action("acme/sky:outlook", 200, title="weather of tomorrow", tags=("sky",))
LAWYER = action("acme/law:read", title="contract reading", total_calls=1_000)
OFFERS = [PICTURES, WEATHER, LAWYER]


def found(query: str, **more) -> list[str]:
    return [one.key for one in Index(OFFERS, MODEL).search(query, Filter(**more)).actions]


def test_texts_about_the_same_are_alike_whatever_their_length_and_case():
    likeness = Vectors(MODEL, ["photo", "PHOTO photo", "rain", "contract"]).likeness("Picture")
    assert likeness.of[0] == pytest.approx(likeness.of[1])
    assert likeness.of[0] > 0.9 > likeness.of[2]
    assert list(likeness.places())[2:] == [2, 3]


def test_a_token_in_every_text_tells_little_of_any():
    texts = [f"photo {word}" for word in ("rain", "weather", "parasol", "contract")]
    assert next(Vectors(MODEL, texts).likeness("photo contract").places()) == 3


@pytest.mark.parametrize("query", ["", "nothing", "   ", "\ud800", "💥"])
def test_a_query_about_nothing_is_like_nothing_much(query):
    of = Vectors(MODEL, ["photo", "", "nothing", "\ud800"]).likeness(query).of
    assert len(of) == 4
    assert np.isfinite(of).all()


def test_a_stranger_s_endless_text_costs_no_more_than_a_long_one():
    assert [len(ids) for ids in MODEL.tokens(["photo " * 100, "photo " * 100_000])] == [100, 256]


def test_nothing_can_be_like_a_query_where_there_are_no_texts():
    assert Vectors(MODEL, []).likeness("photo").of == []
    assert Index([], MODEL).search("photo").total == 0


def test_what_shares_no_word_with_the_query_is_found_by_what_it_is_about():
    assert found("parasol") == [WEATHER.key]
    assert Index(OFFERS).search("parasol").total == 0


def test_words_that_are_there_count_beside_what_an_action_is_about():
    assert found("photo contract reading")[0] == LAWYER.key
    assert set(found("photo contract reading")) >= {LAWYER.key, PICTURES.key}


def test_filters_hold_for_what_is_found_by_its_meaning():
    assert found("parasol", max_price=100) == []
    assert found("parasol", tags=("sea",)) == []
    assert found("parasol", tags=("sky",), namespace="acme") == [WEATHER.key]
    assert found("weather selfie", tags=("sky",)) == [WEATHER.key]


def test_what_is_about_something_else_is_not_offered_where_no_word_is_known():
    assert found("violin") == []


def test_whoever_judges_matches_by_other_means_is_given_those_of_words_alone():
    for query in ("photo", "photo weather", "outlook"):
        given = [
            [hit.action.key for hit in Index(OFFERS, model).search(query, weak=True).hits] for model in (MODEL, None)
        ]
        assert given[0] == given[1]


@pytest.mark.anyio
async def test_the_finder_asks_for_the_model_when_it_first_needs_it():
    asked = []

    def model() -> Model:
        asked.append(1)
        return MODEL

    finder = Finder(lambda: Catalog("1", {one.key: one for one in OFFERS}), model)
    assert not asked
    await finder.prepare()
    assert asked == [1]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package by the model's name, with nothing in it."""
    folder = tmp_path / "wordllama"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('its code is not run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_without_the_extra_there_is_no_model(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [])
    sys.path_importer_cache.clear()
    assert embeddings.installed.__wrapped__() is None


def test_a_model_whose_files_cannot_be_read_is_told_once_and_done_without(
    package: Path, caplog: pytest.LogCaptureFixture
):
    assert embeddings.installed.__wrapped__() is None
    assert "searching by words alone" in caplog.text
