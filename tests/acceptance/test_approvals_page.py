"""The page beside the HTTP transports: a person with the PIN answers there, and nobody else can."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from jecp_mcp.browser_sessions import SESSION_SECONDS
from jecp_mcp.mandate.grants import MOST_QUESTIONS
from jecp_mcp.pages import source_of
from jecp_mcp.server.approvals import PATH, Gate
from jecp_mcp.server.approvals_html import SCRIPT
from tests.acceptance.browser import browser, needs_browser
from tests.acceptance.invoices import ASKING, INVOICE, PRICE, invoice, paid
from tests.acceptance.roads import (
    LEGACY,
    MODERN,
    Road,
    SandboxHub,
    connect,
    drained,
    error_of,
    output_of,
    running,
    server_env,
)
from tests.acceptance.terminal import at_a_terminal

pytestmark = pytest.mark.anyio


@dataclass
class Served:
    """A server process: its MCP address, its page, and what stderr said of the page."""

    mcp: str
    page: str
    pin: str

    @property
    def origin(self) -> str:
        return self.page.removesuffix(PATH)


class Browser:
    """What a person's browser does: keeps the cookie, and says where a form was."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._http = httpx2.Client(headers={"Origin": served.origin}, follow_redirects=True)
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self._http.cookies)

    @property
    def token(self) -> str:
        return re.findall(r'name="token" value="(\w+)"', self.raw)[0]

    @property
    def codes(self) -> list[str]:
        """The codes that are shown, in their order."""
        return re.findall(r'<dt>Code</dt><dd><a href="/approvals/[^"]+">([^<]+)</a></dd>', self.raw)

    def open(self, path: str = "") -> httpx2.Response:
        return self._seen(self._http.get(self._served.page + path))

    def unlock(self, pin: str) -> httpx2.Response:
        return self._seen(self._http.post(self._served.page, data={"pin": pin}))

    def press(self, button: str, **changed: str) -> httpx2.Response:
        for form in re.findall(r"<form.*?</form>", self.text, re.DOTALL):
            if button in form:
                fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
                action = re.search(r'action="([^"]+)"', form)
                assert action is not None
                return self._seen(self._http.post(self._served.origin + action[1], data={**fields, **changed}))
        raise AssertionError(f"no such button: {button}")

    def _seen(self, answer: httpx2.Response) -> httpx2.Response:
        self.text = unescape(answer.text)
        self.raw = answer.text
        return answer


@contextmanager
def served(hub: SandboxHub, state: Path, transport: str = "http", **settings: str) -> Iterator[Served]:
    env = server_env(hub.url, hub.agent_id, hub.api_key, **{**ASKING, **settings})
    arguments = ["serve", "--transport", transport, "--port", "0", "--state-dir", str(state)]
    with running(*arguments, env=env) as process:
        yield _told(process)


def _told(process: subprocess.Popen[str]) -> Served:
    assert process.stderr is not None
    page = pin = ""
    for line in iter(process.stderr.readline, ""):
        if "approvals are answered at" in line:
            page, pin = re.findall(r"at (\S+), PIN (\S+)", line)[0]
        elif "listens on " in line:
            drained(process)
            return Served(line.split("listens on ")[1].strip(), page, pin)
    raise AssertionError("the server did not start")


@asynccontextmanager
async def host(address: str, era: str) -> AsyncIterator[Client]:
    target = sse_client(address) if address.endswith("/sse") else address
    async with Client(target, mode=era) as client:
        with anyio.fail_after(60):
            while INVOICE not in {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}:
                await anyio.sleep(0.05)
        yield client


