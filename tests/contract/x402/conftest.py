"""One sandbox for all these tests, each with a buyer of its own."""

from collections.abc import Iterator

import pytest

from tests.x402_sandbox import PaidHttp, Payer, serving


@pytest.fixture(scope="session")
def served() -> Iterator[PaidHttp]:
    with serving() as shop:
        yield shop


@pytest.fixture
def shop(served: PaidHttp) -> Iterator[PaidHttp]:
    yield served
    served.put_right()


@pytest.fixture
def payer(shop: PaidHttp) -> Payer:
    return shop.payer()
