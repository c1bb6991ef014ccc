"""What each kind of host takes: names, how many tools, which schemas; and which kind a client is. Pure: no I/O.

A profile decides only what is listed, and how. Every action is callable by every client, under any of its names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, get_args

from jecp_mcp.settings import HostProfile, ToolSettings
from jecp_mcp.tool_names import NAME_LENGTH
from jecp_mcp.tools.publishing.naming import LONGEST_NAME


class Dialect(Enum):
    """Which schemas a kind of host takes."""

    WHOLE = auto()
    """All that is published."""
    TYPED = auto()
    """The same, with the type beside a reference to what is of one: else a model may send an object as text."""
    PLAIN = auto()
    """What the models of all makers read, for a host that hands schemas to several."""
    GEMINI = auto()
    """Of that, what Gemini's API takes from a host that hands it on as it is."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of host takes.

    Attributes:
        total: the most characters of a tool's name together with what the host puts before it.
        around: how many of these the host spends beside the server's name; None where it puts nothing before a name.
        most_tools: how many tools it takes, where that is bounded.
        dialect: what may be in a schema.
        outputs: whether it is shown what tools give back: a host that is hands it to the model, or has no use for it.
        plain_keys: whether arguments may only have names that every model's API takes.
    """

    name: HostProfile
    total: int
    around: int | None
    most_tools: int | None = None
    dialect: Dialect = Dialect.PLAIN
    plain_keys: bool = True
    outputs: bool = False

    def name_length(self, server_name: str) -> int:
        """The longest name of a tool: the usual length wherever there is room, so that names are the same all over."""
        if self.around is None:
            return self.total
        return min(NAME_LENGTH, self.total - self.around - len(server_name))


_HOSTS: Final = (
    # mcp__server__tool, within what the model's API takes.
    Profile("claude", 64, 7, dialect=Dialect.TYPED),
    # The server, a colon and the tool.
    Profile("cursor", 60, 1),
    # mcp_server_tool
    Profile("gemini", 63, 5, dialect=Dialect.GEMINI),
    Profile("vscode", 64, 5, most_tools=128),
    Profile("windsurf", 64, 5, most_tools=100),
)

STRICT: Final = Profile(
    "strict",
    # What is left of the name is what the narrowest host leaves.
    min(host.total - (host.around or 0) for host in _HOSTS),
    0,
    most_tools=min(host.most_tools for host in _HOSTS if host.most_tools is not None),
)
"""What every known host takes, for a client that does not say what it is, or is not known.

But for what Gemini's API alone refuses: agents that use it turn schemas into its dialect by themselves.
"""

OPEN: Final = Profile("open", LONGEST_NAME, None, dialect=Dialect.WHOLE, plain_keys=False, outputs=True)
"""No host's rules, only the protocol's (MCP, tools: names): for programs, which also want to know what comes back."""

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType({one.name: one for one in (STRICT, *_HOSTS, OPEN)})

_SAID: Final = (
    ("claude", "claude"),
    ("cursor", "cursor"),
    ("gemini-cli", "gemini"),
    ("visual studio code", "vscode"),
    ("vscode", "vscode"),
    ("windsurf", "windsurf"),
)
"""How the names begin that hosts give themselves in ``clientInfo``."""

assert PROFILES.keys() == set(get_args(HostProfile))


def profile_for(settings: ToolSettings, client_name: str | None) -> Profile:
    """The profile of a client: the operator's choice, else by what it calls itself, else the strictest."""
    if settings.host_profile != "auto":
        return PROFILES[settings.host_profile]
    said = (client_name or "").strip().lower()
    return next((PROFILES[name] for start, name in _SAID if said.startswith(start)), STRICT)


def name_lengths(settings: ToolSettings) -> frozenset[int]:
    """Every length that some host's names may have."""
    return frozenset(one.name_length(settings.server_name) for one in PROFILES.values())
