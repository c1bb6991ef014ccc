"""What other users of the machine may write of the settings and the state folder is found."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from jecp_mcp.settings import exposure


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder with settings and state, closed to others."""
    for folder in ("config", "state", "state/artifacts"):
        (tmp_path / folder).mkdir(mode=0o700)
    for file in ("config/config.toml", "state/ledger.sqlite"):
        (tmp_path / file).write_text("")
        (tmp_path / file).chmod(0o600)
    tmp_path.chmod(0o755)
    return tmp_path


def found(home: Path) -> list[str]:
    paths = exposure.writable_by_others({}, home / "config" / "config.toml", home / "state")
    # What the machine has above the test's own folder is not the test's.
    return sorted(str(path.relative_to(home)) for path in paths if path.is_relative_to(home))


@pytest.mark.parametrize(
    "name", ["config/config.toml", "config", "state", "state/ledger.sqlite", "state/artifacts", "."]
)
def test_each_path_that_others_may_write_is_found(home: Path, name: str) -> None:
    assert found(home) == []
    (home / name).chmod(0o777)
    assert found(home) == [name]


def test_a_sticky_folder_lets_nobody_replace_what_is_another_s(home: Path) -> None:
    home.chmod(0o1777)
    assert found(home) == []


def test_what_belongs_to_somebody_else_is_his_to_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() == 0:
        os.chown(home / "state", 54_321, -1)
        assert found(home) == ["state"]
        return
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 54_321)
    expected = [".", "config", "config/config.toml", "state", "state/artifacts", "state/ledger.sqlite"]  # fmt: skip
    assert found(home) == expected


def test_a_group_may_write_only_where_it_is_the_user_s_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "state").chmod(0o770)
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_name="ada"))
    for name, members, expected in (
        ("ada", [], []),
        ("ada", ["ada"], []),
        ("ada", ["ada", "eve"], ["state"]),
        ("staff", [], ["state"]),
    ):
        group = SimpleNamespace(gr_name=name, gr_mem=members)
        monkeypatch.setattr(grp, "getgrgid", lambda _gid, group=group: group)
        assert found(home) == expected

    def nameless(_gid: int) -> None:
        raise KeyError

    monkeypatch.setattr(grp, "getgrgid", nameless)
    assert found(home) == ["state"]


def test_what_is_not_there_or_cannot_be_looked_at_is_left_out(tmp_path: Path) -> None:
    paths = exposure.writable_by_others({"JECP_MCP_CONFIG": "/dev/null"}, None, tmp_path / "gone" / "state")
    assert [path for path in paths if path.is_relative_to(tmp_path)] == []
