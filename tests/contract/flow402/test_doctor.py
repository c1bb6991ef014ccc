"""What the doctor says of a control plane, and that a refusal is shown word for word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli.checks.flow402 import flow402_findings
from jecp_mcp.cli.options import Start
from jecp_mcp.settings import Settings
from jecp_mcp.settings.bootstrap_key import FILE, KEY_VARIABLE
from tests.flow402_house import Plane, governed_settings, started
from tests.x402_sandbox import PaidHttp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def said(start: Start) -> tuple[str, str]:
    [found] = await flow402_findings(start)
    return found.level.value, f"{found.what} {found.mend}"


async def test_it_says_who_pays_for_whom(tmp_path: Path, shop: PaidHttp) -> None:
    start = started(tmp_path, shop)
    level, what = await said(start)
    assert (level, "experimental: 1 merchant" in what, "sandbox-org/sandbox-agent" in what) == ("ok", True, True)
    assert str(start.play_bootstrap) not in what
    assert "only a payment shows whether it knows that organization and agent" in what


async def test_what_a_control_plane_says_makes_no_line_of_its_own(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jecp_mcp.rails.flow402.control_plane.read_problem", lambda *_: "no\nok  402flow: all is well")
    monkeypatch.setattr("jecp_mcp.rails.flow402.control_plane.SDK_VERSION", "9.9.9")
    level, what = await said(started(tmp_path, shop))
    assert (level, "\n" in what, "all is well" in what) == ("fault", False, True)


async def test_a_refusal_is_shown_word_for_word(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jecp_mcp.rails.flow402.control_plane.SDK_VERSION", "9.9.9")
    level, what = await said(started(tmp_path, shop))
    assert (level, "Unsupported SDK version.; version: 0.1.2 is supported" in what) == ("fault", True)
    monkeypatch.undo()
    Plane(shop).fault("html", on="tokens")
    level, what = await said(started(tmp_path, shop))
    assert (level, "status 502" in what) == ("warning", True)


async def test_it_says_what_is_missing_and_how_to_mend_it(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    settings = governed_settings(shop)
    level, what = await said(Start(settings, tmp_path, None))
    assert (level, str(tmp_path / FILE) in what) == ("fault", True)
    (tmp_path / FILE).write_text("two words")
    (tmp_path / FILE).chmod(0o600)
    assert "no bootstrap key" in (await said(Start(settings, tmp_path, None)))[1]
    (tmp_path / FILE).chmod(0o644)
    assert "chmod 600" in (await said(Start(settings, tmp_path, None)))[1]
    monkeypatch.setenv(KEY_VARIABLE, "bk_0123456789abcdef")
    (tmp_path / FILE).chmod(0o600)
    assert f"unset {KEY_VARIABLE}" in (await said(Start(settings, tmp_path, None)))[1]
    (tmp_path / FILE).unlink()
    level, what = await said(Start(settings, tmp_path, None))
    assert (level, "refuses the key: The bootstrap key is not known." in what) == ("fault", True)
    assert "bk_0123" not in what


@pytest.mark.parametrize(
    "networks",
    [["eip155:5"], ["eip155:8453", "eip155:84532"], ["eip155:8453"], ["eip155:4024024024021", "eip155:84532"]],
)
async def test_networks_of_several_purposes_are_refused(tmp_path: Path, shop: PaidHttp, networks: list[str]) -> None:
    level, what = await said(Start(governed_settings(shop, networks=networks), tmp_path, None))
    assert (level, "flow402.networks" in what) == ("fault", True)


def test_a_key_of_a_start_without_any_is_none(tmp_path: Path) -> None:
    settings: Any = Settings()
    assert Start(settings, tmp_path, None, sandbox=True).bootstrap_key() is None
