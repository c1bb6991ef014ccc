"""A person is asked through real hosts, over every transport, in both eras: only a genuine yes buys."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult

from jecp_mcp.tools.approval_form import FIELD, MOST_SHOWN, TOO_LONG
from tests.acceptance.roads import read_by_a_person
from tests.daily import mostly_slow

pytestmark = pytest.mark.anyio

SERVER = "tests.contract.server.asking_server"
LEGACY, MODERN = "legacy", "2026-07-28"
ROADS = [("stdio", LEGACY), ("stdio", MODERN), ("http", LEGACY), ("http", MODERN), ("sse", LEGACY)]
DAILY = [("stdio", LEGACY), ("http", MODERN)]
ARGUMENTS = {"number": "2026-17"}
PRICE = "0.75"

Answer = Callable[[Any], Awaitable[ElicitResult]]


def accepting(content: dict[str, Any] | None) -> Answer:
    async def answer(_asked: Any) -> ElicitResult:
        return ElicitResult(action="accept", content=content)

    return answer


def saying(action: Any) -> Answer:
    async def answer(asked: Any) -> ElicitResult:
        if action == "decline" and not hasattr(asked, "url"):
            await read_by_a_person()
        return ElicitResult(action=action)

    return answer


async def filling_defaults(asked: Any) -> ElicitResult:
    """A host that accepts by itself, with each field's default, first choice, or an empty value of its type."""
    empty = {"string": "", "boolean": True, "integer": 0, "number": 0, "array": []}
    fields = asked.requested_schema["properties"]
    filled = {name: one.get("default", [*one.get("enum", []), empty[one["type"]]][0]) for name, one in fields.items()}
    return ElicitResult(action="accept", content=filled)


async def filling_titles(asked: Any) -> ElicitResult:
    fields = asked.requested_schema["properties"]
    return ElicitResult(action="accept", content={name: one["title"] for name, one in fields.items()})


async def raising(_asked: Any) -> ElicitResult:
    raise RuntimeError("this host cannot")


typing_the_amount = accepting({FIELD: PRICE})


@dataclass
class Host:
    """A connected client; `answer` is what its person does, `asked` what the person was shown."""

    client: Client
    era: str
    person: list[Answer] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    async def call(self, tool: str = "buy", answer: Answer = typing_the_amount, **arguments: Any) -> dict[str, Any]:
        self.person[:] = [answer]
        result = await self.client.call_tool(tool, arguments or ARGUMENTS)
        return dict(result.structured_content or {})

    async def raw(self, tool: str = "buy", **more: Any) -> CallToolResult | InputRequiredResult:
        """One request as it stands, without the client's own rounds."""
        arguments = more.pop("arguments", ARGUMENTS)
        return await self.client.session.call_tool(tool, arguments, allow_input_required=True, **more)

    async def bought(self) -> int:
        return (await self.call("count"))["bought"]


@asynccontextmanager
async def host(
    transport: str, era: str, *, patience: float = 45.0, good_for: float = 600.0, asks: bool = True
) -> AsyncIterator[Host]:
    made: list[Host] = []

    async def elicited(_context: Any, asked: Any) -> ElicitResult:
        made[0].asked.append(asked)
        return await made[0].person[0](asked)

    options: dict[str, Any] = {"mode": era, "elicitation_callback": elicited if asks else None}
    arguments = ["-m", SERVER, transport, str(patience), str(good_for)]
    if transport == "stdio":
        async with Client(StdioServerParameters(command=sys.executable, args=arguments), **options) as client:
            made.append(Host(client, era))
            yield made[0]
        return
    with serving(arguments) as lines:
        url = await anyio.to_thread.run_sync(address, lines)
        async with Client(sse_client(url) if transport == "sse" else url, **options) as client:
            made.append(Host(client, era))
            yield made[0]


@contextmanager
def serving(arguments: list[str]) -> Iterator[IO[str]]:
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process.stderr
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def address(lines: IO[str]) -> str:
    for line in lines:
        if "listens on " in line:
            return line.split("listens on ")[1].strip()
    raise AssertionError("the server did not start")


@pytest.fixture(
    scope="module",
    params=mostly_slow(ROADS, DAILY),
    ids="-".join,
)
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    async with host(*request.param) as made:
        yield made


