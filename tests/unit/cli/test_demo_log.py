"""The demo's transcript ends at the first claim that does not hold."""

import io

import pytest

from jecp_mcp.cli.demo_log import CheckFailed, DemoLog


def test_a_claim_that_holds_is_counted_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    script = DemoLog()
    script.check(True, "it rains")
    assert script.checks == 1
    assert "✓ it rains" in capsys.readouterr().out


def test_a_claim_that_does_not_hold_ends_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    script = DemoLog()
    with pytest.raises(CheckFailed, match="it rains"):
        script.check(False, "it rains")
    assert script.checks == 0
    assert "✗ it rains" in capsys.readouterr().out


def test_a_stranger_s_text_is_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    script = DemoLog()
    script.receipt("[bold red]paid[/] [link=https://evil.example]here[/link]")
    script.table([("[red]tool", "left")], [("[blink]x",)])
    out = capsys.readouterr().out
    assert "[bold red]paid[/] [link=https://evil.example]here[/link]" in out
    assert "[blink]x" in out


def test_in_a_terminal_no_line_is_wider_than_it_and_no_id_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    for name, value in {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", shown)
    log, call = DemoLog(), f"call_{'5' * 32}."
    log.receipt(f"Paid 0.05 USDC to inkwell (tx {'a' * 36}); balance 19.95, budget left 1.95 USDC. Call {call}")
    log.request("inkwell_invoice_render", {"seller": "Fjordline Bookbinding " * 9})
    log.response("x " * 200)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert [line[:6] for line in lines] == ["    ← ", "      ", "      ", "    → ", "    ← "]
    assert lines[2].endswith(call)
