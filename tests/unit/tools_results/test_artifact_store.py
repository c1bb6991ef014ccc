"""The artifact store on a real disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.purchases import LOCAL, Principal
from jecp_mcp.errors import ToolFault
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.artifact_store import LISTED, ArtifactStore

from .scene import NOW, FixedClock

DAY = 86_400_000
MIB = 1_048_576


def store_in(directory: Path, clock: FixedClock | None = None, **settings: int) -> ArtifactStore:
    return ArtifactStore(directory / "artifacts", ArtifactSettings(**settings), clock or FixedClock())


def test_a_stored_file_is_read_back_whole_by_its_address(tmp_path: Path) -> None:
    kept = store_in(tmp_path).put(b"%PDF-1.7 \x00\xff", "application/pdf", "docs invoice", "c_1", LOCAL)
    store = store_in(tmp_path)
    found = store.owned(kept.uri, LOCAL)
    assert found == kept
    assert (store.read(found), store.read(found, 5, 3)) == (b"%PDF-1.7 \x00\xff", b"1.7")
    assert kept.path.suffix == ".pdf"


def test_the_same_file_is_kept_once_and_another_kind_of_it_apart(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    one, two = (store.put(b"abc", "text/plain", "n", call, LOCAL) for call in ("c_1", "c_2"))
    other = store.put(b"abc", "text/csv", "n", "c_3", LOCAL)
    assert one.id == two.id != other.id
    assert len(store.list()) == 2


def test_files_are_for_this_user_only(tmp_path: Path) -> None:
    kept = store_in(tmp_path).put(b"abc", "text/plain", "n", None, LOCAL)
    for path in kept.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "uri",
    [
        "jecp://artifact/../../etc/passwd",
        "jecp://artifact/%2e%2e%2fsecret",
        "jecp://artifact/" + "0" * 32,
        "jecp://artifact/" + "0" * 31 + "/",
        "jecp://artifact/" + "0" * 32 + "\n",
        "jecp://artifact/" + "A" * 32,
        "jecp://artifact/",
        "jecp://other/" + "0" * 32,
        "file:///etc/passwd",
        "",
    ],
)
def test_an_address_that_names_no_kept_file_finds_nothing(tmp_path: Path, uri: str) -> None:
    (tmp_path / "secret").write_text("s")
    store = store_in(tmp_path)
    store.put(b"abc", "text/plain", "n", None, LOCAL)
    with pytest.raises(ToolFault) as caught:
        store.owned(uri, LOCAL)
    assert caught.value.code == "ARTIFACT_NOT_FOUND"


def test_a_name_from_a_stranger_is_never_a_path(tmp_path: Path) -> None:
    kept = store_in(tmp_path).put(b"abc", "text/plain", "../../evil\u202e.sh", "../c", LOCAL)
    assert kept.path.parent == tmp_path / "artifacts"
    assert kept.name == "../../evil.sh"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts"]


def test_a_media_type_that_is_none_becomes_plain_bytes(tmp_path: Path) -> None:
    kept = store_in(tmp_path).put(b"abc", "text/html; x=../../y", "n", None, LOCAL)
    assert kept.mime_type == "application/octet-stream"


def test_files_older_than_the_days_to_keep_are_deleted(tmp_path: Path) -> None:
    clock = FixedClock()
    store = store_in(tmp_path, clock, keep_days=2)
    old = store.put(b"old", "text/plain", "n", None, LOCAL)
    clock.at = UnixMs(NOW + 3 * DAY)
    new = store.put(b"new", "text/plain", "n", None, LOCAL)
    assert [kept.id for kept in store.list()] == [new.id]
    assert not old.path.exists()


def test_beyond_the_size_of_the_store_the_oldest_go_first_and_the_newest_never(tmp_path: Path) -> None:
    clock = FixedClock()
    store = store_in(tmp_path, clock, max_total_bytes=MIB)
    for number in range(6):
        clock.at = UnixMs(clock.at + 1000)
        last = store.put(bytes([number]) * 300_000, "text/plain", str(number), None, LOCAL)
    assert [kept.name for kept in store.list()] == ["5", "4", "3"]
    assert last.path.exists()


def test_a_file_larger_than_the_whole_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolFault) as caught:
        store_in(tmp_path, max_total_bytes=MIB).put(b"x" * (MIB + 1), "text/plain", "n", None, LOCAL)
    assert caught.value.code == "ARTIFACT_NOT_STORED"


def test_what_a_crash_left_half_written_goes_after_a_day_and_not_before(tmp_path: Path) -> None:
    directory = tmp_path / "artifacts"
    directory.mkdir()
    stale, fresh = directory / "tmp-1", directory / "tmp-2"
    for path, age in ((stale, 2 * DAY), (fresh, 0)):
        path.write_bytes(b"half")
        os.utime(path, ((NOW - age) / 1000,) * 2)
    store_in(tmp_path).put(b"abc", "text/plain", "n", None, LOCAL)
    assert (stale.exists(), fresh.exists()) == (False, True)


def test_a_disk_that_refuses_is_a_fault_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the directory should be")
    with pytest.raises(ToolFault) as caught:
        store_in(tmp_path).put(b"abc", "text/plain", "n", None, LOCAL)
    assert caught.value.code == "ARTIFACT_NOT_STORED"


def test_a_damaged_record_hides_its_file_and_no_other(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    bad, good = store.put(b"bad", "text/plain", "n", None, LOCAL), store.put(b"good", "text/plain", "n", None, LOCAL)
    (bad.path.parent / f"{bad.id}.meta").write_bytes(b"{")
    assert [kept.id for kept in store.list()] == [good.id]


def test_a_listing_is_bounded_and_newest_first(tmp_path: Path) -> None:
    clock = FixedClock()
    store = store_in(tmp_path, clock)
    for number in range(LISTED + 5):
        clock.at = UnixMs(clock.at + 1)
        store.put(str(number).encode(), "text/plain", str(number), None, LOCAL)
    listed = store.list()
    assert (len(listed), listed[0].name) == (LISTED, str(LISTED + 4))


def test_a_record_whose_bytes_are_gone_finds_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    kept = store.put(b"abc", "text/plain", "n", None, LOCAL)
    kept.path.unlink()
    with pytest.raises(ToolFault) as caught:
        store.read(kept)
    assert caught.value.code == "ARTIFACT_NOT_FOUND"


def test_a_file_is_its_owners_also_where_another_has_the_same(tmp_path: Path) -> None:
    store, other = store_in(tmp_path), Principal("someone else")
    mine, theirs = (store.put(b"abc", "text/plain", "n", "c_1", owner) for owner in (LOCAL, other))
    assert mine.id != theirs.id
    assert [one.id for one in store.list(owner=LOCAL)] == [mine.id]
    assert {one.id for one in store.list()} == {mine.id, theirs.id}
    with pytest.raises(ToolFault) as caught:
        store.owned(theirs.uri, LOCAL)
    with pytest.raises(ToolFault) as none:
        store.owned("jecp://artifact/" + "0" * 32, LOCAL)
    assert str(caught.value) == str(none.value)


def test_a_record_of_before_there_were_owners_is_the_local_users(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    kept = store.put(b"abc", "text/plain", "n", None, Principal("x"))
    record = kept.path.parent / f"{kept.id}.meta"
    record.write_bytes(record.read_bytes().replace(b',"owner":"x"', b""))
    assert store.owned(kept.uri, LOCAL).name == "n"


def test_a_file_read_again_from_its_calls_answer_is_as_old_as_the_call(tmp_path: Path) -> None:
    clock = FixedClock()
    store = store_in(tmp_path, clock, keep_days=2)
    bought = store.put(b"abc", "text/plain", "n", "c_1", LOCAL)
    clock.at = UnixMs(NOW + DAY)
    assert store.put(b"abc", "text/plain", "n", "c_1", LOCAL) == bought
    assert store.kept_until(bought) == NOW + 2 * DAY
    # Another call, bytes that are gone, and a time that is over make it new.
    assert store.put(b"abc", "text/plain", "n", "c_2", LOCAL).created_at == clock.at
    bought.path.unlink()
    clock.at = UnixMs(clock.at + 1)
    assert store.put(b"abc", "text/plain", "n", "c_2", LOCAL).created_at == clock.at
    clock.at = UnixMs(clock.at + 2 * DAY)
    assert store.put(b"abc", "text/plain", "n", "c_2", LOCAL).created_at == clock.at
