"""The agent's account at a Hub: what it was given back, and what the Hub says of the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jecp_mcp.domain.outcomes import Refunded
from jecp_mcp.errors import PayeeError
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.codes import HUB_MISBEHAVED

_DOUBTFUL_SKEW_SECONDS: Final = 60.0
"""What the clock may seem to be off before the Hub is asked for the time again."""
_PAID_REFUNDS: Final = frozenset({"approved", "auto_approved"})


class HubAccount:
    """The account, and the Hub as a witness of the time."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    @property
    def account(self) -> str:
        """The Hub's origin and the agent's id."""
        return self._client.account_id

    async def paid_refunds(self) -> Sequence[Refunded]:
        """The refunds that the Hub has paid.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        return [
            Refunded(one.transaction_id, one.returned, f"refunded: {one.refund_id}")
            for one in await self._client.refunds()
            if one.status in _PAID_REFUNDS and one.transaction_id is not None and one.returned is not None
        ]

    def heard(self) -> float | None:
        """`skew` as it was last heard; None where nothing was."""
        return self._client.hub_time.skew()

    async def skew(self, *, fresh: bool = False) -> float | None:
        """How far this machine's clock is ahead of the Hub's, in seconds, or None where the Hub does not say.

        What the Hub says of itself is heard on the way, where it was not yet: for how long it knows a call's id.

        Raises:
            PayeeError: the Hub was asked and did not answer, or does not tell the time any more.
        """
        skew = self._client.hub_time.skew()
        if fresh or not self._client.guide_known:
            told = await self._client.consult()
            if fresh and not told and skew is not None:
                raise PayeeError(
                    HUB_MISBEHAVED, "The Hub's answer does not tell the time. Nothing was charged. Try again later."
                )
        elif skew is not None and abs(skew) > _DOUBTFUL_SKEW_SECONDS:
            # A machine that slept looks as if its clock had jumped; only the Hub can tell.
            await self._client.discover()
        return self._client.hub_time.skew()
