"""Provider ``lectern``: key phrases, paid by the token."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby, islice
from math import sqrt

from jecp_mcp.sandbox.work import segmentation
from jecp_mcp.sandbox.work.capability import Action, Capability, Deprecation, Input, Work
from jecp_mcp.sandbox.work.json_schema import COUNT, NUMBER, STRING, list_of, record, text, whole

_LONGEST = 4
# What is paid for: runs of letters and digits, and single other characters but white space.
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PUNCTUATION = re.compile("[^\\w\\s'\u2019-]")


def extract(given: Input) -> Work:
    """Score runs of content words by how much company their words keep (RAKE: Rose et al., 2010)."""
    phrases = [
        tuple(islice(run, _LONGEST))
        for clause in _PUNCTUATION.split(given["text"].casefold())
        for content, run in groupby(segmentation.words(clause), _is_content)
        if content
    ]
    frequency = Counter(word for phrase in phrases for word in phrase)
    degree: Counter[str] = Counter()
    for phrase in phrases:
        degree.update(dict.fromkeys(phrase, len(phrase)))
    scores = {
        phrase: sum(degree[word] / frequency[word] for word in phrase) * sqrt(1 + count)
        for phrase, count in Counter(phrases).items()
    }
    best = sorted(scores, key=lambda phrase: (-scores[phrase], phrase))[: given.get("limit", 10)]
    units = {
        "input_tokens": len(_TOKEN.findall(given["text"])),
        "output_tokens": sum(len(_TOKEN.findall(" ".join(phrase))) for phrase in best),
    }
    keywords = [
        {"phrase": " ".join(phrase), "score": round(scores[phrase], 4), "count": phrases.count(phrase)}
        for phrase in best
    ]
    return Work({"keywords": keywords, "usage": units}, units=units)


def _is_content(word: str) -> bool:
    return len(word) > 1 and not word.isdigit() and word not in segmentation.STOPWORDS


CAPABILITY = Capability(
    id="lectern/keywords",
    version="1.0.0",
    name="Key phrases",
    description="Extracts key phrases; paid by the token read and written, within the base price.",
    tags=("keywords", "text"),
    deprecation=Deprecation("deprecated", 24),
    actions=(
        Action(
            id="extract",
            name="Find key phrases",
            description="Find key phrases (RAKE). Tokens are runs of letters or digits and single other signs.",
            price="0.025",
            rates={"input_per_token_usdc": "0.000001", "output_per_token_usdc": "0.000004"},
            work=extract,
            input_schema=record(
                text=text("English text.", 20_000), limit=whole("How many phrases at most.", 1, 50, default=10)
            ),
            output_schema=record(
                keywords=list_of(record(phrase=STRING, score=NUMBER, count=COUNT)),
                usage={
                    **record(input_tokens=COUNT, output_tokens=COUNT),
                    "description": "What was charged for.",
                },
            ),
            example={"text": segmentation.SAMPLE, "limit": 5},
        ),
    ),
)
