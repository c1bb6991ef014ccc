"""Whatever a control plane sends ends in values or in `WireError`, and what is read cannot charge without a receipt."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import WireError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.flow402.outcome import Asked, Decided, conclude
from jecp_mcp.wire.flow402.decision import Allowed, PaidAndFailed, read_decision
from jecp_mcp.wire.flow402.problem import read_problem
from jecp_mcp.wire.flow402.receipt import read_receipt_answer
from jecp_mcp.wire.flow402.tokens import read_token
from tests.model.wire.test_x402_properties import damaged, mutated
from tests.unit.wire.flow402.messages import OUTCOMES, decision, receipt

KNOWN = [
    *(decision(outcome) for outcome in OUTCOMES),
    {"receipt": receipt("provisional")},
    {"token": "rt_0123456789", "expiresAt": "2026-11-27T10:00:00Z"},
    {"message": "no", "issues": {"formErrors": ["x"], "fieldErrors": {"agent": ["y"]}}},
]
ASKED = Asked(MicroUSDC(10_000), ("USDC",), first=True)


def sent(dice: random.Random) -> bool:
    """One message, broken; whether it was a decision after all."""
    found: Any = mutated(dice.choice(KNOWN), dice)
    raw = damaged(json.dumps(found).encode("utf-8", "surrogatepass"), dice)
    for read in (read_receipt_answer, read_token):
        try:
            read(raw)
        except WireError:
            continue
    read_problem(dice.choice([200, 400, 401, 403, 409, 422, 500]), raw)
    try:
        made = read_decision(raw)
    except WireError:
        return False
    end = conclude(Decided(made), ASKED) if not isinstance(made, Allowed) else None
    if end is not None:
        assert (end.verdict is Verdict.CHARGED) is isinstance(made, PaidAndFailed)
    return True


@pytest.mark.slow
def test_whatever_is_sent_is_read_or_refused() -> None:
    dice = random.Random(402)
    read = sum(sent(dice) for _ in range(20_000))
    assert read > 1_000
