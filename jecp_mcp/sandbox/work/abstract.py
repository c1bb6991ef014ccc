"""Provider ``inkwell``: an extractive summary, by word frequency."""

from __future__ import annotations

from collections import Counter
from heapq import nlargest
from itertools import chain

from jecp_mcp.sandbox.work import segmentation
from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.json_schema import COUNT, NUMBER, STRING, list_of, record, text, whole


def extract(given: Input) -> Work:
    """Pick the sentences whose words are the most frequent on average, stop words aside."""
    sentences = segmentation.sentences(given["text"])
    if not sentences:
        raise WorkFailed("TEXT_EMPTY", "the text holds no sentence")
    bags = [
        [word for word in map(str.casefold, segmentation.words(sentence)) if word not in segmentation.STOPWORDS]
        for sentence in sentences
    ]
    counts = Counter(chain.from_iterable(bags))
    total = counts.total() or 1
    scores = [sum(counts[word] for word in bag) / (len(bag) or 1) / total for bag in bags]
    best = sorted(nlargest(given.get("sentences", 3), range(len(sentences)), key=scores.__getitem__))
    return Work(
        {
            "summary": " ".join(sentences[place] for place in best),
            "sentences": [
                {"index": place, "text": sentences[place], "score": round(scores[place], 6)} for place in best
            ],
            "total_sentences": len(sentences),
        }
    )


CAPABILITY = Capability(
    id="inkwell/abstract",
    version="1.0.2",
    name="Abstract",
    description="Short extractive summaries by word frequency.",
    tags=("summary", "text"),
    actions=(
        Action(
            id="extract",
            name="Summarise a text",
            description="Pick the sentences that hold a text's most frequent words, in their order.",
            price="0.008",
            work=extract,
            input_schema=record(
                text=text("The text. English stop words are known; other languages work, less sharply.", 100_000),
                sentences=whole("How many sentences to keep.", 1, 20, default=3),
            ),
            output_schema=record(
                summary=STRING,
                sentences=list_of(
                    record(index={**COUNT, "description": "Its place in the text, from 0."}, text=STRING, score=NUMBER)
                ),
                total_sentences=COUNT,
            ),
            example={"text": segmentation.SAMPLE, "sentences": 2},
        ),
    ),
)
