"""What shows nothing is taken away or written out, by one table, and a long run of it costs no more than a short one."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.invisible import escape, hides, strip
from jecp_mcp.tools.publishing.cleaning import clean, hides_something
from tests.steps import steps

BLANK = "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U00016fe4\U0001d159\ufff0\ufff8\ue000\uf8ff\U000f0000\ufdd0\uffff"
WANTED = (
    "\u0645\u06cc\u200c\u0631\u0648\u062f",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f\u200d\U0001f525 1\ufe0f\u20e3",
    "\u2800\u2800\u2801\u2800\u2803",
    "\u182d\u180b \u0915\u094d\u200d\u0937 \u845b\U000e0100",
    "\u05e9\u05dc\u05d5\u05dd\n\ttab",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
)
LETTERS = (
    st.sampled_from([*BLANK, *"".join(WANTED), "\u202e", "\x1b", "a", "\ufe0e", "\u180e", "\xad"]) | st.characters()
)


@pytest.mark.parametrize("letter", BLANK, ids=ascii)
def test_what_counts_as_a_letter_or_a_sign_and_shows_nothing_goes(letter: str) -> None:
    assert strip(f"a{letter}b") == clean(f"a{letter}b", 9) == "ab"
    assert hides(letter)
    assert hides_something(letter)
    assert escape(letter).isascii()
    assert json.loads(f'"{escape(letter)}"') == letter


def test_no_control_format_character_surrogate_or_private_one_stays_that_shows_nothing() -> None:
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13460)}
    left = [
        point
        for point in range(sys.maxunicode + 1)
        if unicodedata.category(chr(point)) in {"Cc", "Cf", "Cs", "Co"} and not hides(f"a{chr(point)}b")
    ]
    assert set(left) - visible <= {ord("\t"), ord("\n"), ord("\r"), 0xAD}


@pytest.mark.parametrize("text", WANTED, ids=ascii)
def test_what_a_script_or_an_emoji_needs_stays(text: str) -> None:
    assert strip(text) == escape(text) == text
    assert not hides(text)


@given(st.lists(LETTERS, max_size=12).map("".join))
def test_what_is_left_hides_nothing(text: str) -> None:
    assert not hides(strip(text))
    assert strip(strip(text)) == strip(text)
    assert not hides(escape(text))
    assert hides(text) == (strip(text) != text)


@pytest.mark.parametrize("letter", ["\u200d", "\u2060", "\x1b", "\u2800", "\ufe0f", "\U000e0041"], ids=ascii)
def test_a_long_run_is_judged_once(letter: str) -> None:
    run = letter * 100_000
    assert strip(f"a{run}b") == "ab"
    assert steps(lambda: strip(run)) < 100
    assert steps(lambda: hides(run)) < 100
    assert steps(lambda: escape(run)) < 100
    assert steps(lambda: escape(run, one_line=True)) < 100
