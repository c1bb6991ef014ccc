"""No lock and no trial file follows a link: whoever can lay one there must not have us write elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from jecp_mcp.clock import SystemClock
from jecp_mcp.errors import LedgerError, LedgerUnavailable, SettingsError
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.repair import diagnose
from jecp_mcp.mandate.sqlite.file_users import exclusive, is_locked, sessions_of
from jecp_mcp.mandate.sqlite.session_locks import SessionLocks
from jecp_mcp.settings import check_storable, store_credentials

HUB = "https://jecp.dev"
PRECIOUS = "what must not be touched"


def store(state: Path) -> None:
    check_storable(state)
    store_credentials(state, HUB, "jdb_ag_0123456789abcdef", SecretStr("jdb_ak_0123456789abcdef"))


def open_books(state: Path) -> None:
    ledger = open_ledger(state / "ledger.sqlite", session="mine")
    fault = ledger.fault
    anyio.run(ledger.close)
    if fault is not None:
        raise fault


def hold(state: Path) -> None:
    SessionLocks(state / "ledger.sqlite.owners").hold("mine").release()


def shut_out(state: Path) -> None:
    with exclusive(state / "ledger.sqlite"):
        pass


@pytest.mark.parametrize(
    ("link", "write", "refused"),
    [
        ("credentials.json.lock", store, True),
        ("credentials.trial", store, False),
        ("ledger.sqlite.lock", open_books, True),
        ("ledger.sqlite.lock", shut_out, True),
        ("ledger.sqlite.owners/mine.lock", hold, True),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_place_of_a_lock_is_never_followed(
    tmp_path: Path, link: str, write: Callable[[Path], None], refused: bool, there: bool
) -> None:
    target, state = tmp_path / "target", tmp_path / "state"
    if there:
        target.write_text(PRECIOUS)
    (state / link).parent.mkdir(parents=True)
    (state / link).symlink_to(target)
    if refused:
        with pytest.raises((OSError, LedgerError)):
            write(state)
    else:
        write(state)
    assert target.exists() is there
    assert not there or target.read_text() == PRECIOUS
    assert (state / link).is_symlink()


def test_the_doctor_names_a_link_in_the_place_of_the_lock(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    open_books(tmp_path)
    Path(f"{ledger}.lock").unlink()
    Path(f"{ledger}.lock").symlink_to(tmp_path / "target")
    with pytest.raises(LedgerUnavailable):
        open_books(tmp_path)
    found = [one for one in diagnose.examine(ledger, SystemClock()) if one.about == "lock"]
    assert [one.what for one in found] == [f"{ledger}.lock is a link, and none is followed"]


def test_a_link_among_the_sessions_is_no_session(tmp_path: Path) -> None:
    owners = tmp_path / "ledger.sqlite.owners"
    owners.mkdir()
    (owners / "other.lock").symlink_to(tmp_path / "target")
    assert is_locked(owners / "other.lock") is None
    found = sessions_of(tmp_path / "ledger.sqlite")
    assert (found.living, found.stale) == ((), ())


def test_a_lock_that_cannot_be_opened_for_another_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        is_locked(tmp_path / "file" / "x.lock")


def test_what_is_no_credential_is_never_stored(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="api_key"):
        store_credentials(tmp_path, HUB, "jdb_ag_0123456789abcdef", SecretStr("a b"))
    assert not list(tmp_path.iterdir())