@pytest.fixture(scope="module", params=[pytest.param("stdio", marks=pytest.mark.slow), "http"])
async def modern(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    async with host(request.param, MODERN) as made:
        yield made


async def test_typing_the_amount_buys_once(at: Host) -> None:
    before = await at.bought()
    said = await at.call()
    assert [one["decision"] for one in said["replies"]] == ["accepted"]
    assert said["bought"] == before + 1


async def test_the_person_is_told_what_from_whom_for_how_much_and_why(at: Host) -> None:
    await at.call()
    asked = at.asked[-1]
    assert asked.message == (
        "Buy docs/invoice:render from docs for 0.75 USDC? It is dear. To approve, type 0.75; "
        'otherwise nothing is bought. Its input: {"number": "2026-17"}'
    )
    assert asked.requested_schema["required"] == [FIELD]
    assert "default" not in json.dumps(asked.requested_schema)


async def test_all_arguments_are_in_the_question(at: Host) -> None:
    text = "A long letter, with \u202e in it. " * 50
    await at.call(letter=text)
    shown = json.dumps({"letter": text})
    assert 1_500 < len(shown) < MOST_SHOWN
    assert at.asked[-1].message.endswith(f"Its input: {shown}")


@pytest.mark.parametrize("much", [{"letter": "x" * MOST_SHOWN}, {"deep": [[[[[1]]]]] * 400}, {"k" * MOST_SHOWN: 1}])
async def test_a_person_who_cannot_be_shown_all_arguments_is_not_asked(at: Host, much: dict[str, Any]) -> None:
    before, asked = await at.bought(), len(at.asked)
    said = await at.call(**much)
    assert said["replies"] == [{"decision": "unable", "reason": TOO_LONG, "url": None}]
    assert (said["bought"], len(at.asked)) == (before, asked)


async def declining_at_once(_asked: Any) -> ElicitResult:
    return ElicitResult(action="decline")


NO: dict[str, tuple[Answer, str]] = {
    "declines": (saying("decline"), "declined"),
    "declines by itself": (declining_at_once, "cancelled"),
    "cancels": (saying("cancel"), "cancelled"),
    "accepts without a word": (saying("accept"), "cancelled"),
    "accepts an empty form": (accepting({}), "cancelled"),
    "lets the host fill defaults": (filling_defaults, "cancelled"),
    "lets the host fill titles": (filling_titles, "cancelled"),
    "types another amount": (accepting({FIELD: "7.5"}), "cancelled"),
    "says yes": (accepting({FIELD: "yes"}), "cancelled"),
    "answers another field": (accepting({"approve": True, "amount": PRICE}), "cancelled"),
    "answers with a number": (accepting({FIELD: 0.75}), "cancelled"),
}


@pytest.mark.parametrize("how", NO)
async def test_nothing_but_the_amount_typed_is_a_yes(at: Host, how: str) -> None:
    before = await at.bought()
    answer, decision = NO[how]
    said = await at.call(answer=answer)
    assert said["replies"][-1]["decision"] == decision
    assert said["bought"] == before


async def test_a_host_that_fails_while_asking_buys_nothing(at: Host) -> None:
    before = await at.bought()
    if at.era == LEGACY:
        assert (await at.call(answer=raising))["replies"][-1]["decision"] == "unable"
    else:
        # The client itself gives up; it never makes the call again.
        with pytest.raises(ExceptionGroup):
            await at.call(answer=raising)
    assert await at.bought() == before


async def test_two_questions_in_one_call_are_both_needed(at: Host) -> None:
    before = await at.bought()

    async def yes_then_no(asked: Any) -> ElicitResult:
        if "It is new." in asked.message:
            await read_by_a_person()
            return ElicitResult(action="decline")
        return await typing_the_amount(asked)

    assert (await at.call("buy_after_two", yes_then_no))["bought"] == before
    assert (await at.call("buy_after_two"))["bought"] == before + 1


async def test_a_link_is_opened_only_as_the_person_says_and_made_once_per_call(at: Host) -> None:
    before = (await at.call("count"))["links"]
    for number, (action, decision) in enumerate(
        [("accept", "accepted"), ("decline", "declined"), ("cancel", "cancelled")], before + 1
    ):
        said = await at.call("pay", saying(action))
        url = f"https://checkout.stripe.com/c/pay/cs_{number}"
        assert said["replies"] == [{**said["replies"][0], "decision": decision, "url": url}]
        assert said["links"] == number
        assert (at.asked[-1].url, at.asked[-1].message) == (url, "Pay 5 USD?")


@pytest.mark.parametrize(
    ("transport", "era"), [("stdio", LEGACY), pytest.param("http", MODERN, marks=pytest.mark.slow)]
)
async def test_a_host_that_cannot_ask_gets_no_approval(transport: str, era: str) -> None:
    async with host(transport, era, asks=False) as at:
        said = await at.call()
        link = (await at.call("pay"))["replies"][0]
    assert said["replies"] == [{"decision": "unable", "reason": "this host cannot ask", "url": None}]
    assert said["bought"] == 0
    assert (link["decision"], link["url"]) == ("unable", "https://checkout.stripe.com/c/pay/cs_1")


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.slow
async def test_a_person_who_does_not_answer_in_time_has_not_approved(transport: str) -> None:
    late = anyio.Event()

    async def waits(asked: Any) -> ElicitResult:
        # What the host sends after the time is up finds nobody.
        with anyio.CancelScope(shield=True):
            await late.wait()
        return await typing_the_amount(asked)

    async with host(transport, LEGACY, patience=0.3) as at:
        said = await at.call(answer=waits)
        late.set()
        assert (said["replies"][0]["decision"], said["replies"][0]["reason"]) == (
            "cancelled",
            "nobody answered in time",
        )
        assert await at.bought() == 0


async def question(at: Host, tool: str = "buy", arguments: Any = None) -> tuple[str, str]:
    """The key and the state with which the person is asked."""
    asked = await at.raw(tool, arguments=arguments or ARGUMENTS)
    assert isinstance(asked, InputRequiredResult)
    assert asked.request_state is not None
    assert asked.input_requests is not None
    return next(iter(asked.input_requests)), asked.request_state


YES = ElicitResult(action="accept", content={FIELD: PRICE})


async def test_an_answer_that_nobody_asked_for_is_no_answer(modern: Host) -> None:
    before = await modern.bought()
    key, _ = await question(modern)
    assert isinstance(await modern.raw(input_responses={key: YES}), InputRequiredResult)
    _, state = await question(modern)
    assert isinstance(await modern.raw(input_responses={"other": YES}, request_state=state), InputRequiredResult)
    assert await modern.bought() == before


async def test_an_answer_serves_once(modern: Host) -> None:
    before = await modern.bought()
    key, state = await question(modern)
    assert isinstance(await modern.raw(input_responses={key: YES}, request_state=state), CallToolResult)
    assert isinstance(await modern.raw(input_responses={key: YES}, request_state=state), InputRequiredResult)
    assert await modern.bought() == before + 1


@pytest.mark.slow
async def test_an_answer_that_comes_too_late_is_none() -> None:
    async with host("stdio", MODERN, good_for=0.2) as at:
        key, state = await question(at)
        await anyio.sleep(0.3)  # Time itself is what this is about.
        with pytest.raises(MCPError, match="expired requestState"):
            await at.raw(input_responses={key: YES}, request_state=state)
        assert await at.bought() == 0


async def test_a_refusal_cannot_be_answered_again(modern: Host) -> None:
    before = await modern.bought()
    key, state = await question(modern)
    no = ElicitResult(action="decline")
    await read_by_a_person()
    assert isinstance(await modern.raw(input_responses={key: no}, request_state=state), CallToolResult)
    assert isinstance(await modern.raw(input_responses={key: YES}, request_state=state), InputRequiredResult)
    assert await modern.bought() == before


async def test_an_answer_to_an_earlier_price_is_no_answer(modern: Host) -> None:
    before = await modern.bought()
    key, state = await question(modern)
    await modern.call("set_price", price=760_000)
    again = await modern.raw(input_responses={key: YES}, request_state=state)
    await modern.call("set_price", price=750_000)
    assert isinstance(again, InputRequiredResult)
    assert again.input_requests is not None
    assert "0.76 USDC" in str(next(iter(again.input_requests.values())))
    assert await modern.bought() == before


async def test_a_state_that_was_changed_or_belongs_to_another_call_is_refused(modern: Host) -> None:
    before = await modern.bought()
    key, state = await question(modern)
    middle = len(state) // 2
    changed = state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :]
    other = {"number": "2026-18"}
    for tool, arguments, sent in (("buy", ARGUMENTS, changed), ("buy", ARGUMENTS, "v1.AAAA"), ("buy", other, state)):
        with pytest.raises(MCPError, match="requestState"):
            await modern.raw(tool, arguments=arguments, input_responses={key: YES}, request_state=sent)
    with pytest.raises(MCPError, match="requestState"):
        await modern.raw("buy_after_two", input_responses={key: YES}, request_state=state)
    assert await modern.bought() == before


