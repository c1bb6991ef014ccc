"""Whatever a stranger writes, and wherever it leaves the process: it commands nothing, hides nothing, forges no line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jecp_mcp
from jecp_mcp import invisible
from tests.unit.strangers_text.places import ONE_LINE, PLACES, TO_MODELS, logged

SEQUENCES = (
    "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x1b\\", "\x1b[8m", "\x1bP\x1b\\", "\x9b2J", "\x9d0;x\x9c",
    "\x85", "\r", "\r\nFORGED", "\nFORGED", "\u2028FORGED", "\x0bFORGED", "\x0cFORGED", "\x1cFORGED", "\x08\x08", "\x00",
    "\u202e", "\u2066", "\u2069", "\u200f", "\u061c", "\U000e0041\U000e007f", "\U0001f3f4\U000e0067\U000e007f", "\ufeff",
    "\ufe0f", "\ufe00\ufe01", "\U000e0100", "\u200b", "\u200d", "\u2060", "\u2063", "\ufff9", "\ud800", "\U000e0001",
    "[red]x[/]", "=1+1", "<script>", "../../etc/passwd", "/etc/passwd", "{}", "a", " ",
)  # fmt: skip
# Every control, format character, surrogate, separator, selector and tag there is, one by one too.
HOSTILE = st.characters(
    categories=("Cc", "Cf", "Cs", "Zl", "Zp"), include_characters="\ufe00\ufe0f\u034f\U000e0100\U000e01ef"
)
TEXTS = st.lists(st.sampled_from(SEQUENCES) | HOSTILE | st.text(max_size=4), min_size=1, max_size=8).map("".join)


@pytest.mark.parametrize("place", PLACES, ids=lambda one: one.__name__)
def test_nothing_hidden_leaves_by_any_place(place: Callable[[str], str]) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TEXTS)
    def check(text: str) -> None:
        left = place(text)
        assert not invisible.hides(left), ascii(left)
        assert place in TO_MODELS or "\r" not in left
        assert place not in ONE_LINE or "\nFORGED" not in left

    check()
    everything = "x".join(SEQUENCES)
    assert not invisible.hides(place(everything)), ascii(place(everything))


def test_a_log_line_is_begun_by_us_alone() -> None:
    lines = logged("x\nFORGED\r\nFORGED\x85FORGED\u2028FORGED").splitlines()
    assert lines[0].startswith("jecp-mcp WARNING mcp: Invalid Host header: x\\u000aFORGED")
    assert all(line.startswith("    ") for line in lines[1:])
    assert len(logged("x" * 100_000).splitlines()[0]) < 4_100


@pytest.mark.parametrize("place", TO_MODELS, ids=lambda one: one.__name__)
def test_no_model_is_given_a_link_but_in_what_was_paid_for(place: Callable[[str], str]) -> None:
    if place.__name__ in {"as_an_output", "as_an_id"}:
        pytest.skip("paid output is passed on as it was bought; what is no id is told to people alone")
    for link in (
        "https://evil.example/x",
        "HTTPS://EVIL.EXAMPLE/x",
        "evil.example/x",
        "EVIL.COM",
        "https://checkout.stripe.com/c",
    ):
        assert link.lower() not in place(f"see {link} now").lower()
        assert link.lower() not in place(link).lower()


# Where text leaves the process in the package's source, and the only module that may do it so.
WAYS_OUT = {
    r"\bcsv\.writer\(": {"cli/csv_output.py"},
    r"\bConsole\(": {"cli/rich_output.py"},
    r"\bbasicConfig\(|\bStreamHandler\(": {"cli/output_filter.py"},
    r"\bwrite_as_it_is\(": {"cli/output_filter.py"},
    r"\bsys\.__std|\bfaulthandler\b": set(),
    r"\bHTMLResponse\(": {"server/approvals.py", "server/front_page.py"},
    r"\bos\.write\(": {"server/stdio.py"},
    r"\bwrite_text\(": set(),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_text_leaves_only_by_the_ways_that_are_known(way: str) -> None:
    root = Path(jecp_mcp.__file__).parent
    found = {str(one.relative_to(root)) for one in root.rglob("*.py") if re.search(way, one.read_text())}
    assert found <= WAYS_OUT[way]
