"""A process that pins: all at once when told to go (``race``), or one catalog after another until it is killed.

Prints the price it would sell each action at (``race``), or the number of each catalog once it is pinned.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.unit.catalog.offers import catalog, offer, opened

ACTIONS = 40


def batch(number: int, price: int) -> list[str]:
    """The actions of one catalog, each with words of its own."""
    return [f"p{number}/cap:run-{at}-{price}" for at in range(ACTIONS)]


def main(mode: str, folder: Path, price: int) -> None:
    if mode == "race":
        offers = [offer(f"p/cap:run-{at}", price) for at in range(ACTIONS)]
        print("ready", flush=True)
        sys.stdin.readline()
        held = opened(folder).vet(catalog(*offers)).held
        print(json.dumps({action.key: price for action in offers if action.key not in held}), flush=True)
        return
    pins = opened(folder)
    for number in range(100_000):
        offers = [offer(key, price) for key in batch(number, price)]
        pins.vet(catalog(*offers))
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
