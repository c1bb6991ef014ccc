"""Built-in ``text-stats``: counts of a text. The cheapest action there is."""

from __future__ import annotations

from jecp_mcp.sandbox.work import json_schema, segmentation
from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work

_MOST = 200_000
_WORDS_PER_MINUTE = 238


def count(given: Input) -> Work:
    """Count characters, words, sentences, lines."""
    text: str = given["text"]
    found = segmentation.words(text)
    letters = sum(map(len, found))
    return Work(
        {
            "characters": len(text),
            "characters_without_spaces": len("".join(text.split())),
            "bytes_utf8": len(text.encode("utf-8", "replace")),
            "words": len(found),
            "distinct_words": len({word.casefold() for word in found}),
            "sentences": sum(1 for _ in segmentation.sentences(text)),
            "lines": len(text.splitlines()),
            "average_word_length": round(letters / len(found), 2) if found else 0,
            "longest_word": max(found, key=len, default=""),
            "reading_seconds": round(len(found) * 60 / _WORDS_PER_MINUTE, 1),
        }
    )


_COUNTED = (
    "characters", "characters_without_spaces", "bytes_utf8", "words", "distinct_words", "sentences", "lines",
)  # fmt: skip
_LENGTH = {"type": "number", "minimum": 0}

CAPABILITY = Capability(
    namespace="",
    capability="text-stats",
    version="1.0.0",
    name="Text statistics",
    description="Counts of a text: characters, words, sentences, lines, reading time.",
    tags=("text", "statistics"),
    actions=(
        Action(
            id="count",
            name="Count",
            description="Count the characters, words, distinct words, sentences and lines of a text.",
            price="0.0005",
            work=count,
            input_schema=json_schema.record({"text": json_schema.text("The text to count.", _MOST, 0)}),
            output_schema=json_schema.record(
                {
                    **dict.fromkeys(_COUNTED, json_schema.COUNT),
                    "average_word_length": _LENGTH,
                    "longest_word": json_schema.STRING,
                    "reading_seconds": {**_LENGTH, "description": f"At {_WORDS_PER_MINUTE} words a minute."},
                }
            ),
            examples=({"input": {"text": "Cloudless. The harbour slept; Dr. Ames did not."}},),
            p95_ms=50,
        ),
    ),
)
