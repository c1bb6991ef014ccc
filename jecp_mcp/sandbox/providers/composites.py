"""Composite actions: calls of other capabilities, one after the other, sold as one (JECP 04-manifest §5.2).

A wallet pays once, after the last step: a composite that fails has charged it nothing and owes nobody, which is all
that its rollback has to see to. What came by x402 was paid before the first step, and stays paid.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock
from jecp_mcp.sandbox.call_checks import AcceptedCall, CallChecks
from jecp_mcp.sandbox.catalog import Catalog
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.listing import Listing, Offer
from jecp_mcp.sandbox.revenue_split import PROVIDER_PERCENT, SoldStep
from jecp_mcp.sandbox.success_answers import sunset_refusal
from jecp_mcp.wire.jecp.envelope import MAX_ANSWER_BYTES, MAX_INPUT_BYTES
from jecp_mcp.wire.jecp.tiers import TIERS

if TYPE_CHECKING:
    from jecp_mcp.sandbox.work.capability import Work

Run = Callable[[AcceptedCall], Awaitable[tuple["Work", bytes]]]
"""Has a call done. Raises `Refused`."""

_TIMEOUT_MS: Final = 60_000
_INPUT: Final = "input"
_TOO_LARGE: Final = f"comes to an input of more than {MAX_INPUT_BYTES} bytes"
_REFERENCE: Final = re.compile(r"\$\{([^{}]{1,200})\}")


class _Unbound(Exception):  # never leaves this module
    """A template names what is not there, or comes to more than an input may."""


class Composites:
    """Runs the composite actions of a catalog."""

    def __init__(self, catalog: Catalog, checks: CallChecks, clock: Clock, run: Run) -> None:
        self._catalog, self._checks, self._clock, self._run = catalog, checks, clock, run

    async def run(self, accepted: AcceptedCall) -> tuple[Work, bytes]:
        """Do every step; the outputs by their steps, and that as JSON text.

        Raises:
            Refused: a step failed, cannot be bound, or all of them took too long.
        """
        composition = accepted.offer.raw["composes"]
        try:
            async with asyncio.timeout(composition.get("timeout_total_ms", _TIMEOUT_MS) / 1000):
                outputs, sold = await self._steps(accepted, composition)
        except TimeoutError as exc:
            raise Refused("COMPOSITE_TIMEOUT", "The steps took too long together.") from exc
        broken = accepted.offer.output_violations(outputs)
        if broken:
            raise Refused(
                "OUTPUT_INVALID",
                "The steps' outputs break the composite's output schema.",
                details={"errors": broken},
            )
        from jecp_mcp.sandbox.work.capability import Work

        return Work(outputs, steps=tuple(sold)), jsontext.dumps(outputs)

    async def _steps(
        self, accepted: AcceptedCall, composition: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Sequence[SoldStep]]:
        goes_on = composition.get("on_step_failure") == "continue"
        resolved = [(step, *self._resolve(step, accepted)) for step in composition["steps"]]
        # Since it was published a step's price may have risen.
        if sum(offer.tariff.base for _, _, offer in resolved) * 100 > accepted.offer.tariff.base * PROVIDER_PERCENT:
            raise Refused("COMPOSITE_STEP_FAILED", "The steps cost more than the composite allows.")
        outputs: dict[str, Any] = {}
        sold: list[SoldStep] = []
        left = MAX_ANSWER_BYTES
        for step, listing, offer in resolved:
            try:
                given, size = bind(step["input"], {_INPUT: accepted.call.arguments, **outputs})
            except _Unbound as exc:
                raise Refused(
                    "COMPOSITE_BIND_ERROR",
                    f"Step '{step['id']}' {exc}.",
                    details={"failed_step_id": step["id"]},
                ) from exc
            call = replace(
                accepted.call,
                call_id=f"{accepted.call.call_id}:{step['id']}",
                capability=step["call"],
                action=offer.id,
                arguments=given,
                size=size,
            )
            try:
                output = await self._step(replace(accepted, call=call, listing=listing, offer=offer))
            except Refused as refused:
                if not goes_on:
                    raise _step_failed(step["id"], refused) from refused
                outputs[step["id"]] = None
                continue
            left -= len(output)
            if left < 0:
                raise Refused(
                    "OUTPUT_INVALID",
                    f"The steps' outputs come to more than {MAX_ANSWER_BYTES} bytes.",
                    details={"failed_step_id": step["id"]},
                )
            outputs[step["id"]] = jsontext.plain(jsontext.loads(output, max_bytes=len(output), max_marks=None))
            sold.append(SoldStep(step["id"], listing.id, offer.tariff.base))
        return outputs, sold

    async def _step(self, accepted: AcceptedCall) -> bytes:
        """The JSON text of a step's output. Raises `Refused`."""
        if broken := accepted.offer.violations(accepted.call.arguments):
            raise Refused("INPUT_SCHEMA_VIOLATION", broken[0]["reason"], details={"errors": broken})
        self._checks.check_action_rate(accepted.agent, accepted.listing, accepted.offer, self._clock.now())
        return (await self._run(accepted))[1]

    def _resolve(self, step: Mapping[str, Any], accepted: AcceptedCall) -> tuple[Listing, Offer]:
        """What a step calls. It may have a newer version than when the composite was published.

        Raises:
            Refused: it is not there or no more, has steps itself, has no price of its own, or is not for this agent.
        """
        try:
            listing = self._catalog.find(step["call"])
        except Refused as refused:
            raise _step_failed(step["id"], refused) from refused
        offer = listing.offers.get(step["action"])
        if offer is None:
            raise _step_failed(step["id"], Refused("ACTION_NOT_FOUND", f"{step['call']} has no {step['action']}"))
        if offer.raw.get("composes") is not None:
            raise Refused(
                "COMPOSITE_DEPTH_EXCEEDED",
                f"Step '{step['id']}' is a composite itself.",
                details={"failed_step_id": step["id"]},
            )
        if listing.gone(now := self._clock.now()):
            raise _step_failed(step["id"], sunset_refusal(listing, accepted.call.dialect, now))
        if offer.tariff.metered:
            raise _step_failed(step["id"], Refused("COMPOSITE_STEP_FAILED", "By now it costs what it uses."))
        try:
            self._checks.check_trust(accepted.agent, listing, offer, accepted.call)
        except Refused as refused:
            raise _step_failed(step["id"], refused) from refused
        return listing, offer


