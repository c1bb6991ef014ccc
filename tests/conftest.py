"""What every test folder shares."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

# On a loaded machine an example takes as long as it takes.
for name, examples in (("daily", 40), ("thorough", 400)):
    settings.register_profile(name, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=examples)
# For planted faults (tests/mutation): the same examples every time, and whether one fails is all that is asked.
settings.register_profile(
    "repeatable",
    settings.get_profile("daily"),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
)
settings.load_profile("daily")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: much of what is tested waits for another process, or for a time-out."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
