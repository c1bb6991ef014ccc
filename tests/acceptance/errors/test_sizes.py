"""What refusals and our own tools cost a model's context, at four characters a token.

A real tokenizer counts the same: checked once with o200k_base, the errors of both files had a median of 112 tokens and
the definitions 1,107, where characters / 4 say 112 and 1,134.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from tests.acceptance.errors import snapshot
from tests.acceptance.errors.seats import seated
from tests.acceptance.errors.stage import AGENT, KEY, PLAIN, open_stage
from tests.contract.tools import test_own_refusals

FEW, MANY = 200, 400
"""The median, and the most, in tokens."""


def tokens(text: str) -> float:
    return len(text) / 4


def errors_by_hubs() -> list[str]:
    read = json.loads(snapshot.FILE.read_text(encoding="utf-8"))
    every = [entry["error"] for entries in read.values() for entry in entries]
    # As long as on the wire, where nothing is masked.
    return [one.replace("call_…", "call_" + "0" * 32) for one in map(compact, every)]


def errors_of_ours() -> list[str]:
    return [compact(one) for one in json.loads(test_own_refusals.FILE.read_text(encoding="utf-8")).values()]


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("errors", [errors_by_hubs(), errors_of_ours()], ids=["by Hubs", "of ours"])
def test_an_error_is_small(errors: list[str]) -> None:
    sizes = [tokens(one) for one in errors]
    print(f"\n{len(sizes)} errors: median {statistics.median(sizes):.0f} tokens, at most {max(sizes):.0f}")
    assert len(sizes) >= 60
    assert statistics.median(sizes) <= FEW
    assert max(sizes) <= MANY


@pytest.mark.anyio
@pytest.mark.parametrize("registered", [pytest.param(True, marks=pytest.mark.slow), False])
async def test_the_definitions_of_our_own_tools_are_small_together(tmp_path: Path, registered: bool) -> None:
    with open_stage() as hub:
        async with seated(hub.url, tmp_path, agent=(AGENT, KEY) if registered else None, awaits=PLAIN) as client:
            listed = (await client.list_tools()).tools
    ours = [tool for tool in listed if tool.name.startswith("jecp_")]
    assert len(ours) == 10 + (not registered)
    text = compact(
        [{"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema} for tool in ours]
    )
    print(f"\n{len(ours)} tools: {tokens(text):.0f} tokens")
    assert tokens(text) <= 1_200
