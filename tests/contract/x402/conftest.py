"""One sandbox for all these tests, each with a buyer of its own."""

import pytest

from tests import x402_sandbox
from tests.x402_sandbox import PaidHttp, Payer

served, shop = x402_sandbox.served, x402_sandbox.shop


@pytest.fixture
def payer(shop: PaidHttp) -> Payer:
    return shop.payer()
