"""A stranger's input schema made publishable, or the reason why it cannot be. Pure: no I/O.

What is published is JSON Schema 2020-12 without ``$schema``: the keywords of the standard and no others, so vendor
annotations such as ``x-mcp-header`` vanish at every level; nothing remote; only portable patterns; numbers every host
can read; older drafts' idioms rewritten. It accepts what the provider's schema accepts, or more where a constraint
could not be carried over: the Hub holds the original and enforces it, and what is left to it is said.

One schema a host cannot take costs it the whole list, so what remains doubtful is `Unfit`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from jecp_mcp.tools.schemas.assertions import Refused
from jecp_mcp.tools.schemas.json_values import TooMany
from jecp_mcp.tools.schemas.references import (
    Node,
    TooLarge,
    check_expansion,
    deepest,
    drop_unused,
)
from jecp_mcp.tools.schemas.rewriting import Rewriter
from jecp_mcp.tools.schemas.root_object import fit_root

MAX_BYTES: Final = 32 * 1024

_MOST_PASSES: Final = 4
_ROOM: Final = 4


class Unfit(NamedTuple):
    """Why a schema cannot be published, for the operator."""

    reason: str


class Fitted(NamedTuple):
    """A schema as it is published.

    Attributes:
        schema: accepts whatever the original accepts, and perhaps more.
        lost: what of the original is not in it, in our own words.
        unchecked: what is in it, and yet left to the Hub to check.
    """

    schema: Node
    lost: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def fit(schema: object) -> Fitted | Unfit:
    """Make a foreign input schema publishable, or say why it cannot be. Never raises, whatever it is given."""
    if schema is True:
        schema = {}
    if not isinstance(schema, Mapping):
        return Unfit("the input schema is not an object")
    try:
        root, told = _rewrite(schema)
        # What is unused only afterwards has become a part of the root, and what it lost is lost there.
        unused = drop_unused(root)
        fitted = fit_root(root, told.refs, MAX_BYTES)
        if isinstance(fitted, str):
            return Unfit(fitted)
        drop_unused(fitted)
        if told.refs:
            check_expansion(fitted)
    except (Refused, TooLarge, TooMany) as exc:
        return Unfit(str(exc))
    if len(json.dumps(fitted, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_BYTES:
        return Unfit(f"the input schema is longer than {MAX_BYTES} bytes")
    bound = deepest(fitted) if told.refs else None
    lost, unsaid = (
        tuple(words for words, definition in parts.items() if definition not in unused)
        for parts in (told.lost, told.unsaid)
    )
    return Fitted(fitted, lost, (*unsaid, *(() if bound is None else (depth_words(bound),))))


def depth_words(levels: int) -> str:
    """What is not checked in arguments that nest deeper than a recursive schema can be followed."""
    return f"parts that repeat themselves, in arguments of more than {levels} levels"


def loosen(schema: Node, *, without: frozenset[str] = frozenset(), cut: frozenset[int] = frozenset()) -> Node:
    """A published schema without some of its constraints; it accepts whatever it accepted.

    Args:
        without: keywords to leave out.
        cut: the identities of subschemas whose references to leave out.
    """
    return _rewrite(schema, without=without, cut=cut, room=_ROOM)[0]


def _rewrite(schema: Mapping[Any, Any], **less: Any) -> tuple[Node, Rewriter]:
    """The schema written anew until no reference leads to what is weaker than was thought where that matters."""
    weak: frozenset[int] = frozenset()
    for left in reversed(range(_MOST_PASSES)):
        told = Rewriter(schema, weak=weak, **less)
        root = told.schema(schema, 0)
        told.settle(root)
        if left == 0 or not told.depends or told.targets & told.weak <= weak:
            break
        # Before the last pass, any reference may lead to something weaker.
        weak |= told.weak if left > 1 else told.targets | told.weak
    return root, told
