"""Examples below a command's help: lines that can be typed as they stand."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """An epilog of command lines; a backspace has click leave the lines as they are."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
