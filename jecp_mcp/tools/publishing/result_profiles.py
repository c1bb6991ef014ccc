"""What each kind of client does with a tool's result: what of it the model reads, and what floods its prompt. Pure.

The protocol lets a result carry the same thing as text and as structured content, and files beside both. Clients differ
in which of these reach the model. A profile decides only how an answer is laid out: its receipt reaches every client.
`docs/hosts.md` has the same table for people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ResultProfile:
    """What one kind of client does with a result.

    Attributes:
        structured: whether the model reads the structured content, where there is some, in place of the text.
        drops_blocks: whether it then loses the other blocks as well, images too.
        keeps_files: whether files inside a result stay out of the prompt, or enter it as files.
        follows_links: whether a block that links to a resource does no harm.
        bounded: whether a message has a largest size.
        answer_seconds: after how long a call must be answered, if by no more than its id: before the client gives up.
    """

    structured: bool = False
    drops_blocks: bool = False
    keeps_files: bool = False
    follows_links: bool = True
    bounded: bool = True
    answer_seconds: float = 50.0


UNKNOWN: Final = ResultProfile()
"""For a client that does not say what it is, or is not known: the text is whole, and no file is in it."""

TERMINAL: Final = ResultProfile(structured=True, bounded=False, answer_seconds=math.inf)
"""The command line, which prints what is structured."""

CLIENTS: Final = (
    ("jecp-mcp-call", TERMINAL),
    ("claude-code", ResultProfile(structured=True, drops_blocks=True)),
    ("codex-mcp-client", ResultProfile(structured=True, drops_blocks=True)),
    ("visual studio code", ResultProfile(structured=True, keeps_files=True)),
    ("inspector-client", ResultProfile(keeps_files=True)),
    ("mcp-inspector", ResultProfile(keeps_files=True)),
    ("conformance", ResultProfile(keeps_files=True)),
    # Gives up after half a minute.
    ("@librechat", ResultProfile(answer_seconds=25.0)),
)
"""How the names begin that clients give themselves in ``clientInfo``."""

NAMELESS: Final = "mcp"
"""What the Python SDK calls a client that has no name of its own, as those of most agent frameworks have none."""

FRAMEWORK: Final = ResultProfile(follows_links=False, answer_seconds=4.0)
"""Some send a link to a model's API as the address of an image or a file, which refuses the whole request. Some give up
after five seconds, and then call again."""


def result_profile(client: str) -> ResultProfile:
    """The profile of a client, by what it calls itself."""
    said = client.strip().lower()
    if said == NAMELESS:
        return FRAMEWORK
    return next((one for start, one in CLIENTS if said.startswith(start)), UNKNOWN)
