from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError


def read(text: bytes | str, **bounds: int) -> object:
    return jsontext.loads(text, **{"max_bytes": 1_000_000, **bounds})


def test_a_fraction_comes_in_exact_and_goes_out_digit_for_digit() -> None:
    value = read(b'{"price":0.1000000000000000000001,"n":5,"e":1E+3}')
    assert value == {"price": Decimal("0.1000000000000000000001"), "n": 5, "e": Decimal("1E+3")}
    assert jsontext.dumps(value) == b'{"price":0.1000000000000000000001,"n":5,"e":1E+3}'


@pytest.mark.parametrize(
    "bad", [b"NaN", b"[Infinity]", b'{"a":-Infinity}', b"", b"{", b"<html>", b"[1,]", b"\xff\xfe1"]
)
def test_what_is_not_json_is_refused_with_a_reason(bad: bytes) -> None:
    with pytest.raises(WireError, match=r"JSON|UTF-8"):
        read(bad)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_a_hundred_thousand_open_brackets_are_refused_without_a_stack(opening: bytes) -> None:
    with pytest.raises(WireError, match="nests deeper"):
        read(opening * 100_000, max_bytes=10_000_000)


def test_the_depth_bound_is_exact_and_brackets_inside_strings_do_not_count() -> None:
    def nested(depth: int) -> bytes:
        return b"[" * depth + b"1" + b"]" * depth

    assert read(nested(64)) is not None
    with pytest.raises(WireError, match="nests deeper than 64"):
        read(nested(65))
    tricky = b'["' + b'[{\\"' * 100 + b'\\\\",' + b"[]," * 100 + b'"]"]'
    assert isinstance(read(tricky), list)
    with pytest.raises(WireError, match="nests deeper"):
        read(b'["]",' * 65 + b"1" + b"]" * 65)


def test_a_number_of_thousands_of_digits_is_refused_whatever_its_kind() -> None:
    assert read(b"1" * 4000) == int("1" * 4000)
    for number in (b"1" * 4001, b"0." + b"1" * 4000, b"1e99999999999999999999999"):
        with pytest.raises(WireError, match="number"):
            read(number)


def test_a_body_over_the_bound_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(WireError, match="longer than 10 bytes"):
        read(b"x" * 11, max_bytes=10)


def test_lone_surrogates_become_replacement_characters_in_keys_and_values() -> None:
    assert read(b'{"\\ud800":["a\\uDFFFb","\\ud83d\\ude00"]}') == {"\ufffd": ["a\ufffdb", "\U0001f600"]}
    assert read('"\ud800"') == "\ufffd"
    assert jsontext.dumps({"a": "\udfff", "d": Decimal("1.5")}) == b'{"a":"\xef\xbf\xbd","d":1.5}'


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    assert read(b"\xef\xbb\xbf[]") == read("\ufeff[]") == []


@pytest.mark.parametrize(
    "bad", [float("nan"), Decimal("NaN"), Decimal("-Infinity"), {1, 2}, {"a": [Decimal(1), object()]}]
)
def test_a_value_json_has_no_word_for_is_refused(bad: object) -> None:
    with pytest.raises(WireError):
        jsontext.dumps({"x": bad})


def test_a_value_without_end_is_refused() -> None:
    loop: list[object] = [Decimal(1)]
    loop.append(loop)
    with pytest.raises(WireError):
        jsontext.dumps(loop)


def test_the_exact_writer_and_the_fast_writer_agree_but_for_the_decimals() -> None:
    value = {"a": 'quote " slash \\ line \n nul \x00 é', "b": [True, None, -5, 1.5, {}, [], ()], "c": {"d": ""}}
    for one in (value, {**value, "like a mark": "\0#"}):
        exact = jsontext.dumps({**one, "z": Decimal("2.50")})
        assert exact == jsontext.dumps(one)[:-1] + b',"z":2.50}'


@pytest.mark.parametrize("text", ["\0#", '"\0#', "\0#,\0#", '"\0#"\0#"', "\\u0000#"])
def test_a_text_like_the_mark_of_an_exact_number_is_no_number(text: str) -> None:
    value = {text: [text, Decimal("2.50"), {"n": text}], "e": Decimal("1E+3")}
    written = jsontext.dumps(value)
    assert jsontext.loads(written, max_bytes=1_000) == value
    assert b"2.50" in written
    assert b"1E+3" in written


def test_plain_leaves_nothing_a_reader_of_plain_json_would_stumble_over() -> None:
    exact = {
        "a": Decimal("0.25"), "b": Decimal("1E+2"), "c": 2**63, "d": -(2**63), "e": Decimal("1E+400"),
        "f": [Decimal("-0.5"), True, None, "x"],
    }  # fmt: skip
    plain = jsontext.plain(exact)
    assert plain == {
        "a": 0.25, "b": 100, "c": "9223372036854775808", "d": -(2**63), "e": "1E+400", "f": [-0.5, True, None, "x"]
    }  # fmt: skip
    assert isinstance(plain["b"], int)
    assert plain["f"][1] is True


