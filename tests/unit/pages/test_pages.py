"""How every page looks: legible in both palettes, closed to everything from elsewhere, times as people read them."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone
from html.parser import HTMLParser

import pytest

from jecp_mcp import pages
from jecp_mcp.pages import STYLE, ReaderTime, wants_html

TEXT = [
    ("ink", "ground"), ("ink", "card"), ("soft", "ground"), ("soft", "card"), ("act", "ground"), ("act", "card"),
    ("act-ink", "act"), ("good", "card"), ("note", "note-ground"),
]  # fmt: skip
"""Which colour is written on which: 4.5 to 1 (WCAG 2.2, contrast of text)."""
EDGES = [("edge", "ground"), ("edge", "card"), ("act", "ground"), ("act", "card")]
"""What shows where a field, a button or the focus is: 3 to 1 (contrast of what is no text)."""


def palettes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{([^}]*)\}", STYLE)
    found = [dict(re.findall(r"--([\w-]+): (#\w{6})", text)) for text in (light, dark)]
    return {"light": found[0], "dark": {**found[0], **found[1]}}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_colour_can_be_told_from_what_it_is_on(name: str) -> None:
    colours = palettes()[name]
    for least, pairs in ((4.5, TEXT), (3.0, EDGES)):
        for pair in pairs:
            dark, bright = sorted(luminance(colours[each]) for each in pair)
            assert (bright + 0.05) / (dark + 0.05) >= least, (name, pair)


def test_no_rule_has_a_colour_beside_the_palettes_and_each_pair_is_one_that_is_tested() -> None:
    rules = STYLE[STYLE.index("* {") :]
    assert not re.findall(r"#[0-9a-f]{3,8}\b|rgb|hsl", rules)
    assert set(re.findall(r"var\(--([\w-]+)\)", rules)) == set(palettes()["dark"])
    for rule in re.findall(r"\{([^}]*)\}", rules):
        said = dict(re.findall(r"(?<![\w-])(color|background): var\(--([\w-]+)\)", rule))
        if len(said) == 2:
            assert (said["color"], said["background"]) in TEXT


def test_focus_is_always_shown_and_nothing_is_loaded() -> None:
    assert ":focus-visible { outline: 3px" in STYLE
    assert not re.findall(r"outline: (?:0|none)|url\(|@import", STYLE)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_page_says_its_language_and_title_and_admits_its_own_style_and_script_only() -> None:
    text = pages.document("A <title>", "<p>content</p>", banner="a & b", script="let x = 1", data='"><script>')
    tags = dict(_Page(text).tags)
    assert tags["html"] == {"lang": "en"}
    assert tags["body"] == {"data-given": '"><script>'}
    assert tags["meta"] == {"name": "viewport", "content": "width=device-width, initial-scale=1"}
    assert "<title>A &lt;title&gt;</title>" in text
    assert "a &amp; b" in text
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    [script] = re.findall(r"<script>(.*?)</script>", text)
    rules = pages.headers(script)["Content-Security-Policy"]
    assert rules == (
        f"default-src 'none'; style-src {pages.source_of(style)}; script-src {pages.source_of(script)}; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert "script-src" not in pages.headers()["Content-Security-Policy"]
    assert "<script" not in pages.document("t", "c")


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("Text/HTML ; q=0.5", True),
        ("application/json;q=0.4, text/html;q=0.5", True),
        ("application/json, text/html;q=0.5", False),
        ("application/json, text/event-stream", False),
        ("text/html;q=0", False),
        ("text/html;q=much", False),
        ("*/*", False),
        ("", False),
        (None, False),
    ],
)
def test_a_page_is_for_whoever_prefers_one(accept: str | None, html: bool) -> None:
    assert wants_html(accept) is html


NOON = 1_795_780_800_000  # 2026-11-27T12:00:00Z


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "today 12:00 (just now)"),
        (-59, "today 11:59 (just now)"),
        (59.9, "today 12:00 (in less than a minute)"),
        (60, "today 12:01 (in 1 minute)"),
        (3_599, "today 12:59 (in 59 minutes)"),
        (-7_300, "today 09:58 (2 hours ago)"),
        (12 * 3_600, "tomorrow 00:00 (in 12 hours)"),
        (-86_400, "yesterday 12:00 (1 day ago)"),
        (3 * 86_400, "30 November 2026 12:00 (in 3 days)"),
    ],
)
def test_a_time_is_told_as_people_read_it(seconds: float, told: str) -> None:
    at = NOON + int(seconds * 1000)
    time = ReaderTime(NOON, UTC)
    assert time.text(at) == told
    assert re.fullmatch(r'<time datetime="2026-1\d-\d\dT\d\d:\d\d:\d\dZ">(.*)</time>', time.element(at))[1] == told  # type: ignore[index]


def test_a_time_is_by_the_readers_clock() -> None:
    time = ReaderTime(NOON, timezone(timedelta(hours=13)))
    assert time.text(NOON) == "28 November 2026 01:00 (just now)".replace("28 November 2026", "today")
    assert 'datetime="2026-11-27T12:00:00Z"' in time.element(NOON)
    assert ReaderTime.here(NOON).text(NOON).endswith("(just now)")
