"""What the README's test command takes of many parameters; `.ci/run` takes all of them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def mostly_slow(every: Iterable[Any], daily: Container[Any]) -> list[Any]:
    """Every parameter, of which those that are not `daily` are marked slow."""
    return [one if one in daily else pytest.param(one, marks=pytest.mark.slow) for one in every]
