"""Fixtures of the catalog's tests."""

import pytest

from tests.unit.catalog.hubs import FakeClock, FakeHub, capability


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub(
        [capability("acme/pdf", "make", "merge"), capability("acme/csv", "analyse"), capability("echo", "say")]
    )
