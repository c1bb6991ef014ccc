"""The settings of paid HTTP: who may be bought from by x402, on which networks, and how the end is found out."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from jecp_mcp.settings.fields import Seconds, Section, Whole
from jecp_mcp.settings.merchants import check_merchant, read_place

_NETWORK: Final = re.compile(r"eip155:[1-9]\d{0,15}", re.ASCII)
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)


def _network(text: str) -> str:
    if _NETWORK.fullmatch(text) is None:
        raise ValueError('a network is an EVM chain by its CAIP-2 id, such as "eip155:8453" for Base')
    return text


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text.lower()) is None:
        raise ValueError("an address is 0x and 40 hexadecimal digits")
    return text.lower()


def _node(text: str) -> str:
    place = read_place(text.strip())
    if place.scheme == "http" and not place.loopback:
        raise ValueError("a node is reached by https; plain http is for the sandbox on this machine")
    return place.url


Merchant = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(check_merchant)]
Network = Annotated[str, AfterValidator(_network)]
Address = Annotated[str, AfterValidator(_address)]
Node = Annotated[str, AfterValidator(_node)]


class PaidHttpSettings(Section):
    """[paid_http]: what may be bought by x402 from any HTTP merchant, with the operator's own wallet.

    Attributes:
        merchants: who may be bought from; empty is off.
        networks: the chains that are paid on, dearest trust first: where a merchant asks the same on two, the first.
        pay_to: the only recipients taken at a merchant, by its entry in `merchants`.
        pin_pay_to: whether a person must approve another recipient than the one that a merchant was first paid at.
        upfront: whether a merchant may take the money before it does the work.
        max_valid_seconds: how long a signed payment can be taken at most, and so how long a lost one stays open.
        timeout_seconds: how long one answer may take; longer where the merchant says that it needs that.
        max_response_bytes: the longest answer read.
        rpc: nodes of each network that are asked what became of a payment; two or more, which must agree.
        confirmations: how many blocks must follow the one by which money is given back.
    """

    merchants: Annotated[tuple[Merchant, ...], Field(max_length=200)] = ()
    networks: Annotated[tuple[Network, ...], Field(min_length=1, max_length=20)] = ("eip155:8453",)
    pay_to: dict[Merchant, Annotated[tuple[Address, ...], Field(min_length=1, max_length=20)]] = Field(
        default_factory=dict, max_length=200
    )
    pin_pay_to: bool = True
    upfront: bool = False
    max_valid_seconds: Whole = Field(default=300, ge=30, le=600)
    timeout_seconds: Seconds = Field(default=60.0, gt=0, le=300, allow_inf_nan=False)
    max_response_bytes: Whole = Field(default=10_485_760, ge=1_024, le=52_428_800)
    rpc: dict[Network, Annotated[tuple[Node, ...], Field(min_length=2, max_length=5)]] = Field(
        default_factory=dict, max_length=20
    )
    confirmations: Whole = Field(default=12, ge=1, le=1_000)

    @property
    def loopback(self) -> bool:
        """Whether the merchants are on this machine: the sandbox."""
        return any(read_place(one.replace("://*.", "://", 1)).loopback for one in self.merchants)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        unlisted = [one for one in self.pay_to if one not in self.merchants]
        if unlisted:
            raise ValueError(f'pay_to names "{unlisted[0]}", which is not among the merchants as it is written there')
        nodes = [node for found in self.rpc.values() for node in found]
        places = [read_place(one.replace("://*.", "://", 1)) for one in (*self.merchants, *nodes)]
        if len({place.loopback for place in places}) > 1:
            raise ValueError("merchants and nodes are either all on this machine (the sandbox's) or none of them is")
        for network, found in self.rpc.items():
            if len(set(found)) < len(found):
                raise ValueError(f"the nodes of {network} are the same one twice; a second one is to catch the first")
        return self
