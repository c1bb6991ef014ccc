"""What the doctor's look at a ledger's file finds where the commands' tests cannot go: other users, small disks, crashes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.repair.backup import back_up, restore
from jecp_mcp.mandate.repair.diagnose import Level, examine
from tests.unit.mandate.reservations import meter, reservation


def bought(path: Path, *names: str) -> None:
    async def write() -> None:
        ledger = open_ledger(path)
        for name in names:
            await ledger.reserve(reservation(ledger.session, call_id=name, meters=[meter()]))
        await ledger.close()

    anyio.run(write)


def used(path: Path) -> int:
    async def read() -> int:
        ledger = open_ledger(path)
        fault = ledger.fault
        if fault is None:
            [reading] = await ledger.readings([meter()])
        await ledger.close()
        if fault is not None:
            raise fault
        return reading.used

    return anyio.run(read)


LOOK = """
import os, sys
from pathlib import Path
from jecp_mcp.clock import SystemClock
from jecp_mcp.mandate.repair.diagnose import examine
import jecp_mcp.mandate.sqlite.file_users
if os.geteuid() == 0:
    os.setuid(65534)
for one in examine(Path(sys.argv[1]), SystemClock()):
    if one.level != "ok":
        print(one.level, one.about, one.what, "|", one.mend)
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_its_owner_may_not_write_is_named(what: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "ledger.sqlite"
        bought(path, "first")
        mine = os.geteuid() == 0
        for found in (*folder.iterdir(), folder):
            if mine:
                os.chown(found, 65534, 65534)
        (path if what == "file" else folder).chmod(0o444 if what == "file" else 0o500)
        done = subprocess.run([sys.executable, "-c", LOOK, str(path)], capture_output=True, text=True, check=True)
        folder.chmod(0o700)
    if what == "file":
        assert f"{path} is read-only | chmod 600 {path}" in done.stdout
    else:
        assert f"the folder {folder} is read-only | chmod 700 {folder}" in done.stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_is_named_in_time_and_a_read_only_one_too(small_disk: Path) -> None:
    path = small_disk / "ledger.sqlite"
    bought(path, "first")
    [little] = [one for one in examine(path, SystemClock()) if one.about == "disk"]
    assert little.level is Level.WARNING
    (small_disk / "filling").write_bytes(b"x" * 4_000_000)
    [full] = [one for one in examine(path, SystemClock()) if one.about == "disk"]
    assert full.level is Level.FAULT
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    [read_only] = [one for one in examine(path, SystemClock()) if one.about == "disk"]
    assert "is read-only" in read_only.what


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only this system tells which process has which file open")
def test_a_file_that_was_replaced_under_a_running_process_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    bought(path, "first")
    script = (
        "import asyncio, sys\nfrom jecp_mcp.mandate.opening import open_ledger\n"
        "from tests.unit.mandate.reservations import everything\n"
        "async def main():\n ledger = open_ledger(sys.argv[1])\n await ledger.adopt_orphans(everything)\n"
        " print('open', flush=True)\n sys.stdin.read()\nasyncio.run(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        running.stdout.readline()
        assert not [
            one for one in examine(path, SystemClock()) if one.level is Level.WARNING and one.about == "sessions"
        ]
        other = tmp_path / "other"
        other.write_bytes(path.read_bytes())
        other.chmod(0o600)
        for side in ("-wal", "-shm"):
            Path(f"{path}{side}").unlink()
        other.replace(path)
        [warning] = [one for one in examine(path, SystemClock()) if one.level is Level.WARNING]
        running.kill()
    assert f"is not the file that process {running.pid} opened" in warning.what


CRASH = """
import os, sys
from pathlib import Path
from jecp_mcp.mandate.repair.backup import restore
left, real = int(sys.argv[3]), Path.rename
def rename(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), 9)
    left -= 1
    return real(self, target)
Path.rename = rename
restore(Path(sys.argv[1]), Path(sys.argv[2]), force=True)
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_a_restore_that_is_cut_off_never_leaves_an_empty_ledger(tmp_path: Path, renames: int) -> None:
    path, copy = tmp_path / "state" / "ledger.sqlite", tmp_path / "copy.sqlite"
    bought(path, "first")
    back_up(path, copy)
    bought(path, "second")
    Path(f"{path}.lock").unlink()
    done = subprocess.run([sys.executable, "-c", CRASH, str(path), str(copy), str(renames)], check=False)
    assert done.returncode == -9
    if renames:
        with pytest.raises(Exception, match="is gone, though it was written before"):
            used(path)
        assert not path.exists()
    else:
        assert used(path) == 10_000
    assert restore(path, copy, force=True).copy.report.calls == 1
    assert used(path) == 5_000
