"""Text, numbers and JSON: the answers are right, and streams give each piece as it is worked out."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jecp_mcp.sandbox import work
from jecp_mcp.sandbox.work import prose, summary


def out(capability: str, action: str, given: dict[str, Any]) -> Any:
    return work.run(capability, action, given).output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Ames met J. R. Hill, e.g. at noon. They left.", ["Dr. Ames met J. R. Hill, e.g. at noon.", "They left."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Pi is 3.14 today. Yes.", ["Pi is 3.14 today.", "Yes."]),
        ("A heading\n\nThe body. ", ["A heading", "The body."]),
        ("第一句。第二句\uff01", ["第一句。", "第二句\uff01"]),
        ("  ...  ", []),
        ("Wrapped\nover lines.", ["Wrapped over lines."]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert list(prose.sentences(text)) == expected


def test_statistics_count_what_a_person_counts() -> None:
    found = out("text-stats", "count", {"text": "It's a well-known fact.\nIt's true, é!"})
    assert (found["words"], found["distinct_words"], found["sentences"], found["lines"]) == (7, 6, 2, 2)
    assert (found["characters"], found["bytes_utf8"]) == (37, 38)
    assert found["longest_word"] == "well-known"


def test_an_empty_text_has_counts_of_nothing() -> None:
    assert out("text-stats", "count", {"text": ""})["words"] == 0


def test_a_digest_is_that_of_the_bytes() -> None:
    same = [{"data": "\x00\x01\x02"}, {"data": "AAEC", "encoding": "base64"}]
    assert len({json.dumps(out("digest", "compute", each)) for each in same}) == 1
    assert out("digest", "compute", {"data": "abc"})["hex"].startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize(
    ("value", "source", "target", "exact"),
    [
        (1, "mi", "km", "1.609344"),
        (0.1, "m", "cm", "10"),
        (-40, "F", "C", "-40"),
        (0, "C", "K", "273.15"),
        (36, "km/h", "m/s", "10"),
        (1, "GiB", "MB", "1073.741824"),
        (0, "kg", "lb", "0"),
    ],
)
def test_units_convert_exactly(value: float, source: str, target: str, exact: str) -> None:
    assert out("unit-convert", "convert", {"value": value, "from": source, "to": target})["exact"] == exact


@pytest.mark.parametrize(
    ("source", "target", "value", "code"),
    [("m", "kg", 1, "UNITS_DIFFER"), ("C", "m", 1, "UNITS_DIFFER"), ("C", "K", -300, "BELOW_ABSOLUTE_ZERO")],
)
def test_units_that_do_not_meet_are_refused(source: str, target: str, value: float, code: str) -> None:
    with pytest.raises(work.WorkFailed) as failed:
        work.run("unit-convert", "convert", {"value": value, "from": source, "to": target})
    assert failed.value.code == code


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
    | st.text("a/~0", max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=4),
    max_leaves=20,
)


def canonical(value: Any) -> str:
    """Text in which true is not 1, and 1 is 1.0."""
    return json.dumps(value, sort_keys=True, default=str) if not isinstance(value, float) else str(Decimal(str(value)))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@settings(max_examples=150, deadline=None)
@given(before=JSON, after=JSON)
def test_a_patch_turns_the_one_document_into_the_other(before: Any, after: Any) -> None:
    found = out("json-diff", "compare", {"before": before, "after": after})
    kept = json.dumps(before)
    patched = out("json-diff", "apply", {"document": before, "patch": found["patch"]})["document"]
    assert same(patched, after)
    assert found["equal"] == same(before, after)
    assert json.dumps(before) == kept


def test_a_change_in_a_long_array_names_only_what_changed() -> None:
    before = list(range(100))
    after = [*before[:40], "new", *before[40:]]
    patch = out("json-diff", "compare", {"before": before, "after": after})["patch"]
    assert patch == [{"op": "add", "path": "/40", "value": "new"}]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": True},
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "move", "path": "/list/0", "from": "/list"},
        {"op": "copy", "path": "/c"},
        {"op": "remove", "path": ""},
    ],
)
def test_a_patch_that_does_not_fit_fails_whole(operation: dict[str, Any]) -> None:
    document = {"a": 1, "list": [1, 2, 3]}
    with pytest.raises(work.WorkFailed) as failed:
        work.run(
            "json-diff", "apply", {"document": document, "patch": [{"op": "remove", "path": "/list/0"}, operation]}
        )
    assert failed.value.code == "PATCH_FAILED"
    assert failed.value.message.startswith("/patch/1 ")
    assert document == {"a": 1, "list": [1, 2, 3]}


TEXT = (
    "Herons nest in the reed beds. The reed beds need water from the lock. Lunch was good. "
    "If the lock closes, the reed beds and the herons lose their water. Somebody sang."
)


@pytest.mark.parametrize("capability", ["lectern/summary", "inkwell/abstract"])
def test_a_summary_is_made_of_the_texts_own_central_sentences_in_their_order(capability: str) -> None:
    found = out(capability, "extract", {"text": TEXT, "sentences": 2})
    places = [each["index"] for each in found["sentences"]]
    assert places == sorted(places)
    assert len(places) == 2
    assert all(each["text"] in TEXT for each in found["sentences"])
    assert "Lunch" not in found["summary"]
    assert "sang" not in found["summary"]
    assert found["total_sentences"] == 5


def test_a_summary_does_not_say_the_same_twice() -> None:
    text = "The lock feeds the reed beds. " * 5 + "The council plans a sale of the lock."
    assert out("lectern/summary", "extract", {"text": text, "sentences": 3})["summary"].count("feeds") == 1


def test_a_section_is_summarised_before_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    whole = prose.sentences

    def watched(text: str) -> Any:
        for sentence in whole(text):
            read.append(sentence)
            yield sentence

    monkeypatch.setattr(summary.prose, "sentences", watched)
    text = " ".join(f"Sentence number {place} speaks of herons." for place in range(120))
    pieces = work.stream("lectern/summary", "by-section", {"text": text})
    first = next(pieces)
    assert isinstance(first, str)
    assert first.strip() in text
    assert len(read) < 30
    assert len(list(pieces)) == 4
    assert len(read) == 120


def test_a_text_without_a_sentence_fails_from_the_stream_too() -> None:
    with pytest.raises(work.WorkFailed):
        next(work.stream("lectern/summary", "by-section", {"text": "... !"}))


def test_a_concordance_finds_whole_words_in_any_case_and_never_runs_a_pattern() -> None:
    text = "Lock, unlock, the LOCK (old  lock). a.c abc"
    lines = out("lectern/concordance", "keyword-in-context", {"text": text, "keyword": "lock", "context": 4})["lines"]
    assert [line["match"] for line in lines] == ["Lock", "LOCK", "lock"]
    assert lines[1]["left"] == "the "
    assert text[lines[2]["offset"] :].startswith("lock")
    assert out("lectern/concordance", "keyword-in-context", {"text": text, "keyword": "a.c"})["count"] == 1
    phrase = out("lectern/concordance", "keyword-in-context", {"text": text, "keyword": "old lock"})
    assert phrase["lines"][0]["match"] == "old  lock"


def test_a_concordance_stops_at_its_limit_and_says_that_there_is_more() -> None:
    found = out("lectern/concordance", "keyword-in-context", {"text": "a " * 9, "keyword": "a", "limit": 4})
    assert (found["count"], found["more"]) == (4, True)


def test_keywords_are_paid_by_the_tokens_read_and_written() -> None:
    done = work.run("lectern/keywords", "extract", {"text": "Reed beds, reed beds! The reed beds dry."})
    # Seven words, and a comma, an exclamation mark and a full stop.
    assert done.units["input_tokens"] == 11
    assert done.output["keywords"][0]["phrase"] in {"reed beds", "reed beds dry"}
    written = sum(len(each["phrase"].split()) for each in done.output["keywords"])
    assert done.units["output_tokens"] == written
    assert done.output["usage"] == dict(done.units)


def test_a_longer_text_costs_more_tokens() -> None:
    short, long = (
        work.run("lectern/keywords", "extract", {"text": "heron lake " * times}).units["input_tokens"]
        for times in (5, 50)
    )
    assert (short, long) == (10, 100)