@pytest.mark.parametrize(
    ("transport", "era"),
    [
        pytest.param("http", LEGACY, marks=pytest.mark.slow),
        ("http", MODERN),
        pytest.param("sse", LEGACY, marks=pytest.mark.slow),
    ],
)
async def test_a_person_with_the_pin_approves_one_call(
    hub: SandboxHub, tmp_path: Path, transport: str, era: str
) -> None:
    with served(hub, tmp_path, transport) as server, Browser(server) as person:
        async with host(server.mcp, era) as client:
            wanted = invoice()
            error = error_of(await client.call_tool(INVOICE, wanted))
            step, code = error["next_action"], error["error"]["details"]["approval_code"]
            assert (step["type"], step["actor"], step["url"]) == ("ask_human", "human", f"{server.page}/{code}")
            assert f"the approval code {code}" in step["hint"]
            assert "on the wallet's approvals page, at the url" in step["hint"]
            assert "jecp-mcp" not in step["hint"]
            assert server.pin not in str(error)

            assert "inkwell" not in person.open(f"/{code}").text
            assert person.press("Open", pin=server.pin).status_code == 200
            for shown in (PRICE, "inkwell/invoice:render", code, "Back to all"):
                assert shown in person.text
            assert "Approved inkwell/invoice:render for 0.05 USDC, once" in person.press("Approve").text
            assert paid(hub) == 0

            assert not (await client.call_tool(INVOICE, wanted)).is_error
            assert paid(hub) == 1
            # One yes, one purchase.
            assert error_of(await client.call_tool(INVOICE, wanted))["error"]["code"] == "APPROVAL_REQUIRED"
            assert paid(hub) == 1


@pytest.mark.slow
async def test_what_stands_in_a_prepared_call_s_way_is_answered_on_the_page_too(
    hub: SandboxHub, tmp_path: Path
) -> None:
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            wanted = {"tool": INVOICE, "arguments": invoice()}
            prepared = output_of(await client.call_tool("jecp_prepare", wanted))
            assert prepared["next_action"]["url"].startswith(f"{server.page}/")
            person.open()
            person.unlock(server.pin)
            assert "once" in person.press("Approve").text
            done = await client.call_tool("jecp_execute", {"prepared_id": prepared["prepared_id"]})
            assert not done.is_error
    assert paid(hub) == 1


@pytest.mark.slow
async def test_a_person_refuses_and_the_agent_is_told(hub: SandboxHub, tmp_path: Path) -> None:
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            wanted = invoice()
            error_of(await client.call_tool(INVOICE, wanted))
            person.unlock(server.pin)
            page = person.text
            assert "Refused inkwell/invoice:render. Nothing is charged." in person.press("Refuse").text
            assert error_of(await client.call_tool(INVOICE, wanted))["error"]["code"] == "APPROVAL_DENIED"
            # The same form sent again changes nothing.
            person.text = page
            assert "Nothing was answered" in person.press("Approve").text
            assert error_of(await client.call_tool(INVOICE, wanted))["error"]["code"] == "APPROVAL_DENIED"
    assert paid(hub) == 0


async def test_an_agent_that_can_reach_the_page_can_approve_nothing(hub: SandboxHub, tmp_path: Path) -> None:
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            wanted = invoice()
            code = error_of(await client.call_tool(INVOICE, wanted))["error"]["details"]["approval_code"]
            person.unlock(server.pin)
            token = re.findall(r'name="token" value="(\w+)"', person.raw)[0]
            yes = {"answer": "approve", "token": token}
            aimed, same = f"{server.page}/{code}", {"Origin": server.origin}
            cookie = person.cookies
            attempts = [
                # Without the cookie, without the form's token, and with neither.
                httpx2.post(aimed, headers=same, data=yes),
                httpx2.post(aimed, headers=same, data={"answer": "approve"}),
                httpx2.post(aimed, headers=same, cookies=cookie, data={"answer": "approve", "token": "0" * 64}),
                # From another site in the person's browser, with no origin, through a rebound name, and by a proxy.
                httpx2.post(aimed, headers={"Origin": "https://evil.example"}, cookies=cookie, data=yes),
                httpx2.post(aimed, headers={"Origin": "null"}, cookies=cookie, data=yes),
                httpx2.post(aimed, cookies=cookie, data=yes),
                httpx2.post(aimed, headers={**same, "Host": "evil.example"}, cookies=cookie, data=yes),
                httpx2.post(aimed, headers={**same, "X-Forwarded-For": "203.0.113.9"}, cookies=cookie, data=yes),
                httpx2.post(aimed, headers={**same, "Host": "evil.example"}, cookies=cookie, content=b"x" * 9_000),
                # What is no answer, and what is no form.
                httpx2.post(aimed, headers=same, cookies=cookie, data={"token": token}),
                httpx2.post(aimed, headers=same, cookies=cookie, content=b"\xff\xfe=" * 9),
                httpx2.post(aimed, headers=same, cookies=cookie, content=b"a=" + b"x" * 9_000),
                # A look at it changes nothing.
                httpx2.get(f"{aimed}?answer=approve&token={token}", cookies=cookie),
            ]
            assert [answer.status_code for answer in attempts] == [403] * 9 + [400, 403, 403, 200]
            assert all("inkwell" not in answer.text for answer in attempts)
            assert error_of(await client.call_tool(INVOICE, wanted))["error"]["code"] == "APPROVAL_REQUIRED"
    assert paid(hub) == 0


