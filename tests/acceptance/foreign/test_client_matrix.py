"""What a host's client gets and what the ledger says, for each client, transport and scene.

A cell holds only when both are as they should be: the row of the call, and what the client itself received and would hand
to its model. `.ci/run` buys once through each client; `.ci/full long` takes the rest. `docs/hosts.md` says what holds.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jecp_mcp.cli.main import jecp_mcp
from tests.acceptance.foreign.installed import CLIENTS, ForeignClient
from tests.acceptance.held_hub import PATIENCE, holding
from tests.acceptance.roads import SandboxHub, address, running, server_env

HTML = "inkwell_convert_markdown-to-html"
COUNT = "text-stats_count"
STREAM = "lectern_concordance_keyword-in-context"
PICTURE = "qr-code_encode"


class Driver:
    """A client's process, told what to do by lines."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log
        self._said: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._earlier: dict[int, dict[str, Any]] = {}
        self._asked = 0
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._next() == {"ready": True}

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # Some clients print beside what they are asked.
            if line.startswith("{"):
                self._said.put(json.loads(line))
        self._said.put(None)

    def _next(self) -> dict[str, Any]:
        said = self._said.get(timeout=PATIENCE)
        if said is None:
            raise AssertionError(f"the client ended: {self.log.read_text()[-3000:]}")
        return said

    def ask(self, what: str, **of: Any) -> int:
        """Ask for something; the number to wait for."""
        assert self.process.stdin is not None
        self._asked += 1
        self.process.stdin.write(json.dumps({"id": self._asked, "what": what, **of}) + "\n")
        self.process.stdin.flush()
        return self._asked

    def got(self, number: int) -> dict[str, Any]:
        """What came of it, or what was raised."""
        while number not in self._earlier:
            said = self._next()
            self._earlier[said["id"]] = said
        return self._earlier.pop(number)

    def names(self) -> list[str]:
        return list(self.got(self.ask("names"))["result"])

    def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A call's result; what a client raises of a refusal is its text."""
        return self.result(self.ask("call", name=name, arguments=arguments))

    def result(self, number: int) -> dict[str, Any]:
        """The result of a call that was asked for, likewise."""
        said = self.got(number)
        if "raised" in said:
            return {"text": said["raised"], "kinds": [], "failed": True, "structured": None}
        return dict(said["result"])

    def end(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)


