"""What a start says on stderr of the machine it finds, and doctor with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_what_others_may_write_and_what_is_empty_is_said_at_the_start_and_by_doctor(tmp_path: Path) -> None:
    config, state = tmp_path / "config.toml", tmp_path / "state"
    config.write_text('[hub]\nbase_url = "http://127.0.0.1:9"\n')
    config.chmod(0o666)
    state.mkdir()
    state.chmod(0o777)
    env = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    env |= {"JECP_MCP_MANDATE__DENY": "", "HOME": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jecp_mcp", *arguments, "--config", str(config), "--state-dir", str(state)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)

    served = run("serve")
    assert served.returncode == 0
    for path in (config, state):
        assert f"other users may write {path}" in served.stderr
    assert "JECP_MCP_MANDATE__DENY is empty, which counts as not set" in served.stderr
    found = {one["what"]: one for one in json.loads(run("doctor", "--json").stdout)["findings"]}
    for path in (config, state):
        said = found[f"other users may write {path}"]
        assert (said["level"], said["mend"]) == ("fault", f"chmod go-w {path}")
    assert found["JECP_MCP_MANDATE__DENY is empty, which counts as not set"]["level"] == "warning"
    state.chmod(0o700)
    assert f"other users may write {state}" not in run("serve").stderr
