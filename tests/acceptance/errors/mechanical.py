"""An agent that sees tool lists and tool results and follows `next_action`, and nothing else: no code, type or price."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp import Client

MOST_STEPS = 6
BILLING = "jecp-mcp/billing"

Asked = tuple[str, Mapping[str, Any]]


@dataclass
class Ended:
    """How it went.

    Attributes:
        how: ``answered``, or who must act now: ``human``, ``operator``, or ``nobody`` when the steps ran out.
        types: the type of each next action on the way.
        answer: the result that counts as the answer.
        last: the last error met.
    """

    how: str = "nobody"
    types: list[str] = field(default_factory=list)
    answer: Any = None
    last: dict[str, Any] | None = None


async def run(
    client: Client, wait: Callable[[float], Awaitable[None]], tool: str, arguments: Mapping[str, Any]
) -> Ended:
    """Call a tool and, while an error says that the agent itself can act, do what it says.

    A ready call of a tool that is not listed is none that a host would make: it ends there.
    """
    ended, asked, following = Ended(), (tool, arguments), None
    tried = {tool}
    for _ in range(MOST_STEPS):
        result = await client.call_tool(*(following or asked))
        said = result.structured_content
        assert said is not None
        if following is not None and not result.is_error and not _is_answer(result, following, asked):
            # What was asked of a tool is not said again by its answer.
            known, following = {**following[1], **said}, None
            if "next_action" not in said:
                asked = _mended(asked, known, tried)
                continue
        if "next_action" not in said:
            ended.how, ended.answer = "answered", result
            return ended
        step = said["next_action"]
        ended.types.append(step["type"])
        ended.last = said
        if step["actor"] != "agent" or "tool" not in step:
            ended.how = step["actor"]
            return ended
        if step["tool"] not in {one.name for one in (await client.list_tools(cache_mode="bypass")).tools}:
            return ended
        await wait(step.get("retry_after_seconds", 0))
        ready = (step["tool"], step["arguments"])
        following = None if ready == asked else ready
    return ended


def _is_answer(result: Any, following: Asked, asked: Asked) -> bool:
    """Whether what a ready call gave is what was wanted: it was paid for, or the tool is the same."""
    return BILLING in (result.meta or {}) or following[0] == asked[0]


def _mended(asked: Asked, said: Mapping[str, Any], tried: set[str]) -> Asked:
    """The call to make next: after a search its first tool not tried yet that the arguments are enough for.

    After a description it is what is described. The arguments stay, unless it is the very tool whose arguments were refused that is described: then its example.
    """
    tool, arguments = asked
    if isinstance(arguments.get("arguments"), Mapping):
        # A tool that calls another one by name: the other call is mended.
        name, given = _mended((arguments["tool"], arguments["arguments"]), said, tried)
        return tool, {"tool": name, "arguments": given}
    if "results" in said:
        found = [hit for hit in said["results"] if hit["tool"] not in tried]
        fitting = [hit for hit in found if set(hit.get("needs", ())) <= arguments.keys()]
        tool = next((hit["tool"] for hit in [*fitting, *found]), tool)
        tried.add(tool)
    elif {"arguments", "input_schema"} & said.keys():
        if said["tool"] == tool and said.get("examples"):
            arguments = said["examples"][0]["input"]
        tool = said["tool"]
        tried.add(tool)
    return tool, arguments
