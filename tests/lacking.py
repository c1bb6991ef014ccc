"""What a test needs and this machine lacks."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(reason: str, variable: str) -> NoReturn:
    """Skip the test; fail it where `variable` or ``CI`` says that nothing may be lacking."""
    if os.environ.get("CI") or os.environ.get(variable):
        pytest.fail(reason)
    pytest.skip(reason)
