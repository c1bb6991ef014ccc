"""How the name that the operator gave a source of offers stands in keys, tools' names and patterns. Pure: no I/O.

Where one source sells, nothing has a name before it. Of several, every one but the first is called by a name: so what
is named never depends on which of them is away.
"""

from __future__ import annotations

from typing import Final

NAMED: Final = "::"
"""What stands in a key or pattern behind the name of its source."""

NAMED_TOOL: Final = "__"
"""What stands for that in a tool's name: no id has an underscore, so no other name has two."""

FIRST: Final = "hub"
"""What a pattern calls the first source, whose own keys carry no name."""


def split_source(key: str) -> tuple[str, str]:
    """The name of the source that a key or capability begins with, ``""`` where there is none, and the rest."""
    name, mark, rest = key.partition(NAMED)
    return (name, rest) if mark else ("", key)
