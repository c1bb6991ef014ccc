"""A person decides, in the host where it can ask, else at a terminal: only a genuine yes buys, and it buys once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult

from jecp_mcp.calls.display import MOST_SHOWN
from jecp_mcp.cli.approve import ON_A_PAGE
from jecp_mcp.mandate.grants import GrantKind, GrantRef
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.settings import ServerSettings
from jecp_mcp.tools.approval_form import FIELD
from tests.acceptance.errors.seats import ERAS, YEARS, Person
from tests.acceptance.errors.world import PRICE, TALLY, World, opened, tally
from tests.acceptance.roads import SandboxHub, error_of, output_of, read_by_a_person, server_env
from tests.acceptance.terminal import at_a_terminal

pytestmark = pytest.mark.anyio

ASKING = {"mandate__approve_above_usdc": "0.0001"}
YES = ElicitResult(action="accept", content={FIELD: PRICE})
NO = ElicitResult(action="decline")


def always(answer: ElicitResult) -> Person:
    async def person(_context: Any, _asked: Any) -> ElicitResult:
        if answer is NO:
            await read_by_a_person()
        return answer

    return person


def accepts(content: dict[str, Any] | None) -> Person:
    return always(ElicitResult(action="accept", content=content))


def fills(**given: str) -> Person:
    """A host that accepts by itself: with what it finds in a field, by its type."""

    async def person(_context: Any, asked: Any) -> ElicitResult:
        fields = asked.requested_schema["properties"]
        found = {name: one.get(given["key"], given.get(one["type"], "")) for name, one in fields.items()}
        return ElicitResult(action="accept", content=found)

    return person


@dataclass
class Host:
    """A host with its person, before a real server under a mandate that asks."""

    world: World
    shown: list[Any] = field(default_factory=list)

    def answers(self, person: Person) -> None:
        async def answered(context: Any, asked: Any) -> Any:
            self.shown.append(asked)
            return await person(context, asked)

        self.shown.clear()
        self.world.person = answered

    async def buy(self, text: str) -> Any:
        return await self.world.client.call_tool(TALLY, {"text": text})

    async def raw(self, text: str, **more: Any) -> Any:
        """One request as it stands, without the client's own rounds."""
        return await self.world.client.session.call_tool(TALLY, {"text": text}, allow_input_required=True, **more)

    async def question(self, text: str) -> tuple[str, str]:
        """The key and the state with which a 2026-era host is asked."""
        asked = await self.raw(text)
        assert isinstance(asked, InputRequiredResult)
        assert asked.input_requests is not None
        assert asked.request_state is not None
        return next(iter(asked.input_requests)), asked.request_state


@pytest.fixture(scope="module")
def selling(first_agent: SandboxHub) -> SandboxHub:
    first_agent.http.post("/sandbox/catalog", json={"manifests": [tally()]}).raise_for_status()
    return first_agent


@asynccontextmanager
async def asking(hub: SandboxHub, state: Path, year: str, *, asks: bool = True, **settings: str) -> AsyncIterator[Host]:
    async with opened(hub.new_agent(), state, ERAS[year], settings or ASKING) as world:
        await world.serve(asks=asks)
        yield Host(world)
    await world.check_the_books()


@pytest.fixture(scope="module", params=YEARS)
async def host(
    request: pytest.FixtureRequest, selling: SandboxHub, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Host]:
    async with asking(selling, tmp_path_factory.mktemp("asking"), request.param) as made:
        yield made


