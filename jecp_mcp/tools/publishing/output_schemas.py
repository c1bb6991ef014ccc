"""What a tool's structured content holds, as a schema for clients that are programs. Pure: no I/O.

Clients check a result against its schema and throw away what does not fit, paid for or not; some check errors too. So
these describe and refuse next to nothing: the result of a purchase, of whatever version, summarised, replayed or
failed, meets them by what they are, and nobody has to check it first. What a provider says of its output is therefore
one of two alternatives, of which the other takes anything. Neither at the root nor in a member is there what
generators of types cannot follow: one object, whose members are all optional.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jecp_mcp.domain.offers import Offer
from jecp_mcp.tools.publishing.cleaning import safe_text
from jecp_mcp.tools.schemas.dialects import Beyond, plain
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit
from jecp_mcp.wire.jecp.artifacts import may_hold_file

Schema = Mapping[str, Any]

MAX_BYTES: Final = 8 * 1024
"""The most bytes of what one provider says of its output; what is longer is not published."""

_WORDS: Final = frozenset({"title", "description"})

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
ANYTHING: Final[Schema] = {}


def record(**members: Schema) -> dict[str, Any]:
    """An object that may have these members, and others."""
    return {"type": "object", "properties": members}


def list_of(item: Schema) -> dict[str, Any]:
    """A list."""
    return {"type": "array", "items": item}


def described(schema: Schema, words: str) -> dict[str, Any]:
    """A schema with words to it."""
    return {**schema, "description": words}


CHARGED: Final = {"type": "string", "enum": ["yes", "no", "unknown"]}
USDC: Final = described(TEXT, "USDC, decimal.")
NEXT_ACTION: Final = described(
    record(
        type=TEXT,
        actor={"type": "string", "enum": ["agent", "human", "operator"]},
        tool=TEXT,
        arguments=record(),
        alternatives=list_of(record(tool=TEXT, price_usdc=ANYTHING)),
        retry_after_seconds={"type": "number"},
        url=TEXT,
        hint=TEXT,
        hub=record(),
        source=TEXT,
    ),
    "What to do next, and who must; tool and arguments are a ready call.",
)
FILE: Final = record(
    uri=TEXT, content_type=TEXT, size_bytes=COUNT, path=TEXT, kept_until=TEXT, read_with=TEXT, preview=TEXT
)
_FAILURE: Final[Schema] = {
    "status": described(TEXT, "failed, where there is an error."),
    "error": record(code=TEXT, message=TEXT, details=record(), documentation_url=TEXT),
    "charged": CHARGED,
    "call_id": TEXT,
    "next_action": NEXT_ACTION,
}
_RECEIPT: Final = described(
    record(
        call_id=TEXT,
        charged=CHARGED,
        amount_usdc=USDC,
        amount_unreadable=FLAG,
        counts_as_usdc=USDC,
        refunded_usdc=USDC,
        copy=COUNT,
        free_calls_left=COUNT,
        held_usdc=USDC,
        remaining_usdc=described(USDC, "What the limits leave."),
        note=TEXT,
        listed_usdc=USDC,
        asked=record(),
        warning=TEXT,
    ),
    "What was paid; there whenever the call was answered.",
)
_PURCHASE: Final[Schema] = {
    "receipt": _RECEIPT,
    "files": described(list_of(FILE), "Files taken out of the output."),
    "notices": list_of(TEXT),
    "output": described(ANYTHING, "What the provider gave back."),
    "output_summary": described(FILE, "In place of output, where that is too long: where it is whole."),
}


def own_output(**members: Schema) -> dict[str, Any]:
    """What a tool of the bridge gives back: these members, or an error."""
    return record(**{"notices": list_of(TEXT), **_FAILURE, **members})


PURCHASE: Final = own_output(**_PURCHASE)
"""What buying an action gives back, whichever it is."""


def purchase_output(offer: Offer) -> dict[str, Any]:
    """What buying an action gives back, with its output as the provider describes it, as far as that can be said."""
    output = _output(offer.output_schema)
    if output is None:
        return PURCHASE
    return own_output(**{**_PURCHASE, "output": described({"anyOf": [output, ANYTHING]}, "As the provider says.")})


def _output(schema: Schema) -> dict[str, Any] | None:
    """A provider's output schema in the dialect that everybody reads; None where it says nothing, or cannot be."""
    fitted = fit(schema)
    if isinstance(fitted, Unfit):
        return None
    made = plain(fitted.schema)
    if isinstance(made, Beyond) or not (members := made["properties"]) or not _is_harmless(made):
        return None
    # Where a file stood there is its description now.
    shown = {name: {"anyOf": [FILE, one]} if may_hold_file(name) else one for name, one in members.items()}
    made = {**made, "properties": shown}
    return made if len(json.dumps(made)) <= MAX_BYTES else None


def _is_harmless(value: Any) -> bool:
    """Whether no name and no value in a schema leads anywhere; its words have been cleaned."""
    match value:
        case str():
            return safe_text(value, len(value), one_line=True) == value
        case list():
            return all(_is_harmless(one) for one in value)
        case dict():
            shown = {name: one for name, one in value.items() if not (name in _WORDS and isinstance(one, str))}
            return all(map(_is_harmless, [*value, *shown.values()]))
    return True
