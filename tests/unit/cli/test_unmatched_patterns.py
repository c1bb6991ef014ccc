"""A pattern that matches nothing of today's catalog is named by start, wallet and doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.cli.main import _run
from jecp_mcp.cli.unmatched_patterns import PatternNotices, unmatched_patterns
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import Settings, load_settings
from tests.unit.catalog.hubs import FakeClock, FakeHub, capability

HUB = "http://127.0.0.1:9"
GIVEN: dict[str, Any] = {
    "mandate": {
        "allow": ["docs/*", "nobody/*"],
        "deny": ["docs/pdff", "docs/pdf", "docs_pdf_merge", "docs_pdf_mrege", "x[y]z"],
        "limits": [{"match": "docs/*", "daily_usdc": "1"}, {"match": "dosc/*", "daily_usdc": "1"}],
    },
    "catalog": {"only": ["docs/*", "dta/*"], "without": ["docs/old:*", "docs/odl:*"]},
    "tools": {"pinned": ["docs/pdf:merge", "docs_pdf_merge", "docs/pdf:mrege"]},
}
SILENT = [
    "mandate.allow: nobody/*",
    "mandate.deny: docs/pdff",
    "mandate.deny: docs_pdf_mrege",
    "mandate.deny: x[y]z",
    "mandate.limits: dosc/*",
    "catalog.only: dta/*",
    "catalog.without: docs/odl:*",
    "tools.pinned: docs/pdf:mrege",
]


pytestmark = pytest.mark.anyio

FILE = """
[hub]
base_url = "http://127.0.0.1:9"
[mandate]
allow = ["docs/*"]
deny = ["docs/pdff", "docs/pdf"]
[[mandate.limits]]
match = "dosc/*"
daily_usdc = "1"
[catalog]
without = ["docs/old:*", "docs/odl:*"]
"""
SILENT_OF_FILE = ["mandate.deny: docs/pdff", "mandate.limits: dosc/*", "catalog.without: docs/odl:*"]


# What is chosen wrongly leaves an empty catalog; that is no reason to keep quiet.
CHOSEN_WRONGLY: list[tuple[dict[str, list[str]], list[str]]] = [
    ({"only": ["dcos/*"]}, ["catalog.only: dcos/*"]),
    ({"namespaces": ["dcos"]}, ["catalog.namespaces: dcos, nearest docs"]),
    (
        {"namespaces": ["docs", "dcos", "built-in"]},
        ["catalog.namespaces: dcos, nearest docs", "catalog.namespaces: built-in"],
    ),
    ({"tags": ["no-such-tag"]}, ["catalog.tags: no-such-tag"]),
    ({"namespaces": ["docs"], "only": ["docs/*"]}, []),
    # What another setting leaves out is no typo.
    ({"namespaces": ["docs", "data"], "only": ["docs/*"]}, []),
]


@pytest.mark.parametrize(("chosen", "silent"), CHOSEN_WRONGLY)
async def test_what_leaves_nothing_of_the_catalog_is_named(
    chosen: dict[str, list[str]], silent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.model_validate({"catalog": chosen})
    source = CatalogSource(hub(), HUB, None, settings.catalog, FakeClock())
    assert unmatched_patterns(settings, source.current) == []
    notices = PatternNotices(settings)
    source.subscribe(lambda _diff: notices.look(source.current))
    await source.refresh()
    parts = [text.partition(", nearest ") for text in silent]
    assert unmatched_patterns(settings, source.current) == [text for text, _, _ in parts]
    assert caplog.messages == [
        f"{text} matches none of the actions on sale now{f'; the nearest there is {near}' if near else ''}"
        for text, _, near in parts
    ]


def hub() -> FakeHub:
    return FakeHub([capability("docs/pdf", "merge"), capability("docs/old", "scan"), capability("data/csv", "read")])


async def fetched(settings: Settings, path: Path | None = None) -> CatalogSource:
    source = CatalogSource(hub(), HUB, path, settings.catalog, FakeClock())
    await source.refresh()
    return source


async def test_each_pattern_without_a_match_is_found_wherever_it_stands(tmp_path: Path) -> None:
    settings = Settings.model_validate(GIVEN)
    path = tmp_path / "catalog.jsonl"
    source = await fetched(settings, path)
    assert unmatched_patterns(settings, source.current) == SILENT
    # A catalog of which no page came anew, and one that the disk remembers, tell the same.
    await source.refresh()
    assert unmatched_patterns(settings, source.current) == SILENT
    assert (
        unmatched_patterns(settings, CatalogSource(hub(), HUB, path, settings.catalog, FakeClock()).current) == SILENT
    )


async def test_nothing_is_said_of_patterns_before_there_is_a_catalog() -> None:
    settings = Settings.model_validate(GIVEN)
    assert unmatched_patterns(settings, CatalogSource(hub(), HUB, None, settings.catalog, FakeClock()).current) == []


async def test_a_running_server_says_once_of_each_pattern_that_it_matches_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings.model_validate(GIVEN)
    source = await fetched(settings)
    notices = PatternNotices(settings)
    notices.look(source.current)
    notices.look(source.current)
    assert caplog.messages == [f"{text} matches none of the actions on sale now" for text in SILENT]


def test_wallet_and_doctor_name_the_patterns_that_match_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, state = tmp_path / "given.toml", tmp_path / "state"
    path.write_text(FILE)
    state.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JECP_MCP_TOOLS__MODE", "")
    anyio.run(fetched, load_settings(path, environ={}), state / "catalog.jsonl")

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["jecp-mcp", *arguments, "--config", str(path), "--state-dir", str(state)])
        _run()
        return capsys.readouterr().out

    assert json.loads(run("wallet", "--json"))["unmatched_patterns"] == SILENT_OF_FILE
    for text in SILENT_OF_FILE:
        assert f"{text} matches none of the actions on sale now" in run("wallet")
    found = {one["what"]: one["level"] for one in json.loads(run("doctor", "--json"))["findings"]}
    for text in SILENT_OF_FILE:
        assert found[f"{text} matches none of the actions on sale now"] == "warning"
    assert found["JECP_MCP_TOOLS__MODE is empty, which counts as not set"] == "warning"
