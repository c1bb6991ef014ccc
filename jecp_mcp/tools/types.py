"""What the model sees, free of any SDK: tool cards, result blocks, next actions. `server/` maps them onto MCP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ToolCard:
    """One published tool. `input_schema` is clean: its root is an object and it resolves nothing remote.

    `output_schema` is what its structured content meets, whatever comes of a call; None where that is not shown.
    `left_to_hub` is what of the provider's schema is not checked here before paying, in our own words.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    title: str | None = None
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = True
    meta: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    left_to_hub: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A text block."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image block; `data` is standard base64."""

    data: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class Audio:
    """An audio block; `data` is standard base64."""

    data: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """A binary resource carried in the result; `data` is standard base64."""

    uri: str
    data: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class Link:
    """A stored artifact to be read on demand."""

    uri: str
    name: str
    mime_type: str
    size: int


Block = Text | Image | Audio | Embedded | Link


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool call gives back. The first block is text, and says what `structured` says.

    Of a call that was answered it is the receipt, a line for each file and notice, and the output as JSON on the last
    line; of everything else it is `structured` as JSON. `notes` are the receipt and the notices once more, for people.
    `goes_on` is the id of the call that was asked for, where it takes longer than is waited for.
    """

    blocks: tuple[Block, ...]
    structured: Mapping[str, Any] | None = None
    is_error: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    goes_on: str | None = None


Actor = Literal["agent", "human", "operator"]


@dataclass(frozen=True, slots=True)
class NextAction:
    """What to do after a refusal, and who must do it.

    `tool` and `arguments` are a ready call of one of our tools whenever `actor` is ``agent`` and a call helps.
    `alternatives` are other actions to turn to, each with its tool and price, best first. `extra` carries what a
    Hub's own next_action said beyond this shape.
    """

    type: str
    actor: Actor
    hint: str
    source: Literal["hub", "bridge"]
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None
    retry_after_seconds: int | None = None
    url: str | None = None
    alternatives: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