async def test_an_answer_of_the_wrong_kind_is_no_answer(modern: Host) -> None:
    before = await modern.bought()
    key, state = await question(modern)
    wrong: Any = {"role": "assistant", "content": {"type": "text", "text": PRICE}, "model": "m"}
    await modern.raw(input_responses={key: wrong}, request_state=state)
    assert await modern.bought() == before


class Pipe:
    """A 2025-era host that speaks for itself, to declare what the official client never would."""

    def __init__(self, process: subprocess.Popen[str], elicitation: dict[str, Any]) -> None:
        self.process = process
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": elicitation},
            "clientInfo": {"name": "t", "version": "1"},
        }
        self.send(id=1, method="initialize", params=hello)
        self.read()
        self.send(method="notifications/initialized")

    def send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def call(self, tool: str) -> dict[str, Any]:
        self.send(id=2, method="tools/call", params={"name": tool, "arguments": ARGUMENTS})
        return self.read()


def decision(message: dict[str, Any]) -> str:
    return str(message["result"]["structuredContent"]["replies"][0]["decision"])


@pytest.mark.parametrize(("elicitation", "form", "url"), [({}, True, False), ({"url": {}}, False, True)])
@pytest.mark.slow
def test_only_the_modes_a_host_declares_are_used(elicitation: dict[str, Any], form: bool, url: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", SERVER, "stdio", "45", "600"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        pipe = Pipe(process, elicitation)
        for tool, declared in (("buy", form), ("pay", url)):
            message = pipe.call(tool)
            if not declared:
                assert decision(message) == "unable"
                continue
            assert message["method"] == "elicitation/create"
            # A host that declares a mode it then rejects, and one whose answer is no answer.
            pipe.send(id=message["id"], error={"code": -32601, "message": "Method not found"})
            assert decision(pipe.read()) == "unable"
            message = pipe.call(tool)
            pipe.send(id=message["id"], result={"action": "perhaps"})
            assert decision(pipe.read()) == "unable"
        assert process.stdin is not None
        process.stdin.close()
