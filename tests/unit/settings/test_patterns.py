"""A glob that can match nothing is refused at the start: a deny with a typo must not let everything through."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import load_settings
from jecp_mcp.settings.patterns import Over, can_match, check_pattern, ids_of, means_source, within

KEYS = st.from_regex(r"\A([a-z][a-z0-9-]{0,4}/)?[a-z][a-z0-9-]{0,4}:[a-z][a-z0-9-]{0,4}\Z")
CAPABILITIES = st.from_regex(r"\A([a-z][a-z0-9-]{0,4}/)?[a-z][a-z0-9-]{0,4}\Z")
TOOLS = st.from_regex(r"\A[a-z][a-z0-9_-]{0,9}\Z")
GLOBS = st.text(alphabet="abz09-/:_*?[]!@A. ", min_size=1, max_size=9)

NOTHING = [
    "Docs/*",
    "docs/pdf@1.0.0",
    "docs/pdf@1.0.0:merge",
    "docs/*:*@2.0.0",
    " docs/*",
    "docs/pdf:",
    "docs/pdf:merge:all",
    "a/b/c",
    "docs//pdf",
    "https://docs.example/*",
    "${DENY}",
    "[A-Z]*",
    "docs.pdf",
    "docs/[",
    "docs/PDF:*",
]
SOMETHING = ["*", "docs/*", "docs/pdf", "docs/pdf:*", "*:merge", "docs_pdf_merge", "docs_*", "?*", "[!a]*", "*/*", "d[o]cs/*", "**", "[!]a]b", "[]a]b", "[ab]c[de]"]  # fmt: skip


def keys_of(text: str) -> list[tuple[str, str]]:
    written = f'"{text}"'
    return [
        ("mandate.allow[0]", f"[mandate]\nallow = [{written}]\n"),
        ("mandate.deny[0]", f"[mandate]\ndeny = [{written}]\n"),
        ("mandate.limits[0].match", f'[[mandate.limits]]\nmatch = {written}\ndaily_usdc = "1"\n'),
        ("tools.pinned[0]", f"[tools]\npinned = [{written}]\n"),
        ("catalog.only[0]", f"[catalog]\nonly = [{written}]\n"),
        ("catalog.without[0]", f"[catalog]\nwithout = [{written}]\n"),
    ]


@pytest.mark.parametrize("pattern", NOTHING)
def test_a_pattern_that_can_match_nothing_is_refused_wherever_it_stands(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "given.toml"
    for key, text in keys_of(pattern):
        path.write_text(text)
        with pytest.raises(SettingsError, match="matches no action there can be") as caught:
            load_settings(path, environ={})
        assert caught.value.key == key


@pytest.mark.parametrize("pattern", SOMETHING)
def test_a_pattern_that_can_match_something_is_taken(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "given.toml"
    path.write_text(f'[mandate]\ndeny = ["{pattern}"]\n')
    assert load_settings(path, environ={}).mandate.deny == (pattern,)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("Docs/*", "docs/*"),
        ("docs/pdf@1.0.0", "docs/pdf"),
        ("docs/pdf@1.0.0:merge", "docs/pdf:merge"),
        (" docs/* ", "docs/*"),
    ],
)
def test_what_was_meant_is_said_where_it_can_be_guessed(tmp_path: Path, pattern: str, meant: str) -> None:
    with pytest.raises(SettingsError, match="did you mean") as caught:
        load_settings(environ={"JECP_MCP_CONFIG": "/dev/null", "JECP_MCP_MANDATE__DENY": f'["{pattern}"]'})
    assert f'did you mean "{meant}"?' in caught.value.reason


def test_a_tool_s_name_is_no_pattern_of_the_catalog_and_a_capability_no_pin(tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    assert can_match("*/*", Over.KEYS_AND_TOOLS)
    for text in ('[catalog]\nwithout = ["docs_pdf"]\n', '[tools]\npinned = ["docs/pdf"]\n'):
        path.write_text(text)
        with pytest.raises(SettingsError, match="matches no action there can be"):
            load_settings(path, environ={})


@given(GLOBS, st.one_of(KEYS, CAPABILITIES, TOOLS))
def test_no_pattern_is_said_to_match_nothing_that_matches_a_name(pattern: str, name: str) -> None:
    if fnmatchcase(name, pattern):
        assert can_match(pattern, Over.EVERY_NAME)


@given(st.one_of(KEYS, CAPABILITIES), st.data())
def test_whatever_is_made_of_a_name_by_wildcards_can_match(name: str, data: st.DataObject) -> None:
    holes = data.draw(st.lists(st.sampled_from(["?", "*", None]), min_size=len(name), max_size=len(name)))
    pattern = "".join(hole or char for hole, char in zip(holes, name, strict=True))
    assert can_match(pattern, Over.IDS)


@given(GLOBS, GLOBS, st.one_of(KEYS, CAPABILITIES, TOOLS, st.text(alphabet="abz-/:_", max_size=6)))
def test_what_a_narrower_pattern_matches_the_wider_one_matches_too(narrow: str, wide: str, name: str) -> None:
    if within(narrow, wide) and fnmatchcase(name, narrow):
        assert fnmatchcase(name, wide)


@pytest.mark.parametrize("pattern", ["docs/pdf:merge:all", "", "@1.0.0"])
def test_nothing_is_guessed_where_nothing_comes_near(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^matches no action .* and without a version$"):
        check_pattern(pattern, Over.EVERY_NAME)


NAME = "[a-z][a-z0-9-]*"
ID = rf"{NAME}(/{NAME})?"
GRAMMARS = {
    Over.IDS: rf"{ID}(:{NAME})?",
    Over.TOOLS: "[a-z][a-z0-9_-]*",
    Over.KEYS_AND_TOOLS: rf"{ID}:{NAME}|[a-z][a-z0-9_-]*",
    Over.SOURCES: "[a-z][a-z0-9]*",
    Over.EVERY_NAME: rf"{ID}(:{NAME})?|[a-z][a-z0-9_-]*|paid-http/[a-z0-9.-]+(:[a-z]+)?",
}
SHORT = ["".join(chars) for length in range(3) for chars in product("a0:./_-", repeat=length)]
LONGER = ["a.b", "a.b:get", "a.b:get:", "ab:", "a.b:g0", "ab/cd:ef", "ab/cd/e", "a:b/c", "a_b:c", ":get"]


@pytest.mark.parametrize("over", GRAMMARS)
def test_a_name_can_be_matched_just_where_it_is_one(over: Over) -> None:
    heads = ("paid-http/", "paid-httq/", "paid-http") if over is Over.EVERY_NAME else ()
    for name in [*SHORT, *LONGER, *(head + name for head in heads for name in [*SHORT[:8], *LONGER])]:
        assert can_match(name, over) is (re.fullmatch(GRAMMARS[over], name) is not None), name


@pytest.mark.parametrize(
    ("narrow", "wide", "surely"),
    [
        ("docs/X", "docs/X*", True), ("docs/*", "*", True), ("[ab]c", "[ab]c", True), ("ab", "a?", False),
        ("ab", "[a]b", False), ("a[b]", "a*", False), ("a?", "a*", True), ("*", "a*", False),
        ("eu::ab", "*", False), ("eu::ab", "eu::*", True), ("eu__ab", "*", False), ("eu__ab", "eu__*", True),
    ],
)  # fmt: skip
def test_a_pattern_is_within_another_only_where_that_is_sure(narrow: str, wide: str, surely: bool) -> None:
    assert within(narrow, wide) is surely


@pytest.mark.parametrize(
    ("pattern", "can"),
    [
        ("eu::docs/*", True), ("*::*", True), ("eu::b[::]c", True), ("EU::docs/*", False), ("eu::Docs/*", False),
        ("e-u::docs/*", False), ("eu::docs_pdf", False), ("::docs/*", False), ("eu::", False), ("a::b::c", False),
    ],
)  # fmt: skip
def test_a_pattern_that_names_a_source_matches_where_both_its_parts_can(pattern: str, can: bool) -> None:
    assert can_match(pattern, Over.EVERY_NAME) is can


@pytest.mark.parametrize(
    ("key", "ids"),
    [
        ("docs/pdf:make", ("docs/pdf:make", "docs/pdf")),
        ("eu::docs/pdf:make", ("eu::docs/pdf:make", "eu::docs/pdf", "docs/pdf:make", "docs/pdf")),
        ("eu::paid-http/a.b:8080:get", ("eu::paid-http/a.b:8080:get", "eu::paid-http/a.b:8080", "paid-http/a.b:8080:get", "paid-http/a.b:8080")),
    ],
)  # fmt: skip
def test_a_key_is_matched_with_its_capability_and_without_the_name_of_its_source(
    key: str, ids: tuple[str, ...]
) -> None:
    assert ids_of(key) == ids


@pytest.mark.parametrize(
    ("pattern", "first", "eu"),
    [
        ("*", True, False), ("docs/*", True, False), ("docs_pdf", True, False),
        ("eu::docs/*", True, True), ("*::*", True, True), ("eu__docs_*", True, True), ("de__docs_*", True, False),
    ],
)  # fmt: skip
def test_an_allow_without_a_name_means_the_first_source_only(pattern: str, first: bool, eu: bool) -> None:
    assert (means_source(pattern, ""), means_source(pattern, "eu")) == (first, eu)