@dataclass
class Place:
    """A client's host: how it reaches the server, and the books."""

    client: ForeignClient
    hub: SandboxHub
    state: Path
    url: str | None = None
    profile: str = "auto"
    drivers: list[Driver] = field(default_factory=list)
    earlier: frozenset[str] = frozenset()
    """Calls of the scenes before this one."""

    @property
    def driver(self) -> Driver:
        """The client that all scenes here share, or a new one where that has ended."""
        return self.drivers[-1] if self.drivers and self.drivers[-1].process.poll() is None else self.drive()

    @property
    def environment(self) -> dict[str, str]:
        mandate = {"mandate__per_call_usdc": "1.00", "mandate__daily_usdc": "5"}
        return server_env(
            self.hub.url,
            self.hub.agent_id,
            self.hub.api_key,
            tools__mode="direct",
            tools__max_tools="200",
            tools__host_profile=self.profile,
            **mandate,
        )

    def drive(self, **options: Any) -> Driver:
        """A new process of the client, connected; `options` are what its script is told beside."""
        if self.url is not None:
            target: dict[str, Any] = {"url": self.url}
        else:
            command = [sys.executable, "-m", "jecp_mcp", "serve", "--state-dir", str(self.state)]
            target = {"command": command, "env": self.environment}
        log = self.state / f"client-{len(self.drivers)}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*self.client.command(), json.dumps({**target, **options, "era": self.client.era})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "OTEL_SDK_DISABLED": "true", "DO_NOT_TRACK": "1"},
            )
        driver = Driver(process, log)
        self.drivers.append(driver)
        return driver

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's rows of this scene, as the operator reads them."""
        found = json.loads(self.command("ledger", "--json"))
        return [row for row in found if row["call_id"] not in self.earlier]

    def rows_once(self, holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The rows, once this holds of each: what ends a call is written when its answer is on the way already."""
        for _ in range(10 * PATIENCE):
            if all(map(holds, rows := self.rows())):
                return rows
            time.sleep(0.1)  # Another process writes it, and tells nobody here.
        raise AssertionError(f"that does not come to hold: {rows}")

    def command(self, *arguments: str) -> str:
        """What a command of ours prints, run in this process: so many cells need so many of them."""
        done = CliRunner().invoke(jecp_mcp, [*arguments, "--state-dir", str(self.state)], env=self.environment)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        for driver in self.drivers:
            driver.process.kill()
            driver.process.wait()
            for stream in (driver.process.stdin, driver.process.stdout):
                assert stream is not None
                stream.close()


@contextmanager
def placed(
    client: ForeignClient, transport: str, hub: SandboxHub, folder: Path, profile: str = "auto"
) -> Iterator[Place]:
    client.command()
    place = Place(client, hub, folder / "state", None, profile)
    # A server does not make a host wait for a slow Hub; one that was there before has the catalog at once.
    place.command("catalog", "--json")
    try:
        if transport == "stdio":
            yield place
            return
        arguments = ["serve", "--transport", "http", "--port", "0", "--state-dir", str(place.state)]
        with running(*arguments, env=place.environment) as server:
            place.url = address(server)
            yield place
    finally:
        place.close()


def is_ended(row: dict[str, Any]) -> bool:
    return row["state"] not in {"reserved", "sent", "in_doubt"}


def is_delivered(row: dict[str, Any]) -> bool:
    return is_ended(row) and row["delivered"] is True


def is_listed(place: Place) -> None:
    names = place.driver.names()
    assert {"jecp_search", "jecp_call", COUNT, HTML, STREAM} <= set(names)
    assert len(names) == len(set(names))


def is_bought(place: Place) -> None:
    got = place.driver.call(HTML, {"markdown": "# A heading"})
    (row,) = place.rows_once(is_delivered)
    assert (row["state"], row["tool"]) == ("settled", HTML)
    assert row["charged_usdc"] == row["quoted_usdc"] != "0.00"
    assert "A heading" in got["text"]
    assert row["call_id"] in got["text"]


def is_refused_and_recovers(place: Place) -> None:
    driver = place.driver
    got = driver.call("jecp_call", {"tool": "text-stats_counting", "arguments": {"text": "one two"}})
    assert got["failed"] in {True, None}
    assert place.rows_once(is_delivered) == []
    assert '"charged":"no"' in got["text"]
    suggested = json.loads(got["text"][got["text"].index("{") :])["next_action"]
    found = driver.call(suggested["tool"], suggested["arguments"])
    assert COUNT in found["text"]
    assert '"words":2' in driver.call(COUNT, {"text": "one two"})["text"].replace("'", '"').replace(": ", ":")
    assert len(place.rows_once(is_delivered)) == 1


def is_fetched(place: Place) -> None:
    """A file that no single answer of `jecp_file` holds, in pieces, to its last byte."""
    driver = place.driver
    # Words that do not repeat, so that no encoding makes them small.
    long = " ".join(f"{at * 104_729 % 999_983:x}" for at in range(5_600))
    got = driver.call("inkwell_convert_markdown-to-pdf", {"markdown": long})
    (row,) = place.rows_once(is_delivered)
    assert row["state"] == "settled"
    assert row["call_id"] in got["text"]
    pieces: list[bytes] = []
    at: int | None = 0
    while at is not None:
        piece = driver.call("jecp_file", {"call_id": row["call_id"], "offset": at})
        said = json.loads(piece["text"]) if piece["text"].startswith('{"') else piece["structured"]
        assert said["offset"] == at == sum(map(len, pieces))
        pieces.append(base64.b64decode(said["base64"]))
        at = said.get("next_offset")
    whole = b"".join(pieces)
    assert len(pieces) > 1
    assert len(whole) == said["size_bytes"]
    assert whole.startswith(b"%PDF-")
    assert whole.rstrip().endswith(b"%%EOF")
    assert len(place.rows_once(is_delivered)) == 1


def is_streamed(place: Place) -> None:
    got = place.driver.call(STREAM, {"text": "the sea, the sea, the open sea", "keyword": "sea"})
    (row,) = place.rows_once(is_delivered)
    assert row["state"] == "settled"
    assert row["call_id"] in got["text"]
    if place.client.script in {"sdk_python.py", "fastmcp_client.py", "sdk_typescript_1.mjs", "sdk_typescript_2.mjs"}:
        assert got["steps"] > 0


def are_two_at_once(place: Place) -> None:
    driver = place.driver
    asked = [driver.ask("call", name=HTML, arguments={"markdown": f"# Number {at}"}) for at in (1, 2)]
    texts = [driver.result(number)["text"] for number in asked]
    rows = {row["call_id"]: row for row in place.rows_once(is_delivered)}
    assert [row["state"] for row in rows.values()] == ["settled", "settled"]
    for at, text in enumerate(texts, 1):
        assert f"Number {at}" in text
        assert sum(call in text for call in rows) == 1


def are_nulls_left_out(place: Place) -> None:
    """Hosts whose models must name every property send null for those they leave out."""
    got = place.driver.call(PICTURE, {"text": "hello", "error_correction": None})
    (row,) = place.rows_once(is_delivered)
    assert row["state"] in {"settled", "released"}
    assert row["call_id"] in got["text"]


SCENES: dict[str, Callable[[Place], None]] = {
    "listed": is_listed,
    "bought": is_bought,
    "refused and recovered": is_refused_and_recovers,
    "a big file": is_fetched,
    "streamed": is_streamed,
    "two at once": are_two_at_once,
    "nulls": are_nulls_left_out,
}


PLACES = [(client, transport) for client in CLIENTS for transport in ("stdio", "http")]


def is_daily(client: ForeignClient, transport: str) -> bool:
    """Whether this is where a client buys in `.ci/run`: one cell a client, over the two transports in turn."""
    return not client.large and transport == ("stdio", "http")[CLIENTS.index(client) % 2]


RAISES_OVER_HTTP = "crewai"


def faults_of(client: ForeignClient, transport: str) -> list[pytest.MarkDecorator]:
    """Why no result can reach this client's model, if so; where one does all the same, its cell fails too."""
    if (client.name, transport) == (RAISES_OVER_HTTP, "http") and sys.version_info < (3, 12):
        # It enters the connection's task group within asyncio.wait_for, which is another task before Python 3.12.
        reason = "crewai raises as it leaves the connection, in another task than it entered it in, whatever came by it"
        return [pytest.mark.xfail(reason=reason, raises=AssertionError, strict=True)]
    return []


def cells() -> Iterator[Any]:
    for at in PLACES:
        for scene in SCENES:
            mark = pytest.mark.slow if scene == "bought" and is_daily(*at) else pytest.mark.long
            faults = [] if scene == "listed" else faults_of(*at)
            yield pytest.param(*at, scene, id=f"{at[0]}-{at[1]}-{scene}", marks=[mark, *faults])


@pytest.fixture(scope="module")
def place_of(
    first_agent: SandboxHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[ForeignClient, str], Place]]:
    """One process of a client, and one server, for all scenes that follow each other: to start them takes longest."""
    there: dict[tuple[ForeignClient, str], Place] = {}
    with ExitStack() as stack:

        def place_of(client: ForeignClient, transport: str) -> Place:
            if (client, transport) not in there:
                stack.close()
                there.clear()
                opened = placed(client, transport, first_agent.new_agent(), tmp_path_factory.mktemp("place"))
                there[client, transport] = stack.enter_context(opened)
            return there[client, transport]

        yield place_of