@pytest.mark.slow
@needs_browser
async def test_one_pin_opens_every_link_of_a_session_in_a_real_browser(hub: SandboxHub, tmp_path: Path) -> None:
    with served(hub, tmp_path / "state") as server, browser(tmp_path / "profile") as tab:
        async with host(server.mcp, MODERN) as client:
            wanted = invoice()
            link = error_of(await client.call_tool(INVOICE, wanted))["next_action"]["url"]
            tab.open(link)
            tab.wait_for("The PIN is in the output")
            tab.type("AAAA-AAAA-AAAA-AAAA")
            tab.wait_for("That is not the PIN.")
            tab.type(server.pin)
            tab.wait_for("Back to all")
            # The style sheet and the script are those that the page's own rules let in.
            assert tab.evaluate("getComputedStyle(document.querySelector('.amount')).fontWeight") == "700"
            for address in (server.page, link):
                tab.open("about:blank")
                tab.open(address)
                tab.wait_for("0.05 USDC")
            assert tab.evaluate("[...document.querySelectorAll('button')].at(1).click()") is None
            tab.wait_for("Approved inkwell/invoice:render for 0.05 USDC, once, until ")
            assert not (await client.call_tool(INVOICE, wanted)).is_error
    assert paid(hub) == 1


@pytest.mark.slow
async def test_a_cookie_that_another_port_of_the_machine_came_by_opens_nothing(hub: SandboxHub, tmp_path: Path) -> None:
    """Browsers send a cookie to every port of a host, also to a web server that the agent runs."""
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            wanted = invoice()
            code = error_of(await client.call_tool(INVOICE, wanted))["error"]["details"]["approval_code"]
            person.unlock(server.pin)
            assert code in person.text
            token = re.findall(r'name="token" value="(\w+)"', person.raw)[0]
            same, stolen = {"Origin": server.origin}, person.cookies
            assert stolen
            beside = {"Origin": server.origin.rsplit(":", 1)[0] + ":5173"}
            attempts = [
                httpx2.get(server.page, cookies=stolen),
                httpx2.post(server.page, headers=same, cookies=stolen, data={"token": ""}),
                httpx2.post(server.page, headers=same, cookies=stolen, data={}),
                httpx2.post(f"{server.page}/{code}", headers=same, cookies=stolen, data={"answer": "approve"}),
                # The page of that other server, in the person's browser, sending the form itself.
                httpx2.post(server.page, headers=beside, cookies=stolen, data={"token": token}),
            ]
            assert all("inkwell" not in answer.text and token not in answer.text for answer in attempts)
            assert [answer.status_code for answer in attempts] == [200, 403, 403, 403, 403]
            assert error_of(await client.call_tool(INVOICE, wanted))["error"]["code"] == "APPROVAL_REQUIRED"
            # The person's own page still works.
            assert code in person.press("Look again").text
            assert "Approved" in person.press("Approve").text
    assert paid(hub) == 0


@pytest.mark.slow
async def test_whoever_has_the_pin_lets_one_call_past_a_full_limit_and_no_more(hub: SandboxHub, tmp_path: Path) -> None:
    limits = {"mandate__approve_above_usdc": "1.00", "mandate__total_usdc": "0.05"}
    with served(hub, tmp_path, "sse", **limits) as server, Browser(server) as person:
        async with host(server.mcp, LEGACY) as client:
            wanted = invoice()
            assert not (await client.call_tool(INVOICE, wanted)).is_error
            full = error_of(await client.call_tool(INVOICE, wanted))
            assert (full["error"]["code"], full["next_action"]["actor"]) == ("LIMIT_REACHED", "operator")
            assert full["next_action"]["url"].startswith(f"{server.page}/")
            person.unlock(server.pin)
            assert "past a full limit" in person.text
            assert "total_usdc of 0.05 USDC is full" in person.text
            person.press("Approve")
            assert not (await client.call_tool(INVOICE, wanted)).is_error
            assert error_of(await client.call_tool(INVOICE, wanted))["error"]["code"] == "LIMIT_REACHED"
    assert paid(hub) == 2


