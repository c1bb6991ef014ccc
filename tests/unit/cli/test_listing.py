"""Tables, records and facts at every width: whole ids, no lost word, and the same words with and without colours."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest

from jecp_mcp.cli import rich_output
from jecp_mcp.cli.offer_words import price, purpose
from jecp_mcp.cli.rich_output import Column, Facts, Listing

CALL = "call_52db06976cbb5fca1f11808ab6fa5055"
TRANSACTION = "f13d93e0-2a79-40f7-8da7-b37fd474d614"
WORDS = "Shrink an image into a square, or crop it to fill the square"
COLUMNS: list[Column] = [
    ("call", "left"),
    ("state", "left"),
    ("USDC", "right"),
    ("transaction", "spare"),
    ("does", "prose"),
]
ROWS = [(CALL, rich_output.state("settled"), "0.05", TRANSACTION, WORDS), (CALL[::-1], "in_doubt", "12.5", "", "")]
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

Look = Callable[..., str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """What a terminal of a width shows, its escapes too; None is a pipe."""

    def seen(part: Listing | Facts, width: int | None, **environ: str) -> str:
        stream = io.StringIO() if width is None else Terminal()
        with monkeypatch.context() as patch:
            for name, value in {
                "TERM": "xterm-256color",
                "COLUMNS": str(width or 80),
                "NO_COLOR": "",
                **environ,
            }.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdout", stream)
            rich_output.show(part)
        return stream.getvalue()

    return seen


@pytest.mark.parametrize("width", [20, 40, 80, 100, 120, 160, None])
def test_every_id_is_whole_and_every_word_there_at_any_width(look: Look, width: int | None) -> None:
    shown = ESCAPES.sub("", look(Listing("Calls", COLUMNS, ROWS), width))
    assert shown.startswith("Calls\n")
    for whole in (CALL, CALL[::-1], "settled", "in_doubt", "0.05", "12.5"):
        assert whole in shown
    for word in WORDS.split():
        assert word in shown, word
    lines = shown.splitlines()
    assert all(line == line.rstrip() for line in lines)
    # Only what cannot be broken may be wider than the terminal.
    assert all(len(line) <= (width or 1_000) or " " not in line.strip() for line in lines)


def test_a_narrow_terminal_has_records_a_wider_one_a_table_and_a_wide_one_all_of_it(look: Look) -> None:
    narrow, table, wide, pipe = (
        ESCAPES.sub("", look(Listing(None, COLUMNS, ROWS), width)) for width in (60, 80, 160, None)
    )
    assert narrow.splitlines()[:3] == [CALL, "  state        settled", "  USDC         0.05"]
    assert f"  transaction  {TRANSACTION}" in narrow
    assert re.search(rf"^{CALL}  settled   +0\.05  Shrink", table, re.MULTILINE)
    assert TRANSACTION not in table
    for shown in (wide, pipe):
        assert re.search(rf"^{CALL}  settled   +0\.05  {TRANSACTION}  {WORDS[:20]}", shown, re.MULTILINE)
    assert WORDS in pipe
    # Amounts stand one under the other.
    assert {
        line.index(amount) + len(amount) for amount in ("0.05", "12.5") for line in table.splitlines() if amount in line
    } == {table.splitlines()[0].index("USDC") + 4}


def test_a_column_that_says_nothing_takes_no_room(look: Look) -> None:
    rows = [(one[0], one[1], one[2], "", "") for one in ROWS]
    assert "transaction" not in look(Listing(None, COLUMNS, rows), 160)
    assert "does" not in look(Listing(None, COLUMNS, rows), 20)


def test_a_list_without_rows_has_its_headings(look: Look) -> None:
    assert "transaction" in look(Listing(None, COLUMNS, []), 160)


@pytest.mark.parametrize("width", [20, 40, 80, None])
def test_facts_are_whole_and_what_is_not_known_is_left_out(look: Look, width: int | None) -> None:
    shown = ESCAPES.sub("", look(Facts({"call": CALL, "does": WORDS, "left": None, "note": "", "calls": 0}), width))
    assert CALL in shown
    assert "left" not in shown
    assert "note" not in shown
    assert re.search(r"^calls +0$", shown, re.MULTILINE)
    assert " ".join(shown.split()).count(WORDS[:6]) == 1


@pytest.mark.parametrize("part", [Listing("Calls", COLUMNS, ROWS), Facts({"state": rich_output.state("in_doubt")})])
@pytest.mark.parametrize("width", [40, 160])
def test_colours_only_repeat_what_the_words_say(look: Look, part: Listing | Facts, width: int) -> None:
    coloured = look(part, width)
    assert "\x1b[" in coloured
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = look(part, width, **environ)
        assert "\x1b" not in plain
        assert plain.split() == ESCAPES.sub("", coloured).split()


def test_a_strangers_markup_is_text(look: Look) -> None:
    shown = look(Listing("[bold]x[/]", [("tool", "left")], [("[red]:smile:[/red]",)]), None)
    assert "[bold]x[/]" in shown
    assert "[red]:smile:[/red]" in shown


@pytest.mark.parametrize(
    ("description", "does"),
    [
        ("Make an invoice PDF (A4). Sums are worked out.", "Make an invoice PDF (A4)"),
        ("Convert amounts, e.g. USD to EUR. Fast.", "Convert amounts, e.g. USD to EUR"),
        ("Turn v1.0 into v2.0", "Turn v1.0 into v2.0"),
        ("Is it prime? Says yes or no.", "Is it prime"),
        ("", "Render"),
    ],
)
def test_what_a_thing_does_is_the_first_sentence_of_its_description(description: str, does: str) -> None:
    assert purpose(description, "Render") == does


@pytest.mark.parametrize(
    ("amount", "metered", "words"),
    [
        ("0.05", False, "0.05"),
        ("0.05", True, "metered"),
        ("0.00", False, "free"),
        ("0", False, "free"),
        (None, False, "unknown"),
    ],
)
def test_a_price_is_a_figure_or_a_word(amount: str | None, metered: bool, words: str) -> None:
    assert price(amount, metered=metered) == words
