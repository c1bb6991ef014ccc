"""How the merchant goes wrong when it is asked to, by route. Sandbox only.

``POST /sandbox/faults`` takes ``{"route", "mode", "times"?, "settles"?, "status"?, "seconds"?, "location"?, …}``, where
`route` is a path, or ``*`` for all. A mode meets paid requests whose payment is good, unless it says otherwise:

- ``clean``: nothing goes wrong.
- ``accept_then_timeout``: settled, and never answered.
- ``5xx_after_settle``: settled, and answered with `status` (502) and somebody else's page.
- ``double_402``: settled, and answered with 402 and a new challenge.
- ``slow_answer``: settled, and answered after `seconds`, or when the faults are taken back.
- ``reconcile_unavailable``: settled, the connection is closed, and whoever comes with this payment again gets 503.
- ``declared_safe``: not settled; 503, and the words that nothing was taken and that it may be tried again.
- ``redirect``: not settled; `status` (302) to `location`. With ``"unpaid": true`` it meets unpaid requests.
- ``settled_4xx``: settled; `status` (400) with a receipt and a body.
- ``settlement_pending``: sent to the chain and waiting there; 402 with the transaction's hash. Sent again, the
  payment is answered in the same way until the chain has mined it, and then with the delivery.
- ``late_settlement``: 402 as if refused; the payment is kept, and settled by ``POST /sandbox/kept/settle``.
- ``cut``: settled; half of the answer, then the connection is closed.
- ``drop``: settled; the connection is closed without an answer.
- ``no_receipt``: settled and delivered, without a receipt.
- ``empty``: settled; 200 with neither receipt nor body.
- ``unsettled``: delivered, without a receipt, and never settled.
- ``false_receipt``: delivered, with the receipt of a transfer that never was.
- ``bad_receipt``: settled and delivered, with a receipt that nobody can read.
- ``echo``: settled; the answer holds the request's headers, the payment's among them.
- ``answer``: neither looked at nor settled; `status`, `headers` and `body` as given. Meets every request, or with
  ``"unpaid": true`` the unpaid ones.

`settles` says otherwise whether it is settled; `times` is how many requests it meets, 1 unless given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MOST_FAULTS: Final = 1_000
MOST_SECONDS: Final = 600.0

_SETTLES: Final[Mapping[str, bool]] = {
    "clean": True,
    "accept_then_timeout": True,
    "5xx_after_settle": True,
    "double_402": True,
    "slow_answer": True,
    "reconcile_unavailable": True,
    "declared_safe": False,
    "redirect": False,
    "settled_4xx": True,
    "settlement_pending": True,
    "late_settlement": False,
    "cut": True,
    "drop": True,
    "no_receipt": True,
    "empty": True,
    "unsettled": False,
    "false_receipt": False,
    "bad_receipt": True,
    "echo": True,
    "answer": False,
}
_STATUS: Final[Mapping[str, int]] = {"5xx_after_settle": 502, "redirect": 302, "settled_4xx": 400}
_BEFORE_PAYMENT: Final = frozenset({"redirect", "answer"})
"""The modes that may meet unpaid requests."""


Stage = Literal["unpaid", "paid", "sold"]
"""Where a request stands: it came without a payment, with one, or with one that is good."""


class FaultRefused(Exception):
    """A fault that is not understood; the message says why."""


@dataclass(slots=True)
class Fault:
    """One fault asked for."""

    route: str
    mode: str
    times: int
    settles: bool
    status: int
    seconds: float
    location: str
    headers: Mapping[str, str]
    body: bytes
    unpaid: bool

    def meets(self, path: str, stage: Stage) -> bool:
        """Whether it is meant for a request to a route."""
        stages = {"unpaid", "paid"} if self.mode == "answer" else {"sold"}
        return self.route in {path, "*"} and stage in ({"unpaid"} if self.unpaid else stages)


@dataclass(slots=True)
class FaultQueue:
    """The faults still to happen, in the order they were asked for."""

    _waiting: list[Fault] = field(default_factory=list)

    def add(self, asked: Mapping[str, Any]) -> int:
        """Add one; how many requests are still to be met.

        Raises:
            FaultRefused: it is not understood.
        """
        if len(self._waiting) >= MOST_FAULTS:
            raise FaultRefused("too many faults wait")
        self._waiting.append(_read(asked))
        return sum(fault.times for fault in self._waiting)

    def clear(self) -> None:
        """Forget what has not happened yet."""
        self._waiting.clear()

    def take(self, path: str, stage: Stage) -> Fault | None:
        """The next fault that meets a request, used up once."""
        for fault in self._waiting:
            if fault.meets(path, stage):
                fault.times -= 1
                if fault.times == 0:
                    self._waiting.remove(fault)
                return fault
        return None


def _read(asked: Mapping[str, Any]) -> Fault:
    mode = asked.get("mode")
    if not isinstance(mode, str) or mode not in _SETTLES:
        raise FaultRefused(f"mode must be one of: {', '.join(sorted(_SETTLES))}")
    unpaid = asked.get("unpaid", False) is True
    if unpaid and mode not in _BEFORE_PAYMENT:
        raise FaultRefused(f"{mode} meets paid requests only")
    headers = asked.get("headers", {})
    if not isinstance(headers, Mapping) or not all(isinstance(value, str) for value in headers.values()):
        raise FaultRefused("headers must be an object of texts")
    return Fault(
        route=_text(asked, "route", "*"),
        mode=mode,
        times=int(_number(asked, "times", 1, 1, MOST_FAULTS)),
        settles=asked.get("settles", _SETTLES[mode]) is True,
        status=int(_number(asked, "status", _STATUS.get(mode, 200), 200, 599)),
        seconds=_number(asked, "seconds", 1, 0, MOST_SECONDS),
        location=_text(asked, "location", "/elsewhere"),
        headers=dict(headers),
        body=_text(asked, "body", "").encode(),
        unpaid=unpaid,
    )


def _text(asked: Mapping[str, Any], name: str, default: str) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise FaultRefused(f"{name} must be a text")
    return value


def _number(asked: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise FaultRefused(f"{name} must be a number from {least:g} to {most:g}")
    return value
