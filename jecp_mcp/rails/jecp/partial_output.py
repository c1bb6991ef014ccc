"""What a stream brought of an output before it broke off. Pure: no I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.masking import Mask

MOST_CHARACTERS: Final = 4_000
"""How much of it is kept."""


class PartialOutput:
    """The pieces so far, in order, until there is no room for more."""

    def __init__(self) -> None:
        self._pieces: list[Any] = []
        self._room = MOST_CHARACTERS

    def add(self, piece: Any) -> None:
        """Keep a piece: of a text as much as there is room for, any other value whole."""
        size = len(piece if isinstance(piece, str) else jsontext.dumps(piece))
        if self._room > 0 and (isinstance(piece, str) or size <= self._room):
            self._pieces.append(piece[: self._room] if isinstance(piece, str) else piece)
        self._room -= size

    def shown(self, outcome: Outcome, mask: Mask) -> Outcome:
        """The outcome of the call; what came before the stream broke off stands beside why there is no answer."""
        if outcome.refusal is None or not self._pieces:
            return outcome
        pieces = self._pieces
        # What is whole in no piece may be in all of them together.
        joined = mask.text("".join(pieces)) if all(isinstance(one, str) for one in pieces) else pieces
        details = {**outcome.refusal.details, "partial_output": joined}
        return replace(outcome, refusal=replace(outcome.refusal, details=details))
