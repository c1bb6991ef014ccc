"""The official JSON Schema test suite: nothing valid is refused, and what is invalid and passes is said to be unchecked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jecp_mcp.tools.schemas.arguments import ArgumentCheck
from jecp_mcp.tools.schemas.concise_schema import concise
from jecp_mcp.tools.schemas.publishable_schema import Fitted, Unfit, fit
from tests.lacking import lacking
from tests.unit.tools_publishing.suite import DRAFTS, Case, archive, cases

HIDDEN_KEY = "a form feed in a key does not show, so the model could neither read the key nor write it"
REMOTE_META = "the metaschema that takes their meaning from keywords is remote, and never fetched"
STRICTER = {
    "draft4/properties.json: properties with escaped characters: object with all numbers is valid": HIDDEN_KEY,
    "draft4/required.json: required with escaped characters: object with all properties present is valid": HIDDEN_KEY,
    "draft7/properties.json: properties with escaped characters: object with all numbers is valid": HIDDEN_KEY,
    "draft7/required.json: required with escaped characters: object with all properties present is valid": HIDDEN_KEY,
    "draft2019-09/properties.json: properties with escaped characters: object with all numbers is valid": HIDDEN_KEY,
    "draft2019-09/required.json: required with escaped characters: object with all properties present is valid": HIDDEN_KEY,
    "draft2020-12/properties.json: properties with escaped characters: object with all numbers is valid": HIDDEN_KEY,
    "draft2020-12/required.json: required with escaped characters: object with all properties present is valid": HIDDEN_KEY,
    "draft2019-09/vocabulary.json: schema that uses custom metaschema with with no validation vocabulary: "
    "no validation: invalid number, but it still validates": REMOTE_META,
    "draft2020-12/vocabulary.json: schema that uses custom metaschema with with no validation vocabulary: "
    "no validation: invalid number, but it still validates": REMOTE_META,
}
"""Every valid case that is refused, and why."""

UNSAID = {
    "draft4/optional/zeroTerminatedFloats.json: some languages do not distinguish between different types of numeric "
    "value: a float is not an integer even without fractional part": "later drafts say the opposite, and so do most readers"
}
"""Every invalid case that passes without a word, and why."""


@pytest.fixture(scope="module")
def source(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    try:
        return archive(pytestconfig.cache.mkdir("json-schema-test-suite"))
    except (OSError, subprocess.SubprocessError) as exc:
        lacking(f"the JSON Schema test suite cannot be downloaded: {exc}", "REQUIRE_SCHEMA_SUITE")


def checked(source: Path, draft: str) -> Iterator[tuple[Case, Fitted | Unfit, bool, bool]]:
    """Every case with what is published for it, whether its value passes, and whether something is left unchecked."""
    schema, made, check = None, Unfit(""), None
    for case in cases(source, draft):
        if case.schema is not schema:
            schema, made = case.schema, fit(case.schema)
            check = None if isinstance(made, Unfit) else ArgumentCheck(made.schema)
        if isinstance(made, Unfit) or check is None:
            yield case, made, False, False
        else:
            found = check(case.arguments)
            # What had to be read otherwise than it was sent is refused as it stands.
            passes = not found.problems and json.dumps(found.arguments) == json.dumps(case.arguments)
            yield case, made, passes, bool(made.lost or made.unchecked or found.left)


@pytest.mark.slow
@pytest.mark.parametrize("draft", DRAFTS)
def test_nothing_valid_is_refused_and_nothing_invalid_passes_unsaid(source: Path, draft: str) -> None:
    seen = list(checked(source, draft))
    stricter = {case.name for case, _, passes, _ in seen if case.valid and not passes}
    unsaid = {case.name for case, _, passes, said in seen if not case.valid and passes and not said}
    looser = sum(passes and not case.valid for case, _, passes, _ in seen)
    print(f"{draft}: {len(seen)} cases, {len(stricter)} stricter, {looser} looser, {len(unsaid)} of them unsaid")
    assert len(seen) > 800
    assert stricter == {name for name in STRICTER if name.startswith(f"{draft}/")}
    assert unsaid == {name for name in UNSAID if name.startswith(f"{draft}/")}


@pytest.mark.slow
@pytest.mark.parametrize("draft", DRAFTS)
def test_what_a_model_reads_takes_whatever_is_taken(source: Path, draft: str) -> None:
    shorter, refused = 0, []
    for case, made, passes, _ in checked(source, draft):
        if isinstance(made, Unfit) or not passes or (short := concise(made.schema)) is made.schema:
            continue
        shorter += 1
        if ArgumentCheck(short)(case.arguments).problems:
            refused.append(case.name)
    assert shorter
    assert refused == []
