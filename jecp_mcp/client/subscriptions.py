"""Which endpoints a Hub tells of events: `JecpClient.subscriptions`."""

from __future__ import annotations

from collections.abc import Sequence

from jecp_mcp.client.answers import answer_to
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.wire.jecp.subscriptions import Subscription


class Subscriptions:
    """The agent's webhooks at one Hub. All that is asked raises `JecpError` where the Hub refuses or is away.

    What arrives at an endpoint is read by `jecp_mcp.verify_webhook`. A Hub sends an event at least once: whoever must
    not act on it twice remembers its id.
    """

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub

    async def create(self, endpoint_url: str, events: Sequence[str] = ()) -> Subscription:
        """Have an endpoint told. Its `hmac_secret` is shown this once: keep it.

        Args:
            endpoint_url: an https address that the whole network can reach.
            events: the types to tell of, such as ``invocation.completed`` or ``wallet.low_balance``; none means all.

        Raises:
            UrlBlockedError: the Hub sends nothing there.
        """
        return await answer_to(self._hub.subscribe(endpoint_url, events))

    async def list(self) -> tuple[Subscription, ...]:
        """All of the agent's."""
        return await answer_to(self._hub.subscriptions())

    async def update(
        self,
        subscription_id: str,
        *,
        endpoint_url: str | None = None,
        events: Sequence[str] | None = None,
        status: str | None = None,
    ) -> Subscription:
        """Change what is given; a `status` of ``paused`` holds everything back until it is ``active`` again.

        What comes back holds what the Hub says of it, at least the id.
        """
        return await answer_to(self._hub.change_subscription(subscription_id, endpoint_url, events, status))

    async def delete(self, subscription_id: str) -> None:
        """End one; what was still to be sent is not."""
        await answer_to(self._hub.unsubscribe(subscription_id))

    async def test(self, subscription_id: str) -> str:
        """Have a ``test.synthetic`` event sent; gives its id."""
        return await answer_to(self._hub.test_subscription(subscription_id))
