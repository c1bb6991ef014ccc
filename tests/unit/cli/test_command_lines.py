"""The commands that a person is told to run lead to where this process looks, and no text has one written by hand."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from jecp_mcp.cli.main import COMMANDS, jecp_mcp
from jecp_mcp.cli.options import Start
from jecp_mcp.settings import Settings, command_lines
from jecp_mcp.settings.command_lines import PLAIN, CommandLine, without_password

ROOT = Path(__file__).parents[3] / "jecp_mcp"
HOME = {"HOME": "/home/u"}
WRITTEN = re.compile(rf"jecp-mcp ({'|'.join(COMMANDS)})\b")


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for the program finds it by its name."""
    monkeypatch.setattr(command_lines, "_program", lambda: ("jecp-mcp",))


@pytest.mark.parametrize(
    ("environ", "options", "line"),
    [
        ({}, {}, "jecp-mcp approve K7QW"),
        ({}, {"sandbox": True}, "jecp-mcp approve K7QW --sandbox"),
        ({}, {"state": Path("/srv/a b")}, "jecp-mcp approve K7QW --state-dir '/srv/a b'"),
        ({"JECP_MCP_STATE_DIR": "/srv/it's"}, {}, """jecp-mcp approve K7QW --state-dir '/srv/it'"'"'s'"""),
        (
            {"JECP_MCP_STATE_DIR": "/srv/a"},
            {"state": Path("/srv/b"), "sandbox": True},
            "jecp-mcp approve K7QW --sandbox --state-dir /srv/b",
        ),
        ({"JECP_MCP_STATE_DIR": " "}, {}, "jecp-mcp approve K7QW"),
        ({"jecp_mcp_config": "/etc/j.toml"}, {}, "jecp-mcp approve K7QW --config /etc/j.toml"),
        ({}, {"config": Path("/etc/$j.toml")}, "jecp-mcp approve K7QW --config '/etc/$j.toml'"),
        ({"JECP_BASE_URL": "https://hub.example"}, {}, "jecp-mcp approve K7QW"),
        (
            {"JECP_MCP_LEDGER__URL": "postgresql://jecp@db/jecp?a=1&b=2", "PGHOST": "db", "PGPASSWORD": "secret"},
            {"server": True},
            "JECP_MCP_LEDGER__URL='postgresql://jecp@db/jecp?a=1&b=2' PGHOST=db jecp-mcp approve K7QW",
        ),
        ({"PGHOST": "db"}, {}, "jecp-mcp approve K7QW"),
        ({"JECP_MCP_LEDGER__URL": "postgresql://db/jecp"}, {"sandbox": True}, "jecp-mcp approve K7QW --sandbox"),
    ],
)
def test_what_a_process_was_given_stands_in_the_command(
    environ: dict[str, str], options: dict[str, Any], line: str
) -> None:
    assert CommandLine.of(HOME | environ, **options).line("approve", "K7QW") == line


def test_a_folder_that_the_desktop_moved_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    moved = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    for name, value in moved.items():
        monkeypatch.setenv(name, value)
    if sys.platform == "linux":
        assert CommandLine.of(moved).line("ledger") == f"jecp-mcp ledger --state-dir {tmp_path}/jecp-mcp"
        # A folder that is named is the sandbox's own, and none is within it.
        sandbox = CommandLine.of(moved, sandbox=True)
        assert sandbox.line("ledger") == f"jecp-mcp ledger --sandbox --state-dir {tmp_path}/jecp-mcp/sandbox"
        (tmp_path / "jecp-mcp").mkdir()
        (tmp_path / "jecp-mcp" / "config.toml").touch()
        assert CommandLine.of(moved).line("ledger").endswith(f"--config {tmp_path}/jecp-mcp/config.toml")


@pytest.mark.parametrize("command", ["call", "catalog", "config", "doctor", "serve"])
@pytest.mark.parametrize(
    ("environ", "hub"),
    [
        ({"JECP_BASE_URL": "https://a.example"}, "https://a.example"),
        ({"JECP_BASE_URL": "https://a.example", "JECP_MCP_HUB__BASE_URL": "https://b.example"}, "https://b.example"),
        ({"JECP_BASE_URL": "https://u:secret@a.example"}, "https://u:PASSWORD@a.example"),
    ],
)
def test_the_hub_stands_in_a_command_that_asks_it(command: str, environ: dict[str, str], hub: str) -> None:
    assert CommandLine.of(HOME | environ).line(command) == f"jecp-mcp {command} --hub {hub}"


