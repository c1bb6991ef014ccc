"""The log of the questions that wait for a person: for whoever reads a server's own output, which no model does."""

from __future__ import annotations

from typing import Final

QUESTIONS: Final = "jecp_mcp.questions"
"""The logger's name. A command tells the same in its error, and does not log it."""
