"""Whether, and how soon, the identical request leaves again within one execution. Pure: no I/O, clock or randomness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, doubtful, says_charged
from jecp_mcp.wire.jecp.codes import Proof, Retry, lookup

MAX_REPLAYS: Final = 3
"""The most attempts of one execution that may have reached the Hub, after the first one."""

MAX_UNSENT: Final = 3
"""The most attempts of which no byte left."""

LONGEST_WAIT_SECONDS: Final = 5
"""The longest Retry-After that is waited for inside a call; a longer one is passed on."""

SHORTEST_ATTEMPT_SECONDS: Final = 1.0
"""What an attempt must have left to be worth beginning."""

_BACKOFF_SECONDS: Final = (0.2, 0.6, 1.8)
_STREAM_PATIENCE: Final = 5
"""How much longer than usual to wait while an earlier attempt's stream still runs, as a factor."""


def next_wait(
    attempts: Sequence[Evidence], *, replay: bool, jitter: float, left: float, provenance: bool = False
) -> float | None:
    """How long to wait before the identical request is worth sending again, in seconds; None when it is not.

    Args:
        attempts: what happened so far, oldest first; at least one.
        replay: whether an attempt before these may have reached the Hub.
        jitter: a random number from 0 to 1.
        left: how much of the call's time is left, in seconds.
        provenance: whether the request carries a provenance hash. What a Hub has recorded is not reachable then (JECP
            ADR-0001), so once the provider's failure is proven free, another attempt could only blur that.
    """
    wait = _wanted_wait(attempts, replay=replay, jitter=jitter)
    last = attempts[-1]
    if provenance and isinstance(last, Replied) and isinstance(last.reply, Refusal):
        entry = lookup(last.reply.code)
        if entry is not None and entry.retry is Retry.SAME_ID and not doubtful(attempts, replay=replay):
            return None
    return None if wait is None or wait + SHORTEST_ATTEMPT_SECONDS > left else wait


def _wanted_wait(attempts: Sequence[Evidence], *, replay: bool, jitter: float) -> float | None:
    last = attempts[-1]
    unsent = sum(isinstance(one, Lost) and not one.sent for one in attempts)
    sent = len(attempts) - unsent + replay
    match last:
        case Lost(sent=False):
            return _backoff(unsent, jitter) if last.again and unsent < MAX_UNSENT else None
        case Replied(Answer()):
            return None
        case _ if sent > MAX_REPLAYS:
            return None
        case Replied(Refusal() as refusal):
            ours = doubtful(attempts[:-1], replay=replay)
            return _wait_after(refusal, sent, jitter, doubt=doubtful(attempts, replay=replay), ours=ours)
        case Lost(again=False):
            return None
        case _:
            return _backoff(sent, jitter)


def _wait_after(refusal: Refusal, sent: int, jitter: float, *, doubt: bool, ours: bool) -> float | None:
    """Likewise, after a refusal; `ours` where an attempt before it may have reached the Hub."""
    entry = lookup(refusal.code)
    if entry is None or entry.charge is Proof.FIRST_CALL or says_charged(refusal) is True:
        return None
    asked = refusal.retry_after_seconds
    if ours and entry.code == "STREAM_IN_PROGRESS":
        # It is this very call that is still running: worth all the time that is left.
        return _no_sooner(asked, _backoff(sent, jitter) * _STREAM_PATIENCE, jitter)
    if asked is not None and asked > LONGEST_WAIT_SECONDS:
        return None
    if entry.retry not in {Retry.AFTER_WAIT, Retry.SAME_ID}:
        return None
    # An uncharged failure of the provider is worth one more try; to find out about money, all of them.
    if entry.retry is Retry.SAME_ID and not doubt and sent > 1:
        return None
    return _no_sooner(asked, _backoff(sent, jitter), jitter)


def _no_sooner(asked: int | None, wait: float, jitter: float) -> float:
    return wait if asked is None else max(wait, asked + jitter / 2)


def _backoff(sent: int, jitter: float) -> float:
    return _BACKOFF_SECONDS[min(sent, len(_BACKOFF_SECONDS)) - 1] * (0.5 + jitter)
