"""An action's arguments as the purchase by which a Hub sells it.

The peers know operations of an OpenAPI document, not purchases; this stands in their HTTP clients, so that they post
to the Hub themselves. Standard library only: it is all that the peers' environments have in common.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any, NamedTuple


class Purchase(NamedTuple):
    """One POST to a Hub, and the id that it goes by there."""

    call_id: str
    url: str
    headers: dict[str, str]
    body: bytes


class Buyer(NamedTuple):
    """An agent of a Hub."""

    hub: str
    agent_id: str
    api_key: str

    @classmethod
    def from_environment(cls) -> Buyer:
        """The agent whose credentials the process was given."""
        return cls(os.environ["JECP_BASE_URL"], os.environ["JECP_AGENT_ID"], os.environ["JECP_API_KEY"])

    def purchase(self, path: str, arguments: Any) -> Purchase:
        """What buys the operation at ``/capability/action``, under a fresh id."""
        capability, action = path.strip("/").rsplit("/", 1)
        call_id = f"bench_{secrets.token_hex(12)}"
        envelope = {
            "jecp": "1.0",
            "id": call_id,
            "capability": capability,
            "action": action,
            "input": arguments,
            "mandate": {"agent_id": self.agent_id, "api_key": self.api_key, "budget_usdc": 0.25},
        }
        return Purchase(
            call_id,
            self.hub + ("/v1/invoke" if "/" in capability else "/v1/jecp"),
            {"X-Agent-ID": self.agent_id, "X-API-Key": self.api_key, "Content-Type": "application/json"},
            json.dumps(envelope).encode(),
        )
