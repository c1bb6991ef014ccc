"""An offer as the snapshot keeps it. Pure: no I/O."""

from __future__ import annotations

from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.domain.offers import Deprecation, Offer, Price
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import NOTHING

_MOST_BYTES: Final = 256 * 1024 * 1024
_FORM: Final = 3


def dump_offer(offer: Offer) -> tuple[bytes, bytes]:
    """Write an offer for `load_offer`, without loss but for its source, which whoever keeps it knows.

    Returns:
        The whole; and the part of it that a buyer can see, which leaves out how often the action was called and what
        this version does not know.
    """
    seen = jsontext.dumps(_row(offer))
    called = [offer.source_name, offer.known_as] if offer.known_as else [offer.source_name] if offer.source_name else []
    rest = [offer.total_calls, offer.extra, *called]
    return b"[%d,%b,%b]" % (_FORM, seen, jsontext.dumps(rest)), seen


def load_offer(data: bytes, source: str) -> Offer:
    """Read what `dump_offer` wrote.

    Raises:
        WireError: it is not that, or of another form.
    """
    stored = jsontext.loads(data, max_bytes=_MOST_BYTES, max_depth=jsontext.MAX_DEPTH + 3, max_marks=None)
    try:
        form, seen, rest = stored
        if form != _FORM:
            raise WireError(f"the stored offer has the unknown form {form!r}")
        return _unrow([*seen, *rest], source)
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise WireError("the stored offer is damaged") from exc


def _row(o: Offer) -> list[Any]:
    end = o.deprecation
    return [
        o.capability, o.action, o.payee,
        [
            o.price.amount, o.price.model, o.price.problem, o.price.rates, o.price.metered,
            *([True] if o.price.bounded else []),
        ],
        o.version, o.title, o.description, o.capability_name, o.capability_description, o.tags,
        o.input_schema, o.output_schema, o.examples, o.streaming, o.tier, o.tier_rank,
        o.timeout_ms, o.side_effects,
        [end.status, end.sunset_at, end.successor] if end else None,
    ]  # fmt: skip


def _unrow(row: list[Any], source: str) -> Offer:
    (
        capability, action, payee, (amount, model, problem, rates, metered, *bounded), version, title, description,
        cap_name, cap_text, tags, input_schema, output_schema, examples, streaming, tier, rank, timeout_ms, effects,
        end, total_calls, extra, *called,
    ) = row  # fmt: skip
    return Offer(
        capability, action, payee, Price(amount, model, problem, rates or NOTHING, metered, bool(bounded)),
        version, title, description, cap_name, cap_text, tuple(tags), input_schema or NOTHING, output_schema or NOTHING,
        tuple(examples), streaming, tier, rank, timeout_ms, effects or NOTHING,
        None if end is None else Deprecation(*end), total_calls, extra or NOTHING, source, *called,
    )  # fmt: skip
