"""A market of ten thousand actions: fetched once, then asked only for what changed, and searched by what things are for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.catalog import embeddings
from jecp_mcp.catalog.search import Finder
from jecp_mcp.clock import SystemClock
from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import CatalogSettings
from tests.acceptance.roads import SandboxHub, sandbox
from tests.lacking import lacking
from tests.scale.counted import Counted
from tests.scale.market import ACTIONS, Market, labelled, market

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
sold_there = cache(market)


@asynccontextmanager
async def source_of(hub: SandboxHub, snapshot: Path, **settings: Any) -> AsyncIterator[tuple[CatalogSource, Counted]]:
    async with Http(hub.url) as http:
        counted = Counted(http)
        yield CatalogSource(counted, hub.url, snapshot, CatalogSettings(**settings), SystemClock()), counted


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    folder = tmp_path_factory.mktemp("market")
    (folder / "market.json").write_text(json.dumps(sold_there().manifests))
    with sandbox(folder / "hub.sqlite", "--catalog", str(folder / "market.json")) as running:
        yield running


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state") / "catalog"


@pytest.mark.slow
async def test_an_unchanged_market_is_refreshed_without_a_byte_of_it(hub: SandboxHub, snapshot: Path) -> None:
    async with source_of(hub, snapshot) as (source, counted):
        assert len((await source.refresh()).added) >= ACTIONS
        counted.answers.clear()
        assert (await source.refresh()).unchanged
        assert set(counted.answers) == {(304, 0)}
        assert len(counted.answers) <= 50
    # Another process has it from the disk, and asks for no more.
    async with source_of(hub, snapshot) as (again, counted):
        assert again.current.actions == source.current.actions
        assert (await again.refresh()).unchanged
        assert set(counted.answers) == {(304, 0)}


@pytest.mark.slow
async def test_the_operator_s_filters_leave_the_rest_out(hub: SandboxHub, tmp_path: Path) -> None:
    chosen = {"only": ("*/*:*-pdf", "inkwell/*"), "without": ("*:split-pdf",), "max_price_usdc": "0.02"}
    async with source_of(hub, tmp_path / "catalog", **chosen, max_tier="silver") as (source, _):
        await source.refresh()
        kept = source.current.actions
    assert len(kept) > 10
    for key, action in kept.items():
        assert key.endswith("-pdf") or key.startswith("inkwell/")
        assert not key.endswith(":split-pdf")
        assert action.price.amount is not None
        assert action.price.amount <= 20_000
        assert action.tier in {"bronze", "silver"}


def by_meaning() -> embeddings.Model:
    """The model of the extra; without it the test is skipped, or fails where it is required."""
    model = embeddings.installed()
    if model is None:
        lacking("search by meaning is not installed: pip install -e '.[embeddings]'", "REQUIRE_EMBEDDINGS")
    return model


@pytest.mark.parametrize(
    ("model", "phrasings", "at_once", "in_five"),
    [
        pytest.param(None, "phrasings.txt", 0.80, 0.94, marks=pytest.mark.slow),
        pytest.param(None, "unseen.txt", 0.80, 0.90, marks=pytest.mark.slow),
        pytest.param(None, "fresh.txt", 0.80, 0.90, marks=pytest.mark.slow),
        pytest.param(by_meaning, "phrasings.txt", 0.89, 0.97, marks=pytest.mark.slow),
        pytest.param(by_meaning, "unseen.txt", 0.84, 0.92, marks=pytest.mark.slow),
        pytest.param(by_meaning, "fresh.txt", 0.86, 0.93, marks=pytest.mark.slow),
    ],
)
async def test_what_is_meant_is_found(
    hub: SandboxHub,
    snapshot: Path,
    model: Callable[[], embeddings.Model] | None,
    phrasings: str,
    at_once: float,
    in_five: float,
) -> None:
    async with source_of(hub, snapshot) as (source, _):
        await source.refresh()
        finder = Finder(lambda: source.current, model)
        await finder.prepare()
    pairs = labelled(HERE / phrasings)
    places = [_place(finder, sold_there(), meant, said) for meant, said in pairs]
    assert len(pairs) >= 115
    assert sum(place == 0 for place in places) / len(pairs) >= at_once
    assert sum(place is not None for place in places) / len(pairs) >= in_five


def _place(finder: Finder, made: Market, meant: frozenset[str], said: str) -> int | None:
    """Where among the first five what is meant stands."""
    found = finder.search(said, limit=5).actions
    right = [at for at, action in enumerate(found) if meant & {action.key, made.trades.get(action.key, action.key)}]
    return right[0] if right else None
