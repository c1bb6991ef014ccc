"""What a listed action costs a model that reads the list: tokens, as characters of JSON / 4, by parts.

    python -m tests.bench.bench_listed_tools [--actions 300] [--before FOLDER]

The sandbox's own catalog, and so many actions of the market of `tests.scale`, are listed by the real server, one tool an
action; its own tools do not count. FOLDER has the sources of another commit (``git archive``), which lists the same
catalogs of the same Hub.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp import StdioServerParameters
from mcp_types import Tool

from tests.acceptance.roads import LEGACY, PATIENT, SandboxHub, sandbox
from tests.bench.stopwatch import bridge, listed
from tests.scale.market import market

HERE = Path(__file__).parents[2]
OWN = ("jecp_", "paid_http_", "ajp_")


def of_actions(tools: Sequence[Tool]) -> list[Tool]:
    """The tools of a Hub's actions."""
    return [tool for tool in tools if not tool.name.startswith(OWN)]


def tokens(value: Any) -> float:
    """About how many tokens a value takes as JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) / 4


def parts(tools: Sequence[Tool]) -> Mapping[str, float]:
    """Tokens of one listed action on the average: the whole that a model reads of it, and what of it is what."""
    read = [{"name": one.name, "description": one.description, "inputSchema": one.input_schema} for one in tools]
    found = {"whole": sum(map(tokens, read))}
    found |= {name: sum(tokens(one[name]) for one in read) for name in ("name", "description", "inputSchema")}
    return {name: size / len(tools) for name, size in found.items()}


def _at(server: StdioServerParameters, tree: Path) -> StdioServerParameters:
    # A setting of today may be unknown to the other.
    env = {name: value for name, value in (server.env or {}).items() if name not in PATIENT}
    return server.model_copy(update={"cwd": tree, "env": {**env, "PYTHONPATH": str(tree)}})


async def _compare(hub: SandboxHub, trees: Mapping[str, Path], folder: Path) -> dict[str, list[Tool]]:
    found = {}
    for name, tree in trees.items():
        server = _at(bridge(hub, folder / name), tree)
        found[name] = of_actions(await listed(server, LEGACY, folder / f"{name}.log"))
    return found


def main() -> None:
    """Show the tokens of both catalogs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--actions", type=int, default=300)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--keep", type=Path, help="where to write the lists, as JSON")
    given = parser.parse_args()
    trees = ({} if given.before is None else {"before": given.before.resolve()}) | {"now": HERE}
    for catalog, actions in (("sandbox", 0), ("market", given.actions)):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            extra = []
            if actions:
                (folder / "market.json").write_text(json.dumps(market(actions).manifests))
                extra = ["--catalog", str(folder / "market.json")]
            with sandbox(folder / "hub.sqlite", *extra) as hub:
                found = anyio.run(_compare, hub, trees, folder)
        for name, tools in found.items():
            shown = ", ".join(f"{part} {size:.1f}" for part, size in parts(tools).items())
            print(f"{catalog} {name}: {len(tools)} actions, tokens each: {shown}")
            if given.keep is not None:
                dumped = [{"name": t.name, "description": t.description, "inputSchema": t.input_schema} for t in tools]
                (given.keep / f"{catalog}-{name}.json").write_text(json.dumps(dumped, indent=1, ensure_ascii=False))
        if "before" in found:
            less = 1 - parts(found["now"])["whole"] / parts(found["before"])["whole"]
            print(f"{catalog}: {less:.1%} fewer than before")


if __name__ == "__main__":
    main()
