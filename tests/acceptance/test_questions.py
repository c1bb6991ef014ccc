"""A question in the host that nobody answers: withdrawn with its request, or left for the terminal; nothing is bought."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ElicitResult

from tests.acceptance.invoices import ASKING, INVOICE, PRICE, invoice, paid
from tests.acceptance.roads import LEGACY, Road, SandboxHub, connect, error_of, read_by_a_person
from tests.acceptance.terminal import at_a_terminal

pytestmark = pytest.mark.anyio

PAST_THE_LIMIT = {"mandate__total_usdc": "0.06", "mandate__raise_limits_in_host": "true"}


class SilentPerson:
    """Is asked and does not answer, until `word` is set; knows when a question appeared and when it was taken away."""

    def __init__(self) -> None:
        self.asked, self.released = anyio.Event(), anyio.Event()
        self.word: ElicitResult | None = None

    async def __call__(self, _context: Any, _question: Any) -> ElicitResult:
        self.asked.set()
        if self.word is not None:
            await read_by_a_person()
            return self.word
        try:
            await anyio.sleep_forever()
        finally:
            self.released.set()


async def asked_for(client: Client, settings: Mapping[str, str]) -> tuple[dict[str, Any], int]:
    """Arguments whose purchase needs a person, and how many were bought first: a limit must be full to be passed."""
    arguments = invoice()
    if settings is not PAST_THE_LIMIT:
        return arguments, 0
    assert not (await client.call_tool(INVOICE, arguments)).is_error
    return arguments, 1


DAILY = {("consent", "stdio")}
EVERY_WAY = pytest.mark.parametrize(
    ("settings", "transport"),
    [
        pytest.param(
            settings, transport, id=f"{why}-{transport}", marks=() if (why, transport) in DAILY else pytest.mark.slow
        )
        for why, settings in {"consent": ASKING, "past a limit": PAST_THE_LIMIT}.items()
        for transport in ("stdio", "http", "sse")
    ],
)


@EVERY_WAY
@pytest.mark.slow
async def test_a_question_is_withdrawn_when_its_request_is_cancelled(
    hub: SandboxHub, tmp_path: Path, transport: str, settings: Mapping[str, str]
) -> None:
    person = SilentPerson()
    road = Road(transport, LEGACY)
    async with connect(road, hub, tmp_path, settings=settings, elicitation_callback=person) as client:
        arguments, before = await asked_for(client, settings)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as host:
                host.start_soon(client.call_tool, INVOICE, arguments)
                await person.asked.wait()
                host.cancel_scope.cancel()
            await person.released.wait()
            # The call has ended unbought, so the same one asks anew instead of waiting for the first.
            person.word = ElicitResult(action="decline")
            refused = error_of(await client.call_tool(INVOICE, arguments))
        assert refused["error"]["code"] == "APPROVAL_DENIED"
    assert paid(hub) == before


@EVERY_WAY
async def test_an_unanswered_question_is_left_for_the_terminal_and_its_yes_buys_once(
    hub: SandboxHub, tmp_path: Path, transport: str, settings: Mapping[str, str]
) -> None:
    person = SilentPerson()
    road, impatient = Road(transport, LEGACY), {**settings, "server__ask_seconds": "0.2"}
    async with connect(road, hub, tmp_path, settings=impatient, elicitation_callback=person) as client:
        arguments, before = await asked_for(client, settings)
        with anyio.fail_after(60):
            error = error_of(await client.call_tool(INVOICE, arguments))
            await person.released.wait()
        assert (error["charged"], person.asked.is_set(), paid(hub)) == ("no", True, before)
        code = error["error"]["details"]["approval_code"]
        status, seen = await anyio.to_thread.run_sync(lambda: at_a_terminal(hub, tmp_path, "approve", code, answer="y"))
        assert (status, PRICE in seen) == (0, True), seen
        assert paid(hub) == before
        bought = await client.call_tool(INVOICE, arguments)
        assert not bought.is_error, bought.content[0].text
        assert error_of(await client.call_tool(INVOICE, arguments))["error"]["details"]["approval_code"] != code
    assert paid(hub) == before + 1
