"""Which client reads what of a result, and the page that tells people the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jecp_mcp.tools.publishing.result_profiles import CLIENTS, NAMELESS, UNKNOWN, result_profile

PAGE = (Path(__file__).parents[3] / "docs" / "hosts.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [start for start, _ in CLIENTS])
def test_a_client_is_known_by_how_its_name_begins_whatever_its_case(name: str) -> None:
    profile = dict(CLIENTS)[name]
    assert result_profile(name) == result_profile(f" {name.title()} 2.1") == profile != UNKNOWN


@pytest.mark.parametrize("name", ["", "mcp-proxy", "mcpo", "claude-ai", "cursor-vscode", "my-visual studio code"])
def test_a_client_that_is_not_known_reads_text_and_is_sent_no_files(name: str) -> None:
    assert result_profile(name) == UNKNOWN
    assert (UNKNOWN.structured, UNKNOWN.keeps_files) == (False, False)


def test_a_client_without_a_name_of_its_own_is_sent_no_links() -> None:
    assert not result_profile(NAMELESS).follows_links


def test_the_page_has_a_row_for_every_client_and_no_other() -> None:
    table = PAGE.partition("\nFor all of them:")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")][1:]
    named = {name.lower() for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {start for start, _ in CLIENTS} | {NAMELESS}
