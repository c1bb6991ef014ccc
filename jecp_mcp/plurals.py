"""How many of something there are, in words. Pure: no I/O."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number and its noun, such as ``1 call`` and ``1,000 calls``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """The verb that goes with a number of things."""
    return "is" if number == 1 else "are"
