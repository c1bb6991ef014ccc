"""A process that hires an agent, or finishes what another left, until it kills itself at a point.

Its points are those of the ledger (see `tests.crash.mandate.dying`), every event of the HTTP library's trace, and, by
name, the moments before and after each durable step of a hire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from jecp_mcp.calls.journal import CallJournal
from jecp_mcp.cli.options import Start
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.rails.ajp import client, rail, wiring
from jecp_mcp.settings import Settings
from jecp_mcp.settings.merchants import Place
from jecp_mcp.wire.ajp.canonical import canonical
from jecp_mcp.wire.ajp.signatures import PrivateKey, new_private_key
from tests.crash.calls.children import ask, light
from tests.crash.mandate.dying import Fuse

IMPORTED = (wiring, canonical({}), PrivateKey(new_private_key()).sign(b""))
"""What a server imports when it first hires, here before a process is forked from this one."""

TOOL: Final = "ajp_hire_words"
STEPS: Final = (
    "the reservation",
    "what says that it is sent",
    "the offer",
    "what says that it was accepted",
    "the result and the intent",
    "the acknowledgement",
    "what settles it",
)
"""The durable steps of a hire. A process can be killed ``before`` and ``after`` each."""


@dataclass(frozen=True)
class Life:
    """What a process is to do, as which hirer.

    Attributes:
        key: the hirer's.
        agent_id: who is hired.
        daily: the most that is spent in a day, in USDC.
        ahead: how far this process's clock is before the machine's, in seconds.
        timeout_seconds: how long an answer is waited for.
        jobs: the instructions of the jobs to be offered, at once; none to finish what is open instead.
        last: the point to die at, by number or name; 0 to live.
    """

    folder: Path
    key: str
    agent_id: str
    daily: str
    ahead: int
    timeout_seconds: float
    jobs: tuple[str, ...]
    last: int | str

    @property
    def settings(self) -> Settings:
        """The settings of this hirer."""
        agent = {"name": "words", "id": self.agent_id, "max_usdc": "0.05", "max_seconds": 600}
        # Nothing listens where the Hub would be: hiring does not need it.
        return Settings.model_validate(
            {
                "hub": {"base_url": "http://127.0.0.1:9"},
                "mandate": {"per_call_usdc": "0.10", "daily_usdc": self.daily},
                "ajp": {"identity": "provenance:domain:hirer.example", "agents": [agent]},
            }
        )

    @property
    def start(self) -> Start:
        """What its bridge starts from."""
        return Start(self.settings, self.folder, None, sandbox=True, play_hirer=self.key)


def around(fuse: Fuse, name: Callable[..., str | None], work: Callable[..., Awaitable[Any]]) -> Any:
    """`work` with a point before and after it, named by what it is called with."""

    async def doing(*given: Any, **more: Any) -> Any:
        named = name(*given, **more)
        if named is not None:
            fuse.passing(f"before {named}")
        try:
            return await work(*given, **more)
        finally:
            if named is not None:
                fuse.passing(f"after {named}")

    return doing


def lay_steps(fuse: Fuse) -> None:
    """Make the durable steps points."""
    reserve, send, offer, kept, asked, conclude = (
        SqliteLedger.reserve, CallJournal.sending, "the offer", CallJournal.keep, client.AgentClient._ask, SqliteLedger.flush,
    )  # fmt: skip

    def entries(_: Any, *marked: Any) -> str:
        return STEPS[3] if len(marked) == 1 and marked[0].mark.value == "accepted" else STEPS[4]

    def request(_: Any, method: str, place: Place, *__: Any, **___: Any) -> str | None:
        if method == "GET":
            return None
        return STEPS[5] if place.path.endswith("/ack") else offer

    SqliteLedger.reserve = around(fuse, lambda *_, **__: STEPS[0], reserve)  # type: ignore[method-assign]
    CallJournal.sending = around(fuse, lambda *_, **__: STEPS[1], send)  # type: ignore[method-assign]
    CallJournal.keep = around(fuse, entries, kept)  # type: ignore[method-assign]
    client.AgentClient._ask = around(fuse, request, asked)  # type: ignore[method-assign]
    SqliteLedger.flush = around(fuse, lambda *_, **__: STEPS[6], conclude)  # type: ignore[method-assign]


def live(life: Life, tell: Connection) -> None:
    """Do it; says ``("died", point)``, or ``("passed", points)`` and ``("heard", [result])``."""
    fuse = light(life.last, tell)
    lay_steps(fuse)
    hurry(life.timeout_seconds)
    ask(fuse, tell, life.start, life.ahead, [(TOOL, {"instruction": one}) for one in life.jobs], refresh=True)


def hurry(timeout_seconds: float) -> None:
    """Ask for jobs without the pauses that an agent is otherwise given, and not for long."""
    rail._FIRST_STEP = 0.002  # type: ignore[misc]
    rail._LONGEST_STEP = 0.01  # type: ignore[misc]
    rail.PATIENCE_SECONDS = 0.2  # type: ignore[misc]
    client._SECONDS = timeout_seconds  # type: ignore[misc]
