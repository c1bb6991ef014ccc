"""Built-in ``text-stats``: counts of a text. The cheapest action there is."""

from __future__ import annotations

from jecp_mcp.sandbox.work import segmentation
from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work
from jecp_mcp.sandbox.work.json_schema import COUNT, NUMBER, STRING, record, text

_WORDS_PER_MINUTE = 238


def count(given: Input) -> Work:
    """Count characters, words, sentences, lines."""
    source: str = given["text"]
    words = segmentation.words(source)
    return Work(
        {
            "characters": len(source),
            "characters_without_spaces": len("".join(source.split())),
            "bytes_utf8": len(source.encode("utf-8", "replace")),
            "words": len(words),
            "distinct_words": len({word.casefold() for word in words}),
            "sentences": len(segmentation.sentences(source)),
            "lines": len(source.splitlines()),
            "longest_word": max(words, key=len, default=""),
            "reading_seconds": round(len(words) * 60 / _WORDS_PER_MINUTE, 1),
        }
    )


CAPABILITY = Capability(
    id="text-stats",
    version="1.0.0",
    name="Text statistics",
    description="Counts of a text: characters, words, sentences, lines, reading time.",
    tags=("text", "statistics"),
    actions=(
        Action(
            id="count",
            name="Count words",
            description="Count the characters, words, distinct words, sentences and lines of a text.",
            price="0.0005",
            work=count,
            input_schema=record(text=text("The text to count.", 200_000, 0)),
            output_schema=record(
                characters=COUNT,
                characters_without_spaces=COUNT,
                bytes_utf8=COUNT,
                words=COUNT,
                distinct_words=COUNT,
                sentences=COUNT,
                lines=COUNT,
                longest_word=STRING,
                reading_seconds={**NUMBER, "description": f"At {_WORDS_PER_MINUTE} words a minute."},
            ),
            example={"text": "Cloudless. The harbour slept; Dr. Ames did not."},
        ),
    ),
)
