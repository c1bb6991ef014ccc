"""The sandbox of this state folder: whether it runs, and whether it can, with its files and its play money."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

import apsw

from jecp_mcp.cli.hub_record import DATA_FILE, HubRecord
from jecp_mcp.cli.options import Start
from jecp_mcp.damaged_files import set_aside_command
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import SANDBOX
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.settings import sandbox_dir
from jecp_mcp.settings.wallet_key import SANDBOX_FILE, stored_wallet_key

_ABOUT: Final = "sandbox"
_ONLY_TEST_MONEY: Final = "nothing is bought with test money; of other money, of calls and of files nothing is lost"


class _Database(Protocol):
    def close(self) -> None: ...


def sandbox_findings(given: Start) -> Iterator[Finding]:
    """Whether a Hub with test money runs on the books of this state folder, or would."""
    record = HubRecord(given.state / DATA_FILE)
    if record.lives():
        yield Finding(Level.OK, _ABOUT, f"a Hub with test money runs on {record.data}")
    else:
        start = given.commands.line("serve")
        what = f"no Hub with test money runs on {record.data} now; {start} starts it, as does whatever buys there"
        yield Finding(Level.OK, _ABOUT, what)
        if SANDBOX.lack() is None:
            damaged = list(_damaged_files(record.data))
            # One that was started meanwhile was writing there.
            yield from [] if record.lives() else damaged
    yield from _play_key(given.state / SANDBOX_FILE)


def start_line(given: Start, port: int) -> str:
    """The command that starts a sandbox at a port, on the books of the one that was there before, where they are known.

    Args:
        given: what the command starts from.
        port: where the Hub is looked for.
    """
    words = ["sandbox", "--port", str(port)]
    usual = sandbox_dir(os.environ) / DATA_FILE
    for data in (usual, given.state / DATA_FILE, given.state / "sandbox" / DATA_FILE):
        if HubRecord(data).port == port:
            return given.commands.line(*words, *(() if data == usual else ("--data", str(data))))
    return f"{given.commands.line(*words)}, or the same with the --data that it ran with"


def _damaged_files(data: Path) -> Iterator[Finding]:
    from jecp_mcp.sandbox.hub_database import HubDatabase
    from jecp_mcp.sandbox.paid_http.database import FILE_SUFFIX, Database

    kinds: tuple[tuple[Path, str, Callable[[Path], _Database]], ...] = (
        (data, "a sandbox's state", HubDatabase),
        (data.with_suffix(FILE_SUFFIX), "the test chain", Database),
    )
    for path, holds, opening in kinds:
        if os.path.lexists(path):
            yield from _damaged_file(path, holds, opening)


def _damaged_file(path: Path, holds: str, opening: Callable[[Path], _Database]) -> Iterator[Finding]:
    """What stands in the way of starting on a file, found out with a copy: opening it would keep a start out."""
    from jecp_mcp.sandbox.database_faults import is_lost

    try:
        with tempfile.TemporaryDirectory(prefix="jecp-mcp-") as folder:
            copy = Path(folder) / path.name
            shutil.copyfile(path, copy)
            if (wal := Path(f"{path}-wal")).exists():
                shutil.copyfile(wal, f"{copy}-wal")
            opening(copy).close()
            with closing(apsw.Connection(str(copy))) as connection:
                wrong = connection.execute("PRAGMA quick_check(1)").get
                if wrong != "ok":
                    raise apsw.CorruptError(" ".join(str(wrong).split())[:200])
    except SettingsError as exc:
        error = exc.__cause__
    except (apsw.Error, OSError) as exc:
        error = exc
    else:
        return
    mend = f"let its owner read and write {path}, and see to the disk"
    if is_lost(error):
        mend = set_aside_command(path)
    what = f"{path} cannot hold {holds}: {error}; in its place one is begun anew"
    yield Finding(Level.FAULT, _ABOUT, what, _ONLY_TEST_MONEY, mend)


def _play_key(path: Path) -> Iterator[Finding]:
    from jecp_mcp.cli.checks.private_files import access_mend
    from jecp_mcp.wire.x402.secp256k1 import PrivateKey

    try:
        found = stored_wallet_key(path)
        if found is not None:
            PrivateKey(found.secret)
    except (SettingsError, WireError) as exc:
        what = str(exc) if str(path) in str(exc) else f"{path}: {exc}"
        money = "the sandbox's merchant is not paid; only play money is lost, and the next start makes more"
        yield Finding(Level.FAULT, _ABOUT, what, money, access_mend(path) or set_aside_command(path))
