"""What the doctor says to do fits the cause: once it is done, the finding is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli.hub_record import DATA_FILE, HubRecord
from jecp_mcp.errors import SettingsError
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.paid_http.database import FILE_SUFFIX, Database
from jecp_mcp.settings.wallet_key import FILE, KEY_VARIABLE, SANDBOX_FILE
from tests.unit.cli.test_commands import run, state
from tests.unit.cli.test_doctor import ALONE, NOBODY, Doctor, doctor

__all__ = ["doctor", "run", "state"]

GARBAGE = b"no database, and long enough to be looked at" * 100
KEY = f"0x{5:064x}"


def level_of(run: Any, about: str, *options: str) -> list[str]:
    return [
        one["level"] for one in json.loads(run("doctor", "--json", *options)[1])["findings"] if one["about"] == about
    ]


def seldom(*cases: Any) -> list[Any]:
    """Second looks at what other cases show every day."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _page(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xff" * 4096 + data[12288:])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(GARBAGE),
    "a page overwritten": _page,
    "a folder": _folder,
}
FILES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "the Hub's": (DATA_FILE, HubDatabase),
    "the chain's": (DATA_FILE.removesuffix(".sqlite") + FILE_SUFFIX, Database),
}


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("the Hub's", "garbage"),
        ("the chain's", "a page overwritten"),
        *seldom(("the Hub's", "a page overwritten"), ("the chain's", "garbage")),
        *seldom(*((file, "a folder") for file in FILES)),
    ],
)
def test_a_damaged_file_of_the_sandbox_is_moved_aside_by_the_command_and_begun_anew(
    doctor: Doctor, run: Any, state: Path, file: str, damage: str
) -> None:
    name, opening = FILES[file]
    path = state / name
    state.mkdir()
    opening(path).close()
    assert doctor.wrong("sandbox") == []
    DAMAGE[damage](path)
    [found] = doctor.wrong("sandbox")
    assert (found["level"], str(path) in found["what"]) == ("fault", True)
    assert "of other money, of calls and of files nothing is lost" in found["money"]
    if damage != "a page overwritten":
        with pytest.raises(SettingsError, match="loses test money and nothing else, run: mv") as refused:
            opening(path)
        assert refused.value.reason.endswith(found["mend"])
    doctor.obey(found)
    assert doctor.wrong("sandbox") == []
    assert (state / f"{name}.damaged-1").exists()
    opening(path).close()


def test_a_sandbox_file_that_a_running_hub_has_is_not_looked_at(doctor: Doctor, run: Any, state: Path) -> None:
    record = HubRecord(state / DATA_FILE)
    record.create()
    record.data.write_bytes(GARBAGE)
    with record.claim() as alive:
        assert alive is not None
        assert level_of(run, "sandbox", *ALONE) == ["ok"]
    assert level_of(run, "sandbox", *ALONE) == ["fault"]


