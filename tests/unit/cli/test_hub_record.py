"""What is written down beside a sandbox Hub's file, and the locks that say whether it is true."""

from __future__ import annotations

import shutil
import stat
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from jecp_mcp.cli.hub_record import HubRecord, SandboxHub, SandboxMerchant
from jecp_mcp.errors import SettingsError

READY = {"hub": "http://127.0.0.1:20123", "agent_id": "sbx_ag_1", "api_key": "sbx_ak_1", "control_key": "control"}


@pytest.fixture
def record(tmp_path: Path) -> HubRecord:
    made = HubRecord(tmp_path / "new" / "sandbox.sqlite")
    made.create()
    return made


def test_one_claims_it_and_the_next_only_after(record: HubRecord) -> None:
    assert not record.lives()
    with record.claim() as first:
        assert first is not None
        assert record.lives()
        with record_beside(record).claim() as second:
            assert second is None
        assert not record.claim_for_life()
    assert not record.lives()
    with record.claim() as again:
        assert again is not None


def record_beside(record: HubRecord) -> HubRecord:
    return HubRecord(record.data)


def test_what_a_dead_hub_wrote_is_gone_by_when_the_next_is_started_but_its_port(record: HubRecord) -> None:
    assert (record.hub, record.port) == (None, None)
    record.write(READY)
    assert record_beside(record).hub == SandboxHub(*READY.values())
    with record.claim():
        assert (record.hub, record.port) == (None, 20123)


def test_the_merchant_beside_it_is_written_down_with_it(record: HubRecord) -> None:
    x402 = {
        "merchant": "http://127.0.0.1:1",
        "rpc": ["http://a", "http://b"],
        "faucet": "http://c",
        "chain": "http://d",
    }
    record.write({**READY, "x402": x402})
    merchant = SandboxMerchant("http://127.0.0.1:1", ("http://a", "http://b"), "http://c", "http://d")
    assert record_beside(record).hub == SandboxHub(*READY.values(), merchant)
    record.write({**READY, "x402": {"merchant": "http://127.0.0.1:1"}})
    assert record.hub is None


def test_the_agents_beside_a_hub_are_told_with_who_hires_them(tmp_path: Path) -> None:
    record = HubRecord(tmp_path / "sandbox.sqlite")
    record.create()
    agent = {"name": "counter", "id": "provenance:domain:127.0.0.1:9/counter"}
    hirer = {"id": "provenance:domain:127.0.0.1:9/hirer", "private_key": "worthless"}
    record.write({**READY, "ajp": {"agents": [agent], "hirer": hirer, "index_url": "http://127.0.0.1:9/index"}})
    found = record.last
    assert found is not None
    assert found.agents is not None
    assert (found.agents.hirer, found.agents.agents) == (hirer["id"], (agent,))
    assert found.agents.index_url == "http://127.0.0.1:9/index"
    assert "worthless" not in repr(found)
    record.write({**READY, "ajp": {"agents": [agent]}})
    assert record.last is None


def test_nobody_else_can_read_it_and_no_key_is_shown_by_accident(record: HubRecord) -> None:
    record.write(READY)
    with record.claim(), record.use(), record.new_log():
        modes = {stat.S_IMODE(path.stat().st_mode) for path in record.folder.iterdir()}
        assert (modes, stat.S_IMODE(record.folder.stat().st_mode)) == ({0o600}, 0o700)
    assert "sbx_ak_1" not in repr(SandboxHub(*READY.values()))


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"port": "no", "hub": 1}', '{"port": 99999999}', "\ud800"])
def test_a_record_that_cannot_be_read_is_none(record: HubRecord, text: str) -> None:
    (record.folder / "record.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert (record.hub, record.port) == (None, None)


def test_it_closes_for_users_only_when_there_are_none_and_lets_none_in_afterwards(record: HubRecord) -> None:
    closing = threading.Thread(target=HubRecord.close_when_unused, args=(record.users(), 0), daemon=True)
    with ExitStack() as users:
        assert users.enter_context(record.use())
        assert users.enter_context(record.use())
        closing.start()
        assert users.enter_context(record.use())
        assert closing.is_alive()
    closing.join()
    with record.use() as possible:
        assert not possible


def test_it_closes_also_where_its_folder_was_taken_away(record: HubRecord) -> None:
    users = record.users()
    shutil.rmtree(record.folder)
    record.create()
    with record.use() as another_hubs:
        assert another_hubs
        HubRecord.close_when_unused(users, 0)


def test_its_last_words_are_the_last_line_of_its_log(record: HubRecord) -> None:
    assert record.last_words() == ""
    with record.new_log() as log:
        log.write(b"jecp-mcp: something first\njecp-mcp: the port is taken\n\n")
    assert record.last_words() == "the port is taken"


def test_a_place_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "sandbox.hub").write_text("a file")
    with pytest.raises(SettingsError, match=r"sandbox\.hub"):
        HubRecord(tmp_path / "sandbox.sqlite").create()
