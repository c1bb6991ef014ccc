"""A ledger that is damaged or lost: the doctor's command leads out of it, whatever there is and whatever is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.unit.cli.test_commands import bought, run, state
from tests.unit.cli.test_doctor import ALONE, Doctor, doctor

__all__ = ["doctor", "run", "state"]

LEDGER = ("--ledger", "--sandbox")
GARBAGE = b"no database, and long enough to be looked at" * 100


def _garbage(path: Path) -> None:
    path.write_bytes(GARBAGE)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _gone_but_for_its_journal(path: Path) -> None:
    path.unlink()
    journal = Path(f"{path}-wal")
    journal.write_bytes(b"x" * 4096)
    journal.chmod(0o600)


def _another_programs(path: Path) -> None:
    path.unlink()
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE notes(text)")


def _beginning_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)


LOST: dict[str, tuple[str, Callable[[Path], object]]] = {
    "garbage": ("contents", _garbage),
    "another program's": ("contents", _another_programs),
    "gone": ("file", Path.unlink),
    "gone but for its journal": ("file", _gone_but_for_its_journal),
    "empty": ("file", lambda path: os.truncate(path, 0)),
    "a folder": ("file", _folder),
}


@pytest.fixture
def ledger(state: Path) -> Path:
    """A ledger with a call, in a folder of its owner's own."""
    bought(state, call_id="call_1", price=50_000, charged=50_000)
    path = state / "ledger.sqlite"
    with closing(apsw.Connection(str(path))) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return path


def at_terminal(monkeypatch: pytest.MonkeyPatch, *, agrees: bool) -> list[str]:
    """A person who is asked, and what they were asked."""
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda text, **_: asked.append(text) or agrees)
    return asked