@pytest.fixture(scope="module")
async def modern(selling: SandboxHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with asking(selling, tmp_path_factory.mktemp("modern"), "2026") as made:
        yield made


async def test_a_yes_is_good_for_one_call_and_no_other(host: Host) -> None:
    before = host.world.paid()
    host.answers(always(YES))
    assert output_of(await host.buy("a"))["words"] == 1
    (asked,) = host.shown
    assert f"acme/tally:count from acme for {PRICE} USDC?" in asked.message
    assert '{"text": "a"}' in asked.message
    assert "default" not in json.dumps(asked.requested_schema)
    host.answers(always(NO))
    for text in ("a", "b"):
        assert error_of(await host.buy(text))["error"]["code"] == "APPROVAL_DENIED"
    assert (len(host.shown), host.world.paid() - before) == (2, 1)


NOT_A_YES: dict[str, tuple[Person, str]] = {
    "declines": (always(NO), "APPROVAL_DENIED"),
    "has its host decline": (always(ElicitResult(action="decline")), "APPROVAL_REQUIRED"),
    "cancels": (always(ElicitResult(action="cancel")), "APPROVAL_REQUIRED"),
    "accepts without a word": (accepts(None), "APPROVAL_REQUIRED"),
    "accepts an empty form": (accepts({}), "APPROVAL_REQUIRED"),
    "accepts an empty field": (accepts({FIELD: ""}), "APPROVAL_REQUIRED"),
    "lets the host fill defaults": (fills(key="default"), "APPROVAL_REQUIRED"),
    "lets the host fill titles": (fills(key="title"), "APPROVAL_REQUIRED"),
    "lets the host fill true": (fills(key="default", string="true"), "APPROVAL_REQUIRED"),
    "lets the host fill first choices": (fills(key="enum", string="accept"), "APPROVAL_REQUIRED"),
    "types a yes": (accepts({FIELD: "yes"}), "APPROVAL_REQUIRED"),
    "types another amount": (accepts({FIELD: "0.01"}), "APPROVAL_REQUIRED"),
    "answers with a number": (accepts({FIELD: 0.001}), "APPROVAL_REQUIRED"),
    "answers another field": (accepts({"approve": True, "amount": PRICE}), "APPROVAL_REQUIRED"),
}


@pytest.mark.parametrize("how", NOT_A_YES)
async def test_nothing_is_bought_from_a_person_who(host: Host, how: str) -> None:
    before = host.world.paid()
    person, code = NOT_A_YES[how]
    host.answers(person)
    for _ in range(2):
        error = error_of(await host.buy(how))
        assert (error["error"]["code"], error["charged"]) == (code, "no")
        assert (error["next_action"]["type"], error["next_action"]["actor"]) == ("ask_human", "human")
    # Who said no is not asked the same again; everybody else may have been kept from answering.
    assert len(host.shown) == (1 if code == "APPROVAL_DENIED" else 2)
    assert host.world.paid() == before


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.slow
async def test_a_host_that_cannot_ask_leaves_it_to_the_terminal(selling: SandboxHub, tmp_path: Path, year: str) -> None:
    async with asking(selling, tmp_path, year, asks=False) as host:
        hub = host.world.hub

        async def types(*command: str, answer: str | None = None) -> tuple[int, str]:
            return await anyio.to_thread.run_sync(lambda: at_a_terminal(hub, tmp_path, *command, answer=answer))

        error = error_of(await host.buy("a"))
        code = error["error"]["details"]["approval_code"]
        assert (error["error"]["code"], error["next_action"]["actor"]) == ("APPROVAL_REQUIRED", "human")
        assert code in error["next_action"]["hint"]
        status, seen = await types("approve", "--json")
        (waiting,) = json.loads(seen)
        assert (status, waiting["code"], waiting["at_most_usdc"]) == (0, code, PRICE)
        # No terminal, no approval.
        command = [sys.executable, "-m", "jecp_mcp", "approve", code, "--state-dir", str(tmp_path)]
        piped = await anyio.run_process(
            command, input=b"y\n", env=server_env(hub.url, hub.agent_id, hub.api_key), check=False
        )
        assert (piped.returncode, b"terminal" in piped.stderr) == (1, True)
        for answer, expected in (("n", 1), ("y", 0)):
            status, seen = await types("approve", code.lower(), answer=answer)
            assert (status, PRICE in seen) == (expected, True), seen
        # It is good for these very arguments, once.
        other = error_of(await host.buy("b"))["error"]["details"]["approval_code"]
        assert output_of(await host.buy("a"))["words"] == 1
        third = error_of(await host.buy("a"))["error"]["details"]["approval_code"]
        assert len({code, other, third}) == 3
        assert (await types("deny", third))[0] == 0
        assert error_of(await host.buy("a"))["error"]["code"] == "APPROVAL_DENIED"
        status, seen = await types("approve", third)
        assert (status, "denied already" in seen) == (1, True)
        assert host.world.paid() == 1


async def test_a_person_at_a_terminal_reads_everything_before_they_approve_it(
    selling: SandboxHub, tmp_path: Path
) -> None:
    async with asking(selling, tmp_path, "2026") as host:
        host.answers(always(YES))
        text = "word \u202e\x1b[8m " * 300 + "and the last one matters"
        error = error_of(await host.buy(text))
        assert host.shown == [], "what does not fit into the host's form is not put to anybody there"
        assert "too long to be shown whole in the chat" in error["error"]["message"]
        code = error["error"]["details"]["approval_code"]

        async def types(*command: str, answer: str | None = None) -> tuple[int, str]:
            return await anyio.to_thread.run_sync(
                lambda: at_a_terminal(host.world.hub, tmp_path, *command, answer=answer)
            )

        status, seen = await types("approve", code)
        assert (status, "the last one matters" in seen) == (1, False)
        assert f"jecp-mcp approve {code} --full" in seen
        status, seen = await types("approve", code, "--full", answer="y")
        assert (status, "\x1b[8m" in seen, "\u202e" in seen) == (0, False, False)
        assert f'"text": {json.dumps(text)}' in seen.replace("\r\n", "\n")
        words = ("the last one matters", rf"amount +\S*{PRICE} USDC", r"Approve this one call\?")
        places = [found.start() for one in words if (found := re.search(one, seen)) is not None]
        assert (len(places), places) == (3, sorted(places)), "the amount stands beside the question"
        output_of(await host.buy(text))
        assert host.world.paid() == 1


def test_a_person_who_buys_at_a_terminal_is_shown_the_arguments(selling: SandboxHub, tmp_path: Path) -> None:
    hub, config = selling.new_agent(), tmp_path / "asking.toml"
    config.write_text('[mandate]\napprove_above_usdc = "0.0001"\n')
    call = ("call", TALLY, json.dumps({"text": "one \u202etwo"}), "--config", str(config))
    status, seen = at_a_terminal(hub, tmp_path, *call, answer="n")
    assert (status, paid(hub)) == (1, 0), seen
    assert 0 < seen.find('    {\r\n      "text": "one \\u202etwo"\r\n    }') < seen.find("[y/N]"), seen
    # What is logged for a server's operator stands in the error here, once and without a module's name.
    assert (seen.count("jecp-mcp:"), seen.count("WARNING")) == (1, 0), seen


@pytest.mark.slow
async def test_what_no_terminal_can_show_is_not_asked_for(selling: SandboxHub, tmp_path: Path) -> None:
    async with asking(selling, tmp_path, "2026") as host:
        host.answers(always(YES))
        error = error_of(await host.buy("x" * MOST_SHOWN))
        assert (error["error"]["code"], error["next_action"]["actor"]) == ("NOT_SHOWABLE", "agent")
        assert (host.shown, host.world.paid()) == ([], 0)


@pytest.mark.slow
async def test_a_terminal_lists_the_oldest_question_first_and_how_many_more_there_are(
    selling: SandboxHub, tmp_path: Path
) -> None:
    """More than one principal may have: so many that the list has pages."""
    async with asking(selling, tmp_path, "2026", asks=False) as host:
        own = error_of(await host.buy("the user's own"))["error"]["details"]["approval_code"]
        book = open_ledger(tmp_path / "ledger.sqlite")
        try:
            asked = await book.grant(GrantRef(GrantKind.APPROVAL, own))
            assert asked is not None
            codes = [own]
            for number in range(ON_A_PAGE + 1):
                codes.append(f"CODE-{number:04}")
                await book.write_grant(
                    replace(asked, grant_id=codes[-1], principal=f"somebody {number}", subject=f"other {number}")
                )
        finally:
            await book.close()

        async def types(*command: str) -> tuple[int, str]:
            return await anyio.to_thread.run_sync(lambda: at_a_terminal(host.world.hub, tmp_path, *command))

        def listed(seen: str) -> list[str]:
            return [code for code in re.findall(r"[A-Z0-9]{4}-[A-Z0-9]{4}", seen) if code in codes]

        status, first = await types("approve")
        assert (status, listed(first)) == (0, codes[:ON_A_PAGE])
        assert f"1 to {ON_A_PAGE} of {ON_A_PAGE + 2}; 2 more: " in first
        assert f"jecp-mcp approve --page 2 --state-dir {tmp_path}" in first
        # There is no page 7, so the last one is listed.
        status, second = await types("approve", "--page", "7")
        assert (status, listed(second)) == (0, codes[ON_A_PAGE:])
        assert f"{ON_A_PAGE + 1} to {ON_A_PAGE + 2} of {ON_A_PAGE + 2}" in second
        status, seen = await types("approve", "--json")
        assert (status, [one["code"] for one in json.loads(seen)]) == (0, codes)


@pytest.mark.slow
async def test_only_the_first_purchase_from_a_provider_needs_a_person(selling: SandboxHub, tmp_path: Path) -> None:
    async with asking(selling, tmp_path, "2026", mandate__approve_new_payees="true") as host:
        host.answers(always(YES))
        for _ in range(2):
            output_of(await host.buy("a"))
        assert (len(host.shown), host.world.paid()) == (1, 2)


async def test_only_the_operator_lets_a_call_past_a_full_limit_and_only_that_one(
    selling: SandboxHub, tmp_path: Path
) -> None:
    async with asking(selling, tmp_path, "2026", mandate__total_usdc=PRICE) as host:
        host.answers(always(YES))
        output_of(await host.buy("a"))
        full = error_of(await host.buy("a"))
        assert (full["error"]["code"], full["next_action"]["actor"]) == ("LIMIT_REACHED", "operator")
        code = full["error"]["details"]["approval_code"]
        assert code in full["next_action"]["hint"]
        status, seen = await anyio.to_thread.run_sync(
            lambda: at_a_terminal(host.world.hub, tmp_path, "approve", code, answer="y")
        )
        assert status == 0, seen
        output_of(await host.buy("a"))
        assert error_of(await host.buy("a"))["error"]["code"] == "LIMIT_REACHED"
        assert (host.shown, host.world.paid()) == ([], 2)


# What a 2026-era host sends by itself: an answer is taken once, from the process that asked, and for what it asked.


async def test_an_answer_that_nobody_asked_for_is_none(modern: Host) -> None:
    before = modern.world.paid()
    key, state = await modern.question("unasked")
    for sent in (
        {"input_responses": {key: YES}},
        {"input_responses": {"other": YES}, "request_state": state},
    ):
        assert isinstance(await modern.raw("unasked", **sent), InputRequiredResult)
    _, state = await modern.question("unasked")
    for text, sent in (("another", state), ("unasked", state[:-4] + "AAAA"), ("unasked", "v1.AAAA")):
        with pytest.raises(MCPError, match="requestState"):
            await modern.raw(text, input_responses={key: YES}, request_state=sent)
    assert modern.world.paid() == before


@pytest.mark.parametrize("said", [YES, NO, ElicitResult(action="cancel")], ids=["yes", "no", "nothing"])
async def test_an_old_answer_is_none(modern: Host, said: ElicitResult) -> None:
    before = modern.world.paid()
    text = f"old {said.action}"
    key, state = await modern.question(text)
    if said is NO:
        await read_by_a_person()
    first = await modern.raw(text, input_responses={key: said}, request_state=state)
    assert isinstance(first, CallToolResult)
    assert first.is_error is not (said is YES)
    again = await modern.raw(text, input_responses={key: YES}, request_state=state)
    assert isinstance(again, CallToolResult if said is NO else InputRequiredResult)
    assert modern.world.paid() - before == (1 if said is YES else 0)


@pytest.mark.slow
async def test_an_answer_to_a_server_that_is_gone_is_none(selling: SandboxHub, tmp_path: Path) -> None:
    async with asking(selling, tmp_path, "2026") as host:
        key, state = await host.question("a")
        await host.world.serve()
        with pytest.raises(MCPError, match="requestState"):
            await host.raw("a", input_responses={key: YES}, request_state=state)
        assert host.world.paid() == 0


# A 2025-era host is asked over the connection. This one speaks for itself, and says what no client would.


class Speaker:
    """A host on stdio that declares elicitation and writes whatever it likes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._number = 0
        hello = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}}
        self.answer(self.ask("initialize", **hello, clientInfo={"name": "t", "version": "1"}))
        self.write(method="notifications/initialized")

    def write(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """The next message that is no notification."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "id" in message:
                return message
        raise AssertionError("the server ended")

    def ask(self, method: str, **params: Any) -> int:
        self._number += 1
        self.write(id=self._number, method=method, params=params)
        return self._number

    def answer(self, number: int) -> dict[str, Any]:
        message = self.read()
        assert message["id"] == number, message
        found: dict[str, Any] = message["result"]
        return found

    def listed(self) -> set[str]:
        return {tool["name"] for tool in self.answer(self.ask("tools/list"))["tools"]}

    def asked(self, text: str) -> tuple[int, Any]:
        """Call the tally, and be asked: the id of the call and that of the question."""
        number = self.ask("tools/call", name=TALLY, arguments={"text": text})
        question = self.read()
        assert question["method"] == "elicitation/create", question
        return number, question["id"]

    def says(self, question: Any, action: str = "accept", **content: Any) -> None:
        self.write(id=question, result={"action": action} | ({"content": content} if content else {}))


@contextmanager
def speaking(hub: SandboxHub, state: Path) -> Iterator[Speaker]:
    command = [sys.executable, "-m", "jecp_mcp", "serve", "--state-dir", str(state)]
    env = server_env(hub.url, hub.agent_id, hub.api_key, **ASKING)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    ) as process:
        try:
            host = Speaker(process)
            while TALLY not in host.listed():
                pass
            yield host
        finally:
            process.kill()


