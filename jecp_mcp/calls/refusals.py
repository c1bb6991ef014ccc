"""Why the bridge itself did not make, or could not finish, a call. Pure: words and codes only.

Every message says the cause and what became of the money, for a model and for people alike. What to do about it is said
once, to whoever reads: to a model by its next action, to people by the command line.
"""

from __future__ import annotations

from dataclasses import replace

from jecp_mcp.calls import codes
from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import UNREAD
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import ClockWentBack, LedgerDamaged, LedgerError, WireError
from jecp_mcp.mandate.policy import PROHIBITIONS
from jecp_mcp.mandate.records import CallRow, OverLimit
from jecp_mcp.mandate.states import CHARGED, State
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.rails.codes import INVALID_REQUEST
from jecp_mcp.source_names import split_source


def limit_reached(over: OverLimit, hold: int) -> Refusal:
    """A window cap has no room for the hold."""
    limit, used = over.meter.limit, over.used
    left = max(0, limit - used)
    details: dict[str, object] = {
        "limit": over.meter.label,
        "limit_usdc": format_usdc(limit),
        "used_usdc": format_usdc(used),
        "remaining_usdc": format_usdc(left),
        "needed_usdc": format_usdc(hold),
    }
    when = "It does not refill by itself."
    if hold > limit:
        when = "That is more than the whole limit."
    elif over.resets_at is not None:
        details["resets_at"] = iso(over.resets_at)
        when = f"Enough room returns at {iso(over.resets_at)}."
    return Refusal(
        code=codes.LIMIT_REACHED,
        message=(
            f"The operator's limit {over.meter.label} leaves {format_usdc(left)} USDC and this call needs "
            f"{format_usdc(hold)}. Nothing was charged. {when}"
        ),
        details=details,
        source="bridge",
    )


def above_maximum(quote: Quote, most: MicroUSDC) -> Refusal:
    """It costs more than whoever asks wants to pay; or it may come to less, and must be allowed more all the same."""
    price = format_usdc(quote.amount)
    says = f"It costs {price} USDC"
    if quote.kind is QuoteKind.FROM:
        says = f"It may come to less, but is sold only where its listed price of {price} USDC is allowed"
    return Refusal(
        code=codes.PRICE_ABOVE_MAXIMUM,
        message=f"{says}, above the {format_usdc(most)} you gave as the most. Nothing was charged.",
        details={"price_usdc": price, "max_usdc": format_usdc(most)},
        source="bridge",
    )


def no_rail(offer: Offer) -> Refusal:
    """Nothing here pays for what a source offers."""
    return Refusal(
        code=codes.NO_WAY_TO_PAY,
        message=(
            f"This server has no way to pay for {offer.key}, which only the operator can set up. Nothing was charged."
        ),
        details={"source": offer.source},
        source="bridge",
    )


def ledger_trouble(error: LedgerError) -> Refusal:
    """The ledger could not make the reservation durable, so nothing was sent."""
    if isinstance(error, ClockWentBack):
        return Refusal(
            code=codes.CLOCK_WRONG,
            message=f"This machine's clock went back: {error.cause}. Nothing was sent and nothing was charged.",
            source="bridge",
        )
    code = codes.LEDGER_DAMAGED if isinstance(error, LedgerDamaged) else codes.LEDGER_UNAVAILABLE
    return Refusal(
        code=code,
        message=f"The spending ledger cannot be written: {error.cause}. Nothing was sent and nothing was charged.",
        source="bridge",
    )


def unreadable(error: LedgerError) -> Refusal:
    """The ledger does not tell what became of a call."""
    return Refusal(
        code=codes.LEDGER_DAMAGED if isinstance(error, LedgerDamaged) else codes.LEDGER_UNAVAILABLE,
        message=(
            f"The spending ledger cannot be read: {error.cause}. Whether this call was charged cannot be told now."
        ),
        source="bridge",
    )


def clock_wrong(skew: float) -> Refusal:
    """This machine's clock is too far off the Hub's for the limits' windows to mean anything.

    Args:
        skew: how far the clock is ahead, in seconds.
    """
    where = "ahead of" if skew > 0 else "behind"
    return _clock(f"is {abs(skew):.0f} seconds {where} the Hub's, so", skew_seconds=skew)


