"""The official conformance suite, both requirement sets, against the real server and a Hub that sells what it asks for.

What fails has its reason in `expected.toml`, and nothing else may: neither a new failure nor a reason without one.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conformance.hub import AGENT, KEY, Shop
from tests.acceptance.foreign.installed import node_folder
from tests.acceptance.roads import address, running, server_env
from tests.faults.hub import hostile

pytestmark = pytest.mark.slow

EXPECTED = tomllib.loads((Path(__file__).parent / "expected.toml").read_text())

PUBLISHED = {
    "test_tool_with_progress": "test_tool_with-progress",
    "test_tool_with_logging": "test_tool_with-logging",
    "test_multiple_content_types": "test_multiple_content-types",
    "json_schema_2020_12_tool": "json_schema_tool-2020-12",
    "test_input_required_result_request_state": "test_input_required-result-request-state",
    "test_input_required_result_tampered_state": "test_input_required-result-tampered-state",
}
"""What the bridge calls the tools whose names no action's key becomes: ids have hyphens where the suite has underscores."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that sells what the suite asks for, and asks a person about what is dear."""
    shop = Shop()
    with hostile.running(shop):
        env = server_env(
            shop.url,
            AGENT,
            KEY,
            tools__mode="direct",
            tools__host_profile="open",
            mandate__per_call_usdc="5",
            mandate__daily_usdc="100",
            mandate__approve_above_usdc="0.5",
        )
        state = str(tmp_path_factory.mktemp("state"))
        with running("serve", "--transport", "http", "--port", "0", "--state-dir", state, env=env) as process:
            yield address(process)


@pytest.fixture(scope="module")
def suite() -> list[str]:
    """The command of the suite, which names those tools as they are published here."""
    programs = node_folder() / "node_modules"
    original = programs / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    script = original.read_text()
    for wanted, published in PUBLISHED.items():
        assert wanted in script
        script = script.replace(wanted, published)
    # It looks for the package beside itself; another worker may be running it.
    named = original.with_name("with_published_names.js")
    beside = named.with_suffix(f".{os.getpid()}")
    beside.write_text(script)
    beside.replace(named)
    return [str(programs / ".bin" / "node"), str(named)]


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_what_the_suite_requires_holds_but_for_what_has_its_reason(
    server: str, suite: list[str], tmp_path: Path, revision: str
) -> None:
    command = [*suite, "server", "--url", server, "--requirements", revision, "--output-dir", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=dict(os.environ))
    checks = [check for file in sorted(tmp_path.glob("*/checks.json")) for check in json.loads(file.read_text())]
    passed = [check["id"] for check in checks if check["status"] == "SUCCESS"]
    failed = {check["id"]: check.get("errorMessage") for check in checks if check["status"] == "FAILURE"}
    expected: Mapping[str, Any] = EXPECTED[revision]
    unexpected = {name: why for name, why in failed.items() if name not in expected["failures"]}
    assert not unexpected, said.stdout[-3_000:]
    assert passed, said.stderr[-3_000:]
    assert set(expected["failures"]) == set(failed), "what passes needs no reason"
    assert all(expected["failures"].values())
    assert len(passed) >= expected["passed"]