@pytest.mark.slow
async def test_what_the_agent_holds_opens_nothing(hub: SandboxHub, tmp_path: Path) -> None:
    """Its Hub credentials, its MCP session and the code it was told: none of them is the PIN."""
    with served(hub, tmp_path) as server:
        async with host(server.mcp, LEGACY) as client:
            error = error_of(await client.call_tool(INVOICE, invoice()))
            code = error["error"]["details"]["approval_code"]
            same = {"Origin": server.origin}
            for held in (code, hub.api_key, hub.agent_id):
                assert httpx2.post(server.page, headers=same, data={"pin": held}).status_code == 403
                bearer = {**same, "Authorization": f"Bearer {held}", "X-API-Key": held, "Mcp-Session-Id": held}
                cookies = {"jecp_approvals": held}
                yes = {"answer": "approve", "token": held}
                assert code not in httpx2.get(server.page, headers=bearer, cookies=cookies).text
                assert (
                    httpx2.post(f"{server.page}/{code}", headers=bearer, cookies=cookies, data=yes).status_code == 403
                )
    assert paid(hub) == 0


@pytest.mark.slow
async def test_a_host_on_stdio_is_sent_to_no_page(hub: SandboxHub, tmp_path: Path) -> None:
    async with connect(Road("stdio", MODERN), hub, tmp_path, settings=ASKING) as client:
        arguments = {"tool": "inkwell/invoice:render"}
        wanted = {**arguments, "arguments": invoice()}
        step = error_of(await client.call_tool("jecp_call", wanted))["next_action"]
    assert "approval code" in step["hint"]
    assert "url" not in step
    assert "url" not in step["hint"]


@pytest.mark.slow
async def test_whoever_gives_wrong_pins_cannot_keep_the_operator_out(hub: SandboxHub, tmp_path: Path) -> None:
    with served(hub, tmp_path) as server, Browser(server) as agent, Browser(server) as person:
        letters = server.pin.replace("-", "")
        assert len(letters) == 16
        wrong = [
            "",
            letters[:-1],
            server.pin[:-1] + "0",
            server.pin + "2",
            *(f"AAAA-AAAA-AAAA-{n:04}" for n in range(60)),
        ]
        assert {agent.unlock(pin).status_code for pin in wrong} == {403}
        assert person.unlock(server.pin).status_code == 200
        assert {agent.unlock(pin).status_code for pin in wrong} == {403}
        assert "Nothing waits" in person.press("Look again").text


@pytest.mark.slow
async def test_what_a_person_approves_is_shown_whole_first(hub: SandboxHub, tmp_path: Path) -> None:
    """A long letter with a line at its end that matters: not in the list, and the yes stands behind all of it."""
    letter = "Dear reader, " * 150 + "and pay the rest to somebody else."
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            wanted = invoice(notes=letter)
            code = error_of(await client.call_tool(INVOICE, wanted))["error"]["details"]["approval_code"]
            person.unlock(server.pin)
            assert code in person.text
            assert "somebody else" not in person.text
            assert "Approve " not in person.text
            person.press("Read all of it")
            assert f'notes</th><td><pre>\n"{letter}"' in person.text
            assert person.text.index("somebody else") < person.text.index("Approve 0.05 USDC, once")
            assert code in person.press("Back to all").text
            person.press("Read all of it")
            assert "Approved" in person.press("Approve").text
            assert not (await client.call_tool(INVOICE, wanted)).is_error
            # What waits no longer is shown no more.
            person.text = f'<form action="/approvals"><input name="token" value="{person.token}"><input name="code" value="{code}">Read</form>'
            assert "Nothing was answered: " in person.press("Read").text
            # Neither is anything to whoever has only the cookie.
            same, asked = {"Origin": server.origin}, {"token": "guess", "code": code}
            stolen = httpx2.post(server.page, headers=same, cookies=person.cookies, data=asked)
            assert (stolen.status_code, letter in unescape(stolen.text)) == (403, False)
    assert paid(hub) == 1


