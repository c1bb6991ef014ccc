from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import x402_sandbox
from tests.paid_http_house import House, house
from tests.x402_sandbox import PaidHttp

served, shop = x402_sandbox.served, x402_sandbox.shop


@pytest.fixture
async def home(tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with house(tmp_path, shop, monkeypatch) as made:
        yield made
