"""An environment in which the package was installed without its extras, as the README has it but for the brackets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.terminal import another_terminal
from tests.lacking import lacking

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_command_that_is_named_installs_what_is_missing(tmp_path: Path) -> None:
    installing = os.environ | {"PIP_CONSTRAINT": str(ROOT / "config" / "constraints.txt")}
    environment = tmp_path / "an environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", str(ROOT)]
    installed = subprocess.run(pip, env=installing, capture_output=True, text=True, check=False)
    if installed.returncode:
        lacking(f"nothing can be installed here: {installed.stderr[-500:]}", "REQUIRE_PACKAGES")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(environment / "bin" / "jecp-mcp"), *arguments]
        env = another_terminal(tmp_path)
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)

    def missing() -> list[str]:
        found = json.loads(run("doctor", "--sandbox", "--json").stdout)["findings"]
        return [one["mend"] for one in found if one["about"] == "extra sandbox"]

    [command] = missing()
    for refused in (("demo",), ("sandbox",), ("serve", "--sandbox")):
        done = run(*refused)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        # cryptography may have come with what the server itself needs.
        assert "segno, ruamel.yaml, coincurve, pycryptodome, " in done.stderr
        assert "rfc8785, which are not installed" in done.stderr
        assert done.stderr.rstrip().endswith(f"run: {command}")
    subprocess.run(["/bin/sh", "-c", f"{command} -q"], env=installing, check=True)
    assert missing() == []
    assert run("serve", "--sandbox").returncode == 0