def test_commands_without_books_are_told_no_place_for_them() -> None:
    given = CommandLine.of(HOME, state=Path("/srv"), sandbox=True)
    assert given.line("sandbox", "--port", "1") == "jecp-mcp sandbox --port 1"
    assert given.line("demo") == "jecp-mcp demo"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p%40w@h1,h2/d?x=1", "postgresql://u:PASSWORD@h1,h2/d?x=1"),
        ("postgresql://h/d?password=pw&x=1", "postgresql://h/d?password=PASSWORD&x=1"),
        ("postgresql://[h/d", "PASSWORD"),
    ],
)
def test_a_password_is_a_word_to_be_replaced(url: str, told: str) -> None:
    assert without_password(url) == told


def test_a_name_that_is_no_unicode_can_be_told_over_a_connection() -> None:
    assert CommandLine(places=("--state-dir", "/srv/\udcff")).line("wallet").encode()


def test_every_command_line_is_read_by_a_shell_as_it_was_meant() -> None:
    odd = ["--state-dir", "/a b/$(c)/'d'/`e`"]
    assert shlex.split(CommandLine(places=tuple(odd)).line("deny", "CODE")) == ["jecp-mcp", "deny", "CODE", *odd]
    assert PLAIN.line("deny", "CODE") == "jecp-mcp deny CODE"


def test_the_program_is_named_by_its_path_where_a_shell_would_not_find_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    inside, outside = tmp_path / "venv" / "bin", tmp_path / "bin"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    script = inside / "jecp-mcp"
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(inside / "python"))
    monkeypatch.setattr(sys, "prefix", str(inside.parent))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "argv", ["-m"])
    monkeypatch.setenv("PATH", f"{outside}:{inside}")
    # Found only because this process's own environment is active, as under uvx.
    assert CommandLine.of(HOME).program == (str(script),)
    (outside / "jecp-mcp").symlink_to(script)
    assert CommandLine.of(HOME).program == ("jecp-mcp",)
    other = tmp_path / "another"
    other.touch(mode=0o755)
    (outside / "jecp-mcp").unlink()
    (outside / "jecp-mcp").symlink_to(other)
    assert CommandLine.of(HOME).program == (str(script),)
    script.unlink()
    assert CommandLine.of(HOME).program == (str(inside / "python"), "-m", "jecp_mcp")


def written_by_hand(source: str) -> Iterator[str]:
    """Each text with a command of ours in it, but for what documents the code or is a command's help."""
    tree = ast.parse(source)
    documented = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "examples":
            documented.update(node.args)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documented:
            yield from (found[0] for found in WRITTEN.finditer(node.value))


def test_no_text_that_is_made_at_run_time_has_a_command_written_by_hand() -> None:
    found = {
        str(path): commands
        for path in ROOT.rglob("*.py")
        if WRITTEN.search(source := path.read_text(encoding="utf-8")) and (commands := list(written_by_hand(source)))
    }
    assert found == {}
    assert list(written_by_hand("def f(x):\n    '''jecp-mcp serve'''\n    return f'run `jecp-mcp approve {x}`'")) == [
        "jecp-mcp approve"
    ]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"completion", "demo", "sandbox"}])
def test_every_command_that_reads_books_takes_the_places_of_a_command_line(name: str) -> None:
    command = jecp_mcp.get_command(click.Context(jecp_mcp), name)
    assert command is not None
    for one in command.commands.values() if isinstance(command, click.Group) else [command]:
        known = {option for parameter in one.params for option in parameter.opts}
        assert {"--sandbox", "--state-dir", "--config", "--hub"} <= known


@pytest.mark.parametrize(
    ("tool", "beside"),
    [
        ("docs_pdf_merge", {"eu", "us"}),
        ("docs/pdf:merge", {"eu", "us"}),
        ("eu__docs_pdf_merge", {"", "us"}),
        ("eu::docs/pdf:merge@1.2.3", {"", "us"}),
        ("jecp_search", set()),
        ("mcp__jecp__eu__docs_pdf_merge", set()),
        ("EU__docs_pdf_merge", set()),
        ("hub::docs/pdf:merge", set()),
    ],
)
def test_the_hubs_that_surely_do_not_sell_a_tool_are_told_by_its_name(tool: str, beside: set[str]) -> None:
    hubs = [{"name": name, "base_url": f"https://{name}.example"} for name in ("eu", "us")]
    start = Start(Settings.model_validate({"hubs": hubs}), Path(), None)
    assert start.hubs_beside(tool) == {start.settings.every_hub[name].base_url for name in beside}
    assert Start(Settings(), Path(), None).hubs_beside("docs_pdf_merge") == frozenset()
