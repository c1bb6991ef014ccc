"""Why a person's consent, or a price that was promised, does not buy a call. Pure: words and codes only."""

from __future__ import annotations

from jecp_mcp.calls import codes
from jecp_mcp.calls.display import MOST_DEPTH, MOST_SHOWN
from jecp_mcp.calls.ports import Question
from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.grants import MOST_QUESTIONS, GrantKind
from jecp_mcp.mandate.records import NotGood
from jecp_mcp.money import format_usdc


def approval_required(question: Question, code: str, expires_at: UnixMs, why: str) -> Refusal:
    """A person must decide, and could not be asked in the host; they can answer outside it, under a code."""
    return Refusal(
        code=codes.APPROVAL_REQUIRED,
        message=(
            f"{question.because} It was not approved in the chat: {why or 'nobody answered'}. Nothing was charged. "
            f"Until {iso(expires_at)} the user can answer outside the chat, under the code {code}."
        ),
        details={
            "approval_code": code,
            "amount_usdc": format_usdc(question.amount),
            "expires_at": iso(expires_at),
        },
        source="bridge",
    )


def approval_pending(question: Question) -> Refusal:
    """The question is on its way to the person."""
    return Refusal(
        code=codes.APPROVAL_PENDING,
        message=f"{question.because} The user is being asked. Nothing was charged.",
        details={"amount_usdc": format_usdc(question.amount)},
        source="bridge",
    )


def approval_denied(question: Question) -> Refusal:
    """The person said no."""
    return Refusal(
        code=codes.APPROVAL_DENIED,
        message=(
            f"The user refused to pay {'' if question.kind.exact else 'up to '}{format_usdc(question.amount)} USDC for "
            f"{question.action}. Nothing was charged."
        ),
        details={"amount_usdc": format_usdc(question.amount)},
        source="bridge",
    )


def not_showable(question: Question) -> Refusal:
    """A person must decide, and could not be shown what on."""
    return Refusal(
        code=codes.NOT_SHOWABLE,
        message=(
            f"{question.because} A person approves only what can be shown whole, and these arguments cannot: they come "
            f"to more than {MOST_SHOWN} characters, encoded files aside, or nest deeper than {MOST_DEPTH} levels. "
            "Nothing was charged."
        ),
        details={"amount_usdc": format_usdc(question.amount), "most_characters": MOST_SHOWN, "most_depth": MOST_DEPTH},
        source="bridge",
    )


def too_many_questions(question: Question) -> Refusal:
    """A person must decide, and has as many questions to answer as may wait for them."""
    return Refusal(
        code=codes.TOO_MANY_QUESTIONS,
        message=(
            f"{question.because} {MOST_QUESTIONS} other questions wait for the user already, and no more may, so this "
            "one was not added. Nothing was charged."
        ),
        details={"amount_usdc": format_usdc(question.amount), "waiting": MOST_QUESTIONS},
        source="bridge",
    )


def prepared_unknown() -> Refusal:
    """No such prepared call, or somebody else's."""
    return Refusal(
        code=codes.PREPARED_NOT_FOUND,
        message="No prepared call has this id. Nothing was charged.",
        source="bridge",
    )


def prepared_unreadable() -> Refusal:
    """What was prepared is not as this version writes it."""
    return Refusal(
        code=codes.PREPARED_NOT_FOUND,
        message=(
            "The prepared call was written by another version of this program and cannot be read. Nothing was charged."
        ),
        source="bridge",
    )


def prepared_expired(expires_at: UnixMs) -> Refusal:
    """The time for which the price was promised is over."""
    return Refusal(
        code=codes.PREPARED_EXPIRED,
        message=f"The prepared call expired at {iso(expires_at)}. Nothing was charged.",
        details={"expired_at": iso(expires_at)},
        source="bridge",
    )


def prepared_superseded() -> Refusal:
    """The same call was prepared again since."""
    return Refusal(
        code=codes.PREPARED_SUPERSEDED,
        message="The same call was prepared again later, and only the latest counts. Nothing was charged.",
        source="bridge",
    )


def price_changed(key: str, then: Quote, now: Quote) -> Refusal:
    """Something else is on offer by now than what was prepared."""
    was, costs = _amount(then), _amount(now)
    cause = f"{key} was prepared at {_priced(was)} and costs {_priced(costs)} now."
    if was == costs:
        cause = f"{key} has another version or kind of price since it was prepared."
    return Refusal(
        code=codes.PRICE_CHANGED,
        message=f"{cause} Nothing was charged.",
        details={"was_usdc": _decimal(was), "now_usdc": _decimal(costs)},
        source="bridge",
    )


def price_keeps_changing(offer: Offer) -> Refusal:
    """The price lapsed each time before a person had answered, and was another one then."""
    return Refusal(
        code=codes.PRICE_KEEPS_CHANGING,
        message=(
            f"The price of {offer.key} changed again each time while the user was being asked. Nothing was charged."
        ),
        source="bridge",
    )


def not_good(found: NotGood) -> Refusal:
    """What was prepared or approved was used, answered or superseded by somebody else just now."""
    if found.ref.kind is GrantKind.PREPARED:
        return prepared_unknown() if found.grant is None else prepared_superseded()
    return Refusal(
        code=codes.APPROVAL_SPENT,
        message="The approval for this call was used or ran out just now. Nothing was charged.",
        source="bridge",
    )


def _amount(quote: Quote) -> int | None:
    return None if quote.kind is QuoteKind.UNKNOWN else quote.amount


def _decimal(amount: int | None) -> str | None:
    return None if amount is None else format_usdc(amount)


def _priced(amount: int | None) -> str:
    return "an unknown price" if amount is None else f"{format_usdc(amount)} USDC"
