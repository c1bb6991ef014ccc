"""The bridge's own tools as the model sees them. Every character here is paid for in every context window.

No argument of any of them changes the policy, approves a spend or names an idempotency key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any, Final

from jecp_mcp.source_names import FIRST
from jecp_mcp.tools.next_actions.builders import TOPUPS_USD
from jecp_mcp.tools.own import output_schemas
from jecp_mcp.tools.publishing.output_schemas import FLAG, PURCHASE, TEXT, list_of, record
from jecp_mcp.tools.schemas.reading import Leniency
from jecp_mcp.tools.types import ToolCard
from jecp_mcp.wire.jecp.tiers import TIERS

MAX_RESULTS: Final = 20
DEFAULT_RESULTS: Final = 8
MAX_OFFSET: Final = 1_000
DEFAULT_CALLS: Final = 8
MOST_CALLS: Final = 50


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return schema


_TOOL = {"type": "string", "minLength": 1, "maxLength": 300, "description": "Name from jecp_search."}
_VERSIONED = {**_TOOL, "description": "Name from jecp_search; name@1.0.0 for that version only."}
_CALL_ID = {"type": "string", "minLength": 4, "maxLength": 64, "description": "From the call's receipt."}
_OFFSET = {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "description": "From next_offset."}
_PREPARED_ID = {"type": "string", "minLength": 6, "maxLength": 64, "description": "From what was prepared."}
_USDC = {"type": "string", "maxLength": 20, "pattern": "^[^$]+$"}
# That it is open keeps clients that close every object, so that a model may name no more than is listed, from this one.
_ARGUMENTS = {"type": "object", "additionalProperties": True, "description": "As its schema says."}


def _limit(most: int) -> dict[str, Any]:
    """How many rows to give."""
    return {"type": "integer", "minimum": 1, "maximum": most, "description": "How many."}


def _purchase(most: str, label: str) -> dict[str, Any]:
    """What a call of an action takes; `most` describes the most that it may cost, `label` what tells it from others."""
    properties = {
        "tool": _VERSIONED,
        "arguments": _ARGUMENTS,
        "max_usdc": {**_USDC, "description": most},
        "label": {"type": "string", "minLength": 1, "maxLength": 64, "description": label},
    }
    return _object(properties, "tool", "arguments")


OURS: Final = Leniency(empty=True, money=frozenset({"amount_usd", "max_price_usdc", "max_usdc"}))
"""What is read of the arguments of every own tool beyond what is read of a provider's."""

