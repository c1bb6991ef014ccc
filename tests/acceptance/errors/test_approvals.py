"""Above the operator's threshold a person is asked in the host: a genuine yes buys once, anything else buys nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult

from jecp_mcp.tools.asking import FIELD
from tests.acceptance.errors.seats import ERAS
from tests.acceptance.errors.stage import AGENT, KEY, Stage, open_stage
from tests.acceptance.roads import Road, connect, error_of, output_of

pytestmark = pytest.mark.anyio

DEAR = "bolt_vault_seal"
LIMITS = {"mandate__approve_above_usdc": "0.03"}
YES = ElicitResult(action="accept", content={FIELD: "0.04"})
NO = ElicitResult(action="decline")


@dataclass
class Scene:
    """A host whose person answers `answers`, one after the other, the last one for ever."""

    hub: Stage
    client: Client
    answers: list[ElicitResult]
    shown: list[Any] = field(default_factory=list)

    async def buy(self, text: str = "a") -> Any:
        return await self.client.call_tool(DEAR, {"text": text})

    async def raw(self, text: str = "a", **more: Any) -> Any:
        """One request as it stands, without the client's own rounds."""
        return await self.client.session.call_tool(DEAR, {"text": text}, allow_input_required=True, **more)


@asynccontextmanager
async def asked(path: Path, year: str, *answers: ElicitResult) -> AsyncIterator[Scene]:
    scenes: list[Scene] = []

    async def person(_context: Any, params: Any) -> ElicitResult:
        [scene] = scenes
        scene.shown.append(params)
        return scene.answers.pop(0) if len(scene.answers) > 1 else scene.answers[0]

    with open_stage() as hub:
        hub.agent_id, hub.api_key = AGENT, KEY  # type: ignore[attr-defined]
        async with connect(
            Road("stdio", ERAS[year]),
            hub,
            path,
            settings=LIMITS,
            elicitation_callback=person,  # type: ignore[arg-type]
        ) as client:
            scenes.append(Scene(hub, client, list(answers)))
            yield scenes[0]


@pytest.mark.parametrize("year", ERAS)
async def test_a_yes_is_good_for_one_call_and_no_other(tmp_path: Path, year: str) -> None:
    async with asked(tmp_path, year, YES) as at:
        assert output_of(await at.buy()) == {"wrote": "a"}
        assert (len(at.hub.charged), len(at.shown)) == (1, 1)
        assert "for 0.04 USDC?" in at.shown[0].message
        assert '{"text": "a"}' in at.shown[0].message
        at.answers[:] = [NO]
        for text in ("a", "b"):
            assert error_of(await at.buy(text))["error"]["code"] == "APPROVAL_DENIED"
        assert (len(at.hub.charged), len(at.shown)) == (1, 3)


@pytest.mark.parametrize("year", ERAS)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (NO, "APPROVAL_DENIED"),
        (ElicitResult(action="cancel"), "APPROVAL_REQUIRED"),
        (ElicitResult(action="accept", content={FIELD: ""}), "APPROVAL_REQUIRED"),
    ],
    ids=["declined", "cancelled", "filled by the host"],
)
async def test_anything_else_buys_nothing_and_stops(tmp_path: Path, year: str, answer: ElicitResult, code: str) -> None:
    async with asked(tmp_path, year, answer) as at:
        error = error_of(await at.buy())
        assert not at.hub.charged
        assert not at.hub.bodies
    assert len(at.shown) == 1
    assert (error["error"]["code"], error["charged"]) == (code, "no")
    assert (error["next_action"]["type"], error["next_action"]["actor"]) == ("ask_human", "human")


@pytest.mark.parametrize("year", ERAS)
async def test_who_said_no_is_not_asked_the_same_again(tmp_path: Path, year: str) -> None:
    async with asked(tmp_path, year, NO, YES) as at:
        for _ in range(2):
            assert error_of(await at.buy())["error"]["code"] == "APPROVAL_DENIED"
        assert len(at.shown) == 1
        assert not at.hub.charged


async def test_an_answer_is_taken_once_and_only_for_what_was_asked(tmp_path: Path) -> None:
    async with asked(tmp_path, "2026", YES) as at:
        first = await at.raw()
        assert isinstance(first, InputRequiredResult)
        key, state = next(iter(first.input_requests or {})), first.request_state
        assert isinstance(await at.raw(input_responses={key: YES}), InputRequiredResult)
        assert not at.hub.charged
        bought = await at.raw(input_responses={key: YES}, request_state=state)
        assert isinstance(bought, CallToolResult)
        assert output_of(bought) == {"wrote": "a"}
        assert isinstance(await at.raw(input_responses={key: YES}, request_state=state), InputRequiredResult)
        assert len(at.hub.charged) == 1
