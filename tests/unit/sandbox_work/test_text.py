"""Text: the answers are right, and streams give each piece as it is worked out."""

from typing import Any

import pytest

from jecp_mcp.sandbox import work
from jecp_mcp.sandbox.work import segmentation


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
    assert segmentation.sentences(text) == expected


def test_statistics_count_what_a_person_counts() -> None:
    found = out("text-stats", "count", {"text": "It's a well-known fact.\nIt's true, é!"})
    assert (found["words"], found["distinct_words"], found["sentences"], found["lines"]) == (7, 6, 2, 2)
    assert (found["characters"], found["bytes_utf8"]) == (37, 38)
    assert found["longest_word"] == "well-known"


def test_an_empty_text_has_counts_of_nothing() -> None:
    assert out("text-stats", "count", {"text": ""})["words"] == 0


TEXT = (
    "Herons nest in the reed beds. The reed beds need water from the lock. Lunch was good. "
    "If the lock closes, the reed beds and the herons lose their water. Somebody sang."
)


def test_a_summary_is_made_of_the_texts_own_central_sentences_in_their_order() -> None:
    found = out("inkwell/abstract", "extract", {"text": TEXT, "sentences": 2})
    places = [each["index"] for each in found["sentences"]]
    assert places == sorted(places)
    assert len(places) == 2
    assert all(each["text"] in TEXT for each in found["sentences"])
    assert "Lunch" not in found["summary"]
    assert "sang" not in found["summary"]
    assert found["total_sentences"] == 5


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