_CARDS: Final = (
    ToolCard(
        name="jecp_call",
        title="Buy a call",
        description="Buy one call of any action found with jecp_search. Costs its price; failed calls are free.",
        input_schema=_purchase(
            'Most it may cost, such as "0.03"; only lowers limits.',
            "Only to buy an identical call once more on purpose: any word that was not used for it.",
        ),
        output_schema=PURCHASE,
    ),
    ToolCard(
        name="jecp_describe",
        title="Describe an action",
        description="Free. An action's arguments, examples, price, provider, and whether the limits allow it now.",
        input_schema=_object({"tool": _TOOL}, "tool"),
        read_only=True,
        idempotent=True,
        output_schema=output_schemas.DESCRIBE,
    ),
    ToolCard(
        name="jecp_execute",
        title="Buy a prepared call",
        description="Buy what jecp_prepare promised, at that price, once. Asked again, it gives the same result.",
        input_schema=_object({"prepared_id": _PREPARED_ID}, "prepared_id"),
        output_schema=PURCHASE,
    ),
    ToolCard(
        name="jecp_file",
        title="Read a bought file",
        description="Free. A file's bytes, 24 kB at a time, as text or base64; next_offset reads on.",
        input_schema=_object(
            {
                "uri": {"type": "string", "minLength": 1, "maxLength": 100, "description": "The file's address."},
                "call_id": {**_CALL_ID, "description": "In place of uri: the call it came with."},
                "offset": {"type": "integer", "minimum": 0, "description": "First byte; give 0 for what is no text."},
            }
        ),
        read_only=True,
        idempotent=True,
        open_world=False,
        output_schema=output_schemas.FILE_PIECE,
    ),
    ToolCard(
        name="jecp_prepare",
        title="Prepare a call",
        description="Free. Check a call and lock its price: limits, balance, issues. Then jecp_execute buys it.",
        input_schema=_purchase("At most.", "As of jecp_call."),
        output_schema=output_schemas.PREPARE,
    ),
    ToolCard(
        name="jecp_refund",
        title="Refunds",
        description=(
            "Ask for a charged call's money back, with a reason a person will read. "
            "Without call_id: the refunds so far."
        ),
        input_schema=_object(
            {
                "call_id": _CALL_ID,
                "reason": {"type": "string", "minLength": 1, "maxLength": 500, "description": "What went wrong."},
            }
        ),
    ),
    ToolCard(
        name="jecp_register",
        title="Register an agent",
        description="Make an agent account at the Hub, once, to buy with. Its key is kept here, never shown.",
        input_schema=_object({"name": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Any name."}}),
    ),
    ToolCard(
        name="jecp_search",
        title="Search the catalog",
        description="Free. Find actions to buy, best match first; without query, the most used.",
        input_schema=_object(
            {
                "query": {"type": "string", "maxLength": 200, "description": "Keywords."},
                "namespace": {"type": "string", "maxLength": 64, "description": "One provider only."},
                "tags": {
                    "type": "array",
                    "items": {"type": "string", "maxLength": 64},
                    "maxItems": 8,
                    "description": "All must match.",
                },
                "max_price_usdc": {**_USDC, "description": 'Such as "0.05".'},
                "withdrawn": {"type": "boolean", "description": "Only what is, or will be, sold no more."},
                "tier": {"type": "string", "enum": list(TIERS[1:]), "description": "Trust tier needed, at least."},
                "streaming": {"type": "boolean", "description": "Only what streams."},
                "limit": _limit(MAX_RESULTS),
                "offset": _OFFSET,
            }
        ),
        read_only=True,
        idempotent=True,
        output_schema=output_schemas.SEARCH,
    ),
    ToolCard(
        name="jecp_status",
        title="Status of a call",
        description=(
            "Free. What became of a call, and its result once more; finishes one whose answer was lost, without paying "
            "twice. Without call_id: the latest calls, with a total."
        ),
        input_schema=_object({"call_id": _CALL_ID, "limit": _limit(MOST_CALLS), "offset": _OFFSET}),
        idempotent=True,
        output_schema=output_schemas.STATUS,
    ),
    ToolCard(
        name="jecp_topup",
        title="Top up the wallet",
        description="Get a payment link for the user. Charges nothing by itself, and raises no limit.",
        input_schema=_object(
            {"amount_usd": {"type": "integer", "enum": list(TOPUPS_USD), "description": "Dollars."}}, "amount_usd"
        ),
    ),
    ToolCard(
        name="jecp_wallet",
        title="Wallet and limits",
        description="Free. Last known balance, free calls and trust tier; what is left of each limit; money held.",
        input_schema=_object({}),
        read_only=True,
        idempotent=True,
        open_world=False,
        output_schema=output_schemas.WALLET,
    ),
)

PAID_HTTP_PREPARE: Final = "paid_http_prepare"
PAID_HTTP_EXECUTE: Final = "paid_http_execute"
PAID_HTTP_RESULT: Final = "paid_http_result"

_MOST_NAMED: Final = 8
_NAMES_LENGTH: Final = 320
"""How many merchants are named to the model, which cannot know otherwise whom it may ask, in how many characters."""

_PREPARED: Final = _object({"prepared_id": _PREPARED_ID}, "prepared_id")

_PAID_HTTP_CARDS: Final = (
    ToolCard(
        name=PAID_HTTP_PREPARE,
        title="Price a paid HTTP request",
        description=(
            "Ask one of the operator's merchants (x402) what a request costs and lacks. Sends it once, unpaid; an "
            "answer without a price comes back. paid_http_execute buys it."
        ),
        input_schema=_object(
            {
                "url": {"type": "string", "maxLength": 2048, "description": "Address."},
                "method": {
                    "enum": ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
                    "description": "Verb.",
                },
                "headers": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Headers.",
                },
                "body": {"type": "string", "maxLength": 262_144, "description": "Body."},
                "json": {"type": ["object", "array"], "description": "As JSON."},
                "known_fields": {
                    "type": "array",
                    "maxItems": 24,
                    "items": {"type": "object"},
                    "description": "Its known input: {in: body|query|path, name, type, required}.",
                },
                "max_usdc": {**_USDC, "description": "At most."},
                "replaces": {**_PREPARED_ID, "description": "What it revises."},
            },
            "url",
        ),
    ),
    ToolCard(
        name=PAID_HTTP_EXECUTE,
        title="Buy a prepared request",
        description="Pay for what paid_http_prepare priced, once, and get its answer. Asked again: the same result.",
        input_schema=_PREPARED,
        output_schema=PURCHASE,
    ),
    ToolCard(
        name=PAID_HTTP_RESULT,
        title="Result of a paid request",
        description="Free. What became of a prepared request; finishes one whose answer was lost, never paying twice.",
        input_schema=_PREPARED,
        idempotent=True,
        output_schema=output_schemas.STATUS,
    ),
)

_HUB_WORDS: Final[Mapping[str, str]] = {
    "jecp_register": "At which Hub; without, at the first that has no account yet.",
    "jecp_topup": f"Whose wallet; without, {FIRST}'s.",
}

OWN: Final[Mapping[str, ToolCard]] = {card.name: card for card in (*_CARDS, *_PAID_HTTP_CARDS)}
"""Every own tool by name, in the order of the list."""


def by_name(hubs: Sequence[str] = ()) -> Mapping[str, ToolCard]:
    """Every own tool by name, as it is where these Hubs are bought from: of several, some take one's name.

    Args:
        hubs: what the Hubs are called, the first one first; none where there is one Hub.
    """
    return {card.name: card for card in (*_cards(hubs), *_PAID_HTTP_CARDS)}


def _cards(hubs: Sequence[str]) -> tuple[ToolCard, ...]:
    return tuple(map(partial(_at_several, hubs=hubs), _CARDS)) if hubs else _CARDS


def _at_several(card: ToolCard, hubs: Sequence[str]) -> ToolCard:
    if card.name == "jecp_wallet":
        wallets = list_of(record(hub=TEXT, url=TEXT, account=FLAG))
        assert card.output_schema is not None
        output = {**card.output_schema, "properties": {**card.output_schema["properties"], "wallets": wallets}}
        return replace(card, output_schema=output)
    if (words := _HUB_WORDS.get(card.name)) is None:
        return card
    hub = {"type": "string", "enum": list(hubs), "description": words}
    schema = {**card.input_schema, "properties": {**card.input_schema["properties"], "hub": hub}}
    return replace(card, input_schema=schema)


def own_cards(
    *, registered: bool, merchants: Sequence[str] | None = None, hubs: Sequence[str] = ()
) -> tuple[ToolCard, ...]:
    """The own tools to publish.

    Args:
        hubs: as `by_name` has it.
        registered: whether there are credentials at every Hub; without, there is ``jecp_register``.
        merchants: the merchants that can be paid, as the operator wrote them; None where none can, and then the tools
            for it are not there.
    """
    cards = tuple(card for card in _cards(hubs) if not (registered and card.name == "jecp_register"))
    if merchants is None:
        return cards
    prepare, *others = _PAID_HTTP_CARDS
    return (*cards, replace(prepare, description=f"{prepare.description} Listed: {_names(merchants)}."), *others)


def _names(merchants: Sequence[str]) -> str:
    """The first merchants, as many as there is room for, and how many there are beside them."""
    lengths = accumulate(len(merchant) + 2 for merchant in merchants[:_MOST_NAMED])
    named = merchants[: sum(length <= _NAMES_LENGTH for length in lengths)]
    left = len(merchants) - len(named)
    if not named:
        return f"{left}, too long to be named here"
    return ", ".join(named) + (f" and {left} more" if left else "")
