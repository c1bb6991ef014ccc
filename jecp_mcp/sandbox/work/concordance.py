"""Provider ``lectern``: keyword in context, streamed."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from jecp_mcp.sandbox.work import json_schema
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Delta,
    Input,
    Work,
    whole,
)

_MOST = 1_000_000


def search(given: Input) -> Generator[Delta, None, Work]:
    """Walk through the text and give every occurrence with its surroundings as it is met."""
    text: str = given["text"]
    around, most = given.get("context", 40), given.get("limit", 200)
    ignore = 0 if given.get("match_case", False) else re.IGNORECASE
    # The keyword is escaped: no pattern of the buyer's ever runs.
    keyword = r"\s+".join(map(re.escape, given["keyword"].split())) or re.escape(given["keyword"])
    whole = given.get("whole_words", True)
    pattern = re.compile(rf"(?<!\w){keyword}(?!\w)" if whole else keyword, ignore)
    lines: list[dict[str, Any]] = []
    more = False
    for found in pattern.finditer(text):
        if len(lines) == most:
            more = True
            break
        start, end = found.span()
        line: dict[str, Any] = {
            "offset": start,
            "left": _folded(text[max(0, start - around) : start]),
            "match": found[0],
            "right": _folded(text[end : end + around]),
        }
        lines.append(line)
        yield line
    return Work({"lines": lines, "count": len(lines), "more": more})


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", text)


_LINE = json_schema.record(
    {
        "offset": {**json_schema.COUNT, "description": "Characters from the start of the text."},
        "left": json_schema.STRING,
        "match": json_schema.STRING,
        "right": json_schema.STRING,
    }
)

CAPABILITY = Capability(
    namespace="lectern",
    capability="concordance",
    version="1.1.0",
    name="Concordance",
    description="Finds a word or phrase in a long text and shows every occurrence in its context.",
    tags=("search", "text", "streaming"),
    actions=(
        Action(
            id="keyword-in-context",
            name="Keyword in context",
            description="Stream every occurrence of a word or phrase with what stands left and right of it.",
            price="0.006",
            work=whole(search),
            stream=search,
            input_schema=json_schema.record(
                {
                    "text": json_schema.text("The text to search.", _MOST),
                    "keyword": json_schema.text("A word or phrase; not a pattern.", 100, pattern=r"\S"),
                    "context": json_schema.whole("Characters on each side.", 0, 200, default=40),
                    "limit": json_schema.whole("How many occurrences to give.", 1, 1_000, default=200),
                    "match_case": json_schema.flag("Whether upper and lower case differ.", False),
                    "whole_words": json_schema.flag("Whether parts of longer words do not count.", True),
                },
                optional=("context", "limit", "match_case", "whole_words"),
            ),
            output_schema=json_schema.record(
                {
                    "lines": {"type": "array", "items": _LINE},
                    "count": json_schema.COUNT,
                    "more": {"type": "boolean", "description": "Whether there are occurrences past the limit."},
                }
            ),
            examples=(
                {
                    "input": {
                        "text": "The lock leaks. A lock needs a keeper, and the keeper needs the lock.",
                        "keyword": "lock",
                        "context": 16,
                    }
                },
            ),
        ),
    ),
)