def clock_leapt(leap: float) -> Refusal:
    """This machine's clock leapt since the process began, and nobody who tells the time has confirmed it.

    Args:
        leap: how far it leapt ahead, in seconds.
    """
    where = "ahead" if leap > 0 else "back"
    return _clock(
        f"leapt {abs(leap):.0f} seconds {where} since this server started, and no Hub confirms it, so",
        " If the clock is right now, the operator must restart this server.",
        leap_seconds=leap,
    )


def clocks_apart(apart: float) -> Refusal:
    """This machine's clock and the one that the ledger's windows go by are not of one opinion.

    Args:
        apart: how far this machine's is ahead, in seconds.
    """
    where = "ahead of" if apart > 0 else "behind"
    return _clock(
        f"is {abs(apart):.0f} seconds {where} the ledger server's, so one of them is wrong, and", skew_seconds=apart
    )


def _clock(what: str, then: str = "", **seconds: float) -> Refusal:
    return Refusal(
        code=codes.CLOCK_WRONG,
        message=(
            f"This machine's clock {what} what is left of the limits cannot be told. Nothing was sent and nothing was "
            f"charged.{then}"
        ),
        details={name: round(value) for name, value in seconds.items()},
        source="bridge",
    )


def unwritable(error: WireError) -> Refusal:
    """The call does not fit the protocol, so it was never written down."""
    return Refusal(
        code=INVALID_REQUEST,
        message=f"The call cannot be sent: {error}. Nothing was charged.",
        source="bridge",
    )


def in_progress(row: CallRow) -> Refusal:
    """The identical call is running, perhaps in another process."""
    return Refusal(
        code=codes.CALL_IN_PROGRESS,
        message=(
            f"The identical call is already running (since {iso(row.created_at)}). It was not bought a second time."
        ),
        details={"since": iso(row.created_at)},
        source="bridge",
    )


def still_running() -> Refusal:
    """The payee works on it, or is asked again for an answer that was lost, for longer than anybody waits."""
    return Refusal(
        code=codes.CALL_IN_PROGRESS,
        message="This call has not ended: its payee may still work on it. Whether it is charged is not known yet.",
        source="bridge",
    )


def in_doubt(row: CallRow) -> Refusal:
    """An earlier identical call has no proven end."""
    return Refusal(
        code=codes.CALL_IN_DOUBT,
        message=(
            f"An identical call of {iso(row.created_at)} was sent and its answer was lost. "
            f"{format_usdc(row.held)} USDC stay held until it is known whether it was charged."
        ),
        details={"since": iso(row.created_at), "held_usdc": format_usdc(row.held)},
        source="bridge",
    )


def held_back(row: CallRow, why: Refusal, again_at: UnixMs | None) -> Refusal:
    """A call in doubt that could not be asked for now, because of a limit, the ledger or what is forbidden since.

    Args:
        again_at: when it will be.
    """
    when = {} if again_at is None else {"look_again_at": iso(again_at)}
    held = format_usdc(row.held)
    said, until = f"it cannot be sent again now to find out ({why.code})", ". The server tries again by itself."
    if why.code in PROHIBITIONS:
        said = f"the operator's mandate forbids it by now ({why.code}), so nothing is sent that could still buy it"
        until = " until it is allowed again, its end is known otherwise, or the operator rules on it."
    return Refusal(
        code=codes.CALL_IN_DOUBT,
        message=(
            f"The call of {iso(row.created_at)} was sent and its answer was lost, and {said}. {held} USDC stay "
            f"held{until}"
        ),
        details={"since": iso(row.created_at), "held_usdc": format_usdc(row.held), "because": why.code, **when},
        source="bridge",
    )


def copy_open(row: CallRow) -> Refusal:
    """Another copy of a call is open, and nobody waits for it: who asks for a further one may mean that one."""
    known = in_doubt(row) if row.state is State.IN_DOUBT else in_progress(row)
    return replace(known, message=f"{known.message} No other copy is bought before it is known what became of it.")


def account_not_here(row: CallRow) -> Refusal:
    """A call in doubt that another account paid for, whose key is not here."""
    # An address is shown to nobody whose source is not among the settings any more, but what that was called is.
    name, _ = split_source(row.offer)
    who = f"{row.account.removeprefix(row.source).strip()} at {name}" if name else row.account
    only = "Only a server that runs with that account can find out whether it was charged."
    return _elsewhere(row, f"was sent by another account ({who[:200]}) and its answer was lost", only)


