"""Finding actions by words, parts of words, words misspelt, and names nearly right."""

import pytest

from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.search import Filter, Finder, Index
from jecp_mcp.domain.offers import Deprecation, Offer, Price
from jecp_mcp.money import MicroUSDC
from tests.steps import steps


def action(key: str, price: int | None = 5_000, **more) -> Offer:
    capability, _, name = key.partition(":")
    namespace = capability.partition("/")[0] if "/" in capability else ""
    return Offer(capability, name, namespace, Price(None if price is None else MicroUSDC(price)), **more)


INVOICE = action(
    "acme/billing:make-invoice", title="Invoice PDF", description="Typesets an invoice as PDF.", tags=("pdf", "finance")
)
IMAGE = action("acme/images:resize", 500, description="Scales a picture; mentions invoice once.", tags=("image",))
CSV = action(
    "data-house/tables:analyse-csv",
    20_000,
    description="Statistics of a table.",
    tags=("data", "finance"),
    total_calls=9,
)
FORECAST = action(
    "data-house/series:forecast", None, description="Predicts a time series with intervals.", tags=("data",)
)
OLD = action("acme/old:make-invoice", description="Invoice invoice invoice.", deprecation=Deprecation("sunset"))
JAPANESE = action("nihon/docs:make", description="請求書を作成します")
INDEX = Index([INVOICE, IMAGE, CSV, FORECAST, OLD, JAPANESE])


def keys(query: str, limit: int = 10, **among) -> list[str]:
    return [one.key for one in INDEX.search(query, Filter(**among), limit=limit).actions]


def test_a_name_weighs_more_than_a_mention_and_what_is_no_longer_sold_comes_last():
    assert keys("invoice") == [INVOICE.key, IMAGE.key, OLD.key]


@pytest.mark.parametrize("query", ["text to PDF", "a PDF from text", "text into a PDF"])
def test_what_turns_things_into_what_is_asked_for_comes_before_what_turns_them_into_something_else(query: str):
    words = ("HTML. Raw HTML is shown as text, never passed through", "a Word document of text", "A4 pages")
    html, word, pdf = (
        action(f"docs/convert:markdown-to-{kind}", title=f"Markdown to {kind}", description=said, tags=("pdf", "text"))
        for kind, said in zip(("html", "docx", "pdf"), words, strict=True)
    )
    count = action("stats/text:count", title="Count words", description="Count the words of a text.")
    found = [one.key for one in Index([html, word, count, pdf]).search(query).actions]
    assert found[0] == pdf.key
    assert count.key not in found


def test_scores_fall_from_the_first_hit_on():
    scores = [hit.score for hit in Index([INVOICE, IMAGE, CSV]).search("invoice statistics", weak=True).hits]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("I want to make an invoice please", INVOICE.key),
        ("resiz", IMAGE.key),
        ("analyse csv", CSV.key),
        ("forcast", FORECAST.key),
        ("statistic of tables", CSV.key),
        ("acme/images:resize", IMAGE.key),
        ("PREDICTS", FORECAST.key),
        ("請求書", JAPANESE.key),
        ("作成", JAPANESE.key),
    ],
)
def test_the_action_one_means_is_found_first(query, expected):
    assert keys(query)[0] == expected


def test_filters_hold_for_every_kind_of_search():
    assert keys("invoice", namespace="data-house") == []
    assert set(keys("", namespace="data-house")) == {CSV.key, FORECAST.key}
    assert set(keys("", tags=("finance",))) == {INVOICE.key, CSV.key}
    assert keys("", tags=("finance", "data")) == [CSV.key]
    assert keys("invoice", max_price=MicroUSDC(500)) == [IMAGE.key]


def test_an_unknown_price_is_within_no_price():
    assert FORECAST.key not in keys("", max_price=MicroUSDC(10**12))


def test_without_words_the_most_called_come_first_and_the_limit_holds():
    assert keys("", limit=2)[0] == CSV.key
    assert len(keys("", limit=2)) == 2


@pytest.mark.parametrize(
    "query",
    [
        "'; DROP TABLE entries; --",
        '" OR 1',
        "NEAR(",
        "a*b^c:d -e",
        "\ud800",
        "\x00invoice",
        "💥",
        "x" * 100_000,
        "* AND",
        "{ids}: x",
    ],
)
def test_no_query_breaks_the_search(query):
    assert isinstance(keys(query), list)


def test_actions_full_of_nonsense_are_indexed():
    nasty = action(
        "acme/x:y", title="\ud800\x00", description='"' * 5_000, input_schema={"properties": {"a": 1, "b\ud800": 2}}
    )
    found = Index([nasty, INVOICE]).search("acme").actions
    assert {one.key for one in found} == {nasty.key, INVOICE.key}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme/billing:make-invoce", INVOICE.key),
        ("acme_billing_make-invoice", INVOICE.key),
        ("acme_images_resise", IMAGE.key),
        ("analyze-csv", CSV.key),
        ("forecast", FORECAST.key),
    ],
)
def test_the_nearest_key_to_a_wrong_name_is_told(text, expected):
    assert INDEX.nearest(text)[0] == expected


