"""What `[catalog]` leaves out is said by every command at which somebody would miss it; a metered price, truly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.catalog.hubs import capability
from tests.unit.cli.test_commands import run, state

__all__ = ["run", "state"]

WORDS = "2 actions of the Hub are left out by your setting catalog.namespaces."


METERED = {
    "base": "0.005",
    "currency": "USDC",
    "model": "per_token",
    "input_per_token_usdc": 0.000001,
    "output_per_token_usdc": 0.000004,
}


class Hub(BaseHTTPRequestHandler):
    """Two providers, one action each."""

    def do_GET(self) -> None:
        metered = capability("data/csv", "read")
        metered["actions"][0] |= {"pricing": METERED}
        listed = [capability("inkwell/invoice", "render"), metered]
        body = json.dumps({"jecp": "1.0", "capabilities": listed, "next_cursor": None}).encode()
        self.send_response(200 if self.path.startswith("/v1/capabilities") else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_every_command_says_what_is_left_out_and_the_doctor_names_the_namespace_that_was_meant(
    run: Any, hub: str, tmp_path: Path
) -> None:
    path = tmp_path / "filtered.toml"
    path.write_text('[catalog]\nnamespaces = ["inkwel"]\n')
    at = ("--hub", hub, "--config", str(path))
    # Nothing is remembered for these settings yet: whoever has just written them asks the doctor first.
    _, out, _ = run("doctor", "--json", *at)
    found = {one["what"]: one["level"] for one in json.loads(out)["findings"]}
    assert found[f"nothing is on sale: {WORDS}"] == "warning"
    typo = "catalog.namespaces: inkwel matches none of the actions on sale now; the nearest there is inkwell"
    assert found[typo] == "warning"
    for command in (("catalog",), ("search", "invoice"), ("wallet",), ("status",)):
        _, out, err = run(*command, *at)
        assert WORDS in " ".join((out + err).split()), command
    for command in (("call", "inkwell_invoice_render", "{}"), ("describe", "inkwell/invoice:render")):
        status, out, err = run(*command, *at)
        assert status == 1
        assert (
            "ACTION_LEFT_OUT: inkwell/invoice:render exists at the Hub, but is left out here by your setting "
            "catalog.namespaces. Nothing was charged."
        ) in " ".join((out + err).split()), command


@pytest.mark.slow
def test_a_metered_price_says_its_rates_and_the_most_it_can_come_to(run: Any, hub: str) -> None:
    rates = "0.000001 USDC per input token, 0.000004 per output token"
    _, out, _ = run("catalog", "--json", "--hub", hub)
    shown = {one["action"]: one for one in json.loads(out)}["data/csv:read"]
    assert (shown["price_kind"], shown["metering"], shown["at_most_usdc"]) == ("metered", rates, "0.25")
    for command in (("catalog",), ("search", "csv"), ("describe", "data_csv_read")):
        _, out, _ = run(*command, "--hub", hub)
        assert "metered" in out.lower(), command
        assert "from 0" not in out, command
        if command != ("search", "csv"):
            assert rates in " ".join(out.split())
