"""From the name that a model gives to what is on offer under it; or why nothing is."""

from __future__ import annotations

from typing import Final

from jecp_mcp.catalog.rows import is_withdrawn
from jecp_mcp.catalog.sources import AllOffers
from jecp_mcp.errors import ToolFault
from jecp_mcp.tools.codes import ACTION_LEFT_OUT, TOOL_NOT_FOUND, TOOL_QUARANTINED, VERSION_NOT_AVAILABLE
from jecp_mcp.tools.own.left_out import left_out_message
from jecp_mcp.tools.own.outages import nothing_known
from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.publishing.naming import notations
from jecp_mcp.tools.publishing.tool_registry import PublishedTool, ToolRegistry

REASON_LENGTH: Final = 300
"""The most characters of why an action is set aside."""

_KEY: Final = 80


class Lookup:
    """Finds what is on offer, and looks for news where a source that is away may have it. One per process."""

    def __init__(self, registry: ToolRegistry, offers: AllOffers) -> None:
        self._registry = registry
        self._offers = offers

    async def find(self, tool: str) -> PublishedTool:
        """What a tool name, or an action's key, stands for.

        Raises:
            ToolFault: nothing that can be bought, as far as is known; or it is set aside, or not sold at this version.
        """
        found = self._find(tool)
        if found is None and self._offers.outages:
            await self._offers.look_again()
            found = self._find(tool)
        if found is None:
            raise self.missing(tool)
        return found

    def missing(self, tool: str) -> ToolFault:
        """Why nothing can be bought under a name."""
        aside = quarantine_message(self._registry, tool)
        if aside is not None:
            return ToolFault(TOOL_QUARANTINED, aside)
        otherwise = _other_version(self._registry, tool)
        if otherwise is not None:
            return otherwise
        left_out = left_out_message(self._offers.current, tool)
        if left_out is not None:
            return ToolFault(ACTION_LEFT_OUT, left_out)
        shown = repr(clean(tool, _KEY, one_line=True))
        if self._offers.outages:
            return nothing_known(self._offers.outages, shown)
        return ToolFault(TOOL_NOT_FOUND, f"There is no tool or action {shown}. Nothing was charged.")

    def _find(self, tool: str) -> PublishedTool | None:
        found = self._registry.resolve(tool)
        if found is not None:
            return found
        action = self._registry.find(tool)
        name = self._registry.name_of(action) if action is not None else None
        return self._registry.resolve(name) if name is not None else None


def quarantine_message(registry: ToolRegistry, tool: str) -> str | None:
    """Why an action that a tool name or key means cannot be bought, as a message; None when it means no such one."""
    action = registry.find(tool)
    reason = registry.quarantined.get(action.key) if action is not None else None
    if action is None or reason is None:
        return None
    return (
        f"The action {clean(action.key, _KEY, one_line=True)} is set aside: "
        f"{clean(reason, REASON_LENGTH, one_line=True)}. Nothing was charged."
    )


def _other_version(registry: ToolRegistry, tool: str) -> ToolFault | None:
    """That an action is not sold at the version that was named; None where no version was, or nothing is sold."""
    pinned = ((registry.find(wanted), version) for wanted, version in notations(tool) if version is not None)
    action, version = next(((action, version) for action, version in pinned if action is not None), (None, None))
    if action is None:
        return None
    key, named, now = (clean(text, _KEY, one_line=True) for text in (action.key, version, action.version or "none"))
    sold = "which is no longer sold either" if is_withdrawn(action) else "which is sold"
    return ToolFault(
        VERSION_NOT_AVAILABLE,
        f"{key} is not sold here at version {named}; its version is {now}, {sold}. Nothing was charged.",
        details={"asked_version": named, "version": now, "tool": registry.name_of(action) or key},
    )