@pytest.mark.parametrize(
    "case", [case if case == "garbage" else pytest.param(case, marks=pytest.mark.slow) for case in LOST]
)
def test_a_lost_ledger_without_a_backup_is_begun_anew_with_every_limit_used_up(
    doctor: Doctor, run: Any, ledger: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    about, damage = LOST[case]
    damage(ledger)
    [found] = doctor.wrong(about, *LEDGER)
    restore, _, new = found["mend"].partition("; without a backup: ")
    assert "ledger --restore BACKUP" in restore
    words = new.partition(" (")[0].split()
    arguments = words[words.index("ledger") :]
    assert arguments[:2] == ["ledger", "--new"]
    asked = at_terminal(monkeypatch, agrees=False)
    status, out, err = run(*arguments)
    assert (status, out, asked) == (1, "", ["Begin a new ledger?"])
    assert "What was spent in the windows under way is not known." in err
    assert doctor.wrong(about, *LEDGER) == [found]
    at_terminal(monkeypatch, agrees=True)
    status, out, _ = run(*arguments)
    assert status == 0
    if case == "garbage":
        [kept] = ledger.parent.glob("ledger.sqlite.damaged-*")
        assert str(kept) in out
        assert kept.read_bytes() == GARBAGE
    assert doctor.wrong(about, *LEDGER) == []
    wallet = json.loads(run("wallet", "--sandbox", "--json")[1])
    assert wallet["can_spend_now_usdc"] == "0.00"
    [ruling] = doctor.wrong("calls", *LEDGER)
    assert "reconcile" in ruling["mend"]
    [call] = json.loads(run("reconcile", "--sandbox", "--json")[1])["needs_ruling"]
    assert call["held_usdc"] == "2.00"
    assert run("reconcile", call["call_id"], "--charged", "0.05", "--reason", "the statement", "--sandbox")[0] == 0
    assert doctor.wrong("calls", *LEDGER) == []
    assert json.loads(run("wallet", "--sandbox", "--json")[1])["limits"][0]["remaining_usdc"] == "1.95"
    assert run("ledger", "--verify", "--sandbox")[0] == 0


def test_limits_by_pattern_are_used_up_too_and_the_largest_is_what_is_written_off(
    run: Any, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [{"match": "docs/*", "daily_usdc": "0.50"}, {"match": "text-stats/*", "total_usdc": "7"}]
    monkeypatch.setenv("JECP_MCP_MANDATE__LIMITS", json.dumps(limits))
    monkeypatch.setenv("JECP_MCP_MANDATE__SESSION_USDC", "90")
    _garbage(ledger)
    status, out, _ = run("ledger", "--new", "--yes", "--json", "--sandbox")
    assert (status, json.loads(out)["written_off_usdc"]) == (0, "7.00")
    left = {
        one["limit"]: one.get("remaining_usdc") for one in json.loads(run("wallet", "--sandbox", "--json")[1])["limits"]
    }
    assert left == {
        "session_usdc": "90.00", "daily_usdc": "0.00", "limits[docs/*].daily_usdc": "0.00",
        "limits[text-stats/*].total_usdc": "0.00",
    }  # fmt: skip


def test_a_ledger_that_can_be_read_or_saved_or_never_was_is_not_given_up(
    doctor: Doctor, run: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    status, _, err = run("ledger", "--new", *ALONE)
    assert (status, "there was none: the first start begins one" in err) == (1, True)
    bought(state, call_id="call_1", price=50_000, charged=50_000)
    path = state / "ledger.sqlite"
    status, _, err = run("ledger", "--new", "--yes", *ALONE)
    assert (status, "can be read, with its 1 calls" in err) == (1, True)
    with closing(apsw.Connection(str(path))) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    whole = path.read_bytes()
    os.truncate(path, len(whole) - 4096)
    status, _, err = run("ledger", "--new", "--yes", *ALONE)
    assert (status, "calls can still be saved from it" in err, "doctor --ledger" in err) == (1, True, True)
    assert path.read_bytes() == whole[:-4096]
    _garbage(path)
    status, _, err = run("ledger", "--new", *ALONE)
    assert (status, "give --yes" in err) == (2, True)
    assert path.read_bytes() == GARBAGE


def test_where_a_mend_saves_nothing_it_names_the_way_that_is_left(doctor: Doctor, run: Any, ledger: Path) -> None:
    _beginning_only(ledger)
    [found] = doctor.wrong("structure", *LEDGER)
    assert "doctor --ledger --mend" in found["mend"]
    [told] = json.loads(run("doctor", *LEDGER, "--mend", "--json")[1])["mended"]
    assert "nothing can be read" in told
    assert "ledger --new" in told
    assert run("ledger", "--new", "--yes", "--sandbox")[0] == 0
    assert doctor.wrong("structure", *LEDGER) == []


def test_what_was_damaged_or_replaced_is_not_offered_as_a_backup(doctor: Doctor, run: Any, ledger: Path) -> None:
    copy = ledger.with_name("my-copy.sqlite")
    assert run("ledger", "--backup", str(copy), "--sandbox")[0] == 0
    os.truncate(ledger, ledger.stat().st_size - 4096)
    ledger.with_name("half-a-copy.sqlite").write_bytes(ledger.read_bytes())
    [found] = doctor.wrong("structure", *LEDGER)
    _garbage(ledger)
    [found] = doctor.wrong("contents", *LEDGER)
    words = found["mend"].partition("; ")[0].split()
    assert words[words.index("ledger") :][:3] == ["ledger", "--restore", str(copy)]
    for _ in range(2):  # the second time, a whole ledger is replaced
        assert run(*words[words.index("ledger") :])[0] == 0
    shown = json.loads(run("doctor", *LEDGER, "--json")[1])["findings"]
    assert [one["what"].partition(",")[0] for one in shown if one["about"] == "backup"] == [str(copy)]
    [kept] = [one["what"] for one in shown if one["about"] == "kept"]
    assert kept.startswith("2 damaged or replaced ledgers")
