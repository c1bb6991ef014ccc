"""The catalog on disk: whole or ignored."""

import logging
import os
import stat

import pytest

from jecp_mcp.catalog.rows import Rows, packed
from jecp_mcp.catalog.snapshot import Snapshot, StoredPage, read, write
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.money import MicroUSDC

ACTIONS = tuple(
    Offer(f"acme/c{i}", "do", "acme", Price(MicroUSDC(5 + i)), "1.0.0", description="naïve 請求書") for i in range(3)
)


def stored(url: str, etag: str | None, actions: tuple[Offer, ...], *more, **named) -> StoredPage:
    data, rows, _ = packed(actions)
    return StoredPage(url, etag, data, rows, *more, **named)


SNAPSHOT = Snapshot(
    "https://hub.example x",
    "r1",
    UnixMs(1_800_000_000_000),
    (
        stored("https://hub.example/1", '"e1"', ACTIONS[:2], (("x", "why"),), "c2", has_more=True),
        stored("https://hub.example/2", None, ACTIONS[2:]),
    ),
)


def test_what_is_written_is_read_back_equal(tmp_path):
    path = tmp_path / "deep" / "catalog"
    assert write(path, SNAPSHOT)
    found = read(path, SNAPSHOT.scope)
    assert found == SNAPSHOT
    assert [dict(Rows(page.rows)) for page in found.pages] == [dict(Rows(page.rows)) for page in SNAPSHOT.pages]
    assert [action for page in found.pages for action in Rows(page.rows).values()] == list(ACTIONS)


def test_only_the_owner_may_read_it_and_nothing_else_is_left_behind(tmp_path):
    path = tmp_path / "catalog"
    old = os.umask(0)
    try:
        write(path, SNAPSHOT)
        write(path, SNAPSHOT)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["catalog"]


def test_a_missing_file_is_silently_nothing(tmp_path, caplog):
    assert read(tmp_path / "none", SNAPSHOT.scope) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda _: b"\x00" * 100,
        lambda _: b"[]\n",
        lambda _: b'{"form":3}\n',
        lambda data: data.replace(b'"acme/c1"', b'"evil/c1"'),
        lambda data: data.replace(b'"fetched_at":1800000000000', b'"fetched_at":"x"'),
    ],
)
def test_a_damaged_file_is_ignored_with_a_log_line(tmp_path, caplog, damage):
    path = tmp_path / "catalog"
    write(path, SNAPSHOT)
    data = path.read_bytes()
    assert damage(data) != data
    path.write_bytes(damage(data))
    with caplog.at_level(logging.INFO):
        assert read(path, SNAPSHOT.scope) is None
    assert len(caplog.records) == 1


def test_a_file_of_another_form_or_hub_is_ignored_with_a_log_line(tmp_path, caplog):
    path = tmp_path / "catalog"
    write(path, SNAPSHOT)
    with caplog.at_level(logging.INFO):
        assert read(path, "https://other.example") is None
        path.write_bytes(path.read_bytes().replace(b'{"form":5,"scope"', b'{"form":6,"scope"'))
        assert read(path, SNAPSHOT.scope) is None
    assert len(caplog.records) == 2


def test_a_place_that_cannot_be_written_or_read_is_logged_and_harmless(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert not write(tmp_path / "file" / "catalog", SNAPSHOT)
    (tmp_path / "folder").mkdir()
    assert not write(tmp_path / "folder", SNAPSHOT)
    assert read(tmp_path / "folder", SNAPSHOT.scope) is None
    assert len(caplog.records) == 3
