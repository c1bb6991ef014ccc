"""A pattern that is published compiles wherever it goes, and means there what it meant."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import warnings
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jecp_mcp.tools.schemas.arguments import ArgumentCheck
from jecp_mcp.tools.schemas.publishable_schema import Fitted, fit
from jecp_mcp.tools.schemas.regexes import COMPILED_BYTES, portable
from tests.lacking import lacking

THOROUGH = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(
    ("pattern", "fine"),
    [
        (r"^[a-z0-9]+(?:-[a-z0-9]+)*$", True),
        (r"^\d{4}-\d{2}-\d{2}$", True),
        (r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", True),
        (r"^\p{L}+$", False),
        (r"^#[0-9a-fA-F]{6}$", True),
        (r"[-a]", True),
        ("é+|😀", True),
        ("", True),
        (r"(?=a)b", False),
        (r"(?<!a)b", False),
        (r"(a)\1", False),
        (r"(?i)a", False),
        (r"a**", False),
        (r"a{2,1}", False),
        (r"[z-a]", False),
        (r"[\w-.]", False),
        (r"[", False),
        (r"(", False),
        (r"a)", False),
        ("\\", False),
        (r"(\w{100}){100}", False),
        (r"(?:a|||||){999}", False),
        (r"a(?:)b", True),
        (r"(?:(?:))?", False),
        (r"^\S{1,500}$", True),
        (r"a\-b", True),
        (r"(?<year>\d{4})-(?<month>\d\d)", True),
        (r"(?<n>a)(?<n>b)", False),
        (r"[a\&&b]", False),
        ("a" * 600, False),
        (7, False),
    ],
)
def test_only_patterns_every_engine_reads_alike_are_published(pattern, fine):
    assert (portable(pattern) is not None) is fine


@pytest.mark.parametrize(
    ("pattern", "becomes"),
    [
        (r"^\d{3}\-\d{4}$", r"^\d{3}-\d{4}$"),
        (r"^\@[\w\-\.\_]+\:\#$", r"^@[\w\-\._]+:#$"),
        (r"(?<year>\d{4})/(?<month>\d\d)", r"(\d{4})/(\d\d)"),
        (r"[\-a]\/\\\-", r"[\-a]\/\\-"),
        (r"^[^\s@]+$", r"^[^\s@]+$"),
    ],
)
def test_names_and_needless_backslashes_go(pattern: str, becomes: str) -> None:
    found = portable(pattern)
    assert found is not None
    assert found.pattern == becomes
    again = portable(becomes)
    assert again is not None
    assert again.pattern == becomes


PIECES = [
    *"\\^$.|?*+()[]{}-,019adswbpLu:<>=!&~n é@_/\"'#%`;😀ЀӿÀ",
    r"\-", r"\@", r"\_", r"\S", r"\D", r"\W", r"\s", r"\w", r"\d", r"\b", r"\B", r"\u0430", r"\xe9", r"\p{L}", r"\/", r"\ ", r"\<",
    "(?:", "(?<n>", "(?<m>", "[^", "a-z", "[a-", "{1,500}", "{0,900}", "{30}", "{2,}", "&&", "--", "]", ")", "]+", "[\\S",
]  # fmt: skip
PATTERN = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def linear(pattern: str, limit: int) -> jsonschema_rs.Validator:
    options = jsonschema_rs.RegexOptions(size_limit=limit)
    return jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options, offline=True)


def python(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return re.compile(pattern)


@THOROUGH
@given(PATTERN)
@example("[" + "".join(chr(0x400 + 7 * at) for at in range(240)) + "]{16}")
@example("[" + "".join(rf"\u{0x400 + 37 * at:04x}-\u{0x410 + 37 * at:04x}" for at in range(35)) + "]{50}")
@example(r"[^\s\S]{900}")
@example(r"(?:[\S\D\W]{30}){60}")
def test_every_portable_pattern_compiles_in_a_linear_engine_and_a_backtracking_one(pattern: str) -> None:
    found = portable(pattern)
    if found is not None:
        linear(found.pattern, COMPILED_BYTES)
        jsonschema_rs.validator_for({"pattern": found.pattern})
        python(found.pattern)


@pytest.mark.parametrize("one", [r"\S", r"\W", ".", "[^a]", r"[^\s@]", r"[\u0080-\uffff]", "😀", "(?:é|)", r"[\S\d]"])
def test_whatever_passes_the_bound_of_steps_passes_the_checkers_of_bytes(one: str) -> None:
    most = max(times for times in range(1, 2_001) if portable(f"(?:{one}){{{times}}}"))
    linear(f"(?:{one}){{{most}}}", COMPILED_BYTES)


def test_the_patterns_of_one_schema_are_bounded_together() -> None:
    many: dict[str, Any] = {f"p{at}": {"pattern": rf"^\S{{{at},900}}$"} for at in range(100)}
    made = fit({"properties": many})
    assert isinstance(made, Fitted)
    kept = [name for name in many if "pattern" in made.schema["properties"][name]]
    assert len(made.lost) == len(many) - len(kept)
    assert 4 < len(kept) < 20
    assert ArgumentCheck(made.schema)({kept[0]: "a b"}).problems


NODE = """
const refused = [];
for (const pattern of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    for (const flags of ["u", ""]) try { new RegExp(pattern, flags) } catch (error) { refused.push([pattern, flags]) }
}
console.log(JSON.stringify(refused))
"""


def test_every_portable_pattern_compiles_in_javascript_with_and_without_its_unicode_flag() -> None:
    node = shutil.which("node")
    if node is None:
        lacking("there is no node to compile JavaScript's regular expressions", "REQUIRE_NODE")
    made = random.Random(7)
    texts = ("".join(made.choices(PIECES, k=made.randint(1, 9))) for _ in range(8_000))
    patterns = sorted({found.pattern for text in texts if (found := portable(text)) is not None})
    assert len(patterns) > 500
    run = subprocess.run(
        [node, "-e", NODE], input=json.dumps(patterns), capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(run.stdout) == []
