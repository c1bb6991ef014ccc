import logging
from pathlib import Path

import anyio
import pytest

from jecp_mcp.catalog.pinfile import PinFile, check
from jecp_mcp.catalog.pins import FILE
from jecp_mcp.clock import SystemClock
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.settings.merchants import PAID_HTTP

pytestmark = pytest.mark.anyio

SHOP, ONE, TWO = "https://api.example.com", "0x" + "a1" * 20, "0x" + "b2" * 20


def recipients(state: Path) -> PayeePins:
    return PayeePins(state, PAID_HTTP, SystemClock())


async def test_who_was_paid_first_is_known_to_every_process_and_another_waits_for_a_person(tmp_path: Path) -> None:
    first, second = recipients(tmp_path / "state"), recipients(tmp_path / "state")
    assert first.of(SHOP) == ()
    assert await first.admit(SHOP, ONE, agreed=False)
    assert await second.admit(SHOP, ONE, agreed=False)
    assert not await second.admit(SHOP, TWO, agreed=False)
    assert await second.admit(SHOP, TWO, agreed=True)
    assert await first.admit(SHOP, TWO, agreed=False), "once agreed to, it is known"
    assert (first.of(SHOP), first.of("https://other.example")) == ((ONE, TWO), ())
    assert check(tmp_path / "state" / FILE) == 1
    first.close()
    second.close()


async def test_of_many_that_are_new_at_once_one_is_paid(tmp_path: Path) -> None:
    admitted: list[str] = []

    async def admit(pay_to: str) -> None:
        if await recipients(tmp_path).admit(SHOP, pay_to, agreed=False):
            admitted.append(pay_to)

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(admit, f"0x{number:040x}")
    assert len(admitted) == 1
    assert recipients(tmp_path).of(SHOP) == tuple(admitted)


@pytest.mark.parametrize("damage", [b"{", b"[]", b'"' + ONE.encode() + b'"'])
async def test_pins_that_cannot_be_read_are_said_and_nobody_is_paid_unasked(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    known = recipients(tmp_path)
    await known.admit(SHOP, ONE, agreed=False)
    file = PinFile(tmp_path / FILE)
    with file.writing() as pinned:
        [row] = pinned.rows(["paid-http"])
        pinned.keep([(row, damage)], SystemClock().now())
    file.close()
    with caplog.at_level(logging.WARNING):
        assert known.of(SHOP) is None
    assert "cannot be read" in caplog.text
    assert not await known.admit(SHOP, ONE, agreed=False)
    assert await known.admit(SHOP, ONE, agreed=True), "whom a person agreed to is paid all the same"
    known.close()


async def test_pins_that_cannot_be_written_are_said_and_nobody_is_paid_unasked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    assert not await recipients(tmp_path / "file").admit(SHOP, ONE, agreed=False)
    assert "cannot be written down" in caplog.text
