"""Jobs by hand: how they end, what is acknowledged, who is told, and what a restart keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import get_ident
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jecp_mcp.ajp_server import Job, JobFailed, Terms, Work, runner
from jecp_mcp.ajp_server.store import JobStore, StoreUnavailable
from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.paid_http.database import FILE_SUFFIX, Database
from tests.contract.ajp_server.hirer import by_secret
from tests.contract.ajp_server.house import AGENT_KEY, House, Pages, Time, count, house, until
from tests.served import served

pytestmark = pytest.mark.anyio


def _gives(work: Work) -> Callable[[Job], Any]:
    async def give(_job: Job) -> Work:
        return work

    return give


def _raises(exc: BaseException) -> Callable[[Job], Any]:
    async def fail(_job: Job) -> Work:
        raise exc

    return fail


class _Hostile(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def __len__(self) -> int:
        return 2


class _Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


async def _sleeping(there: House) -> None:
    """Wait until somebody waits for the time to pass."""

    async def sleeps() -> bool:
        return bool(there.time.sleeping)

    await until(sleeps)


@pytest.mark.parametrize(
    ("work", "task", "words"),
    [
        (_raises(JobFailed("I cannot count that")), {}, "I cannot count that"),
        (_raises(RuntimeError("password=hunter2")), {}, "the agent failed at this job"),
        (_gives(Work("x", "0.500001")), {}, "more than the $0.50 that was offered"),
        (_gives(Work("x", "-1")), {}, "cannot be billed"),
        (_gives(Work("x", "0.0000001")), {}, "cannot be billed"),
        (_gives(Work("x", llm_tokens=10_001)), {}, "10001 tokens where 10000"),
        (_gives(Work({"no": "text"})), {"output_format": "markdown"}, "no markdown"),
        (_gives(Work({"not": {1, 2}})), {}, "cannot be sent"),
        (_gives(Work(float("nan"))), {}, "cannot be sent"),
        (_gives(Work(2**60)), {}, "cannot be sent"),
        (_gives(Work("x" * 2_000)), {}, "longer than 2000 bytes"),
        (_gives(None), {}, "the agent failed at this job"),  # type: ignore[arg-type]
        (_gives(Work(_Hostile())), {}, "cannot be sent; nothing is owed"),
        (_raises(JobFailed(_Wordless())), {}, "the agent could not do it"),
        (_raises(SystemExit(1)), {}, "the agent failed at this job"),
        (_raises(BaseExceptionGroup("x", [KeyboardInterrupt()])), {}, "the agent failed at this job"),
    ],
)
async def test_work_that_went_wrong_is_signed_as_failed_and_owes_nothing(
    work: Any, task: dict[str, str], words: str
) -> None:
    async with house(work, terms=Terms(result_bytes=2_000)) as there:
        message = there.offer()
        message["task"] |= task
        assert (await there.post(by_secret(message)))[0] == 202
        report = await there.result()
        assert AGENT_KEY.verifies(report)
        assert (report["status"], report["output"], report["usage"]["cost_usd"]) == ("failed", None, 0)
        assert words in report["message"]
        assert "hunter2" not in json.dumps(report)
        status, answer = await there.ack()
        assert (status, "failed" in answer["error"]) == (409, True)


async def test_work_is_cancelled_when_its_time_is_over() -> None:
    ended: list[str] = []

    async def work(job: Job) -> Work:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(job.job_id)
        raise AssertionError

    async with house(work, terms=Terms(most_seconds=20)) as there:
        await there.hire()
        await _sleeping(there)
        assert json.loads(await there.raw())["status"] == "running"
        there.time.turn(19)
        await checkpoint()
        assert ended == []
        there.time.turn(1)
        report = await there.result()

        async def cancelled() -> bool:
            return ended == ["job_0000000000000001"]

        await until(cancelled)
        assert (report["status"], report["usage"]["duration_seconds"]) == ("expired", 20)
        assert "after 20 s" in report["message"]
        assert AGENT_KEY.verifies(report)


async def test_an_offer_that_expired_while_it_waited_is_not_worked_on() -> None:
    done: list[str] = []
    go = anyio.Event()

    async def work(job: Job) -> Work:
        done.append(job.job_id)
        await go.wait()
        return Work("done")

    async with house(work, terms=Terms(at_once=1)) as there:
        await there.hire(job_id="job_00000001", budget={"max_usd": 1, "max_seconds": 1_000})
        await _sleeping(there)
        await there.hire(job_id="job_00000002")
        there.time.turn(121)
        go.set()
        assert (await there.result("job_00000002"))["status"] == "expired"
        assert done == ["job_00000001"]


async def test_an_acknowledgement_is_taken_once_and_settled_once() -> None:
    settled: list[tuple[str, MicroUSDC]] = []

    async def settle(job: Job, cost: MicroUSDC) -> None:
        settled.append((job.job_id, cost))

    go = anyio.Event()

    async def work(job: Job) -> Work:
        await go.wait()
        return await count(job)

    async with house(work, settle=settle) as there:
        await there.hire()
        assert (await there.ack())[0] == 409  # nothing is owed for what is not done
        go.set()
        await there.result()
        for _ in range(3):
            assert await there.ack() == (200, {"settled": True, "job_id": "job_0000000000000001"})

        async def told() -> bool:
            return bool(settled)

        await until(told)
        await checkpoint()
    assert settled == [("job_0000000000000001", 10_000)]


async def test_a_settlement_that_failed_is_told_again_also_by_the_next_start(tmp_path: Path) -> None:
    tries: list[str] = []

    async def fail(job: Job, _cost: MicroUSDC) -> None:
        tries.append(job.job_id)
        raise OSError("the bank is away")

    async def settle(job: Job, _cost: MicroUSDC) -> None:
        tries.append(f"heard {job.job_id}")

    async def tried(times: int) -> None:
        async def enough() -> bool:
            return len(tries) >= times

        await until(enough)

    data, time = tmp_path / "jobs.sqlite", Time()
    async with house(data=data, time=time, settle=fail) as there:
        await there.hire()
        await there.result()
        await there.ack()
        await tried(1)
        await _sleeping(there)
        time.turn(60)
        await tried(2)
    for _ in range(2):  # the second start has nothing left to tell
        async with house(data=data, time=time, settle=settle):
            await tried(3)
    assert tries == [*["job_0000000000000001"] * 2, "heard job_0000000000000001"]


async def test_a_hirer_who_wants_to_be_told_is_told_the_signed_bytes_with_their_headers() -> None:
    pages = Pages({"/done": (200, b"")})
    with served(pages.handler()) as origin:
        callback = {"url": f"{origin}/done", "headers": {"X-Token": "t0ken"}}
        async with house(loopback=True) as there:
            await there.hire(callback=callback)
            await there.result()

            assert await anyio.to_thread.run_sync(pages.came.wait, 30)
            [(method, path, headers, body)] = pages.asked
            assert (method, path, headers["x-token"]) == ("POST", "/done", "t0ken")
            assert headers["content-type"] == "application/json"
            assert body == await there.raw()


async def test_a_callback_is_tried_three_times_across_restarts_and_never_leaves_the_public_network(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    async def private(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["169.254.169.254"]

    data, time = tmp_path / "jobs.sqlite", Time()

    async def tried(there: House, times: int) -> None:
        async def enough() -> bool:
            return len(asked) == times and (times == 3 or bool(there.time.sleeping))

        await until(enough)

    async with house(_raises(JobFailed("no")), data, time=time, world={"resolve": private}) as there:
        await there.hire(callback={"url": "https://hirer.example/done"})  # who hired is told of a failure too
        await tried(there, 1)
        time.turn(5)
        await tried(there, 2)
    async with house(data=data, time=time, world={"resolve": private}) as there:
        assert len(asked) == 2
        await _sleeping(there)
        time.turn(60)
        await tried(there, 3)
        time.turn(3_600)
        for _ in range(50):
            await checkpoint()
    assert asked == ["hirer.example"] * 3
    assert "not tried again" in caplog.text
    assert "job_0000000000000001" not in caplog.text  # who knows the id can read the result


async def test_a_restart_loses_no_job_and_no_result(tmp_path: Path) -> None:
    began = anyio.Event()

    async def hang(_job: Job) -> Work:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    data, time = tmp_path / "jobs.sqlite", Time()
    async with house(data=data, time=time) as there:
        await there.hire(job_id="job_00000001")
        await there.result("job_00000001")
        report = await there.raw("job_00000001")
    async with house(hang, data, time=time, terms=Terms(at_once=1)) as there:
        await there.hire(job_id="job_00000002")
        await there.hire(job_id="job_00000003")
        await began.wait()
        assert await there.raw("job_00000001") == report
    attempts: dict[str, int] = {}

    async def work(job: Job) -> Work:
        attempts[job.job_id] = job.attempt
        return await count(job)

    async with house(work, data, time=time) as there:
        for job_id in ("job_00000002", "job_00000003"):
            assert (await there.result(job_id))["status"] == "completed"
    assert attempts == {"job_00000002": 1, "job_00000003": 1}  # a server that ended in good order interrupted nobody


async def test_a_job_that_was_begun_in_time_is_done_also_by_a_start_after_its_offer_expired(tmp_path: Path) -> None:
    began = anyio.Event()

    async def hang(_job: Job) -> Work:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    data, time = tmp_path / "jobs.sqlite", Time()
    async with house(hang, data, time=time, terms=Terms(at_once=1)) as there:
        await there.hire(job_id="job_00000001")
        await there.hire(job_id="job_00000002")
        await began.wait()
    time.turn(300)
    async with house(data=data, time=time) as there:
        assert (await there.result("job_00000001"))["status"] == "completed"
        assert (await there.result("job_00000002"))["status"] == "expired"


async def test_the_result_of_a_large_offer_is_signed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    sign = runner.signed_ending
    monkeypatch.setattr(runner, "signed_ending", lambda *given: threads.append(get_ident()) or sign(*given))
    async with house() as there:
        await there.hire()
        await there.result()
        await there.hire(job_id="job_00000002", task={"type": "t", "instruction": "i", "input": {"text": "x" * 70_000}})
        assert AGENT_KEY.verifies(await there.result("job_00000002"))
    assert [one == get_ident() for one in threads] == [True, False]


def test_what_is_promised_is_synced_to_the_disk(tmp_path: Path) -> None:
    for database, synchronous in (
        (JobStore(tmp_path / "jobs.sqlite"), 2),
        (Database(tmp_path / f"chain{FILE_SUFFIX}"), 1),
    ):
        modes = [database._db.execute(f"PRAGMA {name}").get for name in ("journal_mode", "synchronous", "locking_mode")]
        database.close()
        assert modes == ["wal", synchronous, "exclusive"]


async def test_a_job_on_which_the_server_dies_every_time_is_given_up(tmp_path: Path) -> None:
    data, time = tmp_path / "jobs.sqlite", Time()
    raw = b""
    for attempt in range(1, 5):
        async with house(data=data, time=time, terms=Terms(at_once=0, queue=1)) as there:
            raw = raw or by_secret(there.offer())
            assert (await there.post(raw))[0] == 202
        store = JobStore(data)
        begun = store.begin(time.now()) if attempt < 4 else None  # and the process dies here
        assert begun is None or begun.attempts == attempt
        store.close()
    async with house(data=data, time=time) as there:
        report = await there.result()
    assert (report["status"], report["message"]) == ("failed", "the agent was interrupted 3 times and gave up")


async def test_a_result_that_cannot_be_written_down_now_is_written_down_later(monkeypatch: pytest.MonkeyPatch) -> None:
    end = JobStore.end
    failures: list[int] = []

    def full(store: JobStore, *given: Any, **more: Any) -> None:
        if len(failures) < 2:
            failures.append(1)
            raise StoreUnavailable("the disk is full")
        end(store, *given, **more)

    monkeypatch.setattr(JobStore, "end", full)
    async with house() as there:
        await there.hire()
        for times in (1, 2):

            async def failed_and_waits(times: int = times) -> bool:
                return len(failures) == times and bool(there.time.sleeping)

            await until(failed_and_waits)
            there.time.turn(5)
        assert (await there.result())["output"] == {"words": 3}


async def test_ended_jobs_are_kept_for_as_long_as_the_terms_say_and_no_longer(tmp_path: Path) -> None:
    async with house(data=tmp_path / "jobs.sqlite", terms=Terms(keep_days=1)) as there:
        await there.hire(job_id="job_00000001")
        await there.result("job_00000001")
        there.time.turn(86_000)
        await there.hire(job_id="job_00000002")
        await there.result("job_00000002")
        await there.raw("job_00000001")
        there.time.turn(1_000)
        await there.hire(job_id="job_00000003")
        await there.result("job_00000003")

        async def gone() -> bool:
            return (await there.client.get("/ajp/jobs/job_00000001")).status_code == 404

        await until(gone)
        await there.raw("job_00000002")
