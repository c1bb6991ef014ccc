"""What the bridge's own tools give back, for clients that are programs. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp.tools.publishing.output_schemas import (
    ANYTHING,
    CHARGED,
    COUNT,
    FILE,
    FLAG,
    PURCHASE,
    TEXT,
    USDC,
    described,
    list_of,
    own_output,
    record,
)

_UNKNOWN_PRICE: Final = {"anyOf": [USDC, {"type": "null"}]}
_OFFER: Final = {
    "tool": described(TEXT, "The name to call it by."),
    "title": TEXT,
    "price_usdc": _UNKNOWN_PRICE,
    "price": described(TEXT, "In words."),
    "provider": TEXT,
    "metered": FLAG,
    "tier": TEXT,
    "summary": TEXT,
    "blocked_by": described(list_of(TEXT), "What stands in the way of buying it now."),
    "lifted_by": described(record(), "Who, or what, can lift each of these."),
    "no_approval_with": described(record(max_usdc=USDC), "What of jecp_call makes an approval needless."),
    "tier_unknown": TEXT,
    "limit": TEXT,
    "free_call": TEXT,
    "paid_with": described(TEXT, "What pays, where not the wallet at the Hub alone."),
    "caution": TEXT,
    "failed_lately": described(FLAG, "Its provider failed in the last ten minutes."),
    "withdrawn": FLAG,
    "withdrawn_at": TEXT,
    "replaced_by": TEXT,
    "call_only": TEXT,
}
_CALL: Final = {
    "call_id": TEXT,
    "tool": TEXT,
    "state": TEXT,
    "created_at": TEXT,
    "listed_usdc": USDC,
    "charged": CHARGED,
    "held_usdc": USDC,
    "charged_usdc": USDC,
    "amount_unreadable": FLAG,
    "counts_as_usdc": USDC,
    "allowed_usdc": USDC,
    "refunded_usdc": USDC,
    "settled_by": TEXT,
    "transaction_id": TEXT,
    "asked": record(),
    "got": described(TEXT, "How its result begins."),
    "warning": TEXT,
}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}

SEARCH: Final = own_output(
    results=list_of(record(**_OFFER, needs=described(list_of(TEXT), "Required arguments."))),
    lifted_by=_OFFER["lifted_by"],
    total=COUNT,
    left_off=COUNT,
    next_offset=COUNT,
    note=TEXT,
    set_aside=list_of(record(action=TEXT, provider=TEXT, reason=TEXT)),
    unreachable=ANYTHING,
    left_out=ANYTHING,
    not_listed=TEXT,
    hint=TEXT,
)
DESCRIBE: Final = own_output(
    **_OFFER,
    action=TEXT,
    version=TEXT,
    versions_on_sale=described(list_of(TEXT), "Any other is not sold here."),
    streaming=FLAG,
    providers_words=TEXT,
    side_effects=list_of(TEXT),
    returns=TEXT,
    arguments=described(TEXT, "What it takes, as members of a TypeScript type."),
    input_schema=described(record(), "The same as a schema, where a type cannot say it."),
    checked_by_hub_only=list_of(TEXT),
    examples=list_of(ANYTHING),
    unreachable=ANYTHING,
)
STATUS: Final = own_output(
    **PURCHASE["properties"],
    **{name: one for name, one in _CALL.items() if name not in PURCHASE["properties"]},
    message=TEXT,
    calls=list_of(record(**_CALL, files=list_of(TEXT))),
    next_offset=COUNT,
    total=record(calls=COUNT, charged_usdc=USDC, held_usdc=USDC, not_charged=COUNT, older_calls_left_off=FLAG),
    left_out=ANYTHING,
)
WALLET: Final = own_output(
    balance_usdc=_MAYBE_TEXT,
    balance_at=TEXT,
    can_spend_now_usdc=described(_MAYBE_TEXT, "What all calls from now on may cost together; null: not known."),
    free_calls_remaining={"type": ["integer", "null"]},
    trust_tier=_MAYBE_TEXT,
    not_known=TEXT,
    per_call_usdc=USDC,
    limits=list_of(
        record(
            limit=TEXT,
            window=TEXT,
            limit_usdc=USDC,
            used_usdc=USDC,
            remaining_usdc=USDC,
            resets_at=TEXT,
            returns_usdc=described(USDC, "What comes back then."),
        )
    ),
    expires_at=TEXT,
    approval_above_usdc=USDC,
    charged_usdc=USDC,
    held_usdc=USDC,
    in_doubt_usdc=USDC,
    calls=COUNT,
    open_holds=list_of(record(**_CALL)),
    more_holds=FLAG,
    charged_too_much=list_of(record(**_CALL)),
    unreachable=ANYTHING,
    left_out=ANYTHING,
)
FILE_PIECE: Final = own_output(
    **FILE["properties"],
    offset=COUNT,
    text=TEXT,
    base64=TEXT,
    next_offset=described(COUNT, "Where the next piece begins; absent at the end."),
    files=list_of(FILE),
    hint=TEXT,
)
PREPARE: Final = own_output(
    prepared_id=described(TEXT, "For jecp_execute."),
    tool=TEXT,
    blocked_by=list_of(TEXT),
    lifted_by=_OFFER["lifted_by"],
    no_approval_with=_OFFER["no_approval_with"],
    price_usdc=_UNKNOWN_PRICE,
    at_most_usdc=USDC,
    price=TEXT,
    free_call=TEXT,
    paid_with=TEXT,
    expires_at=TEXT,
    provider=record(),
    issues=list_of(record(code=TEXT, location=TEXT)),
)
