"""Provider ``inkwell``: a cheaper extractive summary, by word frequency and position."""

from __future__ import annotations

from collections import Counter

from jecp_mcp.sandbox.work import prose, schemas
from jecp_mcp.sandbox.work.forms import Action, Capability, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.summary import SAMPLE, SUMMARY_INPUT, SUMMARY_OUTPUT

_LEAD = 1.25
_CANDIDATES = 2_000


def extract(given: Input) -> Work:
    """Pick the sentence with the likeliest words, make its words unlikelier, and again.

    After SumBasic (Nenkova and Vanderwende, 2005), with a bonus for the opening sentence.
    """
    sentences = list(prose.sentences(given["text"]))
    if not sentences:
        raise WorkFailed("TEXT_EMPTY", "the text holds no sentence")
    bags = [
        [word for word in map(str.casefold, prose.words(sentence)) if word not in prose.STOPWORDS]
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
    return Work(
        {
            "summary": " ".join(sentences[place] for place in sorted(chosen)),
            "sentences": [
                {"index": place, "text": sentences[place], "score": round(chosen[place], 6)} for place in sorted(chosen)
            ],
            "total_sentences": len(sentences),
        }
    )


def _worth(place: int, bag: list[str], likely: dict[str, float]) -> float:
    mean = sum(likely[word] for word in bag) / len(bag) if bag else 0.0
    return mean * (1 if place else _LEAD)


CAPABILITY = Capability(
    namespace="inkwell",
    capability="abstract",
    version="1.0.2",
    name="Abstract",
    description="Short extractive summaries by word frequency: plainer and cheaper than graph-based ones.",
    tags=("summary", "text"),
    actions=(
        Action(
            id="extract",
            name="Extract",
            description="Pick the sentences that hold a text's most frequent words (SumBasic), in their order.",
            price="0.008",
            work=extract,
            p95_ms=800,
            input_schema=schemas.record(SUMMARY_INPUT, optional=("sentences",)),
            output_schema=SUMMARY_OUTPUT,
            examples=({"input": {"text": SAMPLE, "sentences": 2}},),
        ),
    ),
)
