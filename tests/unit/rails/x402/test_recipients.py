import logging
from pathlib import Path

import pytest

from jecp_mcp.rails.x402.recipients import Recipients

SHOP, ONE, TWO = "https://api.example.com", "0x" + "a1" * 20, "0x" + "b2" * 20


def test_who_was_paid_is_remembered_by_every_process(tmp_path: Path) -> None:
    path = tmp_path / "state" / "recipients.json"
    first, second = Recipients(path), Recipients(path)
    assert first.of(SHOP) == ()
    first.note(SHOP, ONE)
    second.note(SHOP, TWO)
    second.note(SHOP, TWO)
    assert (first.of(SHOP), first.of("https://other.example")) == ((ONE, TWO), ())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"{", b"[]", b"\xff"])
def test_a_memory_that_cannot_be_read_is_said_and_is_no_memory_of_nobody(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "recipients.json"
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert Recipients(path).of(SHOP) is None
    assert str(path) in caplog.text
    Recipients(path).note(SHOP, ONE)
    assert Recipients(path).of(SHOP) == (ONE,)


def test_a_memory_that_cannot_be_written_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    Recipients(tmp_path / "file" / "recipients.json").note(SHOP, ONE)
    assert "not written down" in caplog.text
