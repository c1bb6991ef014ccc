"""Provider ``inkwell``: an extractive summary, by word frequency and position."""

from __future__ import annotations

from collections import Counter

from jecp_mcp.sandbox.work import json_schema, segmentation
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Input,
    Work,
    WorkFailed,
)

_MOST = 100_000
_LEAD = 1.25
_CANDIDATES = 2_000


def extract(given: Input) -> Work:
    """Pick the sentence with the likeliest words, make its words unlikelier, and again.

    After SumBasic (Nenkova and Vanderwende, 2005), with a bonus for the opening sentence.
    """
    sentences = list(segmentation.sentences(given["text"]))
    if not sentences:
        raise WorkFailed("TEXT_EMPTY", "the text holds no sentence")
    bags = [
        [word for word in map(str.casefold, segmentation.words(sentence)) if word not in segmentation.STOPWORDS]
        for sentence in sentences
    ]
    counts = Counter(word for bag in bags for word in bag)
    total = counts.total() or 1
    likely = {word: count / total for word, count in counts.items()}
    open_places = set(range(min(len(sentences), _CANDIDATES)))
    chosen: dict[int, float] = {}
    for _ in range(min(given.get("sentences", 3), len(open_places))):
        score, negative = max((_worth(place, bags[place], likely), -place) for place in open_places)
        chosen[-negative] = score
        open_places.remove(-negative)
        for word in set(bags[-negative]):
            likely[word] **= 2
    picked = [{"index": place, "text": sentences[place], "score": round(chosen[place], 6)} for place in sorted(chosen)]
    summary = " ".join(sentences[place] for place in sorted(chosen))
    return Work({"summary": summary, "sentences": picked, "total_sentences": len(sentences)})


def _worth(place: int, bag: list[str], likely: dict[str, float]) -> float:
    mean = sum(likely[word] for word in bag) / len(bag) if bag else 0.0
    return mean * (1 if place else _LEAD)


_PICKED = json_schema.record(
    {
        "index": {**json_schema.COUNT, "description": "Its place in the text, from 0."},
        "text": json_schema.STRING,
        "score": {"type": "number", "minimum": 0},
    }
)

CAPABILITY = Capability(
    namespace="inkwell",
    capability="abstract",
    version="1.0.2",
    name="Abstract",
    description="Short extractive summaries by word frequency.",
    tags=("summary", "text"),
    actions=(
        Action(
            id="extract",
            name="Extract",
            description="Pick the sentences that hold a text's most frequent words (SumBasic), in their order.",
            price="0.008",
            work=extract,
            p95_ms=800,
            input_schema=json_schema.record(
                {
                    "text": json_schema.text(
                        "The text. English stop words are known; other languages work, less sharply.", _MOST
                    ),
                    "sentences": json_schema.whole("How many sentences to keep.", 1, 20, default=3),
                },
                optional=("sentences",),
            ),
            output_schema=json_schema.record(
                {
                    "summary": json_schema.STRING,
                    "sentences": {"type": "array", "items": _PICKED},
                    "total_sentences": {"type": "integer", "minimum": 1},
                }
            ),
            examples=({"input": {"text": segmentation.SAMPLE, "sentences": 2}},),
        ),
    ),
)
