"""Offers by hand: what is accepted, what is refused, and how."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import get_ident
from typing import Any

import anyio
import httpx2
import pytest

from jecp_mcp.ajp_server import Agent, Job, StandingUnknown, Terms, Trust, Work, senders
from jecp_mcp.ajp_server import app as app_module
from jecp_mcp.ajp_server.store import JobStore, StoreUnavailable
from jecp_mcp.errors import SettingsError
from jecp_mcp.money import parse_usdc
from tests.contract.ajp_server.hirer import Key, by_key, by_secret, declaration, iso, legacy
from tests.contract.ajp_server.house import AGENT_ID, AGENT_KEY, House, Pages, Time, count, house, identity, until
from tests.served import served

pytestmark = pytest.mark.anyio

ALICE, MALLORY = Key("alice"), Key("mallory")


@pytest.fixture
async def here() -> AsyncIterator[House]:
    async with house() as found:
        yield found


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Pages, str]]:
    """A server of declarations on this machine, and the id of who is declared there."""
    found = Pages()
    with served(found.handler()) as origin:
        yield found, f"provenance:domain:{origin.removeprefix('http://')}/alice"


@pytest.fixture
def pages(site: tuple[Pages, str]) -> tuple[Pages, str]:
    """The same without a declaration, as nobody has asked it."""
    site[0].found.clear()
    site[0].asked.clear()
    return site


def _declare(pages: Pages, sender: str, key: Key = ALICE, **more: Any) -> None:
    pages.found["/alice/.well-known/provenance.json"] = 200, declaration(sender, key, **more)


def _from(sender: str, **more: Any) -> dict[str, Any]:
    return {"type": "agent", "id": None, "provenance_id": sender, "declaration_url": None, **more}


@pytest.mark.parametrize("mount", ["/ajp/jobs", "/ajp"])
async def test_both_mounts_take_an_offer_give_the_signed_result_and_take_the_acknowledgement(
    here: House, mount: str
) -> None:
    assert await here.post(by_secret(here.offer()), mount) == (
        202,
        {"job_id": "job_0000000000000001", "status": "accepted"},
    )
    report = await here.result()
    assert json.loads(await here.raw(path=mount)) == report
    assert AGENT_KEY.verifies(report)
    assert report["output"] == {"words": 3}
    assert report["status"] == "completed"
    assert report["agent"] == {"provenance_id": AGENT_ID}
    assert report["constraints_asserted"] == ["no:pii"]
    assert report["usage"] == {"cost_usd": 0.01, "duration_seconds": 0, "llm_tokens": 7}
    assert {"started_at", "updated_at", "completed_at"} <= report.keys()
    assert await here.ack(path=mount) == (200, {"settled": True, "job_id": "job_0000000000000001"})


async def test_the_declaration_is_served_where_its_id_says_and_names_the_endpoint(here: House) -> None:
    answer = await here.client.get("/.well-known/provenance.json")
    body = answer.json()
    assert body["provenance_id"] == AGENT_ID
    assert body["ajp"] == {"endpoint": "https://words.example/ajp", "version": "0.1"}
    assert body["identity"]["public_key"] == AGENT_KEY.public
    assert "ajp:receiver" in body["capabilities"]
    assert (
        json.loads(
            declaration(
                AGENT_ID,
                AGENT_KEY,
                **{key: body[key] for key in ("name", "description", "capabilities", "constraints", "ajp")},
            )
        )
        == body
    )


async def test_an_endpoint_that_ends_in_jobs_is_the_same_agent() -> None:
    async with house(endpoint="https://words.example/jobs") as there:
        for path in ("/jobs", "/"):
            assert (await there.post(by_secret(there.offer()), path))[0] == 202


async def test_the_same_bytes_again_are_the_same_job_and_no_more_work() -> None:
    runs: list[str] = []

    async def work(job: Job) -> Work:
        runs.append(job.job_id)
        return Work("done")

    async with house(work) as there:
        raw = by_secret(there.offer())
        first = await there.post(raw)
        report = await there.raw() if (await there.result())["status"] == "completed" else b""
        there.time.turn(3_600)  # even when the offer could no longer be taken
        assert await there.post(raw) == first
        assert await there.raw() == report
    assert runs == ["job_0000000000000001"]


async def test_other_bytes_under_the_same_id_are_refused_and_change_nothing(here: House) -> None:
    await here.hire()
    report = await here.result()
    status, answer = await here.post(by_secret(here.offer(budget={"max_usd": 9})))
    assert (status, answer["code"]) == (409, "DUPLICATE_JOB_ID")
    assert await here.result() == report


async def test_the_shared_secret_proves_no_provenance_id(here: House) -> None:
    claimed = {"type": "human", "id": "mallory", "provenance_id": "provenance:domain:vip.example"}
    status, answer = await here.post(by_secret(here.offer(**{"from": claimed})))
    assert (status, answer["code"]) == (403, "PROVENANCE_UNPROVEN")
    assert (await here.client.get("/ajp/jobs/job_0000000000000001")).status_code == 404


@pytest.mark.parametrize("much", [{"text": "x" * 70_000}, [[]] * 100_000])
async def test_a_large_offer_of_nobody_is_refused_beside_the_event_loop(
    here: House, much: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    proves = senders.coverage
    monkeypatch.setattr(senders, "coverage", lambda *given: threads.append(get_ident()) or proves(*given))
    task = {"type": "count", "instruction": "Count.", "input": much}
    status, answer = await here.post(by_secret(here.offer(task=task), "another secret"))
    if isinstance(much, list):
        assert (status, threads) == (400, [])
        assert "more than 100000 commas and brackets" in json.dumps(answer)
    else:
        assert status == 401
        assert get_ident() not in threads
        assert len(threads) == 1


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"to": {"provenance_id": "provenance:domain:other.example"}}, 403, "another agent"),
        ({"issued_at": 301}, 400, "5 minutes from this agent's clock"),
        ({"issued_at": -301}, 400, "5 minutes from this agent's clock"),
        ({"expires_at": 0}, 400, "offer has expired"),
        ({"expires_at": 86_401}, 400, "more than a day"),
        ({"from": {"type": "agent", "provenance_id": AGENT_ID}}, 400, "wait for itself"),
        ({"budget": {"max_usd": 0.0099}}, 402, "$0.01 or more"),
        ({"context": {"credentials": {"token": "x"}}}, 400, "carries no secrets"),
        ({"callback": {"url": "http://hirer.example/done"}}, 400, "no public https address"),
        ({"callback": {"url": "https://127.0.0.1/done"}}, 400, "no public https address"),
        ({"callback": {"url": "https://me@hirer.example/"}}, 400, "user name"),
        ({"callback": {"url": "https://hirer.example/", "headers": {"Host": "evil"}}}, 400, "cannot be sent"),
        ({"callback": {"url": "https://hirer.example/", "headers": {"X-A": "b\r\nc"}}}, 400, "cannot be sent"),
        ({"surprise": 1}, 400, "unknown member"),
        ({"ajp": "9.9"}, 400, "ajp is"),
        ({"budget": {"max_usd": -1}}, 400, "max_usd"),
        ({"expires_at": "soon"}, 400, "expires_at"),
    ],
)
async def test_an_offer_that_cannot_be_taken_is_refused_with_its_reason(
    changed: dict[str, Any], status: int, words: str
) -> None:
    async with house(terms=Terms(least_usdc=parse_usdc("0.01"))) as there:
        now = there.time.ms
        changed = {
            key: iso(now + one * 1000) if isinstance(one, int) and key.endswith("_at") else one
            for key, one in changed.items()
        }
        found, answer = await there.post(by_secret(there.offer(**changed)))
        assert found == status
        assert words in json.dumps(answer)
        assert (await there.client.get("/ajp/jobs/job_0000000000000001")).status_code == 404


async def test_a_sub_job_of_a_job_that_waits_here_would_wait_for_itself() -> None:
    began = anyio.Event()

    async def work(_job: Job) -> Work:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with house(work) as there:
        await there.hire()
        await began.wait()
        status, answer = await there.post(
            by_secret(there.offer(job_id="job_child001", parent_job_id="job_0000000000000001"))
        )
        assert (status, answer["errors"]) == (400, ["this agent would wait for itself"])


async def test_more_jobs_than_there_is_room_for_are_told_when_to_come_again() -> None:
    began, go = anyio.Event(), anyio.Event()

    async def work(_job: Job) -> Work:
        began.set()
        await go.wait()
        return Work("done")

    async with house(work, terms=Terms(at_once=1, queue=1)) as there:
        await there.hire(job_id="job_00000001")
        await began.wait()
        await there.hire(job_id="job_00000002")
        raw = by_secret(there.offer(job_id="job_00000003"))
        full = await there.client.post("/ajp/jobs", content=raw)
        assert full.status_code == 429
        assert full.json()["retry_after"] == int(full.headers["Retry-After"]) >= 1
        go.set()
        await there.result("job_00000002")
        # Nothing was kept of the refused one: the same bytes are taken now.
        assert (await there.post(raw))[0] == 202


async def test_a_wrong_or_old_signature_is_refused(pages: tuple[Pages, str]) -> None:
    found, sender = pages
    _declare(found, sender)
    async with house(loopback=True) as there:
        message = there.offer(**{"from": _from(sender)})
        status, answer = await there.post(by_key(message, MALLORY))
        assert (status, "code" in answer) == (401, False)
        status, answer = await there.post(legacy(message, ALICE))
        assert (status, answer["code"]) == (401, "LEGACY_SIGNATURE")
        signed = json.loads(by_key(message, ALICE))
        signed["budget"]["max_usd"] = 1000
        assert (await there.post(json.dumps(signed).encode()))[0] == 401
        assert (await there.post(by_secret(there.offer(), "another secret")))[0] == 401
        assert (await there.post(by_key(message, ALICE)))[0] == 202
        # One declaration was enough for all of them.
        assert [path for _, path, _, _ in found.asked] == ["/alice/.well-known/provenance.json"]


async def test_a_person_needs_a_secret_that_the_agent_has() -> None:
    async with house(trust=Trust()) as there:
        status, answer = await there.post(by_secret(there.offer()))
        assert (status, answer["code"]) == (403, "NO_SECRET")


async def test_a_key_that_changed_is_refused_across_restarts_until_the_operator_allows_it(
    pages: tuple[Pages, str], tmp_path: Path
) -> None:
    found, sender = pages
    _declare(found, sender)
    data = tmp_path / "jobs.sqlite"
    async with house(data=data, loopback=True) as there:
        assert (await there.post(by_key(there.offer(**{"from": _from(sender)}), ALICE)))[0] == 202
    _declare(found, sender, MALLORY)
    async with house(data=data, loopback=True) as there:
        status, answer = await there.post(
            by_key(there.offer(job_id="job_00000002", **{"from": _from(sender)}), MALLORY)
        )
        assert (status, answer["code"]) == (403, "KEY_ROTATED")
    trust = Trust(known_keys={sender: MALLORY.fingerprint})
    async with house(data=data, loopback=True, trust=trust) as there:
        assert (await there.post(by_key(there.offer(job_id="job_00000002", **{"from": _from(sender)}), MALLORY)))[
            0
        ] == 202


async def test_a_sender_without_a_good_declaration_is_refused(pages: tuple[Pages, str]) -> None:
    found, sender = pages
    async with house(loopback=True) as there:
        for served_as, code in (
            ((404, b""), "DECLARATION_UNREACHABLE"),
            ((302, b"http://127.0.0.1:9/"), "DECLARATION_UNREACHABLE"),
            ((200, b"{}"), "DECLARATION_INVALID"),
            ((200, b"x" * 70_000), "DECLARATION_UNREACHABLE"),
            ((200, declaration("provenance:domain:127.0.0.1:9/bob", ALICE)), "DECLARATION_ID_MISMATCH"),
        ):
            found.found["/alice/.well-known/provenance.json"] = served_as
            status, answer = await there.post(by_key(there.offer(**{"from": _from(sender)}), ALICE))
            assert (status, answer["code"]) == (403, code)


async def test_nobody_can_have_the_agent_ask_an_address_of_their_choice(pages: tuple[Pages, str]) -> None:
    found, sender = pages
    _declare(found, sender)
    elsewhere = sender.removeprefix("provenance:domain:")
    async with house(loopback=True) as there:
        for url in (f"http://{elsewhere}/../bob/.well-known/provenance.json", f"http://{elsewhere}/other"):
            raw = by_key(there.offer(**{"from": _from(sender, declaration_url=url)}), ALICE)
            assert (await there.post(raw))[1]["code"] == "DECLARATION_LOCATION_MISMATCH"
        raw = by_key(there.offer(**{"from": _from("provenance:npm:somebody")}), ALICE)
        assert (await there.post(raw))[1]["code"] == "NO_DECLARATION_URL"
    assert found.asked == []

    async def private(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1"]

    async with house(world={"resolve": private}) as there:
        raw = by_key(there.offer(**{"from": _from("provenance:domain:inside.example")}), ALICE)
        status, answer = await there.post(raw)
        assert (status, answer["code"]) == (403, "DECLARATION_UNREACHABLE")
        assert "not on the public network" in answer["reason"]


async def test_new_senders_beyond_eight_at_once_are_asked_to_come_again() -> None:
    asked, go = [], anyio.Event()

    async def slow(host: str, _port: int) -> list[str]:
        asked.append(host)
        await go.wait()
        return []

    async with house(world={"resolve": slow}) as there:
        statuses: list[int] = []

        async def post(number: int) -> None:
            sender = f"provenance:domain:hirer{number}.example"
            raw = by_key(there.offer(job_id=f"job_{number:08}", **{"from": _from(sender)}), ALICE)
            statuses.append((await there.post(raw))[0])

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(post, number)

            async def all_ask() -> bool:
                return len(asked) == 8

            await until(all_ask)
            await post(8)
            assert statuses == [429]
            go.set()
    assert statuses == [429, *[403] * 8]


async def test_what_is_required_of_a_sender_must_stand_in_their_declaration(pages: tuple[Pages, str]) -> None:
    found, sender = pages
    trust = Trust(require_constraints=frozenset({"no:pii"}), require_capabilities=frozenset({"delegate:agents"}))
    async with house(loopback=True, trust=trust) as there:
        raw = by_key(there.offer(**{"from": _from(sender)}), ALICE)
        for lacking in ("capabilities", "constraints"):
            _declare(found, sender, **{lacking: []})
            status, answer = await there.post(raw)
            assert (status, answer["code"]) == (403, "REQUIREMENTS_NOT_MET")
            assert {"capabilities": "delegate:agents", "constraints": "no:pii"}[lacking] in answer["reason"]
            there.time.turn(300)  # a declaration is gone by for so long
            raw = by_key(there.offer(**{"from": _from(sender)}), ALICE)
        _declare(found, sender)
        assert (await there.post(raw))[0] == 202


async def test_a_declaration_whose_signature_covers_the_key_alone_proves_no_promise(pages: tuple[Pages, str]) -> None:
    found, sender = pages
    body = json.loads(declaration(sender, ALICE))
    body["provenance"] = "0.1"
    body["identity"]["signature"] = ALICE.sign(f"{sender}:{ALICE.public}".encode())
    found.found["/alice/.well-known/provenance.json"] = 200, json.dumps(body).encode()
    trust = Trust(require_constraints=frozenset({"no:pii"}))
    async with house(loopback=True, trust=trust) as there:
        raw = by_key(there.offer(**{"from": _from(sender)}), ALICE)
        assert (await there.post(raw))[1]["code"] == "REQUIREMENTS_UNCHECKABLE"


async def test_standing_is_asked_and_unknown_standing_is_refused_unless_the_operator_says_so(
    pages: tuple[Pages, str],
) -> None:
    found, sender = pages
    _declare(found, sender)
    says: list[str | None] = ["an open incident"]

    async def check(asked: str) -> str | None:
        assert asked == sender
        if not says:
            raise StandingUnknown("the index is away")
        return says[0]

    async with house(loopback=True, trust=Trust(check_standing=check)) as there:
        raw = by_key(there.offer(**{"from": _from(sender)}), ALICE)
        _, answer = await there.post(raw)
        assert (answer["code"], answer["reason"]) == ("BAD_STANDING", "an open incident")
        says.clear()
        status, answer = await there.post(raw)
        assert (status, answer["code"], answer["reason"]) == (403, "STANDING_UNAVAILABLE", "the index is away")
        says.append(None)
        assert (await there.post(raw))[0] == 202
        says.clear()
    async with house(loopback=True, trust=Trust(check_standing=check, without_standing=True)) as there:
        assert (await there.post(raw))[0] == 202


async def test_an_offer_that_is_too_long_or_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(terms=Terms(offer_bytes=1_000)) as there:
        assert (await there.post(b"x" * 1_001))[0] == 413
        monkeypatch.setattr(app_module, "_READ_SECONDS", 0)

        async def never() -> AsyncIterator[bytes]:
            yield b"{"
            await anyio.sleep_forever()

        answer = await there.client.post("/ajp/jobs", content=never())
        assert answer.status_code == 408


async def test_nothing_is_accepted_that_cannot_be_written_down(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(JobStore, "add", full)
        status, answer = await here.post(by_secret(here.offer()))
        assert (status, answer["retry_after"]) == (503, 5)
    await here.hire()


async def test_what_is_no_endpoint_is_said_in_json(here: House) -> None:
    for method, path, status in (
        ("GET", "/", 404),
        ("PUT", "/ajp/jobs", 405),
        ("GET", "/ajp/jobs/job_nobody", 404),
        ("POST", "/ajp/jobs/job_nobody/ack", 404),
    ):
        answer = await here.client.request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]


async def test_an_agent_that_does_not_run_says_so() -> None:
    agent = Agent(count, identity(), None)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(agent.app), base_url="https://words.example"
    ) as client:
        answer = await client.post("/ajp/jobs", content=b"{}")
    assert (answer.status_code, "lifespan" in answer.json()["error"]) == (503, True)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"private_key": "secret that is none"}, "private key"),
        ({"endpoint": "http://words.example/ajp"}, "public https"),
        ({"endpoint": "https://127.0.0.1/ajp"}, "public https"),
        ({"endpoint": "words"}, "endpoint"),
        ({"provenance_id": "words"}, "id"),
        ({"name": ""}, "name"),
    ],
)
def test_an_identity_that_cannot_be_one_is_said_at_once_and_no_key_with_it(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        Agent(count, identity(**changed), None)
    assert "secret that is none" not in str(refused.value)


def test_a_secret_that_is_none_is_said_at_once() -> None:
    with pytest.raises(SettingsError, match="at least") as refused:
        Agent(count, identity(), None, trust=Trust("short"))
    assert "short" not in str(refused.value).replace("too short", "")


async def test_a_file_has_one_server_and_a_broken_one_has_none(tmp_path: Path) -> None:
    data = tmp_path / "jobs.sqlite"
    async with house(data=data):
        with pytest.raises(SettingsError, match="another server is using this file"):
            async with house(data=data):
                pass
        # The one that was refused took no lock of the first with it.
        look = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM jobs')"
        other = [sys.executable, "-ISc", look, str(data)]
        found = await anyio.run_process(other, check=False)
        assert b"database is locked" in found.stderr
    (tmp_path / "link").symlink_to(data)
    with pytest.raises(SettingsError, match="cannot hold an agent's jobs"):
        JobStore(tmp_path / "link")
    assert data.stat().st_mode & 0o777 == 0o600
    (tmp_path / "text").write_text("no database at all, but text")
    with pytest.raises(SettingsError, match="cannot hold an agent's jobs"):
        async with house(data=tmp_path / "text", time=Time()):
            pass
