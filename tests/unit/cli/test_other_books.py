"""What is asked of the one books and stands in the other is named there, with the command that asks those."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantState
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.artifact_store import ArtifactStore
from tests.unit.cli.test_commands import bought, run, state

__all__ = ["run", "state"]

CALL = "call_0123456789abcdef0123456789abcdef"


@pytest.fixture(params=["to the sandbox's", pytest.param("to the real wallet's", marks=pytest.mark.slow)])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """The folder of the books that nobody asks, and the options that ask the other ones."""
    monkeypatch.delenv("JECP_MCP_STATE_DIR")
    real = tmp_path / "jecp-mcp"
    (real / "sandbox").mkdir(parents=True)
    return (real, ("--sandbox",)) if "real" in request.param else (real / "sandbox", ())


def command_in(err: str) -> list[str]:
    """The command that the last sentence names, without the program."""
    [line] = re.findall(r" have it: `(.*)`$", err.strip())
    words = shlex.split(line)
    return words[next(place for place, word in enumerate(words) if word.endswith("jecp-mcp")) + 1 :]


def test_a_call_is_found_in_the_other_books_and_can_be_ruled_on_there(run: Any, elsewhere: tuple[Path, Any]) -> None:
    folder, options = elsewhere
    bought(folder, call_id=CALL, price=50_000, charged=None)
    ruling = (CALL, "--charged", "--reason", "the statement")
    for own in ("call_1", "call_2"):  # without books of its own, and with them
        status, _, err = run("reconcile", *ruling, *options)
        assert status == 1
        words = command_in(err)
        bought(folder.parent if folder.name == "sandbox" else folder / "sandbox", call_id=own, price=1, charged=1)
    assert ("--sandbox" in words) == (folder.name == "sandbox")
    assert run(words[0], *ruling, *words[1:])[0] == 0
    status, _, err = run("reconcile", "call_of_nobody", "--free", "--reason", "x", *options)
    assert (status, "have it" in err) == (1, False)


@pytest.mark.slow
def test_the_status_and_the_refund_of_a_call_are_asked_where_it_is(run: Any, elsewhere: tuple[Path, Any]) -> None:
    folder, options = elsewhere
    if options:
        pytest.skip("a sandbox would be started for it")
    bought(folder, call_id=CALL, price=50_000, charged=50_000)
    nobody = ("--hub", "http://127.0.0.1:9")
    _, _, err = run("status", CALL, *nobody)
    assert command_in(err)[:3] == ["status", CALL, "--sandbox"]
    assert "jecp-mcp ledger" in err
    _, _, err = run("refund", CALL, "--reason", "no second page", *nobody)
    assert command_in(err)[:5] == ["refund", CALL, "--reason", "no second page", "--sandbox"]
    (folder / "ledger.sqlite").write_bytes(b"garbage" * 1_000)
    _, _, err = run("status", CALL, *nobody)
    assert (err.startswith("jecp-mcp: CALL_NOT_FOUND"), "have it" in err) == (True, False)


def test_a_file_is_found_in_the_other_store(run: Any, elsewhere: tuple[Path, Any]) -> None:
    folder, options = elsewhere
    store = ArtifactStore(folder / "artifacts", ArtifactSettings(), SystemClock(), shared_disk=True)
    kept = store.put(b"%PDF-1.7", "application/pdf", "invoice", CALL, LOCAL)
    for named in (kept.id, CALL):
        status, _, err = run("files", named, *options)
        assert status == 1
        status, out, _ = run(*command_in(err))
        assert (status, kept.id in out) == (0, True)
    status, _, err = run("files", "none", *options)
    assert (status, "have it" in err) == (1, False)


def test_a_question_is_answered_in_the_books_in_which_it_waits(run: Any, elsewhere: tuple[Path, Any]) -> None:
    folder, options = elsewhere

    now, code = SystemClock().now(), "K7QW-2MXB"

    async def ask() -> None:
        ledger = open_ledger(folder / "ledger.sqlite")
        kind, until = GrantKind.APPROVAL, UnixMs(now + 600_000)
        await ledger.write_grant(Grant(kind, code, "local", "print", GrantState.ASKED, b"{}", now, until))
        await ledger.close()

    anyio.run(ask)
    status, _, err = run("deny", code, *options)
    assert status == 1
    command = command_in(err)
    assert run(*command)[0] == 0
    status, _, err = run("deny", code, *options)
    assert (status, command_in(err)) == (1, command)
    status, _, err = run("deny", "AAAA-2222", *options)
    assert (status, "have it" in err) == (1, False)
    (folder / "ledger.sqlite").write_bytes(b"garbage" * 1_000)
    status, _, err = run("deny", code, *options)
    assert (status, "have it" in err) == (1, False)


def test_where_one_folder_was_named_there_are_no_other_books(run: Any, state: Path) -> None:
    bought(state, call_id=CALL, price=50_000, charged=None)
    status, _, err = run("reconcile", "call_x", "--free", "--reason", "x", "--sandbox")
    assert (status, "have it" in err) == (1, False)
