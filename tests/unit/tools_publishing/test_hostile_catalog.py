"""One bad manifest is cleaned or set aside, quickly, and costs the others nothing."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import MappingProxyType

import jsonschema_rs
import pytest
from mcp_types import Tool
from mcp_types._v2025_11_25 import Tool as LegacyTool
from mcp_types._v2026_07_28 import Tool as ModernTool

from jecp_mcp.catalog.changes import written
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.domain.offers import Offer
from jecp_mcp.errors import WireError
from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.publishing.cleaning import hides_something
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.tools.schemas.concise_schema import concise
from jecp_mcp.tools.schemas.dialects import Beyond, plain
from jecp_mcp.tools.schemas.gemini import for_gemini
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit
from jecp_mcp.tools.schemas.type_notation import type_notation
from jecp_mcp.tools.types import ToolCard
from tests.steps import steps
from tests.unit.tools_publishing.hostile import CASES as BY_HAND
from tests.unit.tools_publishing.hostile import Case, act
from tests.unit.tools_publishing.hostile_families import FAMILIES, ORDERS
from tests.unit.tools_publishing.test_dialects import check_dialect
from tests.unit.tools_publishing.test_gemini import check_gemini

CASES = BY_HAND + FAMILIES
MEMBER = re.compile(r'// |\}|\{\}$|(?:[A-Za-z_$][\w$]*|"(?:[^"\\]|\\.)*"|\[name\])\??: ')
"""How a line of the type notation begins."""
BATCH = 25
batches = pytest.mark.parametrize(
    "cases", [pytest.param(CASES[at : at + BATCH], id=CASES[at].name) for at in range(0, len(CASES), BATCH)]
)
"""So many cases are one test; one that fails is named in the failure's note."""


@contextmanager
def named(case: Case) -> Iterator[None]:
    try:
        yield
    except BaseException as exc:
        exc.add_note(f"the case is {case.name}")
        raise


GOOD = act("good", {"type": "object", "properties": {"text": {"type": "string"}}}, capability="good/one", payee="good")


def publish(*actions: Offer) -> ToolRegistry:
    registry = ToolRegistry(ToolSettings(mode="direct"))
    registry.publish(Catalog("r", MappingProxyType({action.key: action for action in actions})))
    return registry


def check_card(card: ToolCard) -> None:
    """What every host takes, whatever the provider wrote."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,48}", card.name)
    assert not card.name.lower().startswith("jecp_")
    whole = {
        "name": card.name,
        "description": card.description,
        "inputSchema": card.input_schema,
        "title": card.title,
        "_meta": card.meta,
    }
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False)
    assert not hides_something(text)
    text.encode("utf-8")
    assert "x-mcp-header" not in text
    assert len(json.dumps(card.input_schema).encode()) <= 64 * 1024
    assert len(card.description) < 1_000
    assert card.description.count("«") <= 1
    assert card.input_schema["type"] == "object"
    assert not {"oneOf", "anyOf", "allOf", "not", "enum", "const", "$ref", "$schema", "$id"} & set(card.input_schema)
    notation = type_notation(concise(card.input_schema, card.name)) or "{}"
    assert not hides_something(notation)
    assert all(map(MEMBER.match, notation.split("\n"))), "no stranger's word begins a line of its own"
    for tool in (Tool, LegacyTool, ModernTool):
        tool.model_validate_json(json.dumps(whole))
    jsonschema_rs.validator_for(dict(card.input_schema))
    jsonschema_rs.validator_for(dict(card.input_schema), pattern_options=jsonschema_rs.RegexOptions(), offline=True)
    for ref in re.findall(r'"\$ref": "([^"]*)"', text):
        assert ref.startswith("#")


def test_there_are_enough_of_them_and_each_has_its_own_name():
    assert len(CASES) >= 400
    assert len({case.name + case.action.key for case in CASES}) == len(CASES)


@batches
def test_each_is_cleaned_or_set_aside_and_its_neighbour_served(cases: Sequence[Case]):
    for case in cases:
        with named(case):
            check_case(case)


def check_case(case: Case) -> None:
    registry = publish(case.action, GOOD)
    cards = {card.name: card for card in registry.cards}
    assert "good_one_run" in cards
    for card in registry.cards:
        check_card(card)
    aside = case.action.key in registry.quarantined
    assert len(cards) == (1 if aside else 2)
    if case.published is not None:
        assert aside is not case.published, registry.quarantined
    if aside:
        reason = registry.quarantined[case.action.key]
        assert 0 < len(reason) < 200
        assert not hides_something(reason)


@pytest.mark.slow
def test_none_takes_many_steps_to_clean_and_none_many_to_pin():
    def pin(case: Case) -> None:
        with suppress(WireError):
            written(case.action)

    def reduce(case: Case) -> None:
        if not isinstance(made := fit(case.action.input_schema), Unfit):
            plain(made.schema)

    for work, most in ((lambda case: publish(case.action), 150_000), (reduce, 150_000), (pin, 1_000)):
        for case in CASES:
            assert steps(partial(work, case)) < most, case.name


@batches
def test_each_that_is_published_is_in_the_dialect_of_every_host_or_bought_by_call(cases: Sequence[Case]):
    for case in cases:
        with named(case):
            check_reduced(case)


def check_reduced(case: Case) -> None:
    made = fit(case.action.input_schema)
    if isinstance(made, Unfit):
        return
    reduced = plain(made.schema)
    if isinstance(reduced, Beyond):
        assert not hides_something(reduced.reason)
    else:
        check_dialect(reduced)
        jsonschema_rs.validator_for(reduced)
        less = for_gemini(reduced)
        if not isinstance(less, Beyond):
            check_gemini(less)


@pytest.mark.parametrize("case", [one for one in FAMILIES if one.name.startswith("order-")], ids=lambda case: case.name)
def test_no_order_reaches_the_model(case: Case):
    text = ORDERS[int(case.name.split("-")[1])]
    for card in publish(case.action).cards:
        shown = json.dumps([card.description, card.title, card.input_schema], ensure_ascii=False)
        assert text.casefold() not in shown.casefold()


def test_all_of_them_together_leave_the_good_ones_served_under_names_of_their_own():
    registry = publish(*(case.action for case in CASES), GOOD)
    names = [card.name for card in registry.cards]
    assert len({name.lower() for name in names}) == len(names)
    assert "good_one_run" in names
    for card in registry.cards:
        published = registry.resolve(card.name)
        assert published is not None
        assert registry.name_of(published.action) == card.name
        assert registry.find(published.action.key) is published.action
    wanted = {case.action.key for case in CASES if case.published is False}
    assert wanted <= set(registry.quarantined)
