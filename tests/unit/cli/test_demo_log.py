"""The demo's transcript ends at the first claim that does not hold."""

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