def payer_not_here(row: CallRow) -> Refusal:
    """A call in doubt for which a payment may be signed, by a wallet whose key is not here."""
    who = (
        "A server that runs with that key can find out whether it was charged; others with this account, once the "
        "payment can be taken no longer."
    )
    return _elsewhere(row, "may have been paid by a wallet whose key is not here, and its answer was lost", who)


def _elsewhere(row: CallRow, what: str, who: str) -> Refusal:
    return Refusal(
        code=codes.ACCOUNT_NOT_HERE,
        message=f"The call of {iso(row.created_at)} {what}. {format_usdc(row.held)} USDC stay held. {who}",
        details={"since": iso(row.created_at), "held_usdc": format_usdc(row.held), "account": row.account[:200]},
        source="bridge",
    )


def taken_over() -> Refusal:
    """A call that this process was sending is another one's by now."""
    return Refusal(
        code=codes.CALL_IN_PROGRESS,
        message="Another process has taken this call over. Whether it was charged is not known yet.",
        source="bridge",
    )


def clock_set_back() -> Refusal:
    """The clock was set back while a call was under way."""
    return Refusal(
        code=codes.CLOCK_WRONG,
        message=(
            "This machine's clock was set back while the call was under way, so how old it is cannot be told. "
            "Nothing was sent and nothing was charged."
        ),
        source="bridge",
    )


def ledger_too_slow() -> Refusal:
    """Each time the ledger had admitted the call, its minute was over already."""
    return Refusal(
        code=codes.LEDGER_UNAVAILABLE,
        message="The spending ledger takes minutes to answer. Nothing was sent and nothing was charged.",
        source="bridge",
    )


def left_running(hold: int) -> Refusal:
    """The server ended before the call did."""
    return Refusal(
        code=codes.SHUTTING_DOWN,
        message=(
            f"The server shut down while this call was running. Whether it was charged is not known, so "
            f"{format_usdc(hold)} USDC stay held. The next start finishes it."
        ),
        source="bridge",
    )


_ENDED = {
    State.SETTLED: ("was paid for and its answer was not kept", "It was charged {charged} USDC."),
    State.RECONCILED_CHARGED: (
        "was paid for and its answer was not kept",
        "It was charged {charged} USDC.",
    ),
    State.RELEASED: ("ended without an answer", "It was not charged."),
    State.RECONCILED_FREE: ("ended without an answer", "It was not charged."),
    State.WRITTEN_OFF: (
        "lost its answer, and the Hub no longer remembers it",
        "{held} USDC count as spent.",
    ),
}


def standing(row: CallRow) -> Refusal:
    """A call that is over and has no answer to give back."""
    what, money = _ENDED[row.state]
    if estimated(row):
        money = "It was charged; how much cannot be read, so {charged} USDC count as spent."
    if row.state in CHARGED and row.refunded:
        money += f" {came_back(row.refunded, row.charged)}"
    if row.answered and row.answer is None:
        what += ", and its answer was dropped since (ledger.keep_bodies_days and keep_bodies_mb)"
    return Refusal(
        code=codes.CALL_WRITTEN_OFF if row.state is State.WRITTEN_OFF else codes.CALL_OVER,
        message=(
            f"The call of {iso(row.created_at)} {what}. "
            f"{money.format(charged=format_usdc(row.charged), held=format_usdc(row.held))}"
        ),
        details={"since": iso(row.created_at), "state": row.state.value},
        source="bridge",
    )


def came_back(refunded: MicroUSDC, charged: MicroUSDC) -> str:
    """A sentence on what came back of a charge."""
    what = "All of it" if refunded >= charged else f"{format_usdc(refunded)} USDC of it"
    return f"{what} came back, and counts as spent no more."


def estimated(row: CallRow) -> bool:
    """Whether what a row counts as charged is not the payee's own figure."""
    return row.state in CHARGED and row.evidence is not None and UNREAD in row.evidence


def bridge_fault() -> Refusal:
    """A fault of this program after the call may have been sent."""
    return Refusal(
        code=codes.BRIDGE_FAULT,
        message=(
            "The bridge failed while this call was running. Whether it was charged is not known, so its price stays "
            "held. The server's log has the cause."
        ),
        source="bridge",
    )


def shutting_down(action: Offer) -> Refusal:
    """The server is ending and takes no new purchase."""
    return Refusal(
        code=codes.SHUTTING_DOWN,
        message=f"The server is shutting down, so {action.key} was not called. Nothing was charged.",
        source="bridge",
    )
