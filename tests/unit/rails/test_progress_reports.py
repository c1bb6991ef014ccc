"""However many events a stream has, a host hears of them a few times a second, and no text of theirs is lost."""

from __future__ import annotations

import pytest

from jecp_mcp.masking import Mask
from jecp_mcp.rails.jecp import progress_reports
from jecp_mcp.rails.jecp.progress_reports import AT_ONCE, MOST_CHARACTERS, PER_SECOND, ProgressReports
from jecp_mcp.wire.jecp.stream import Delta, Metered, Progressed, StreamEvent

pytestmark = pytest.mark.anyio


class Host:
    """What is shown to it, and the time."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []
        self.now = 100.0

    def current_time(self) -> float:
        return self.now

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        assert total is None
        assert message is not None
        self.heard.append((done, message))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(progress_reports, "anyio", made)
    return made


async def told(host: Host, *events: StreamEvent, seconds: float = 0.0, mask: Mask | None = None) -> list[str]:
    reports = ProgressReports(host, mask or Mask("nothing secret"))
    for event in events:
        reports.note(event)
        await reports.tell()
        host.now += seconds
    await reports.tell(ended=True)
    done = [number for number, _ in host.heard]
    assert done == sorted(set(done)), "progress only grows"
    return [message for _, message in host.heard]


async def test_a_flood_of_pieces_is_a_few_reports(host: Host) -> None:
    heard = await told(host, *(Delta("x", index) for index in range(20_000)))
    assert len(heard) == AT_ONCE + 1
    assert heard[-1] == "x" * MOST_CHARACTERS
    assert host.heard[-1][0] == 20_000


@pytest.mark.parametrize("each", [0.001, 0.01, 0.1, 1.0])
async def test_no_text_is_lost_and_no_second_has_more_than_its_reports(host: Host, each: float) -> None:
    texts = [f"{index} " for index in range(300)]
    heard = await told(host, *(Delta(text, index) for index, text in enumerate(texts)), seconds=each)
    assert "".join(heard) == "".join(texts)
    assert len(heard) <= AT_ONCE + 1 + PER_SECOND * each * len(texts)


async def test_what_comes_slowly_is_told_as_it_comes(host: Host) -> None:
    events: list[StreamEvent] = [
        Progressed("working", "reading", None, {}),
        Delta("one", 0),
        Delta({"a": 1}, 1),
    ]
    assert await told(host, *events, seconds=1.0) == ["reading", "one", "a piece arrived"]


async def test_of_a_meter_the_latest_is_told_beside_the_text(host: Host) -> None:
    flood = [Delta("x", 0)] * AT_ONCE
    late: list[StreamEvent] = [
        Metered(tokens=7, elapsed_ms=None, raw={}),
        Delta("a", 1),
        Metered(tokens=9, elapsed_ms=None, raw={}),
        Delta("b", 2),
    ]
    assert (await told(host, *flood, *late))[AT_ONCE:] == ["ab; 9 tokens"]


async def test_a_key_that_is_whole_in_no_piece_is_not_told_whole(host: Host) -> None:
    pieces = [Delta("x", 0)] * AT_ONCE + [Delta("sbx_ak_", 1), Delta("secret", 2)]
    assert "sbx_ak_secret" not in "".join(await told(host, *pieces, mask=Mask("sbx_ak_secret")))
