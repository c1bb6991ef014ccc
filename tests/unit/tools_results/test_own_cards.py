import json

import pytest

from jecp_mcp.tools.own.definitions import OWN, by_name, own_cards
from jecp_mcp.tools.types import ToolCard

NAMED = [f"https://shop-{number}.example.com" for number in range(12)]
LONG = [f"https://{letter * 60}.example.com/{letter * 60}" for letter in "abcdefghijkl"]
ENDLESS = ["https://api.example.com/" + "x" * 400]


def cards(merchants: list[str]) -> list[ToolCard]:
    return [card for card in own_cards(registered=True, merchants=merchants) if card.name.startswith("paid_http_")]


@pytest.mark.parametrize("merchants", [NAMED[:1], NAMED, LONG, ENDLESS], ids=["one", "many", "long", "endless"])
def test_each_tool_that_pays_merchants_takes_little_of_a_prompt_whoever_is_listed(merchants: list[str]) -> None:
    found = cards(merchants)
    assert [card.name for card in found] == ["paid_http_prepare", "paid_http_execute", "paid_http_result"]
    for card in found:
        told = {"name": card.name, "description": card.description, "inputSchema": card.input_schema}
        assert len(json.dumps(told)) / 4 <= 350


@pytest.mark.parametrize(
    ("merchants", "said"),
    [
        (NAMED[:2], "Listed: https://shop-0.example.com, https://shop-1.example.com."),
        (NAMED, "https://shop-7.example.com and 4 more."),
        (LONG, f"Listed: {LONG[0]}, {LONG[1]} and 10 more."),
        (ENDLESS, "Listed: 1, too long to be named here."),
    ],
)
def test_the_model_is_told_whom_it_may_buy_from(merchants: list[str], said: str) -> None:
    assert cards(merchants)[0].description.endswith(said)


def test_only_where_there_are_several_hubs_do_tools_take_one() -> None:
    alone, several = own_cards(registered=False), own_cards(registered=False, hubs=("hub", "eu"))
    assert own_cards(registered=False, hubs=()) == alone
    changed = {
        one.name: other.input_schema["properties"].keys() - one.input_schema["properties"].keys()
        for one, other in zip(alone, several, strict=True)
        if one != other
    }
    assert changed == {"jecp_register": {"hub"}, "jecp_topup": {"hub"}, "jecp_wallet": set()}
    assert by_name() == OWN
    [topup] = [one for one in several if one.name == "jecp_topup"]
    assert topup.input_schema["properties"]["hub"]["enum"] == ["hub", "eu"]
    assert by_name(("hub", "eu"))["jecp_topup"] == topup
