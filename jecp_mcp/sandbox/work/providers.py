"""Who sells which capabilities, and how to have one done."""

from __future__ import annotations

from typing import Any

from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.sandbox.work import (
    abstract,
    concordance,
    convert,
    csv_analysis,
    forecast,
    invoice,
    key_phrases,
    qrcode,
    report,
    textstats,
    thumbnail,
)
from jecp_mcp.sandbox.work.capability import Input, Stream, Work

_PROVIDERS = {"inkwell": "Inkwell Documents", "plumbline": "Plumbline Analytics", "lectern": "Lectern Text"}

_BUILTINS = (textstats.CAPABILITY, qrcode.CAPABILITY)
_SOLD = (
    invoice.CAPABILITY,
    convert.CAPABILITY,
    thumbnail.CAPABILITY_1,
    thumbnail.CAPABILITY,
    abstract.CAPABILITY,
    csv_analysis.CAPABILITY_1,
    csv_analysis.CAPABILITY,
    forecast.CAPABILITY,
    report.CAPABILITY,
    concordance.CAPABILITY,
    key_phrases.CAPABILITY,
)
_ACTIONS = {
    (capability_id, action.id): action
    for capability in (*_BUILTINS, *_SOLD)
    for action in capability.actions
    for capability_id in (capability.id, f"{capability.id}@{capability.version}")
}


def manifests(now: UnixMs | None = None) -> list[dict[str, Any]]:
    """Every provider's manifest, each version its own (JECP 04-manifest §5, §7.2).

    Args:
        now: when sunsets are counted from; the machine's clock unless given. They fall on whole UTC days.
    """
    at = SystemClock().now() if now is None else now
    return [capability.manifest(_PROVIDERS, at) for capability in _SOLD]


def builtins() -> list[dict[str, Any]]:
    """The Hub's own capabilities, as its catalog lists them; prices are decimal text in USDC."""
    return [capability.builtin() for capability in _BUILTINS]


def run(capability: str, action: str, input: Input) -> Work:  # noqa: A002  # the protocol's own word for it
    """Do the work.

    Args:
        capability: its id, or ``id@version``.
        action: the action's id.
        input: valid against the action's ``input_schema``.

    Raises:
        KeyError: there is no such action.
        WorkFailed: the work cannot be done on this input.
    """
    return _ACTIONS[capability, action].run(input)


def stream(capability: str, action: str, input: Input) -> Stream:  # noqa: A002  # as above
    """Do the work of a streaming action piece by piece: each piece is yielded as soon as it is worked out.

    The generator's return value (``StopIteration.value``) is the whole `Work`, the same as `run` gives.

    Raises:
        KeyError: there is no such action, or it does not stream.
        WorkFailed: from the iterator, before or between pieces.
    """
    found = _ACTIONS[capability, action]
    pieces = found.work(input) if found.streaming else None
    if pieces is None or isinstance(pieces, Work):
        raise KeyError(capability, action)
    return pieces
