"""What offers are signed with: the hirer's own key, or a secret that is shared with one agent."""

from __future__ import annotations

from collections.abc import Mapping

from jecp_mcp.errors import WireError
from jecp_mcp.settings.ajp import AgentSettings
from jecp_mcp.wire.ajp.signatures import PrivateKey, SharedSecret, Signer


class Keyring:
    """The signer of each agent's offers.

    Attributes:
        fault: why nobody can be hired; None where somebody may be.
    """

    def __init__(
        self, identity: str | None, key: PrivateKey | None, secrets: Mapping[str, SharedSecret], fault: str | None
    ) -> None:
        """Sign for `identity`.

        Args:
            secrets: by the name of the agent that each is shared with.
        """
        self._identity = identity
        self._key = key
        self._secrets = secrets
        self.fault = fault

    def signer(self, agent: AgentSettings) -> Signer:
        """What signs an agent's offers.

        Raises:
            WireError: there is nothing.
        """
        if agent.secret_env is not None:
            found: Signer | None = self._secrets.get(agent.name)
            lack = f"the environment variable {agent.secret_env} with the secret of {agent.name} is not set"
        else:
            found, lack = self._key, "there is no key to sign offers with"
        if found is None:
            raise WireError(lack)
        return found

    def account(self, agent: AgentSettings) -> str:
        """Who hires whom, for the ledger; never a secret."""
        if agent.secret_env is not None:
            who = f"human:{self._identity or 'local'}"
        else:
            who = f"{self._identity}#{'' if self._key is None else self._key.public.fingerprint[:16]}"
        return f"{who}>{agent.id}"