@pytest.mark.parametrize(("client", "transport", "scene"), list(cells()))
def test_a_clients_user_gets_what_the_ledger_says(
    place_of: Callable[[ForeignClient, str], Place], client: ForeignClient, transport: str, scene: str
) -> None:
    place = place_of(client, transport)
    place.earlier |= {row["call_id"] for row in place.rows_once(is_ended)}
    SCENES[scene](place)


@pytest.mark.long
@pytest.mark.parametrize(
    ("client", "transport"),
    [pytest.param(*at, id=f"{at[0]}-{at[1]}", marks=faults_of(*at)) for at in PLACES],
)
def test_what_a_client_paid_for_that_was_cut_off_is_given_to_the_next_that_asks(
    hub: SandboxHub, tmp_path: Path, client: ForeignClient, transport: str
) -> None:
    with holding(hub) as held, placed(client, transport, held.hub, tmp_path) as place:
        before = place.drive()
        before.ask("call", name=HTML, arguments={"markdown": "# Cut off"})
        held.wait()
        assert [row["state"] for row in place.rows()] == ["sent"]
        before.process.kill()
        before.process.wait()
        after = place.drive()
        asked = after.ask("call", name=HTML, arguments={"markdown": "# Cut off"})
        held.let_go.set()
        got = after.result(asked)
        (row,) = place.rows_once(is_ended)
        if "Cut off" not in got["text"]:
            # It was still at work when it was asked for again: its id leads there.
            assert row["call_id"] in got["text"]
            got = after.call("jecp_status", {"call_id": row["call_id"]})
        assert row["state"] in {"settled", "reconciled_charged"}
        assert "Cut off" in got["text"]
    assert len(hub.books()["transactions"]) == 1


