"""Provider ``lectern``: key phrases, paid by the token."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

from jecp_mcp.sandbox.work import json_schema, segmentation
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Ending,
    Input,
    Work,
)

_MOST = 20_000
_LONGEST = 4
# What is paid for: runs of letters and digits, and single other characters but white space.
_TOKEN = re.compile(r"\w+|[^\w\s]")


def extract(given: Input) -> Work:
    """Score runs of content words by how much company their words keep (RAKE: Rose et al., 2010)."""
    text: str = given["text"]
    phrases = _phrases(text)
    frequency: Counter[str] = Counter()
    degree: dict[str, int] = defaultdict(int)
    for phrase in phrases:
        for word in phrase:
            frequency[word] += 1
            degree[word] += len(phrase)
    counted = Counter(phrases)
    scored = sorted(
        (
            (sum(degree[word] / frequency[word] for word in phrase) * (1 + count) ** 0.5, phrase, count)
            for phrase, count in counted.items()
        ),
        key=lambda each: (-each[0], each[1]),
    )
    found: list[dict[str, Any]] = [
        {"phrase": " ".join(phrase), "score": round(score, 4), "count": count}
        for score, phrase, count in scored[: given.get("limit", 10)]
    ]
    units = {
        "input_tokens": len(_TOKEN.findall(text)),
        "output_tokens": sum(len(_TOKEN.findall(each["phrase"])) for each in found),
    }
    return Work({"keywords": found, "usage": units}, units=units)


def _phrases(text: str) -> list[tuple[str, ...]]:
    """Runs of up to four words that no stop word, number or punctuation interrupts."""
    phrases: list[tuple[str, ...]] = []
    run: list[str] = []
    last = 0
    for start, end in segmentation.places(text):
        word = text[start:end].casefold()
        # White space alone between two words keeps a phrase together.
        if run and (text[last:start].strip() or len(run) == _LONGEST):
            phrases.append(tuple(run))
            run = []
        last = end
        if word in segmentation.STOPWORDS or word.isdigit():
            if run:
                phrases.append(tuple(run))
            run = []
        elif len(word) > 1:
            run.append(word)
    if run:
        phrases.append(tuple(run))
    return phrases


_PHRASE = json_schema.record(
    {
        "phrase": json_schema.STRING,
        "score": {"type": "number", "minimum": 0},
        "count": {"type": "integer", "minimum": 1},
    }
)

CAPABILITY = Capability(
    namespace="lectern",
    capability="keywords",
    version="1.0.0",
    name="Key phrases",
    description="Extracts key phrases; paid by the token read and written, within the base price.",
    tags=("keywords", "text"),
    ending=Ending("deprecated", 24),
    actions=(
        Action(
            id="extract",
            name="Extract",
            description="Find key phrases (RAKE). Tokens are runs of letters or digits and single other signs.",
            price="0.025",
            model="per_token",
            rates={"input_per_token_usdc": "0.000001", "output_per_token_usdc": "0.000004"},
            work=extract,
            input_schema=json_schema.record(
                {
                    "text": json_schema.text("English text.", _MOST),
                    "limit": json_schema.whole("How many phrases at most.", 1, 50, default=10),
                },
                optional=("limit",),
            ),
            output_schema=json_schema.record(
                {
                    "keywords": {"type": "array", "items": _PHRASE},
                    "usage": json_schema.record(
                        {"input_tokens": json_schema.COUNT, "output_tokens": json_schema.COUNT},
                        description="What was charged for.",
                    ),
                }
            ),
            examples=({"input": {"text": segmentation.SAMPLE, "limit": 5}},),
        ),
    ),
)
