"""What `[catalog]` leaves out is said by every command at which somebody would miss it."""

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

WORDS = "2 actions of the Hub are left out by the operator's setting catalog.namespaces."


class Hub(BaseHTTPRequestHandler):
    """Two providers, one action each."""

    def do_GET(self) -> None:
        listed = [capability("inkwell/invoice", "render"), capability("data/csv", "read")]
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
            "ACTION_LEFT_OUT: inkwell/invoice:render exists at the Hub, but is left out here by the operator's setting "
            "catalog.namespaces. Nothing was charged."
        ) in " ".join((out + err).split()), command
