"""An agent that is hired by AJP, written by hand after the protocol's own documentation, which tests can have misbehave."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.wire.ajp.canonical import canonical, legacy_form
from jecp_mcp.wire.ajp.declaration import WELL_KNOWN, sign_declaration
from jecp_mcp.wire.ajp.notice import NOTICES
from jecp_mcp.wire.ajp.offer import read_offer
from jecp_mcp.wire.ajp.signatures import SIX_MEMBERS, Coverage, PrivateKey, Verifier, coverage, new_private_key
from jecp_mcp.wire.ajp.standing import profile_path
from tests.served import served

AT = "2027-01-15T08:00:09.000Z"


@dataclass
class Agent:
    """One agent at an origin.

    Attributes:
        hirer: proves offers.
        mount: ``/jobs`` as the protocol's text has it, "" as its guide shows it.
        signs: what results are signed over: ``whole``, ``six``, ``legacy``, ``none``.
        polls: how often a job is still running when it is asked for.
        answers: statuses and bodies of offers that are not taken.
        reports: members that a report has instead of its own.
        costs: what its next reports say it cost, whatever `cost` is; where nothing but six members is signed, anybody on
            the way can write them.
        knows: whether an offer that comes again starts no second run, as the protocol promises.
        faults: by ``offer``, ``GET`` or ``ack``, what becomes of the next requests at the socket: ``lost`` (it never
            arrives), ``unheard`` (its answer is lost), ``silent`` (no answer ever comes), ``twice`` (it arrives again).
        reported: what its latest report of each job said it cost, micro-USDC, where that is an amount.
        notices: what it publishes of itself beside its declaration.
        profile: status and body of what an index at its origin says of it.
        connections: how many were made to it.
        on_ack: called with the job that was acknowledged.
    """

    hirer: Verifier
    origin: str = "http://127.0.0.1:8409"
    name: str = "/words"
    mount: str = "/jobs"
    signs: str = "whole"
    cost: Any = 0.02
    polls: int = 0
    status: str = "completed"
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    acks: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    reports: dict[str, Any] = field(default_factory=dict)
    constraints: tuple[str, ...] = ("no:pii",)
    forgets: bool = False
    key: PrivateKey = field(default_factory=lambda: PrivateKey(new_private_key()))
    signing: PrivateKey | None = None
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    offers: list[bytes] = field(default_factory=list)
    costs: list[Any] = field(default_factory=list)
    knows: bool = False
    faults: dict[str, list[str]] = field(default_factory=dict)
    reported: dict[str, int] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)
    profile: tuple[int, dict[str, Any]] = (404, {})
    connections: int = 0
    on_ack: Callable[[str], None] = lambda _: None

    @property
    def id(self) -> str:
        """Its id."""
        return f"provenance:domain:{self.origin.removeprefix('http://')}{self.name}"

    @property
    def endpoint(self) -> str:
        """Where it takes jobs."""
        return f"{self.origin}{self.name}/agent"

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """What it answers."""
        published: dict[str, Callable[[], tuple[int, Any]]] = {
            f"{self.name}{WELL_KNOWN}": lambda: (200, self.declaration()),
            NOTICES: lambda: (200, self.notices),
            profile_path(self.id): lambda: self.profile,
        }
        if path in published:
            return published[path]()
        base = f"{self.name}/agent{self.mount}"
        if path == base and method == "POST":
            return self._offered(body)
        job_id, _, ack = path.removeprefix(f"{base}/").partition("/")
        if not path.startswith(f"{base}/") or job_id not in self.jobs or self.forgets:
            return 404, {"error": "Job not found"}
        if method == "POST" and ack == "ack":
            if self.acks:
                return self.acks.pop(0)
            self.acknowledged[job_id] += 1
            self.on_ack(job_id)
            return 200, {"settled": True, "job_id": job_id}
        self.asked[job_id] += 1
        return 200, self._report(job_id)

    def declaration(self) -> dict[str, Any]:
        """What it says of itself."""
        body = {
            "name": "Words", "description": "Counts words.", "provenance_id": self.id, "capabilities": ["ajp:receiver"],
            "constraints": list(self.constraints), "ajp": {"endpoint": self.endpoint, "version": "0.1"},
        }  # fmt: skip
        return sign_declaration(body, self.key)

    def _offered(self, body: bytes) -> tuple[int, Any]:
        self.offers.append(body)
        if self.answers:
            return self.answers.pop(0)
        offer, message = read_offer(body)
        if coverage(message, self.hirer) is not Coverage.WHOLE:
            return 401, {"error": "Invalid signature"}
        if self.knows and offer.job_id in self.jobs:
            return 202, {"job_id": offer.job_id, "status": "accepted"}
        self.jobs[offer.job_id] = {"text": str(offer.task.input.get("text", "")), "most": offer.budget.max_usd}
        self.runs[offer.job_id] += 1
        return 202, {"job_id": offer.job_id, "status": "accepted"}

    def _report(self, job_id: str) -> dict[str, Any]:
        if self.asked[job_id] <= self.polls:
            return {"job_id": job_id, "status": "running"}
        report = {
            "ajp": "0.1", "job_id": job_id, "status": self.status, "completed_at": AT, "constraints_asserted": ["no:pii"],
            "output": {"words": len(self.jobs[job_id]["text"].split())}, "agent": {"provenance_id": self.id},
            "usage": {"llm_tokens": 0, "duration_seconds": 1.5, "cost_usd": self.cost},
        } | self.reports  # fmt: skip
        if self.costs:
            report["usage"] = {"cost_usd": self.costs.pop(0)}
        if self.cost is None:
            del report["usage"]
        elif isinstance(cost := report["usage"]["cost_usd"], (int, float)):
            self.reported[job_id] = round(cost * 1_000_000)
        six = {key: report[key] for key in SIX_MEMBERS}
        wire = jsontext.loads(json.dumps({"whole": report, "six": six}), max_bytes=10**7)
        form = {"whole": canonical(wire["whole"]), "six": canonical(wire["six"]), "legacy": legacy_form(wire["six"])}
        if self.signs in form:
            report["signature"] = (self.signing or self.key).sign(form[self.signs])
        return report


def step_of(method: str, path: str) -> str:
    """What a request is: ``offer``, ``GET`` or ``ack``, or ``declaration``."""
    if path.endswith(WELL_KNOWN):
        return "declaration"
    return "ack" if path.endswith("/ack") else "offer" if method == "POST" else "GET"


@contextmanager
def serving(agent: Agent) -> Iterator[Agent]:
    """The agent behind a real socket, whose faults come to pass."""
    alone, over = threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave together: the second of two packets would wait for the first one's receipt.
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with alone:
                waiting = agent.faults.get(step_of(self.command, self.path))
                fault = waiting.pop(0) if waiting else None
                for _ in range({"lost": 0, "twice": 2}.get(fault or "", 1)):
                    status, said = agent.answer(self.command, self.path, body)
            if fault == "silent":
                over.wait()
            if fault in {"lost", "unheard", "silent"}:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 the library's name

        def log_message(self, *_: object) -> None:
            return

        def handle(self) -> None:
            with alone:
                agent.connections += 1
            # Who asks may be killed at any moment.
            with suppress(OSError):
                super().handle()

    with served(Handler) as url:
        agent.origin = url
        try:
            yield agent
        finally:
            over.set()
