"""What others do slowly, often or at once: it ends at a bound, and keeps nobody else out."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from anyio.lowlevel import checkpoint

from jecp_mcp.ajp_server import Job, Terms, Trust, Work, fetch_limits, senders, settlement
from jecp_mcp.ajp_server import app as app_module
from jecp_mcp.money import MicroUSDC
from tests.contract.ajp_server.hirer import SECRET, Key, by_key, by_secret, declaration
from tests.contract.ajp_server.house import House, Pages, Time, count, house, until
from tests.served import served

pytestmark = pytest.mark.anyio

ALICE = Key("alice")


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Pages, str]]:
    """Declarations of alice, bob and carol, by one key, at one host of this machine; and what their ids begin with."""
    found = Pages()
    with served(found.handler()) as origin:
        prefix = f"provenance:domain:{origin.removeprefix('http://')}"
        for name in ("alice", "bob", "carol"):
            declared = declaration(f"{prefix}/{name}", ALICE)
            found.found[f"/{name}/.well-known/provenance.json"] = 200, declared
        yield found, prefix


def _signed(there: House, number: int, sender: str, **changed: Any) -> bytes:
    said = {"type": "agent", "provenance_id": sender}
    return by_key(there.offer(job_id=f"job_{number:08}", **{"from": said}, **changed), ALICE)


class Resolver:
    """Resolves nothing: at once, or for the hosts that hang when it is let."""

    def __init__(self, *hang: str) -> None:
        self.asked: list[str] = []
        self.go = anyio.Event()
        self._hang = hang

    async def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        if any(part in host for part in self._hang):
            await self.go.wait()
        return []

    async def times(self, times: int) -> None:
        async def asked() -> bool:
            return len(self.asked) == times

        await until(asked)


@pytest.mark.slow
async def test_no_sender_and_no_host_fills_the_room_for_others(site: tuple[Pages, str]) -> None:
    _, prefix = site
    terms = Terms(at_once=0, queue=9, per_sender=1, per_host=2)
    async with house(loopback=True, terms=terms) as there:
        first = _signed(there, 1, f"{prefix}/alice")
        assert (await there.post(first))[0] == 202
        status, answer = await there.post(_signed(there, 2, f"{prefix}/alice"))
        assert (status, answer["retry_after"]) == (429, 1)
        assert "your jobs" in answer["error"]
        assert (await there.post(_signed(there, 3, f"{prefix}/bob")))[0] == 202
        status, answer = await there.post(_signed(there, 4, f"{prefix}/carol"))
        assert (status, "at your host" in answer["error"]) == (429, True)
        await there.hire()  # a person, who has the agent's secret
        assert (await there.post(first))[0] == 202  # it is the same job, and none more


async def test_strangers_keep_nobody_out_who_was_here_before_nor_does_one_host_keep_out_others() -> None:
    resolver = Resolver("slow", "known")
    trust = Trust(SECRET, known_keys={"provenance:domain:known.example": ALICE.fingerprint})
    async with house(world={"resolve": resolver}, trust=trust) as there, anyio.create_task_group() as group:
        statuses: list[int] = []

        async def post(number: int, host: str) -> None:
            statuses.append((await there.post(_signed(there, number, f"provenance:domain:{host}")))[0])

        for number in range(2):
            group.start_soon(post, number, f"slow.example/{number}")
        await resolver.times(2)
        await post(2, "slow.example/2")
        assert statuses == [429]  # two at once are all that one host is asked
        await post(3, "quick.example")
        for number in range(4, 10):
            group.start_soon(post, number, f"slow{number}.example")
        await resolver.times(9)
        await post(10, "slow10.example")
        assert statuses == [429, 403, 429]  # eight strangers at once are all
        group.start_soon(post, 11, "known.example")
        await resolver.times(10)
        resolver.go.set()
    assert sorted(statuses) == [*[403] * 10, 429, 429]


@pytest.mark.slow
async def test_many_offers_of_one_sender_are_one_question_and_one_answer() -> None:
    resolver = Resolver("slow")
    async with house(world={"resolve": resolver}) as there, anyio.create_task_group() as group:
        answers: list[Any] = []

        async def post(number: int) -> None:
            answers.append(await there.post(_signed(there, number, "provenance:domain:slow.example")))

        for number in range(20):
            group.start_soon(post, number)
        await resolver.times(1)
        for _ in range(50):
            await checkpoint()
        resolver.go.set()
    assert [(status, answer["code"]) for status, answer in answers] == [(403, "DECLARATION_UNREACHABLE")] * 20
    assert resolver.asked == ["slow.example"]


@pytest.mark.slow
async def test_many_offers_of_a_new_sender_are_all_taken_after_one_question(site: tuple[Pages, str]) -> None:
    found, prefix = site
    found.asked.clear()
    async with house(loopback=True, terms=Terms(at_once=0)) as there, anyio.create_task_group() as group:

        async def post(number: int) -> None:
            assert (await there.post(_signed(there, number, f"{prefix}/alice")))[0] == 202

        for number in range(5):
            group.start_soon(post, number)
    assert len(found.asked) == 1


@pytest.mark.slow
async def test_nobody_can_have_the_agent_pester_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_limits, "_MOST_HOSTS", 2)
    monkeypatch.setattr(fetch_limits, "_A_MINUTE_OF_HOST", 3)
    resolver = Resolver()
    trust = Trust(SECRET, known_keys={"provenance:domain:victim.example/60": ALICE.fingerprint})
    async with house(world={"resolve": resolver}, trust=trust) as there:

        async def post(number: int, host: str) -> int:
            return (await there.post(_signed(there, number, f"provenance:domain:{host}/{number}")))[0]

        assert [await post(number, "victim.example") for number in range(4)] == [403, 403, 403, 429]
        assert len(resolver.asked) == 3
        assert await post(60, "victim.example") == 403  # somebody there who was here before waits behind no stranger
        assert await post(31, "other.example") == 403
        there.time.turn(60)
        assert await post(32, "victim.example") == 403
        for number, host in enumerate(("a.example", "b.example")):  # no more hosts than so many are remembered
            assert await post(40 + number, host) == 403
        assert await post(50, "victim.example") == 403


@pytest.mark.slow
async def test_offers_that_wait_for_declarations_take_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_limits, "_WAITING_BYTES", 2_000)
    resolver = Resolver("slow")
    async with house(world={"resolve": resolver}) as there, anyio.create_task_group() as group:
        task = {"type": "t", "instruction": "i", "input": "x" * 1_000}
        group.start_soon(there.post, _signed(there, 1, "provenance:domain:slow1.example", task=task))
        await resolver.times(1)
        status, answer = await there.post(_signed(there, 2, "provenance:domain:slow2.example", task=task))
        assert (status, answer["retry_after"], resolver.asked) == (429, 5, ["slow1.example"])
        resolver.go.set()


@pytest.mark.slow
async def test_large_offers_of_nobody_keep_no_small_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "_PROOFS_WAITING", 2)
    begun, go = threading.Semaphore(0), threading.Event()
    proves = senders.coverage

    def slow(body: Any, verifier: Any) -> Any:
        if len(body["task"]["input"]) > 10:
            begun.release()
            go.wait()
        return proves(body, verifier)

    monkeypatch.setattr(senders, "coverage", slow)
    async with house() as there:
        answers: list[int] = []

        async def post(number: int) -> None:
            task = {"type": "t", "instruction": "i", "input": "x" * 70_000}
            raw = by_secret(there.offer(job_id=f"job_{number:08}", task=task), "another secret")
            answers.append((await there.post(raw))[0])

        async with anyio.create_task_group() as group:
            try:
                for number in range(2):
                    group.start_soon(post, number)
                    await anyio.to_thread.run_sync(begun.acquire)
                for number in (2, 3):
                    group.start_soon(post, number)
                for _ in range(50):
                    await checkpoint()
                await post(4)
                assert answers == [429]
                await there.hire()
            finally:
                go.set()
        assert answers == [429, *[401] * 4]


@pytest.mark.slow
async def test_an_offer_whose_declaration_is_given_up_for_another_is_asked_to_come_again() -> None:
    resolver = Resolver("slow")
    async with house(world={"resolve": resolver}) as there, anyio.create_task_group() as group:
        answers: list[Any] = []
        first = anyio.CancelScope()

        async def post(number: int, scope: anyio.CancelScope) -> None:
            with scope:
                answers.append(await there.post(_signed(there, number, "provenance:domain:slow.example")))

        group.start_soon(post, 1, first)
        await resolver.times(1)
        group.start_soon(post, 2, anyio.CancelScope())
        for _ in range(20):
            await checkpoint()
        first.cancel()
        await resolver.times(2)  # whoever waited for the first asks in its place
        resolver.go.set()
    assert [status for status, _ in answers] == [403]


async def test_slow_bodies_keep_no_quick_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "_AT_ONCE", 2)
    begun: list[int] = []

    async def trickle() -> AsyncIterator[bytes]:
        begun.append(1)
        yield b"{"
        await anyio.sleep_forever()

    async with house() as there, anyio.create_task_group() as group:
        answers: list[int] = []

        async def post() -> None:
            answers.append((await there.client.post("/ajp/jobs", content=trickle())).status_code)

        for number in (1, 2):
            group.start_soon(post)

            async def reads(number: int = number) -> bool:
                return len(begun) == number

            await until(reads)
        await there.hire()

        async def one_gave_way() -> bool:
            return bool(answers)

        await until(one_gave_way)
        assert answers == [408]  # the one that took longest
        group.cancel_scope.cancel()


@pytest.mark.slow
async def test_readers_that_take_nothing_hold_a_slice_each_and_keep_no_other_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_module, "_AT_ONCE", 1)

    async def work(_job: Job) -> Work:
        return Work("x" * 200_000)

    async with house(work) as there, anyio.create_task_group() as group:
        await there.hire()
        await there.result()
        sent: list[dict[str, Any]] = []
        left = anyio.Event()
        path = "/ajp/jobs/job_0000000000000001"
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": [], "scheme": "https", "server": ("words.example", 443), "client": None,
                 "http_version": "1.1", "root_path": ""}  # fmt: skip

        async def take_nothing(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body":
                await anyio.sleep_forever()

        async def ask() -> None:
            await there.agent.app(scope, anyio.sleep_forever, take_nothing)  # type: ignore[arg-type]
            left.set()

        group.start_soon(ask)

        async def hangs() -> bool:
            return len(sent) == 2

        await until(hangs)
        assert len(sent[1]["body"]) == 65_536
        answer = await there.client.get(path)
        assert len(answer.content) == int(answer.headers["Content-Length"]) > 200_000
        assert json.loads(answer.content)["output"] == "x" * 200_000
        await left.wait()
        assert len(sent) == 2


async def test_a_settlement_that_hangs_holds_up_no_other_and_is_told_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    hung = anyio.Event()

    async def settle(job: Job, _cost: MicroUSDC) -> None:
        heard.append(job.job_id)
        if job.job_id == "job_00000001":
            monkeypatch.setattr(settlement, "_TELL_SECONDS", 60.0)
            hung.set()
            await anyio.sleep_forever()

    async def told(times: int) -> None:
        async def enough() -> bool:
            return len(heard) == times

        await until(enough)

    async with house(count, settle=settle) as there:
        for number in (1, 2, 3):
            await there.hire(job_id=f"job_0000000{number}")
            await there.result(f"job_0000000{number}")
        await there.ack("job_00000001")
        await hung.wait()
        for number in (2, 3):
            await there.ack(f"job_0000000{number}")
        await told(3)
        assert heard == ["job_00000001", "job_00000002", "job_00000003"]
    # It is cancelled after its time, which is none here, and told again.
    heard.clear()
    time = Time()

    async def hang(job: Job, _cost: MicroUSDC) -> None:
        heard.append(job.job_id)
        await anyio.sleep_forever()

    async with house(count, settle=hang, time=time) as there:
        monkeypatch.setattr(settlement, "_TELL_SECONDS", 0.0)
        await there.hire()
        await there.result()
        await there.ack()
        for times in (1, 2):
            await told(times)

            async def waits(times: int = times) -> bool:
                return caplog.text.count("could not be settled") == times and time.ms + 60_000 in dict(time.sleeping)

            await until(waits)
            time.turn(60)


@pytest.mark.slow
async def test_a_host_that_hangs_at_callbacks_holds_up_no_other() -> None:
    resolver = Resolver("slow")
    async with house(world={"resolve": resolver}) as there:
        for number in range(4):
            url = f"https://slow.example/{number}"
            await there.hire(job_id=f"job_{number:08}", callback={"url": url})
        await resolver.times(2)
        for _ in range(50):
            await checkpoint()
        assert resolver.asked == ["slow.example"] * 2
        await there.hire(job_id="job_other0001", callback={"url": "https://quick.example/"})
        await resolver.times(3)
        assert resolver.asked[2] == "quick.example"
        resolver.go.set()
        for _ in range(50):
            await checkpoint()
        there.time.turn(5)  # the turn of those that were put off, and no try of theirs is lost

        async def all_asked() -> bool:
            return resolver.asked.count("slow.example") >= 4

        await until(all_asked)


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["hangs", "raises"])
async def test_a_check_of_standing_that_gives_no_answer_knows_nothing(
    site: tuple[Pages, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    _, prefix = site

    async def check(_sender: str) -> str | None:
        if broken == "hangs":
            await anyio.sleep_forever()
        raise OSError("password=hunter2")

    monkeypatch.setattr(senders, "_STANDING_SECONDS", 0.0 if broken == "hangs" else 60.0)
    async with house(loopback=True, trust=Trust(check_standing=check)) as there:
        status, answer = await there.post(_signed(there, 1, f"{prefix}/alice"))
        assert (status, answer["code"]) == (403, "STANDING_UNAVAILABLE")
        assert "hunter2" not in json.dumps(answer)
    assert "could not be asked for" in caplog.text


async def test_work_that_does_not_heed_its_cancellation_is_expired_in_time_all_the_same() -> None:
    began, go = anyio.Event(), threading.Event()

    async def work(_job: Job) -> Work:
        began.set()
        await anyio.to_thread.run_sync(go.wait)
        return Work("too late", "0.01")

    async with house(work, terms=Terms(at_once=1, most_seconds=20)) as there:
        try:
            await there.hire()
            await began.wait()
            there.time.turn(20)
            report = await there.result()
            assert (report["status"], report["usage"]["cost_usd"]) == ("expired", 0)
            before = await there.raw()
        finally:
            go.set()
        await there.hire(job_id="job_00000002")  # its place is free when the work is
        assert (await there.result("job_00000002"))["output"] == "too late"
        assert await there.raw() == before


@pytest.mark.slow
async def test_a_chain_of_jobs_ends_at_eight() -> None:
    async with house() as there:
        parent = None
        for number in range(8):
            await there.hire(job_id=f"job_{number:08}", parent_job_id=parent)
            parent = f"job_{number:08}"
            await there.result(parent)
        status, answer = await there.post(by_secret(there.offer(parent_job_id=parent)))
        assert (status, answer["errors"]) == (
            400,
            ["parent_job_id stands below 8 jobs of this agent, each a part of another"],
        )
        await there.hire(parent_job_id="job_of_somebody_else")


@pytest.mark.slow
async def test_a_file_of_an_earlier_version_is_used_as_it_is(tmp_path: Path) -> None:
    data, time = tmp_path / "jobs.sqlite", Time()
    async with house(data=data, time=time) as there:
        await there.hire()
        await there.result()
    old = apsw.Connection(str(data))
    for index in ("open_senders", "settlements"):
        old.execute(f"DROP INDEX {index}")
    for column in ("sender", "host", "parent", "settle_at"):
        old.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    old.execute("UPDATE jobs SET acknowledged_at = 1")
    old.close()
    settled: list[str] = []

    async def settle(job: Job, _cost: MicroUSDC) -> None:
        settled.append(job.job_id)

    async with house(data=data, time=time, settle=settle) as there:
        await there.hire(job_id="job_00000002")

        async def told() -> bool:
            return bool(settled)

        await until(told)
    assert settled == ["job_0000000000000001"]
