"""The settings of hiring: which agents may be hired by AJP, for how much, and who hires."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from jecp_mcp.settings.fields import Amount, Section, Whole, Words
from jecp_mcp.settings.merchants import read_place

SOURCE: Final = "ajp"
"""Where the hires of agents are on offer."""

CAPABILITY: Final = "ajp/hire"
"""What the hires of listed agents belong to in the mandate: ``ajp/hire:<name>``."""

_DOMAIN: Final = "provenance:domain:"
AGENT_ID: Final = r"^provenance:(?:domain|github):[A-Za-z0-9._~:/-]{1,200}$"
"""The form of an agent's id."""
_ID: Final = re.compile(AGENT_ID, re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_HERE: Final = re.compile(r"provenance:domain:(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/.*)?", re.ASCII)


def _id(text: str) -> str:
    if _ID.fullmatch(text) is None:
        raise ValueError('an agent is named by its id, such as "provenance:domain:agent.example"')
    return text


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("a name has up to 32 of a-z, 0-9, _ and -, and begins with a letter")
    return text


def _fingerprint(text: str) -> str:
    if _FINGERPRINT.fullmatch(text) is None:
        raise ValueError("a fingerprint is the SHA-256 of the key, 64 hexadecimal digits in lower case")
    return text


def _variable(text: str) -> str:
    if _VARIABLE.fullmatch(text) is None:
        raise ValueError("is the name of an environment variable, and never the secret itself")
    return text


def _address(text: str) -> str:
    if "?" in read_place(text).url:
        raise ValueError("an index is named by its address, without a query")
    return text


AgentId = Annotated[str, AfterValidator(_id)]


class AgentSettings(Section):
    """One of [[ajp.agents]]: an agent that may be hired.

    Attributes:
        name: its tool's name is made of it.
        id: its id, which says where its declaration stands.
        description: what the model reads of what it can do; in the operator's words.
        fingerprint: of the only key it may have; None for the one it is first met with.
        max_usdc: the most that one job may cost.
        max_seconds: how long one job may take.
        max_llm_tokens: how many tokens of a language model one job may use.
        task_type: the kind of job, in the agent's own terms.
        secret_env: the environment variable with the secret that is shared with it; None to sign with the key.
        require_constraints: what it must declare to keep to.
        idempotent: whether it starts no second run for an offer that reaches it twice.
    """

    name: Annotated[str, AfterValidator(_name)]
    id: AgentId
    description: str = Field(default="", max_length=1_000)
    fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = None
    max_usdc: Amount = 250_000
    max_seconds: Whole = Field(default=120, ge=1, le=604_800)
    max_llm_tokens: Whole = Field(default=100_000, ge=1, le=1_000_000_000)
    task_type: str = Field(default="task", min_length=1, max_length=100)
    secret_env: Annotated[str, AfterValidator(_variable)] | None = None
    require_constraints: Words = ()
    idempotent: bool = False

    @classmethod
    def unlisted(cls, agent_id: str) -> Self:
        """One that stands in no settings: its id is its name, and its limits are the default ones.

        Raises:
            ValueError: the id is none.
        """
        return cls.model_construct(name=agent_id, id=_id(agent_id))

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine: the sandbox's."""
        return _HERE.fullmatch(self.id) is not None


class AjpSettings(Section):
    """[ajp]: hiring agents by AJP.

    Attributes:
        agents: who may be hired.
        allow_unlisted: whether a model may hire any other, each time with a person's approval.
        identity: the id of whoever hires, under which their declaration stands.
        declaration_url: where that stands, if not at the standard place of the id.
        sender_type: how a job's sender names itself where it signs with its key.
        index_url: an index of agents that is asked how each stands before it is hired; None to ask none.
        on_standing_unavailable: what then follows where it does not say.
        grace_seconds: how long a job is waited for beyond what it may take.
        max_result_bytes: the longest result read.
    """

    agents: Annotated[tuple[AgentSettings, ...], Field(max_length=100)] = ()
    allow_unlisted: bool = False
    identity: AgentId | None = None
    declaration_url: str | None = Field(default=None, max_length=2_048)
    sender_type: Literal["agent", "orchestrator"] = "agent"
    index_url: Annotated[str, AfterValidator(_address)] | None = None
    on_standing_unavailable: Literal["deny", "allow"] = "deny"
    grace_seconds: Whole = Field(default=60, ge=1, le=86_400)
    max_result_bytes: Whole = Field(default=1_048_576, ge=1_024, le=10_485_760)

    @property
    def named_payees(self) -> tuple[tuple[str, str, str], ...]:
        """The source of each listed agent's offer, its key there, and its key by the name that the agent is given."""
        return tuple((SOURCE, f"{CAPABILITY}:{agent.id}", f"{CAPABILITY}:{agent.name}") for agent in self.agents)

    @property
    def loopback(self) -> bool:
        """Whether the agents are on this machine: the sandbox's."""
        return any(agent.loopback for agent in self.agents)

    @property
    def hires(self) -> bool:
        """Whether anybody may be hired."""
        return bool(self.agents) or self.allow_unlisted

    @property
    def signs(self) -> bool:
        """Whether offers are signed with a key of the operator's."""
        return self.allow_unlisted or any(agent.secret_env is None for agent in self.agents)

    @property
    def origins(self) -> tuple[str, ...]:
        """Where those agents live whose ids name a domain, as the operator named them."""
        ids = [agent.id for agent in self.agents if agent.id.startswith(_DOMAIN)]
        return tuple(f"https://{one.removeprefix(_DOMAIN).partition('/')[0]}" for one in ids)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        names = [agent.name for agent in self.agents]
        if twice := [name for place, name in enumerate(names) if name in names[:place]]:
            raise ValueError(f'two agents have the name "{twice[0]}"')
        if len({agent.loopback for agent in self.agents}) > 1:
            raise ValueError("agents are either all on this machine (the sandbox's) or none of them is")
        if self.identity is None and self.signs:
            first = next((agent.name for agent in self.agents if agent.secret_env is None), None)
            if first is None:
                raise ValueError(
                    'allow_unlisted: agents must know who hires them: set identity = "provenance:domain:you.example" '
                    "under [ajp]"
                )
            raise ValueError(
                f'the agent "{first}" must know who hires it: set identity = "provenance:domain:you.example" under '
                "[ajp], or give the agent secret_env, the name of a variable with a secret that you share with it"
            )
        return self
