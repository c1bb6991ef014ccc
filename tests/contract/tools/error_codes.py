"""The bridge's own error codes, read from the `codes.py` of each room, and the page that collects them.

python -m tests.contract.tools.error_codes     writes `docs/errors.md` anew
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "jecp_mcp"
PAGE = ROOT / "docs" / "errors.md"
ROOMS = ("mandate", "rails", "rails/jecp", "calls", "tools", "server", "cli")
"""Every room with a `codes.py`, the lowest first; that of `wire/` is the protocol's."""

_DOCSTRING = re.compile(r"([A-Z][^.]*\.)(?: Charged: ([a-z, ]+)\. Next: ([a-z, ]+)\.)?")
_HEAD = """\
# Error codes

What stands in `error.code` of a failed call, or of an issue, when the bridge itself refuses: by the room that says so.
"Charged" is what `charged` can be, "next" who can be the actor of `next_action`, or "nobody" where nothing is left to do; a
code without them is in no failed call, and nothing is charged. The protocol's own codes stand in [codes.py](../jecp_mcp/wire/jecp/codes.py), with what each proves
about money. Any other code of a Hub passes through unchanged.

`python -m tests.contract.tools.error_codes` writes this page from the rooms' `codes.py`.
"""


class ErrorCode(NamedTuple):
    """One code as its room documents it.

    Attributes:
        charged: what `charged` may say beside it; empty for a code that is in no failed call.
        actors: who may be the one to act next; likewise.
    """

    code: str
    meaning: str
    charged: frozenset[str]
    actors: frozenset[str]


def module(room: str) -> str:
    """The dotted name of a room's `codes.py`."""
    return f"jecp_mcp.{room.replace('/', '.')}.codes"


def codes_of(room: str) -> Iterator[ErrorCode]:
    """A room's codes, in their order. Whatever else its `codes.py` holds is a fault."""
    path = PACKAGE / room / "codes.py"
    head, future, final, *rest = ast.parse(path.read_text(encoding="utf-8")).body
    assert ast.unparse([future, final]).split("\n") == [  # type: ignore[arg-type]
        "from __future__ import annotations", "from typing import Final",
    ]  # fmt: skip
    assert isinstance(head, ast.Expr)
    for constant, docstring in zip(rest[::2], rest[1::2], strict=True):
        match constant, docstring:
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=code)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ) if name == code:
                found = _DOCSTRING.fullmatch(text)
                assert found is not None, f"{path}: {text}"
                meaning, charged, actors = found.groups(default="")
                yield ErrorCode(code, meaning, _set(charged), _set(actors))
            case _:
                raise AssertionError(f"{path}:{constant.lineno}: no code with a docstring")


def every_code() -> Mapping[str, ErrorCode]:
    """All codes of all rooms."""
    found = [one for room in ROOMS for one in codes_of(room)]
    made = {one.code: one for one in found}
    assert len(made) == len(found), "a code stands in two rooms"
    return made


def page() -> str:
    """The page as it should read."""
    parts = [_HEAD]
    for room in ROOMS:
        rows = [
            f"| `{one.code}` | {one.meaning} | {_cell(one.charged)} | {_cell(one.actors)} |" for one in codes_of(room)
        ]
        parts.append(
            "\n".join([f"## {room}/\n", "| code | meaning | charged | next |", "|---|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def _set(listed: str) -> frozenset[str]:
    return frozenset(filter(None, listed.split(", ")))


def _cell(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "-"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
