"""By which address others reach the sandbox."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from jecp_mcp.cli.sandbox import command


@pytest.mark.parametrize("url", ["http://hub.example", "https://hub.example/path", "hub.example", "https://"])
def test_only_an_https_origin_is_one(url: str) -> None:
    done = CliRunner().invoke(command, ["--public-url", url])
    assert (done.exit_code, "--public-url" in done.output) == (2, True)
