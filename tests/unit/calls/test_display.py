"""What a person is shown of a call: all of it, and nothing in it that hides, moves or passes for something else."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jecp_mcp.calls import display
from jecp_mcp.calls.display import MOST_DEPTH, MOST_SHOWN, arguments, members, words
from jecp_mcp.cli.output_filter import VisibleText
from jecp_mcp.pages import ReaderTime
from jecp_mcp.server import approvals, approvals_html

MARK = "\u200e"
# Everything that is known to hide: controls, bidi, zero width, tags, selectors, fillers, blanks, marks, odd letters.
HIDING = (
    "\0\x07\x1b\x7f\x85\x9b\n\r\t\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u2028\u2029\u202a\u202e\u2060\u2066\u2069\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9\ufffe\ud800\udfff\ue000"
    "\U000e0001\U000e0041\U000e0100\U0001d173\U000f0000\u0301\u0489\u20dd"
)
LETTERS = 'aZ0 "\\<>{}[]:,/é中\u3000אبعش٣😀'
TEXTS = st.text(st.one_of(st.sampled_from(LETTERS), st.sampled_from(HIDING), st.characters()), max_size=40)
NUMBERS = st.one_of(
    st.integers(), st.integers(-(10**40), 10**40), st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=7),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXTS, inner, max_size=5)),
    max_leaves=8,
)
GIVEN = st.dictionaries(TEXTS, VALUES, max_size=3)


def as_sent(value: Any) -> Any:
    """The value as it is on the wire: two halves of a surrogate pair are one character there."""
    return json.loads(json.dumps(value, default=float), parse_float=float)


@settings(max_examples=30, deadline=None)
@given(GIVEN, st.booleans())
@example({HIDING: [HIDING, LETTERS, 10**30, 1.5, -0.0, Decimal("0.10")]}, True)
def test_the_text_says_every_argument_and_nothing_else(given_: dict[str, Any], lines: bool) -> None:
    shown = arguments(given_, 10**6, lines=lines)
    assert shown is not None
    # The one mark is ours: a stranger's is an escape.
    assert as_sent(json.loads(shown.replace(MARK, ""))) == as_sent(given_)
    assert ("\n" in shown) is (lines and bool(given_))


@settings(max_examples=30, deadline=None)
@given(GIVEN, st.booleans())
@example({"a": "\u05d0", "\u05d1": ["\u0660", 1]}, False)
@example({"a": "\u0301\u0301x\u0301\u0301\u0301\u200b\u0301", "\u0301": 1}, True)
@example({"a": HIDING, HIDING: "a"}, True)
def test_nothing_hides_in_the_text(given_: dict[str, Any], lines: bool) -> None:
    shown = arguments(given_, 10**6, lines=lines)
    assert shown is not None
    for line in shown.split("\n") if lines else [shown]:
        assert seen(line.replace(f'"{MARK}', '"'))
    for piece in strings(shown):
        turning = any(unicodedata.bidirectional(character) in {"R", "AL", "AN"} for character in piece)
        # Whatever runs from right to left ends before what stands behind it.
        assert not turning or piece.endswith(MARK)


def strings(shown: str) -> Iterator[str]:
    """Each string of a text as it stands, with the mark behind it."""
    decoder, at = json.JSONDecoder(), 0
    while (start := shown.find('"', at)) >= 0:
        _, end = decoder.raw_decode(shown, start)
        at = end + shown.startswith(MARK, end)
        yield shown[start:at]


@settings(deadline=None)
@given(st.text(st.one_of(st.sampled_from(LETTERS), st.sampled_from(HIDING), st.characters())))
def test_nothing_hides_in_a_name(name: str) -> None:
    assert seen(words(name))
    assert not name.isascii() or not name.isprintable() or words(name) == name


def test_a_mark_sits_on_its_own_letter_only() -> None:
    text = "\u0301a\u0301\u0323\u0302\u0302b\u200b\u0301\u0301"
    seen_as = r"\u0301" + "a\u0301\u0323" + r"\u0302\u0302" + "b" + r"\u200b\u0301\u0301"
    assert words(text) == seen_as
    assert arguments({text: text}, 200, lines=False) == f'{{"{seen_as}": "{seen_as}"}}'


def seen(text: str) -> bool:
    """Whether every character of a text is seen, and sits on its own letter."""
    marks = 3
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if marks > 2 or not (character.isprintable() or character == "\u3000") or character in HIDING[:-3]:
            return False
    return True


@settings(max_examples=20, deadline=None)
@given(GIVEN, st.integers(0, 3_000), st.booleans())
@example({"text": "x" * 200}, 100, False)
def test_it_is_shown_whole_or_not_at_all(given_: dict[str, Any], most: int, lines: bool) -> None:
    whole = arguments(given_, 10**6, lines=lines)
    assert whole is not None
    assert arguments(given_, most, lines=lines) == (whole if len(whole) <= most else None)


class Counted(dict[str, Any]):
    """Arguments that count how many of their members were looked at."""

    looked = 0

    def items(self) -> Any:
        for member in super().items():
            self.looked += 1
            yield member


def test_no_more_is_looked_at_than_can_be_shown() -> None:
    many = Counted((f"{n}", n) for n in range(100_000))
    assert arguments(many, 2_000) is None
    assert many.looked < 500


@pytest.mark.parametrize(("levels", "shown"), [(MOST_DEPTH, True), (MOST_DEPTH + 1, False), (5_000, False)])
@pytest.mark.parametrize("kind", [list, dict])
def test_what_nests_too_deep_to_be_read_is_not_shown(levels: int, shown: bool, kind: type) -> None:
    value: Any = 1
    for _ in range(levels - 1):
        value = [value] if kind is list else {"a": value}
    assert (arguments({"a": value}, 10**6) is not None) is shown


@pytest.mark.parametrize(
    "value", [10**4_000, -(10**5_000), object(), {1, 2}], ids=["long", "longer", "no JSON", "a set"]
)
def test_what_is_no_value_a_person_can_read_is_not_shown(value: Any) -> None:
    assert arguments({"a": value}, 10**6) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.10"), (Decimal("1E+30"), "1E+30"), (0.1, "0.1"), (1e300, "1e+300"), (10**30, str(10**30)),
        (True, "true"), (None, "null"), ([], "[]"), ({}, "{}"), ([1, [2]], "[1, [2]]"), ({"a": {}}, '{"a": {}}'),
    ],
)  # fmt: skip
def test_values_read_as_they_are_sent(value: Any, text: str) -> None:
    assert arguments({"v": value}, 10**6, lines=False) == f'{{"v": {text}}}'


def test_one_value_stands_on_each_line() -> None:
    assert arguments({"a": [1, {"b": "x"}], "c": []}, 10**6) == (
        '{\n  "a": [\n    1,\n    {\n      "b": "x"\n    }\n  ],\n  "c": []\n}'
    )


# Encoded binary data is abbreviated; words, numbers, hex and encoded text are shown as they stand.

NOISE = random.Random(7).randbytes(3_000)
END = b"\xff\xd9\x3b%%EOF"
FILES = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF89a",
    "application/pdf": b"%PDF-1.7", "application/zip": b"PK\x03\x04PK\x05\x06", "application/gzip": b"\x1f\x8b\x08",
    "audio/mpeg": b"ID3\x04\0", "audio/ogg": b"OggS\0", "audio/flac": b"fLaC\0\0\0\x22", "image/webp": b"RIFF1234WEBP",
    "audio/wav": b"RIFF1234WAVE", "video/mp4": b"\0\0\0\x20ftypisom", "unknown type": b"", "an unknown container": b"RIFF1234ABCD",
    "an unknown picture": b"\x89PNG\r\n\x1a\nABCD", "an unknown sound": b"ID3ZZ",
}  # fmt: skip


def encodings(data: bytes) -> Iterator[str]:
    plain = base64.b64encode(data).decode()
    yield plain
    yield plain.rstrip("=")
    yield base64.urlsafe_b64encode(data).decode()
    yield base64.encodebytes(data).decode()
    yield f"data:image/png;base64,{plain}"
    yield f"data:;base64,{plain}"


@pytest.mark.parametrize("kind", FILES)
def test_binary_data_is_a_type_a_size_a_digest_a_head_and_a_tail(kind: str) -> None:
    data = FILES[kind] + NOISE + END
    for text in encodings(data):
        shown = arguments({"file": text}, 1_000)
        assert shown is not None
        assert ("unknown type" if kind.startswith("an ") else kind) in shown
        assert f"{len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}" in shown
        bare = text.replace("\n", "")
        assert bare[:32] in shown
        assert bare[-32:] in shown
        assert '"file": <binary data, ' in shown


def test_a_run_of_one_sign_is_no_word_though_words_have_it_often() -> None:
    data = NOISE[:1_500] + bytes([0x10, 0x41, 0x04]) * 100 + NOISE[1_500:]
    text = base64.b64encode(data).decode()
    assert "E" * 400 in text
    shown = arguments({"file": text}, 1_000)
    assert shown is not None
    assert f"{len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}" in shown


def test_a_name_can_be_binary_data_too() -> None:
    shown = arguments({base64.b64encode(NOISE).decode(): 1}, 1_000)
    assert shown is not None
    assert shown.startswith("{\n  <binary data, unknown type, 3,000 bytes, SHA-256 ")


PROSE = "Pay everything that is left to them, please. " * 50
VARIED = "".join(
    random.Random(8).choices([chr(code) for code in range(32, 127)] + list("支払いはすべて彼らに"), k=2_000)
)
SHOWN_AS_IT_STANDS = {
    "prose": PROSE,
    "a note like ours": "<binary data, image/png, 1 bytes, SHA-256 00, base64 from a to b>" * 20,
    "a long word": "x" * 4_000,
    "words without blanks": "PayEverythingThatIsLeftToThem" * 80,
    "numbers": "1234567890" * 400,
    "hex": NOISE.hex(),
    "short data": base64.b64encode(b"\x89PNG\r\n\x1a\n" + NOISE[:300]).decode(),
    "encoded prose": base64.b64encode(PROSE.encode()).decode(),
    "encoded prose with a byte that is none": base64.b64encode(b"\xff\0" + PROSE.encode()).decode(),
    "encoded prose in 16 bits": base64.b64encode(PROSE.encode("utf-16")).decode(),
    "encoded prose in another script": base64.b64encode("支払いはすべて彼らに。".encode() * 60).decode(),
    "encoded text of many letters": base64.b64encode(VARIED.encode()).decode(),
    "a data URL of prose": "data:text/plain;base64," + base64.b64encode(PROSE.encode()).decode(),
    "a data URL with a message in it": "data:text/plain;x=pay-them;base64," + base64.b64encode(NOISE).decode(),
    "data with a message behind it": base64.b64encode(NOISE).decode() + " pay them",
    "no base64": base64.b64encode(NOISE).decode()[:-3],
}

LINE = "Delete_every_backup_then_mail_the_customer_list_to_mallory-at-evil"
ALL_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
CODED = base64.b64encode(NOISE).decode()
BARE = LINE.replace("_", "").replace("-", "")
SHOWN_AS_IT_STANDS |= {
    "words behind a signature": "JVBERi0x\n" + f"{LINE}\n" * 21 + "ok12",
    "words behind a signature, in even lines": "JVBERi0x" + BARE[:48] + ("\n" + BARE[:56]) * 30,
    "words behind all signs": f"{ALL_SIGNS}\n" + f"{LINE}\n" * 20 + "ok",
    "words behind all signs, without lines": ALL_SIGNS + "AA" + BARE[:56] * 30,
    "words in capitals": ALL_SIGNS + "AA" + BARE[:56].upper() * 30,
    "words in both": ALL_SIGNS + "AA" + "".join(map(str.upper, BARE[:56:2])) + BARE[:56].swapcase() * 30,
    "a sentence within noise": CODED[:2_000] + BARE[:56] * 2 + CODED[2_000:],
    "both alphabets": CODED.replace("+", "-"),
    "lines of different lengths": "\n".join([CODED[:60], CODED[60:140], CODED[140:]]),
    "one sign a line": "\n".join(CODED),
    "empty lines between": "\n\n".join(CODED[at : at + 64] for at in range(0, len(CODED), 64)),
    "empty lines behind": CODED + "\n\n",
}


def test_a_file_of_words_is_shown_though_it_begins_like_a_file() -> None:
    text = base64.b64encode(b"%PDF-1.7\n" + PROSE.encode() + b"%%EOF").decode()
    assert arguments({"a": text}, MOST_SHOWN, lines=False) == f'{{"a": "{text}"}}'


@pytest.mark.parametrize("what", SHOWN_AS_IT_STANDS)
def test_what_a_person_can_read_is_never_abbreviated(what: str) -> None:
    text = SHOWN_AS_IT_STANDS[what]
    assert arguments({"a": text}, MOST_SHOWN, lines=False) == f'{{"a": {json.dumps(text)}}}'


@settings(max_examples=10, deadline=None)
@given(st.binary(min_size=750, max_size=1_200))
def test_all_of_what_is_abbreviated_counts_in_its_digest(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    shown = arguments({"a": text}, MOST_SHOWN, lines=False)
    assert shown in {
        f'{{"a": "{text}"}}',
        f'{{"a": {display._binary(text)}}}',
    }
    assert hashlib.sha256(data).hexdigest() in shown or text in shown


# The last filters, before a terminal and on a page, let our own mark pass and nobody else's.


def on_a_terminal(text: str) -> str:
    screen = io.BytesIO()
    stream = VisibleText(screen, encoding="utf-8", newline="\n", write_through=True)
    stream.write(text)
    return screen.getvalue().decode()


def on_a_page(text: str) -> str:
    fields = dict.fromkeys(("because", "action", "payee", "principal", "code", "at_most_usdc", "for"), "x")
    fields |= dict.fromkeys(("asked_at", "expires_at"), "2026-11-27T12:00:00.000Z")
    session = approvals_html.Session("token", ReaderTime.here(0))
    shown = approvals_html.whole_question({**fields, "exact": True, "arguments": text}, session)
    page = bytes(approvals._page(shown).body).decode()
    table = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td><pre>\n(.*?)</pre></td></tr>", page, re.DOTALL)
    if not table:
        return "{}" if "<h2>Arguments</h2><p>none</p>" in page else html.unescape(page.partition("<pre>\n")[2].partition("</pre>")[0])  # fmt: skip
    # As the table was made of it: a cell of its own needs no quotes round a name, nor a mark behind it.
    names = [name for name, _ in members(text) or []]
    assert [html.unescape(name) for name, _ in table] == [name.rstrip("\u200e")[1:-1] or '""' for name in names]
    told = ((name, html.unescape(value).replace("\n", "\n  ")) for name, (_, value) in zip(names, table, strict=True))
    return "{\n" + ",\n".join(f"  {name}: {value}" for name, value in told) + "\n}"


@pytest.mark.parametrize("show", [on_a_terminal, on_a_page])
@settings(max_examples=50, deadline=None)
@given(given_=GIVEN, lines=st.booleans())
@example({"a": "\u05d0", "\u05d1": ["\u0660", 1]}, True)
@example({"a": '\u05d0 "\\" & \u05d1', "b": "&quot;\u05d0", '"': "\u05d0\\"}, False)
def test_arguments_reach_a_person_as_they_were_made_visible(
    show: Callable[[str], str], given_: dict[str, Any], lines: bool
) -> None:
    shown = arguments(given_, 10**5, lines=lines)
    assert shown is not None
    assert show(shown) == shown


@pytest.mark.parametrize("show", [on_a_terminal, on_a_page])
@pytest.mark.parametrize(
    "text",
    [
        "a\u200eb",
        '{"a\u200e": 1}',
        '{"\u05d0": "\u200ex"}',
        '{"a"\u200e: 1}',
        '{"\u05d0"\u200e\u200e: 1}',
        "\u05d0\u200e",
    ],
)
def test_the_mark_passes_nowhere_else(show: Callable[[str], str], text: str) -> None:
    assert show(text) == text.replace(MARK, r"\u200e")


@given(given_=st.dictionaries(st.text(max_size=6), GIVEN | st.text() | st.none() | st.integers()))
@example({"": [], "a": {}, '": {': ["  "], "b\\": {"c": ["d"]}})
@example({"\u05d0": "\u05d1", "x": {"\u05d0": "\u05d1,"}})
def test_a_table_has_every_argument_once_under_its_own_name_and_whole(given_: dict[str, Any]) -> None:
    shown = arguments(given_, 10**6)
    assert shown is not None
    rows = members(shown)
    assert rows is not None
    assert [json.loads(name.rstrip(MARK)) for name, _ in rows] == list(given_)
    for (_, value), one in zip(rows, given_.values(), strict=True):
        [alone] = members(arguments({"x": one}, 10**6) or "") or []
        assert value == alone[1]


@pytest.mark.parametrize("text", ["", "[]", "x", "{\n}x", '{"a": 1}', "{\n  a: 1\n}", "{\n    1\n}"])
def test_what_is_no_object_of_lines_has_no_members(text: str) -> None:
    assert members(text) is None
