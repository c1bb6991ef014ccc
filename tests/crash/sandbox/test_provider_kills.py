"""A Hub killed while it sells providers' work and pays for it: nothing is charged without its split, or paid out twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.roads import drained, running
from tests.contract.providers.conftest import Seller, endpoint


@contextmanager
def hub(data: Path) -> Iterator[tuple[httpx2.Client, dict[str, str], int]]:
    with running("sandbox", "--port", "0", "--data", str(data), "--loopback") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        drained(process)
        headers = {
            "X-Sandbox-Key": ready["control_key"],
            "X-Agent-ID": ready["agent_id"],
            "X-API-Key": ready["api_key"],
        }
        with httpx2.Client(base_url=ready["hub"], headers=headers, timeout=60) as http:
            yield http, ready, process.pid


def call(namespace: str, number: int) -> dict[str, Any]:
    name = f"{namespace}/words"
    return {"jecp": "1.0", "id": f"call-{number}", "capability": name, "action": "count", "input": {"text": "one"}}


def books(data: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What stands in the file, read by another library."""
    asked = {
        "sold": "SELECT transaction_id, call_id, amount, provider_share, hub_fee, payment_fee FROM transactions",
        "entries": "SELECT kind, reference, amount, balance_after FROM provider_entries ORDER BY number",
        "provider": "SELECT balance, total_calls FROM providers",
        "wallet": "SELECT balance, (SELECT sum(amount) FROM credits WHERE agent_id = agents.agent_id) FROM agents",
    }
    with closing(sqlite3.connect(data)) as file:
        return {name: file.execute(sql).fetchall() for name, sql in asked.items()}


@pytest.mark.parametrize(
    ("kills", "buyers", "sold_before"),
    [pytest.param(6, 4, 25, marks=pytest.mark.slow), pytest.param(25, 16, 60, marks=pytest.mark.long)],
)
def test_a_killed_hub_has_charged_nothing_without_its_split_and_paid_nothing_twice(
    tmp_path: Path, kills: int, buyers: int, sold_before: int
) -> None:
    """Each Hub is killed when it has answered `sold_before` calls of so many who buy at once, while all is paid out."""
    data = tmp_path / "hub.sqlite"
    answered: dict[str, str] = {}
    numbers = iter(range(1_000_000))
    with endpoint() as point:
        with hub(data) as (http, _, _):
            registration = {
                "namespace": "killed",
                "display_name": "Words",
                "owner_email": "owner@words.example",
                "endpoint_url": point.url,
                "country": "JP",
            }
            made = http.post("/v1/providers/register", json=registration).raise_for_status().json()
            Seller(http, point, made).sell()
        for _ in range(kills):
            with hub(data) as (http, _, pid):
                enough = threading.Event()
                target = len(answered) + sold_before

                def buy(http: httpx2.Client = http, target: int = target, enough: threading.Event = enough) -> None:
                    while True:
                        asked = call("killed", next(numbers))
                        try:
                            answer = http.post("/v1/invoke", json=asked)
                        except httpx2.HTTPError:
                            return
                        answered[asked["id"]] = answer.raise_for_status().json()["billing"]["transaction_id"]
                        if len(answered) >= target:
                            enough.set()

                def pay(http: httpx2.Client = http) -> None:
                    while True:
                        try:
                            http.post("/sandbox/payouts", json={"least_usdc": "0.000001"}).raise_for_status()
                        except httpx2.HTTPError:
                            return

                with ThreadPoolExecutor(buyers + 1) as pool:
                    doing = [pool.submit(buy) for _ in range(buyers)] + [pool.submit(pay)]
                    assert enough.wait(60)
                    os.kill(pid, signal.SIGKILL)
                for each in doing:
                    each.result()
            check(books(data), answered)
        with hub(data) as (http, _, _):
            # Whoever lost an answer asks again: it is charged once, whatever the Hub had done of it.
            for number in range(next(numbers)):
                sold = http.post("/v1/invoke", json=call("killed", number)).raise_for_status().json()
                before = answered.setdefault(sold["id"], sold["billing"]["transaction_id"])
                assert sold["billing"]["transaction_id"] == before
        check(books(data), answered)
        assert len(books(data)["sold"]) == len(answered)


def check(found: dict[str, list[tuple[Any, ...]]], answered: dict[str, str]) -> None:
    """See that every charge is split, every share owed once, and no more paid out than was owed."""
    sold = {row[0]: row for row in found["sold"]}
    assert len({row[1] for row in found["sold"]}) == len(sold)
    assert set(answered.values()) <= set(sold)
    assert all(amount == share + fee + payment for _, _, amount, share, fee, payment in sold.values())
    owed = {reference: amount for kind, reference, amount, _ in found["entries"] if kind == "sale"}
    assert owed == {transaction: row[3] for transaction, row in sold.items()}
    running_balance = 0
    for _, _, amount, after in found["entries"]:
        running_balance += amount
        assert running_balance == after >= 0
    assert found["provider"] == [(running_balance, len(sold))]
    [(balance, credited)] = found["wallet"]
    assert balance == credited - sum(row[2] for row in sold.values())
