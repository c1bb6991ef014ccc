"""What a host's client gets and what the ledger says, for each client, transport and scene.

A cell holds only when both are as they should be: the row of the call, and what the client itself received and would hand
to its model. `.ci/run` buys once through each client; `.ci/full long` takes all.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.foreign.installed import CLIENTS, ForeignClient
from tests.acceptance.roads import SandboxHub, address, running, server_env

HTML = "inkwell_convert_markdown-to-html"
COUNT = "text-stats_count"
STREAM = "lectern_concordance_keyword-in-context"
PICTURE = "qr-code_encode"
PATIENCE = 90
"""Seconds after which a client that says nothing is given up: a bound, not a measure."""


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
        said = self.got(self.ask("call", name=name, arguments=arguments))
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
    url: str | None
    profile: str = "auto"
    drivers: list[Driver] = field(default_factory=list)

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
        """The ledger's rows, as the operator reads them."""
        return list(json.loads(self._command("ledger", "--json")))

    def _command(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "jecp_mcp", *arguments, "--state-dir", str(self.state)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
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
    place._command("catalog", "--json")
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


def is_listed(place: Place) -> None:
    names = place.drive().names()
    assert {"jecp_search", "jecp_call", COUNT, HTML, STREAM} <= set(names)
    assert len(names) == len(set(names))


def is_bought(place: Place) -> None:
    got = place.drive().call(HTML, {"markdown": "# A heading"})
    (row,) = place.rows()
    assert (row["state"], row["tool"]) == ("settled", HTML)
    assert row["charged_usdc"] == row["quoted_usdc"] != "0.00"
    assert row["delivered"]
    assert "A heading" in got["text"]
    assert row["call_id"] in got["text"]


def is_refused_and_recovers(place: Place) -> None:
    driver = place.drive()
    got = driver.call("jecp_call", {"tool": "text-stats_counting", "arguments": {"text": "one two"}})
    assert got["failed"] in {True, None}
    assert place.rows() == []
    assert '"charged":"no"' in got["text"]
    suggested = json.loads(got["text"][got["text"].index("{") :])["next_action"]
    found = driver.call(suggested["tool"], suggested["arguments"])
    assert COUNT in found["text"]
    assert '"words":2' in driver.call(COUNT, {"text": "one two"})["text"].replace("'", '"').replace(": ", ":")
    assert len(place.rows()) == 1


def is_fetched(place: Place) -> None:
    """A file larger than any result, in pieces, to its last byte."""
    driver = place.drive()
    # Words that do not repeat, so that no encoding makes them small.
    long = "\n\n".join(" ".join(f"{(at * 7919 + n * 104729) % 999983:x}" for n in range(80)) for at in range(300))
    got = driver.call("inkwell_convert_markdown-to-pdf", {"markdown": long})
    (row,) = place.rows()
    assert row["state"] == "settled"
    assert row["call_id"] in got["text"]
    size, at, pieces = None, 0, 0
    while at is not None:
        piece = driver.call("jecp_file", {"call_id": row["call_id"], "offset": at})
        said = json.loads(piece["text"]) if piece["text"].startswith("{") else piece["structured"]
        size, at, pieces = said["size_bytes"], said.get("next_offset"), pieces + 1
    assert pieces > 1
    assert size > 24_000 * (pieces - 1)
    assert len(place.rows()) == 1


def is_streamed(place: Place) -> None:
    got = place.drive().call(STREAM, {"text": "the sea, the sea, the open sea", "keyword": "sea"})
    (row,) = place.rows()
    assert row["state"] == "settled"
    assert row["call_id"] in got["text"]
    if place.client.script in {"sdk_python.py", "fastmcp_client.py", "sdk_typescript_1.mjs", "sdk_typescript_2.mjs"}:
        assert got["steps"] > 0


def are_two_at_once(place: Place) -> None:
    driver = place.drive()
    asked = [driver.ask("call", name=HTML, arguments={"markdown": f"# Number {at}"}) for at in (1, 2)]
    texts = [driver.got(number)["result"]["text"] for number in asked]
    rows = {row["call_id"]: row for row in place.rows()}
    assert [row["state"] for row in rows.values()] == ["settled", "settled"]
    for at, text in enumerate(texts, 1):
        assert f"Number {at}" in text
        assert sum(call in text for call in rows) == 1


def is_cut_off(place: Place) -> None:
    """The client dies while its call is at the Hub; another one asks the same and gets what was paid for."""
    before = place.drive()
    place.hub.fault("inkwell/convert:markdown-to-html", "delay:4")
    before.ask("call", name=HTML, arguments={"markdown": "# Cut off"})
    while not any(row["state"] == "sent" for row in place.rows()):
        pass
    before.process.kill()
    after = place.drive()
    got = after.call(HTML, {"markdown": "# Cut off"})
    if "Cut off" not in got["text"]:
        # Still at work: what it says leads there.
        for _ in range(20):
            (row,) = place.rows()
            got = after.call("jecp_status", {"call_id": row["call_id"]})
            if "Cut off" in got["text"]:
                break
    (row,) = place.rows()
    assert row["state"] in {"settled", "reconciled_charged"}
    assert "Cut off" in got["text"]
    assert place.hub.books()["charges"] == 1


def are_nulls_left_out(place: Place) -> None:
    """Hosts whose models must name every property send null for those they leave out."""
    got = place.drive().call(PICTURE, {"text": "hello", "error_correction": None})
    (row,) = place.rows()
    assert row["state"] in {"settled", "released"}
    assert row["call_id"] in got["text"]


SCENES: dict[str, Callable[[Place], None]] = {
    "listed": is_listed,
    "bought": is_bought,
    "refused and recovered": is_refused_and_recovers,
    "a big file": is_fetched,
    "streamed": is_streamed,
    "two at once": are_two_at_once,
    "cut off": is_cut_off,
    "nulls": are_nulls_left_out,
}


def cells() -> Iterator[Any]:
    for number, client in enumerate(CLIENTS):
        for transport in ("stdio", "http"):
            for scene in SCENES:
                # One cell a client, over the two transports in turn.
                small = scene == "bought" and transport == ("stdio", "http")[number % 2]
                mark = pytest.mark.slow if small else pytest.mark.long
                yield pytest.param(client, transport, scene, id=f"{client}-{transport}-{scene}", marks=mark)


@pytest.mark.parametrize(("client", "transport", "scene"), list(cells()))
def test_a_clients_user_gets_what_the_ledger_says(
    hub: SandboxHub, tmp_path: Path, client: ForeignClient, transport: str, scene: str
) -> None:
    with placed(client, transport, hub, tmp_path) as place:
        SCENES[scene](place)


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
        rows = place.rows()
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
        (row,) = place.rows()
        assert row["call_id"] in bought["text"]
        assert row["call_id"] in driver.call("jecp_status", {})["text"]
