"""The settings of 402flow: which control plane pays which merchants, for whom."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from jecp_mcp.settings.fields import Seconds, Section, Whole
from jecp_mcp.settings.merchants import read_place
from jecp_mcp.settings.paid_http import Merchant

_ID: Final = re.compile(r"(?=.{3,64}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_NETWORK: Final = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}", re.ASCII)


def _base_url(text: str) -> str:
    place = read_place(text.strip())
    if place.scheme == "http" and not place.loopback:
        raise ValueError("a control plane is reached by https; plain http is for the sandbox on this machine")
    if "?" in place.url:
        raise ValueError("a control plane's address has no query")
    return place.url.rstrip("/")


def _id(text: str) -> str:
    if _ID.fullmatch(text) is None:
        raise ValueError("an id has 3 to 64 of a-z and 0-9, in words joined by single dashes")
    return text


def _network(text: str) -> str:
    if _NETWORK.fullmatch(text) is None:
        raise ValueError('a network is named by its CAIP-2 id, such as "eip155:8453" for Base')
    return text


Id = Annotated[str, AfterValidator(_id)]


class Flow402Settings(Section):
    """[flow402]: merchants that a 402flow control plane pays, with its money and under its policy too. Experimental.

    Attributes:
        base_url: the control plane.
        organization, agent: whose policy holds there, and for which agent of theirs.
        merchants: who is paid so; empty is off. None of them stands in paid_http.merchants too.
        networks: where the control plane may pay.
        timeout_seconds: how long one answer may take, a merchant's or the control plane's.
        max_response_bytes: the longest answer of a merchant's that is read.
    """

    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    organization: Id | None = None
    agent: Id | None = None
    merchants: Annotated[tuple[Merchant, ...], Field(max_length=200)] = ()
    networks: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], Field(min_length=1, max_length=20)] = (
        "eip155:8453",
    )
    timeout_seconds: Seconds = Field(default=60.0, gt=0, le=300, allow_inf_nan=False)
    max_response_bytes: Whole = Field(default=10_485_760, ge=1_024, le=52_428_800)

    @property
    def loopback(self) -> bool:
        """Whether the control plane is on this machine: the sandbox's."""
        return self.base_url is not None and read_place(self.base_url).loopback

    @property
    def account(self) -> str:
        """Who pays, as the ledger names it. Control planes of one origin are told apart by their paths."""
        return f"{self.base_url or ''} {self.organization}/{self.agent}"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.merchants:
            return self
        missing = [name for name in ("base_url", "organization", "agent") if getattr(self, name) is None]
        if missing:
            raise ValueError(f"merchants are listed, and {missing[0]} is not set, without which they cannot be paid")
        if any(read_place(one.replace("://*.", "://", 1)).loopback != self.loopback for one in self.merchants):
            raise ValueError("control plane and merchants are either all on this machine (the sandbox's) or none is")
        return self
