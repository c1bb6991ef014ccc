from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import x402_sandbox
from tests.flow402_house import GovernedHouse, Plane, governed
from tests.x402_sandbox import PaidHttp

served = x402_sandbox.served


@pytest.fixture
def shop(served: PaidHttp) -> Iterator[PaidHttp]:
    yield served
    Plane(served).reset()
    served.put_right()


@pytest.fixture
async def home(tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GovernedHouse]:
    async with governed(tmp_path, shop, monkeypatch) as made:
        yield made
