"""A state folder that other machines, or another mount, may share: refused or warned about by the mount's type."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from jecp_mcp.cli.doctor import command as doctor
from jecp_mcp.errors import SettingsError
from jecp_mcp.mandate.opening import open_configured
from jecp_mcp.settings import LedgerSettings, mount_of, places

REMOTE = [
    "nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "lustre", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone",
    "fuse.mount-s3", "fuse.blobfuse2", "fuse.juicefs", "fuse.davfs2",
]  # fmt: skip
SERVED = ["fuse", "fuseblk", "fuse.bindfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.portal", "virtiofs"]
LOCAL = ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "f2fs", "fusectl"]


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and a table of mounts to write."""
    monkeypatch.setattr(places, "MOUNTS", tmp_path / "mountinfo")
    state = tmp_path / "a folder" / "state"
    state.mkdir(parents=True)
    return state


def write(*mounts: tuple[Path, str]) -> None:
    """Linux's table with a root and these mounts, in this order."""
    lines = ["27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"]
    for number, (point, kind) in enumerate(mounts):
        written = str(point).replace(" ", "\\040")
        lines.append(f"{30 + number} 27 0:{number} / {written} rw,relatime shared:{number} master:1 - {kind} source rw")
    places.MOUNTS.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", REMOTE)
def test_a_ledger_that_other_machines_may_share_is_refused_and_postgresql_named(mounted: Path, kind: str) -> None:
    write((mounted.parent, kind))
    with pytest.raises(SettingsError, match=rf"a mount of type {kind}.*PostgreSQL") as caught:
        open_configured(LedgerSettings(), mounted / "ledger.sqlite")
    assert str(mounted) in str(caught.value)
    assert list(mounted.iterdir()) == []


@pytest.mark.parametrize("kind", SERVED)
def test_a_folder_that_a_program_serves_is_warned_about(
    mounted: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    write((mounted.parent, kind))
    with caplog.at_level(logging.WARNING, "jecp_mcp"):
        asyncio.run(opened_and_closed(mounted))
    assert [kind in record.getMessage() and "second mount" in record.getMessage() for record in caplog.records] == [
        True
    ]


@pytest.mark.parametrize("kind", LOCAL)
def test_a_local_disk_is_as_good_as_ever(mounted: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    write((mounted.parent, kind))
    with caplog.at_level(logging.WARNING, "jecp_mcp"):
        asyncio.run(opened_and_closed(mounted))
    assert caplog.records == []


async def opened_and_closed(state: Path) -> None:
    ledger = open_configured(LedgerSettings(), state / "ledger.sqlite")
    assert ledger.fault is None
    await ledger.close()


def test_the_innermost_and_latest_mount_counts_also_for_a_folder_that_is_not_there_yet(mounted: Path) -> None:
    write((mounted.parent, "nfs"), (mounted, "ext4"), (mounted.parent / "statesman", "cifs"))
    inside = mount_of(mounted / "not" / "yet" / "ledger.sqlite")
    assert inside is not None
    assert (inside.kind, inside.point) == ("ext4", mounted)
    outside = mount_of(mounted.parent / "ledger.sqlite")
    assert outside is not None
    assert (outside.kind, outside.remote) == ("nfs", True)
    write((mounted, "ext4"), (mounted, "fuse.sshfs"))
    covered = mount_of(mounted)
    assert covered is not None
    assert covered.remote


def test_a_link_leads_to_the_mount_behind_it(mounted: Path, tmp_path: Path) -> None:
    write((mounted, "nfs4"))
    (tmp_path / "link").symlink_to(mounted)
    found = mount_of(tmp_path / "link" / "ledger.sqlite")
    assert found is not None
    assert found.remote


@pytest.mark.parametrize("table", [None, "", "garbage\n\n - \n1 2 3 - ext4\n"])
def test_where_no_table_tells_nothing_is_refused(mounted: Path, table: str | None) -> None:
    if table is not None:
        places.MOUNTS.write_text(table)
    assert mount_of(mounted) is None
    asyncio.run(opened_and_closed(mounted))


@pytest.mark.parametrize(("kind", "level"), [("nfs4", "fault"), ("fuse.bindfs", "warning"), ("ext4", None)])
def test_the_doctor_says_so_too(mounted: Path, kind: str, level: str | None) -> None:
    write((mounted.parent, kind))
    done = CliRunner().invoke(doctor, ["--ledger", "--json", "--state-dir", str(mounted)], standalone_mode=False)
    findings = json.loads(done.stdout)["findings"]
    assert [one["level"] for one in findings if one["about"] == "state folder"] == ([level] if level else [])
