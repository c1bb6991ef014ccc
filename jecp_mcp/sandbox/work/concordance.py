"""Provider ``lectern``: keyword in context, streamed."""

from __future__ import annotations

import re
from typing import Any

from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Stream, Work
from jecp_mcp.sandbox.work.json_schema import COUNT, STRING, list_of, record, text, whole


def search(given: Input) -> Stream:
    """Walk through the text and give every occurrence with its surroundings as it is met."""
    source: str = given["text"]
    around, most = given.get("context", 40), given.get("limit", 200)
    # The keyword is escaped: no pattern of the buyer's ever runs.
    keyword = r"\s+".join(map(re.escape, given["keyword"].split()))
    lines: list[dict[str, Any]] = []
    more = False
    for found in re.finditer(rf"(?<!\w){keyword}(?!\w)", source, re.IGNORECASE):
        if len(lines) == most:
            more = True
            break
        start, end = found.span()
        line: dict[str, Any] = {
            "offset": start,
            "left": re.sub(r"\s+", " ", source[max(0, start - around) : start]),
            "match": found[0],
            "right": re.sub(r"\s+", " ", source[end : end + around]),
        }
        lines.append(line)
        yield line
    return Work({"lines": lines, "count": len(lines), "more": more})


_OFFSET = {**COUNT, "description": "Characters from the start of the text."}

CAPABILITY = Capability(
    id="lectern/concordance",
    version="1.1.0",
    name="Concordance",
    description="Finds a word or phrase in a long text and shows every occurrence in its context.",
    tags=("search", "text", "streaming"),
    actions=(
        Action(
            id="keyword-in-context",
            description="Stream every occurrence of a word or phrase with what stands left and right of it.",
            price="0.006",
            work=search,
            input_schema=record(
                text=text("The text to search.", 1_000_000),
                keyword=text("A word or phrase, in any case; not a pattern.", 100, pattern=r"\S"),
                context=whole("Characters on each side.", 0, 200, default=40),
                limit=whole("How many occurrences to give.", 1, 1_000, default=200),
            ),
            output_schema=record(
                lines=list_of(record(offset=_OFFSET, left=STRING, match=STRING, right=STRING)),
                count=COUNT,
                more={"type": "boolean", "description": "Whether there are occurrences past the limit."},
            ),
            example={
                "text": "The lock leaks. A lock needs a keeper, and the keeper needs the lock.",
                "keyword": "lock",
                "context": 16,
            },
        ),
    ),
)