def test_the_page_on_hosts_says_what_holds_for_which_version_of_each_client() -> None:
    page = (Path(__file__).parents[3] / "docs" / "hosts.md").read_text()
    lines = iter(page.partition("# Which clients were tried")[2].splitlines())
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    head, _, *rows = table[: 2 + len(CLIENTS)]
    assert head == ["client", "package", *SCENES, "cut off"]
    for client, (name, package, listed, *others) in zip(CLIENTS, rows, strict=True):
        joined = package.replace("`", "").split()
        assert (name, listed) == (client.name, "yes")
        assert {"==".join(joined), "@".join(joined)} & set(client.packages)
        holds = "stdio only" if client.name == RAISES_OVER_HTTP else "yes"
        assert set(others) == {holds}


CHECKING = ("typescript-sdk-1", "typescript-sdk-2", "fastmcp", "pydantic-ai")
"""Clients that check or convert what they receive by the tools' output schemas; so does the Python SDK."""


@pytest.mark.slow
@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in CHECKING], ids=str)
def test_a_client_that_checks_results_loses_none(hub: SandboxHub, tmp_path: Path, client: ForeignClient) -> None:
    """Some check errors too, and some compile every schema before they show any tool."""
    with placed(client, "stdio", hub, tmp_path, "open") as place:
        driver = place.drive()
        if client.name.startswith("typescript"):
            assert {"jecp_search", "jecp_call", "jecp_status", COUNT, PICTURE} <= set(
                driver.got(driver.ask("typed"))["result"]
            )
        assert COUNT in driver.names()
        paid = [
            (COUNT, {"text": "one two"}),
            (PICTURE, {"text": "hello"}),
            ("inkwell_convert_markdown-to-pdf", {"markdown": "# A heading"}),
            (STREAM, {"text": "the sea " * 4_000, "keyword": "sea"}),
            ("jecp_call", {"tool": HTML, "arguments": {"markdown": "# A heading"}}),
        ]
        for name, arguments in paid:
            got = driver.got(driver.ask("call", name=name, arguments=arguments))
            assert "raised" not in got, got
            assert not got["result"]["failed"], got
        rows = place.rows_once(is_delivered)
        assert [row["state"] for row in rows] == ["settled"] * len(paid)
        free = [("jecp_search", {}), ("jecp_wallet", {}), ("jecp_describe", {"tool": COUNT})]
        free += [("jecp_status", {}), *(("jecp_status", {"call_id": row["call_id"]}) for row in rows)]
        for name, arguments in free:
            got = driver.got(driver.ask("call", name=name, arguments=arguments))
            assert "raised" not in got, got
        for name in (COUNT, "jecp_call", "jecp_describe"):
            assert '"charged":"no"' in driver.call(name, {})["text"]


@pytest.mark.slow
def test_a_model_that_must_name_every_argument_finds_and_buys(hub: SandboxHub, tmp_path: Path) -> None:
    """OpenAI's strict schemas make every optional required; what a tool takes freely must not be closed by them."""
    (client,) = [one for one in CLIENTS if one.name == "openai-agents"]
    with placed(client, "stdio", hub, tmp_path) as place:
        driver = place.drive(strict=True)
        assert COUNT in driver.call("jecp_search", {"query": "count words"})["text"]
        bought = driver.call("jecp_call", {"tool": COUNT, "arguments": {"text": "one two"}})
        (row,) = place.rows_once(is_delivered)
        assert row["call_id"] in bought["text"]
        assert row["call_id"] in driver.call("jecp_status", {})["text"]
