"""Provider ``lectern``: extractive summaries by sentence centrality, whole or section by section."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import prose, schemas
from jecp_mcp.sandbox.work.forms import Action, Capability, Delta, Input, Work, WorkFailed, whole

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

_MOST = 100_000
_MOST_LONG = 1_000_000
_MOST_SENTENCES = 1_200
_MOST_TERMS = 2_500
_SECTION = 24
_MOST_SECTION = 20_000
_DAMPING = 0.85
_SAME = 0.7


def extract(given: Input) -> Work:
    """The most central sentences, in the order of the text."""
    sentences = list(prose.sentences(given["text"]))
    if len(sentences) > _MOST_SENTENCES:
        raise WorkFailed("TOO_LARGE", f"there are {len(sentences)} sentences, at most {_MOST_SENTENCES} are allowed")
    if not sentences:
        raise WorkFailed("TEXT_EMPTY", "the text holds no sentence")
    scores, chosen = _ranked(sentences, given.get("sentences", 3))
    picked = [
        {"index": place, "text": sentences[place], "score": round(float(scores[place]), 6)} for place in sorted(chosen)
    ]
    return Work(
        {
            "summary": " ".join(sentences[place] for place in sorted(chosen)),
            "sentences": picked,
            "total_sentences": len(sentences),
        }
    )


def _ranked(sentences: list[str], wanted: int) -> tuple[Array, list[int]]:
    """Each sentence's centrality, and the best `wanted` that do not repeat one another."""
    import numpy as np

    vectors = _vectors(sentences)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, 0.0)
    scores = _central(likeness)
    chosen: list[int] = []
    for place in np.argsort(-scores, kind="stable"):
        if len(chosen) == wanted:
            break
        if not chosen or float(likeness[place, chosen].max()) < _SAME:
            chosen.append(int(place))
    return scores, chosen


def _vectors(sentences: list[str]) -> Array:
    """Rows of unit length: the sentences' terms, weighed by rarity."""
    import numpy as np

    bags = [
        Counter(word for word in map(str.casefold, prose.words(sentence)) if word not in prose.STOPWORDS)
        for sentence in sentences
    ]
    frequency = Counter(term for bag in bags for term in bag)
    # A term of one sentence links it to none other; the commonest carry the links.
    terms = {term: place for place, (term, _) in enumerate(frequency.most_common(_MOST_TERMS))}
    rows = np.zeros((len(bags), max(1, len(terms))))
    for row, bag in zip(rows, bags, strict=True):
        for term, count in bag.items():
            place = terms.get(term)
            if place is not None:
                row[place] = count * math.log(1 + len(bags) / frequency[term])
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Array = rows / np.where(length == 0, 1, length)
    return found


def _central(likeness: Array) -> Array:
    """Stationary visits of a walk from sentence to like sentence (PageRank, as in Mihalcea and Tarau's TextRank)."""
    import numpy as np

    n = len(likeness)
    total = likeness.sum(1, keepdims=True)
    steps = np.where(total > 0, likeness / np.where(total > 0, total, 1), 1 / n)
    rank = np.full(n, 1 / n)
    for _ in range(60):
        after = (1 - _DAMPING) / n + _DAMPING * (rank @ steps)
        if float(np.abs(after - rank).sum()) < 1e-9:  # noqa: PLR2004  # far below what six decimals show
            return after
        rank = after
    return rank


def _sections(text: str) -> Iterator[list[str]]:
    section: list[str] = []
    size = 0
    for sentence in prose.sentences(text):
        section.append(sentence)
        size += len(sentence)
        if len(section) == _SECTION or size > _MOST_SECTION:
            yield section
            section, size = [], 0
    if section:
        yield section


def by_section(given: Input) -> Generator[Delta, None, Work]:
    """Read on, and give each section's best sentence before the next is read."""
    best: list[str] = []
    read = 0
    for section in _sections(given["text"]):
        read += len(section)
        _, chosen = _ranked(section, 1)
        best.append(section[chosen[0]])
        yield f"{best[-1]}\n"
    if not best:
        raise WorkFailed("TEXT_EMPTY", "the text holds no sentence")
    return Work({"summary": "\n".join(best), "sections": len(best), "total_sentences": read})


SAMPLE = (
    "The old lock at Marsh End was built for barges that no longer come. Its gates leak, and the keeper patches them "
    "each spring with oak and tar. Last year the council proposed to fill the lock in and sell the land. The keeper "
    "objected, because the lock still holds the water that feeds the reed beds upstream. Without the lock the reed "
    "beds would dry within two summers. A survey by the water board agreed with the keeper. The council has now "
    "postponed the sale, and the gates are to be replaced with steel."
)

SUMMARY_INPUT: dict[str, schemas.Schema] = {
    "text": schemas.text("The text. English stop words are known; other languages work, less sharply.", _MOST),
    "sentences": schemas.whole("How many sentences to keep.", 1, 20, default=3),
}
PICKED: dict[str, schemas.Schema] = {
    "index": {"type": "integer", "minimum": 0, "description": "Its place in the text, from 0."},
    "text": {"type": "string"},
    "score": {"type": "number", "minimum": 0},
}

SUMMARY_OUTPUT = schemas.record(
    {
        "summary": {"type": "string"},
        "sentences": {"type": "array", "items": schemas.record(PICKED)},
        "total_sentences": {"type": "integer", "minimum": 1},
    }
)

CAPABILITY = Capability(
    namespace="lectern",
    capability="summary",
    version="2.0.0",
    name="Summary",
    description="Summaries made of the text's own most central sentences (TextRank over TF-IDF).",
    tags=("summary", "text"),
    actions=(
        Action(
            id="extract",
            name="Extract",
            description="Pick the most central sentences of a text that do not repeat one another, in their order.",
            price="0.02",
            work=extract,
            p95_ms=1_500,
            input_schema=schemas.record(SUMMARY_INPUT, optional=("sentences",)),
            output_schema=SUMMARY_OUTPUT,
            examples=({"input": {"text": SAMPLE, "sentences": 2}},),
        ),
        Action(
            id="by-section",
            name="By section",
            description="Read a long text section by section; stream the best sentence of each as soon as it is read.",
            price="0.03",
            work=whole(by_section),
            stream=by_section,
            p95_ms=1_500,
            input_schema=schemas.record({"text": schemas.text("The text.", _MOST_LONG)}),
            output_schema=schemas.record(
                {
                    "summary": {"type": "string", "description": "One line for each section."},
                    "sections": {"type": "integer", "minimum": 1},
                    "total_sentences": {"type": "integer", "minimum": 1},
                }
            ),
            examples=({"input": {"text": SAMPLE}},),
        ),
    ),
)
