"""What a person at a terminal is shown while something goes on: progress, errors, completions."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from jecp_mcp.calls.ports import Question
from jecp_mcp.cli import ledger_tasks, main
from jecp_mcp.cli.completion import VARIABLE, complete_tools
from jecp_mcp.cli.terminal import ProgressLine
from jecp_mcp.cli.terminal import Terminal as Asker
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.mandate.statement import Line, Statement
from jecp_mcp.money import MicroUSDC
from jecp_mcp.plurals import are, counted
from jecp_mcp.settings import HubSettings

pytestmark = pytest.mark.anyio


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, **environ: str) -> io.StringIO:
    """Have standard error go to `stream`, 30 columns wide."""
    for name, value in {"TERM": "xterm", "NO_COLOR": "", "COLUMNS": "30", **environ}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


async def test_a_report_of_progress_takes_the_place_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, line = at(Terminal(), monkeypatch), ProgressLine()
    await line.report(1, None, "a piece arrived")
    await line.report(2, 5, "x" * 100)
    line.end()
    *_, first, second, last = terminal.getvalue().split("\r\x1b[K")
    assert (first, last) == ("  1: a piece arrived", "")
    assert second.startswith("  2 of 5: xxx")
    assert (len(second), second[-1]) == (29, "…")


async def test_what_a_provider_reports_commands_no_terminal_and_links_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at(Terminal(), monkeypatch)
    await ProgressLine().report(1, None, "\x1b[2J\u202eevil.com\n[B] see https://evil.example/x")
    shown = terminal.getvalue().replace("\r\x1b[K", "")
    assert all(sign not in shown for sign in ("\x1b", "\u202e", "\n", "https"))


async def test_a_dumb_terminal_has_a_line_for_each_report_and_a_pipe_none(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ProgressLine()
    for stream, shown in ((Terminal(), "  1: one\n  2: …\n"), (io.StringIO(), "")):
        at(stream, monkeypatch, TERM="dumb")
        await line.report(1, None, "one")
        await line.report(2, None, None)
        line.end()
        assert stream.getvalue() == shown


async def test_a_question_is_in_lines_that_break_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys, "stdin", Terminal())
    terminal = at(Terminal(), monkeypatch)
    monkeypatch.setattr(click, "confirm", lambda question, **_options: asked.append(question))
    because = "A person must agree to what costs more than 0.05 USDC."
    question = Question(
        "local", "docs", "x", "docs/invoice:create", MicroUSDC(90_000), QuoteKind.EXACT, "", "f", because, {"text": "a"}
    )
    await Asker({"": HubSettings(base_url="https://hub.example")}).approve(question)
    assert " ".join(asked[0].split()) == (f"{because} Buy docs/invoice:create for 0.09 USDC at https://hub.example?")
    assert max(map(len, asked[0].splitlines())) <= 29
    assert '"text": "a"' in terminal.getvalue()


@pytest.mark.parametrize(
    ("stream", "environ", "start"),
    [
        (Terminal(), {}, "\x1b[31mjecp-mcp:\x1b[0m"),
        (Terminal(), {"NO_COLOR": "1"}, "jecp-mcp:"),
        (Terminal(), {"TERM": "dumb"}, "jecp-mcp:"),
        (io.StringIO(), {}, "jecp-mcp:"),
    ],
)
def test_an_error_is_marked_in_red_where_colours_are_wanted(
    stream: io.StringIO, environ: dict[str, str], start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(stream, monkeypatch, **environ)
    main._say("it failed")
    assert stream.getvalue() == f"{start} it failed\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_understands_what_is_printed_for_it(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["jecp-mcp", "completion", shell])
    assert main._run() == 0
    script = capsys.readouterr().out
    assert f"{VARIABLE}={shell}_complete" in script
    if shutil.which(shell) is not None:
        path = tmp_path / "script"
        path.write_text(script)
        subprocess.run([shell, "-n", str(path)], check=True)


def test_where_the_settings_are_wrong_no_name_is_completed(tmp_path: Path) -> None:
    context = click.Context(click.Command("describe"))
    context.params = {"hub": None, "config": tmp_path / "none.toml", "state_dir": tmp_path}
    assert complete_tools(context, click.Argument(["tool"]), "") == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("budget", "wallet"),
        ("Wallet", "wallet"),
        ("jecp_topup", "topup"),
        ("serach", "search"),
        ("buy", "call"),
        ("qqqq", None),
    ],
)
def test_who_types_another_name_is_told_the_one_that_was_meant(typed: str, meant: str | None) -> None:
    assert main.meant_command(typed) == meant
    assert set(main._MEANT.values()) <= set(main.COMMANDS)
    assert not set(main._MEANT) & set(main.COMMANDS)


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 calls are"), (1, "1 call is"), (2, "2 calls are"), (1000, "1,000 calls are")]
)
def test_one_is_not_told_as_several(number: int, said: str) -> None:
    assert f"{counted(number, 'call')} {are(number)}" == said


def test_a_statement_names_the_hub_and_takes_no_room_for_noughts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    made = Statement({"": Line(calls=1, uncharged=1), "inkwell": Line(calls=2, charged=MicroUSDC(16_000))}, Line())
    rows = [{"provider": name, **ledger_tasks._sums(line)} for name, line in made.lines.items()]
    ledger_tasks._print_statement("provider", made, rows)
    assert [line.split() for line in capsys.readouterr().out.splitlines() if "─" not in line][1:] == [
        ["provider", "calls", "charged", "net", "uncharged"],
        ["the", "Hub", "itself", "1", "1"],
        ["inkwell", "2", "0.016", "0.016"],
    ]