@pytest.mark.parametrize("text", ["", "zzzzqqqq", "\ud800", '"'])
def test_nothing_near_is_nothing(text):
    assert INDEX.nearest(text) == []


def test_the_finder_follows_the_catalog_and_indexes_once():
    catalogs = [Catalog("1", {INVOICE.key: INVOICE}), Catalog("2", {CSV.key: CSV})]
    finder = Finder(lambda: catalogs[0])
    assert finder.search("finance").actions == [INVOICE]
    assert finder._index() is finder._index()
    catalogs.pop(0)
    assert finder.search("finance").actions == [CSV]
    assert finder.nearest("data-house/tables:analyze-csv", limit=1) == [CSV]


def test_indexing_takes_as_many_steps_for_each_action_whether_there_are_forty_or_a_thousand():
    many = [
        action(
            f"ns{i % 40}/cap-{i}:act-{i % 7}",
            title=f"Action {i}",
            description=f"does thing number {i} " * 10,
            tags=("t", "u"),
        )
        for i in range(1_000)
    ]
    for count in (40, 1_000):
        assert steps(lambda some=many[:count]: Index(some).search("thing", limit=1)) < 750 * count


TABLE = action(
    "acme/table:profile",
    description="Looks at each column.",
    output_schema={"type": "object", "properties": {"columns": {"type": "array", "items": {"properties": {"outliers": {}}}}}},
)  # fmt: skip
DISTANCE = action(
    "acme/measure:turn",
    description="Gives the same in another measure.",
    input_schema={"type": "object", "properties": {"of": {"enum": ["mi", "km", "ft"]}}},
)
SEASON = action("acme/garden:advise", description="Says what to do.", examples=({"input": {"plant": "Rhubarb"}},))


@pytest.mark.parametrize(
    ("query", "expected"), [("outliers", TABLE.key), ("miles to km", DISTANCE.key), ("rhubarb", SEASON.key)]
)
def test_fields_that_come_back_values_to_choose_from_and_examples_are_found(query, expected):
    found = Index([INVOICE, TABLE, DISTANCE, SEASON, IMAGE]).search(query)
    assert [one.key for one in found.actions] == [expected]


def test_what_matches_far_worse_than_the_best_is_left_out_and_so_is_a_rest_that_costs_less():
    mention = action(
        "acme/post:send", 100, description="Sends a letter, " + "and so on " * 40 + "with an invoice or not"
    )
    index = Index([INVOICE, mention])
    assert [one.key for one in index.search("invoice pdf finance").actions] == [INVOICE.key]
    assert index.search("invoice pdf finance", Filter(max_price=MicroUSDC(500))).total == 0


def test_where_most_of_what_is_said_is_known_of_nothing_there_is_no_close_match():
    texts = [action(f"acme/text-{at}:read", description="Works on a text.", tags=("text",)) for at in range(8)]
    assert len(Index(texts).search("text", limit=8).hits) == 8
    assert Index(texts).search("text my boss about tomorrow's lunch by sms", limit=8).total == 0


def test_names_and_figures_are_no_part_of_what_is_to_be_done():
    index = Index([INVOICE, IMAGE, CSV, FORECAST])
    assert index.search("an invoice for Ockham Brothers in Reykjavik, 4711").actions[0].key == INVOICE.key


def test_pages_follow_each_other_without_a_gap_or_a_repeat():
    many = Index([action(f"acme/text-{at}:read", title=f"Read a text {at}", description="Text.") for at in range(25)])
    for query in ("read text", ""):
        pages = [many.search(query, offset=offset, limit=10) for offset in (0, 10, 20, 30)]
        assert [len(page.hits) for page in pages] == [10, 10, 5, 0]
        assert {page.total for page in pages} == {25}
        assert len({one.key for page in pages for one in page.actions}) == 25


def test_what_ends_is_found_by_itself():
    soon = action("acme/soon:make-invoice", deprecation=Deprecation("deprecated", "2027-01-01T00:00:00Z"))
    index = Index([INVOICE, soon, OLD])
    for query in ("", "invoice"):
        assert [one.key for one in index.search(query, Filter(withdrawn=True)).actions] == [soon.key, OLD.key]


def test_what_needs_a_tier_or_streams_is_found_by_itself():
    alike = {"title": INVOICE.title, "description": INVOICE.description}
    gold = action("acme/gold:make-invoice", tier="gold", tier_rank=2, **alike)
    silver = action("acme/silver:make-invoice", tier="silver", tier_rank=1, streaming=True, **alike)
    index = Index([INVOICE, silver, gold])
    for query in ("", "invoice"):
        found = {rank: {one.key for one in index.search(query, Filter(least_rank=rank)).actions} for rank in (1, 2, 3)}
        assert found == {1: {silver.key, gold.key}, 2: {gold.key}, 3: set()}
        assert [one.key for one in index.search(query, Filter(streaming=True)).actions] == [silver.key]