def code(result: dict[str, Any]) -> str:
    found: str = result["structuredContent"]["error"]["code"]
    return found


def paid(hub: SandboxHub) -> int:
    return len(hub.books()["transactions"])


@pytest.mark.slow
def test_over_the_connection_only_the_answer_to_the_open_question_counts_and_only_once(
    selling: SandboxHub, tmp_path: Path
) -> None:
    hub = selling.new_agent()
    typed = {FIELD: PRICE}
    with speaking(hub, tmp_path) as host:
        first, question = host.asked("a")
        # Answers to what was never asked buy nothing.
        for nobodys in (question + 1, question + 2, "nobody", -1):
            host.says(nobodys, **typed)
        assert paid(hub) == 0
        anyio.run(read_by_a_person)
        host.says(question, "decline")
        assert code(host.answer(first)) == "APPROVAL_DENIED"
        second, newer = host.asked("b")
        assert newer != question
        # The answer to a question that is over, again and otherwise.
        host.says(question, **typed)
        assert paid(hub) == 0
        host.says(newer, "cancel")
        assert code(host.answer(second)) == "APPROVAL_REQUIRED"
        third, newest = host.asked("c")
        for _ in range(3):
            host.says(newest, **typed)
        assert host.answer(third)["structuredContent"]["output"]["words"] == 1
        fourth, last = host.asked("c")
        host.says(newest, **typed)
        host.says(last, "perhaps", **typed)
        assert code(host.answer(fourth)) == "APPROVAL_REQUIRED"
    assert paid(hub) == 1


@pytest.mark.slow
def test_who_does_not_answer_in_time_has_not_approved_and_an_answer_after_that_is_none(
    selling: SandboxHub, tmp_path: Path
) -> None:
    """Takes as long as a person is waited for."""
    hub = selling.new_agent()
    with speaking(hub, tmp_path) as host:
        number, question = host.asked("a")
        result = host.answer(number)
        told = result["structuredContent"]
        assert (code(result), told["charged"]) == ("APPROVAL_REQUIRED", "no")
        assert "nobody answered in time" in told["error"]["message"]
        assert told["error"]["details"]["approval_code"] in told["next_action"]["hint"]
        host.says(question, **{FIELD: PRICE})
        assert TALLY in host.listed()
        again, _ = host.asked("a")
        assert again > number
    assert paid(hub) == 0
    assert ServerSettings().ask_seconds < 60, "hosts give a tool call a minute"
