"""Who the tiny rail pays: an echo that does jobs. Its rules are pure; whoever speaks for it gives a method and a body.

A job runs once under its id, while it may still be accepted, for as long as it takes; its answer can be asked for by
anybody who knows the id. It costs nothing until its answer is acknowledged, which takes the money once, if only for the time being: a
receipt tells whether it was given back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OFFER = "echo/job:run"


@dataclass
class Job:
    """One job: `done_at` is when its answer is there, Unix ms."""

    text: str
    most: int
    done_at: int
    cost: int
    acknowledged: list[int] = field(default_factory=list)
    final_at: int = 0
    void: bool = False


@dataclass
class Payee:
    """The echo.

    Attributes:
        now: the wall clock, Unix ms.
        price: what a job costs at most, micro-USDC; None answers the question for a price itself.
        kind: ``exact`` or ``max``.
        good_ms: how long a price holds.
        takes_ms: how long a job takes.
        cost: what a job comes to; None: its price.
        refuses: why no job is done, if none is.
        final_ms: how long a payment is provisional.
        voids: whether it is given back then.
    """

    now: Callable[[], int]
    price: int | None = 50_000
    kind: str = "exact"
    terms: str = "cash"
    good_ms: int | None = None
    takes_ms: int = 0
    cost: int | None = None
    refuses: str | None = None
    final_ms: int = 0
    voids: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    asked: int = 0

    def charged(self, job_id: str) -> list[int]:
        """What was taken for a job, each time that it was."""
        return self.jobs[job_id].acknowledged if job_id in self.jobs else []

    def returned(self, job_id: str) -> int:
        """What came back of that."""
        job = self.jobs.get(job_id)
        return 0 if job is None or not job.acknowledged else int(self._receipt(job_id, job)["back"])

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """The status and body that answer a request."""
        if (method, path) == ("POST", "/quote"):
            return self._quote(json.loads(body))
        if (method, path) == ("POST", "/jobs"):
            return self._accept(json.loads(body))
        _, _, job_id, *step = path.split("/")
        job = self.jobs.get(job_id)
        if job is None:
            return 404, {}
        if step == ["ack"] and not job.acknowledged:
            job.acknowledged, job.final_at, job.void = [job.cost], self.now() + self.final_ms, self.voids
        if step in (["ack"], ["receipt"]):
            return 200, self._receipt(job_id, job)
        if self.now() < job.done_at:
            return 202, {}
        return 200, {"said": job.text, "cost": job.cost}

    def _receipt(self, job_id: str, job: Job) -> dict[str, Any]:
        final = self.now() >= job.final_at
        back = job.acknowledged[0] if final and job.void else 0
        return {"payment": f"pay_{job_id}", "paid": job.acknowledged[0], "final": final, "back": back}

    def _quote(self, wanted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        if self.refuses is not None:
            return 403, {"why": self.refuses}
        if self.price is None:
            return 200, {"said": wanted["text"]}
        return 402, {"price": self.price, "kind": self.kind, "terms": self.terms, "good_ms": self.good_ms}

    def _accept(self, wanted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        known = self.jobs.get(wanted["id"])
        if known is not None:
            return 202, {}
        price = self.price or 0
        if self.now() >= wanted["until"] or wanted["most"] < price:
            return 403, {"why": "too late or too little"}
        cost = price if self.cost is None else self.cost
        self.jobs[wanted["id"]] = Job(wanted["text"], wanted["most"], self.now() + self.takes_ms, cost)
        return 202, {}