def _step_failed(step_id: str, refused: Refused) -> Refused:
    return Refused(
        "COMPOSITE_STEP_FAILED",
        f"Step '{step_id}' failed: {refused.message}",
        details={
            "failed_step_id": step_id,
            "upstream_error": {"code": refused.code, "message": refused.message},
            "refunds_issued": [],
        },
    )


def composite_faults(action: Mapping[str, Any], price: int, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """What is wrong with an action if it is composite, by its place within the action (JECP 04-manifest §5.2).

    Args:
        action: of the right form.
        price: what it costs, micro-USDC.
        catalog: what it may call.

    Raises:
        Refused: a step is a composite itself.
    """
    steps = (action.get("composes") or {}).get("steps", [])
    yield from _reference_faults(steps)
    cost, most = 0, 0
    for number, step in enumerate(steps):
        place = f"/composes/steps/{number}"
        try:
            offer = catalog.find(step["call"]).offers.get(step["action"])
        except Refused as refused:
            yield f"{place}/call", refused.message
            continue
        if offer is None:
            yield f"{place}/action", f"is no action of {step['call']}"
            continue
        if offer.raw.get("composes") is not None:
            raise Refused("COMPOSITE_DEPTH_EXCEEDED", f"{place} is a composite itself.", status=422)
        if offer.tariff.metered:
            yield place, "costs what it uses, so that nothing can be promised for all the steps"
        cost, most = cost + offer.tariff.base, max(most, TIERS.index(offer.tier))
    if cost * 100 > price * PROVIDER_PERCENT:
        yield "/pricing/base", f"is too low: the steps cost more than {PROVIDER_PERCENT} % of it"
    if TIERS.index(action.get("trust_tier_required") or TIERS[0]) < most:
        yield "/trust_tier_required", f"is lower than a step's, which is {TIERS[most]}"


def _reference_faults(steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    known = {_INPUT}
    for number, step in enumerate(steps):
        place = f"/composes/steps/{number}"
        if step["id"] in known:
            yield f"{place}/id", "is taken"
        for reference in _references(step["input"]):
            if reference.partition(".")[0] not in known:
                yield f"{place}/input", f"refers to ${{{reference}}}, which is neither the input nor an earlier step"
        known.add(step["id"])


def _references(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield from _REFERENCE.findall(template)
    elif isinstance(template, Mapping):
        for item in template.values():
            yield from _references(item)
    elif isinstance(template, list):
        for item in template:
            yield from _references(item)


def bind(template: Any, values: Mapping[str, Any]) -> tuple[Any, int]:
    """A step's input with what its ``${…}`` stand for (JECP 04-manifest §5.2.2), and its bytes as JSON text.

    A text that is one reference becomes the value; within a longer text a value is written as text.
    """
    binding = _Binding(values)
    given = binding.bind(template)
    size = len(jsontext.dumps(given))
    if size > MAX_INPUT_BYTES:
        raise _Unbound(_TOO_LARGE)
    return given, size


class _Binding:
    """The binding of one step's input, which ends as soon as it comes to more bytes than an input may have."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values, self._left = values, MAX_INPUT_BYTES

    def bind(self, template: Any) -> Any:
        if isinstance(template, Mapping):
            return {key: self.bind(item) for key, item in template.items()}
        if isinstance(template, list):
            return [self.bind(item) for item in template]
        if not isinstance(template, str):
            return jsontext.plain(template)
        whole = _REFERENCE.fullmatch(template)
        if whole is not None:
            return self._value(whole[1])[0]
        return _REFERENCE.sub(lambda found: _as_text(*self._value(found[1])), template)

    def _value(self, reference: str) -> tuple[Any, bytes]:
        """What a reference stands for, and that as JSON text. Raises `_Unbound`."""
        found: Any = self._values
        for part in reference.split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise _Unbound(f"refers to ${{{reference}}}, which is not there")
            found = found[part]
        written = jsontext.dumps(found)
        self._left -= len(written)
        if self._left < 0:
            raise _Unbound(_TOO_LARGE)
        return found, written


def _as_text(value: Any, written: bytes) -> str:
    return value if isinstance(value, str) else written.decode()