def test_a_sandbox_file_that_is_whole_and_cannot_be_used_is_not_moved_away(
    doctor: Doctor, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.mkdir()
    HubDatabase(state / DATA_FILE).close()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    [found] = doctor.wrong("sandbox")
    assert found["mend"] == f"let its owner read and write {state / DATA_FILE}, and see to the disk"


def test_a_sandbox_that_merely_does_not_run_is_nothing_wrong(doctor: Doctor, run: Any, state: Path) -> None:
    assert doctor.wrong("sandbox") == []
    [what] = [
        one["what"] for one in json.loads(run("doctor", "--json", *ALONE)[1])["findings"] if one["about"] == "sandbox"
    ]
    assert f"serve --sandbox --state-dir {state} starts it, as does whatever buys there" in what


@pytest.mark.parametrize("junk", ["0" * 64, *seldom("junk")])
def test_a_key_to_play_money_that_is_none_is_found_before_it_is_used(doctor: Doctor, state: Path, junk: str) -> None:
    state.mkdir()
    path = state / SANDBOX_FILE
    path.write_text(junk)
    path.chmod(0o644)
    [found] = doctor.wrong("sandbox")
    doctor.obey(found)
    [found] = doctor.wrong("sandbox")
    assert str(path) in found["what"]
    assert junk not in found["what"]
    doctor.obey(found)
    assert doctor.wrong("sandbox") == []


@pytest.mark.slow
def test_a_sandbox_that_stood_on_books_of_its_own_is_started_on_those(
    doctor: Doctor, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ("--hub", "http://127.0.0.1:9")
    [found] = doctor.wrong("sandbox", *at)
    assert "or the same with the --data that it ran with" in found["mend"]
    elsewhere = state / "sandbox" / DATA_FILE
    for data, options in ((elsewhere, f" --data {elsewhere}"), (state / DATA_FILE, "")):
        record = HubRecord(data)
        record.create()
        record.write({"hub": "http://127.0.0.1:9"})
        [found] = doctor.wrong("sandbox", *at)
        assert found["mend"].partition(", or ")[0].endswith(f"jecp-mcp sandbox --port 9{options}")


@pytest.fixture
def payer(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings that name a merchant; gives the file of the wallet's key."""
    monkeypatch.setenv("JECP_MCP_PAID_HTTP__MERCHANTS", "https://api.example.com")
    state.mkdir()
    return state / FILE


def keep(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def faults(doctor: Doctor) -> list[dict[str, str]]:
    return [one for one in doctor.wrong("paid HTTP", *NOBODY) if one["level"] == "fault"]


def test_a_wallet_key_in_the_environment_that_is_none_is_taken_out_there(
    doctor: Doctor, payer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "0" * 64)
    [found] = faults(doctor)
    assert KEY_VARIABLE in found["what"]
    assert str(payer) not in found["what"] + found["mend"]
    doctor.obey(found)
    assert [one["what"] for one in faults(doctor)] == ["there is no wallet key"]


@pytest.mark.parametrize(
    ("variable", "stored", "command"),
    [(KEY, "junk", "mv"), *seldom(("junk", KEY, "unset"), (KEY, KEY, "unset"))],
)
def test_of_two_wallet_keys_it_is_said_which_can_be_used(
    doctor: Doctor, payer: Path, monkeypatch: pytest.MonkeyPatch, variable: str, stored: str, command: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, variable)
    keep(payer, stored)
    [found] = faults(doctor)
    assert "neither is used" in found["what"]
    assert found["what"].count("none that can be used") == (variable, stored).count("junk")
    assert found["mend"].startswith(command)
    doctor.obey(found)
    assert faults(doctor) == []


@pytest.mark.slow
def test_a_wallet_key_file_that_is_none_is_put_aside_for_a_new_wallet(doctor: Doctor, payer: Path) -> None:
    keep(payer, "junk")
    [found] = faults(doctor)
    assert "put your copy of the key there" in found["mend"]
    doctor.obey(found)
    assert faults(doctor) == []
    payer.chmod(0o644)
    [found] = faults(doctor)
    assert found["mend"] == f"chmod 600 {payer}"
    doctor.obey(found)
    assert faults(doctor) == []
    assert payer.with_name(f"{FILE}.damaged-1").read_text() == "junk"


@pytest.mark.parametrize("text", ['{"hubs": ', *seldom("{}", '{"hubs": {"http://127.0.0.1:9": {}}}')])
def test_stored_credentials_that_are_damaged_are_put_aside(doctor: Doctor, state: Path, text: str) -> None:
    state.mkdir()
    path = state / "credentials.json"
    path.write_text(text)
    path.chmod(0o644)
    [found] = doctor.wrong("credentials", *NOBODY)
    assert found["mend"].startswith(f"chmod 600 {path};")
    path.chmod(0o600)
    [found] = doctor.wrong("credentials", *NOBODY)
    assert "chmod" not in found["mend"]
    doctor.obey(found)
    assert [one["level"] for one in doctor.wrong("credentials", *NOBODY)] == ["warning"]
    assert path.with_name("credentials.json.damaged-1").read_text() == text


@pytest.mark.parametrize("named", ["by a variable", *seldom("by an option", "by nobody")])
def test_a_settings_file_that_is_no_toml_is_named_with_its_line(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str
) -> None:
    file = tmp_path / "config" / "jecp-mcp" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[mandate]\n\ndaily_usdc = = 5\n")
    options = ("--config", str(file)) if named == "by an option" else ()
    if named == "by a variable":
        monkeypatch.setenv("JECP_MCP_CONFIG", str(file))
    if named == "by nobody":
        monkeypatch.delenv("JECP_MCP_CONFIG", raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    [found] = doctor.wrong("settings", *ALONE, *options)
    assert found["what"] == f"{file}: is not TOML: Invalid value (at line 3, column 14)"
    mend, _, otherwise = found["mend"].partition(", or ")
    assert mend == f"correct {file} in line 3"
    assert otherwise.partition(":")[0] == {
        "by an option": "leave out --config", "by a variable": "unset JECP_MCP_CONFIG", "by nobody": ""
    }[named]  # fmt: skip
    file.write_text("[mandate]\n\ndaily_usdc = '5'\n")
    assert doctor.wrong("settings", *ALONE, *options) == []


def test_a_settings_file_that_is_not_there_or_a_wrong_option_is_mended_where_it_was_named(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [found] = doctor.wrong("settings", *ALONE, "--config", str(tmp_path / "none.toml"))
    assert found["mend"].startswith("name a settings file that is there, or leave out --config")
    monkeypatch.setenv("JECP_MCP_CONFIG", str(tmp_path))
    [found] = doctor.wrong("settings")
    assert found["mend"].startswith("name a settings file that is there, or unset JECP_MCP_CONFIG")
    monkeypatch.delenv("JECP_MCP_CONFIG")
    [found] = doctor.wrong("settings", "--hub", "nonsense")
    assert found["mend"] == "correct that option, or leave it out"
    file = tmp_path / "a.toml"
    file.write_text("[mandate]\ndaily = 5\n")
    [found] = doctor.wrong("settings", *ALONE, "--config", str(file))
    assert found["mend"] == f"correct that key in {file}, or take it out"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder in which nobody may make one")
def test_a_state_folder_that_cannot_be_made_is_the_one_thing_found(
    doctor: Doctor, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [found] = doctor.wrong("state folder", *NOBODY, "--state-dir", "/proc/x")
    assert found["what"].startswith("/proc/x is not there, and no folder can be made in /proc: ")
    assert found["mend"] == "name a folder with --state-dir, or leave it out"
    assert level_of(run, "credentials", *NOBODY, "--state-dir", "/proc/x") == []
    monkeypatch.setenv("JECP_MCP_STATE_DIR", "/proc/x/y")
    [found] = doctor.wrong("state folder", *NOBODY)
    doctor.obey(found)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/x")
    [found] = doctor.wrong("state folder", *NOBODY)
    assert found["mend"].startswith("let yourself write into /proc, or name another folder with --state-dir")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert doctor.wrong("state folder", *NOBODY) == []
    assert not (tmp_path / "home").exists()