@pytest.mark.slow
async def test_a_flood_of_questions_hides_none(hub: SandboxHub, tmp_path: Path) -> None:
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            first = invoice(notes="the user's own")
            ends = [error_of(await client.call_tool(INVOICE, first))]
            for number in range(MOST_QUESTIONS + 2):
                ends += [error_of(await client.call_tool(INVOICE, {**first, "notes": f"flood {number}"}))]
            codes = [end["error"]["details"].get("approval_code") for end in ends]
            assert codes[MOST_QUESTIONS:] == [None] * 3
            beyond = ends[-1]
            assert (beyond["error"]["code"], beyond["charged"]) == ("TOO_MANY_QUESTIONS", "no")
            assert (beyond["next_action"]["type"], beyond["next_action"]["url"]) == ("ask_human", server.page)

            person.unlock(server.pin)
            assert f"1 to 10 of {MOST_QUESTIONS}, the oldest first" in person.text
            assert "the user's own" in person.text
            shown = person.codes
            assert "Earlier" not in person.text
            person.press(f"Later ones ({MOST_QUESTIONS - 10} more)")
            assert "Later" not in person.text
            assert shown + person.codes == codes[:MOST_QUESTIONS]
            # An answer leaves the person on the page they were on; a page that is gone leads to the last one.
            assert f"11 to 19 of {MOST_QUESTIONS - 1}" in person.press("Refuse").text
            assert f"11 to 19 of {MOST_QUESTIONS - 1}" in person.press("Look again", page="999999").text
            for odd in ("0", "-1", "1e9", "9" * 40, "x"):
                assert f"1 to 10 of {MOST_QUESTIONS - 1}" in person.press("Look again", page=odd).text
            assert "Approved" in person.press("Approve").text
            assert not (await client.call_tool(INVOICE, first)).is_error
            assert error_of(await client.call_tool(INVOICE, {**first, "notes": "more"}))["error"]["details"][
                "approval_code"
            ]
    assert paid(hub) == 1


@pytest.mark.slow
async def test_what_cannot_be_read_cannot_be_approved(hub: SandboxHub, tmp_path: Path) -> None:
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            wanted = invoice()
            code = error_of(await client.call_tool(INVOICE, wanted))["error"]["details"]["approval_code"]
            person.unlock(server.pin)
            before = person.text
            with sqlite3.connect(tmp_path / "ledger.sqlite", timeout=60) as books:
                books.execute("UPDATE slip SET body = ? WHERE slip_id = ?", (b'{"arguments": "{}"}', code))
            books.close()
            person.text = before
            assert f"what waits under {code} cannot be read" in person.press("Approve").text
            assert "They cannot be shown, so this cannot be approved." in person.text
            assert "Approve " not in person.text
            status, seen = await anyio.to_thread.run_sync(lambda: at_a_terminal(hub, tmp_path, "approve", code))
            assert (status, f"jecp-mcp deny {code}" in seen) == (1, True), seen
            assert "Refused" in person.press("Refuse").text
            assert "Nothing waits" in person.text
    assert paid(hub) == 0


@pytest.mark.slow
async def test_what_strangers_wrote_is_only_text(hub: SandboxHub, tmp_path: Path) -> None:
    script = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    with served(hub, tmp_path) as server, Browser(server) as person:
        async with host(server.mcp, MODERN) as client:
            error = error_of(await client.call_tool(INVOICE, invoice(notes=script)))
            assert error["error"]["code"] == "APPROVAL_REQUIRED"
            answer = person.unlock(server.pin)
    assert script[:24] in person.text
    assert re.findall(r"<script.*?</script>", person.raw, re.DOTALL) == [f"<script>{SCRIPT}</script>"]
    assert "<img" not in person.raw
    rules = answer.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "frame-ancestors 'none'" in rules
    assert re.findall(r"script-src [^;]+", rules) == [f"script-src {source_of(SCRIPT)}"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_session_ends_and_old_ones_make_room() -> None:
    class Still:
        at = 0.0

        def monotonic(self) -> float:
            return self.at

        def now(self) -> Any:
            raise AssertionError("the gate needs no calendar")

    clock = Still()
    gate = Gate(clock)
    assert gate.let_in(gate.pin.replace("-", "")) is not None
    secret = gate.let_in(f" {gate.pin.lower()} ")
    token = gate.token(secret)
    assert token is not None
    assert gate.admits(secret, token)
    assert not gate.admits(secret, "guess")
    assert not gate.admits("guess", token)
    assert not gate.admits(None, token)
    clock.at += SESSION_SECONDS
    assert not gate.admits(secret, token)
    assert gate.let_in("2222-2222") is None
    many = [gate.let_in(gate.pin) for _ in range(40)]
    tokens = [gate.token(one) for one in many]
    assert sum(one is not None for one in tokens) == 16
    # One session's token opens no other.
    assert not gate.admits(many[-1], str(tokens[-2]))