def test_a_forgiving_reader_nulls_what_one_stranger_wrote_and_keeps_the_rest() -> None:
    deep = b"[" * 500 + b'"]{"' + b"]" * 500
    text = b'{"good":[1,"[[{"],"deep":' + deep + b',"nan":NaN,"long":' + b"9" * 5_000 + b',"exact":0.10,"end":true}'
    read = jsontext.loads_forgiving(text, max_bytes=100_000, max_depth=8)
    assert read["good"] == [1, "[[{"]
    assert (read["nan"], read["long"], read["end"]) == (None, None, True)
    assert str(read["exact"]) == "0.10"
    inner = read["deep"]
    for _ in range(6):
        [inner] = inner
    assert inner == [None]


@pytest.mark.parametrize("text", [b"[[[[[[", b"]" * 30, b'{"a":' * 30, b"[" * 100 + b"1"])
def test_a_forgiving_reader_still_refuses_what_is_no_json(text: bytes) -> None:
    with pytest.raises(WireError):
        jsontext.loads_forgiving(text, max_bytes=100_000, max_depth=8)


SIXTEEN_MB = 16 * 1024 * 1024
DEEP = b"[" * 70 + b"]" * 70


def of_16_mb(unit: bytes, head: bytes = b"[", tail: bytes = b"1]") -> bytes:
    return head + unit * ((SIXTEEN_MB - len(head) - len(tail)) // len(unit)) + tail


@pytest.mark.parametrize(
    "page",
    [
        of_16_mb(b'\\"', b"[" * 65 + b'"', b""),
        of_16_mb(b'"\\', b"[" * 65, b""),
        of_16_mb(b"[", b"", b""),
        of_16_mb(DEEP + b","),
        of_16_mb(b"[],", b"[" + DEEP + b","),
    ],
    ids=["text without an end", "quotes and escapes", "open", "deep ones", "many beside a deep one"],
)
def test_the_worst_pages_of_16_mb_are_refused_before_anybody_waits(page: bytes) -> None:
    # Each of these took from seconds to hours.
    with pytest.raises(WireError):
        jsontext.loads_forgiving(page, max_bytes=SIXTEEN_MB)


def test_a_page_that_nests_too_deep_beside_a_long_text_is_read() -> None:
    page = b'{"deep":' + DEEP + b',"text":"' + b'\\"[' * 100_000 + b'"}'
    assert jsontext.loads_forgiving(page, max_bytes=len(page))["text"] == '"[' * 100_000


def test_a_collection_of_more_parts_than_any_honest_one_is_refused() -> None:
    page = b"[" + b"1," * jsontext.MAX_MARKS + b"1]"
    with pytest.raises(WireError, match="more than 1000000 commas"):
        jsontext.loads_forgiving(page, max_bytes=len(page))
    with pytest.raises(WireError, match="more than 1000000 commas"):
        jsontext.loads(page, max_bytes=len(page))
    assert len(jsontext.loads(page, max_bytes=len(page), max_marks=None)) == jsontext.MAX_MARKS + 1


MANY = {
    "numbers": b"[" + b"1," * jsontext.MAX_MARKS + b"1]",
    "lists": b"[" + b"[]," * (jsontext.MAX_MARKS // 2) + b"1]",
    "texts": b"[" + b'"",' * jsontext.MAX_MARKS + b"1]",
    "members": b"{" + b'"a":"",' * jsontext.MAX_MARKS + b'"a":1}',
    "text after text": b"[" + b'"""""",' * jsontext.MAX_MARKS + b"]",
}


@pytest.mark.parametrize("kind", MANY)
def test_what_would_take_seconds_to_read_is_refused_before_it_is(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontext, "_decoded", None)
    with pytest.raises(WireError, match="commas and brackets"):
        jsontext.loads(MANY[kind], max_bytes=SIXTEEN_MB)


@given(st.text(alphabet=[*'",[]{}\\a'], max_size=12))
def test_what_stands_in_texts_is_no_mark(text: str) -> None:
    written = jsontext.dumps({text: [text, text]})
    assert jsontext.loads(written, max_bytes=999, max_marks=3) == {text: [text, text]}
    with pytest.raises(WireError):
        jsontext.loads(written, max_bytes=999, max_marks=2)


def test_of_too_many_parts_an_outline_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontext, "MAX_MARKS", 1_000)
    many = b"[" + b"[]," * 30_000 + b"1]"
    text = b'{"a":{"b":[1]},"c":' + many + b',"d":"[,","e":[]}'
    assert jsontext.loads_outline(text, max_bytes=len(text)) == (
        {"a": {"b": [1]}, "c": None, "d": "[,", "e": []},
        False,
    )
    assert jsontext.loads_outline(b'{"c":[1]}', max_bytes=99) == ({"c": [1]}, True)


@pytest.mark.parametrize(
    "text",
    [b"{" + b'"a":1,' * 1_001 + b'"a":1}', b"[" * 9_000 + b"1]", b'{"a":' + b"[" * 2_000, b'{"a":' + b"[]," * 900],
    ids=["many members", "many brackets", "open", "many small ones"],
)
def test_what_has_no_outline_is_refused(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontext, "MAX_MARKS", 1_000)
    monkeypatch.setattr(jsontext, "MAX_OUTLINE", 8_000)
    with pytest.raises(WireError):
        jsontext.loads_outline(text, max_bytes=len(text))


def test_a_number_out_of_range_is_null_to_a_forgiving_reader_and_the_others_stay_exact() -> None:
    assert jsontext.loads_forgiving(b"[1e99999999999999999999,0.10,7]", max_bytes=99) == [None, Decimal("0.10"), 7]
