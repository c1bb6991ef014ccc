"""What no merchant, facilitator or chain has: the controls, for tests and demonstrations. JSON only, loopback only.

They want the key that the sandbox printed at its start, as ``X-Sandbox-Key``; what the chain knows is anybody's.

On the merchant:

- ``POST /sandbox/faults``: see `jecp_mcp.sandbox.paid_http.merchant.faults`; ``DELETE`` forgets those that did not
  happen yet and the payments that were kept, lets slow answers come now, and says again what became of payments.
- ``POST /sandbox/terms``: ``{"route", "amount"?, "pay_to"?, "asset"?, "network"?, "timeout_seconds"?}``: from now on
  the route asks for this; with nothing but the route it asks again for what it asked for at first.
- ``POST /sandbox/kept/settle``: settles what ``late_settlement`` kept.
- ``GET /sandbox/visits``: the requests that came, as they came.

On the chain:

- ``POST /sandbox/chain``: ``{"do": "advance", "seconds"}``, ``{"do": "mine"}``, ``{"do": "drop_waiting"}``,
  ``{"do": "reorganise", "depth", "lose"?}``, ``{"do": "give", "address", "value"}``, or ``{"do": "node", "node": 1,
  "lag_blocks"?, "chain_id"?, "denies_use"?, "fails"?}``; what is not given of a node is right.
- ``GET /sandbox/transfers``: every transfer, and the sum of all balances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request

from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.paid_http.chain.chain import Chain, Reverted
from jecp_mcp.sandbox.paid_http.chain.node import Behaviour, Node
from jecp_mcp.sandbox.paid_http.chain.transactions import Mined
from jecp_mcp.sandbox.paid_http.json_endpoints import BadRequest, read_json
from jecp_mcp.sandbox.paid_http.merchant.faults import FaultRefused
from jecp_mcp.sandbox.paid_http.merchant.merchant import Merchant
from jecp_mcp.wire.x402.settlement import settlement_json
from jecp_mcp.wire.x402.values import address

MOST_SECONDS = 10 * 365 * 86_400
MOST_BLOCKS = 10_000
_CHANGES = {"amount": str, "pay_to": str, "asset": str, "network": str, "timeout_seconds": int}


class MerchantControls:
    """The merchant's."""

    def __init__(self, merchant: Merchant, paths: frozenset[str]) -> None:
        self._merchant, self._paths = merchant, paths

    async def add_fault(self, request: Request) -> Any:
        """``POST /sandbox/faults``."""
        asked = await read_json(request)
        self._check_route(asked.get("route", "*"), or_all=True)
        try:
            return {"waiting": self._merchant.faults.add(asked)}
        except FaultRefused as exc:
            raise BadRequest(400, str(exc)) from exc

    async def clear_faults(self, _request: Request) -> Any:
        """``DELETE /sandbox/faults``."""
        self._merchant.recover()
        return {"waiting": 0}

    async def change_terms(self, request: Request) -> Any:
        """``POST /sandbox/terms``."""
        asked = await read_json(request)
        route = asked.pop("route", None)
        self._check_route(route)
        for name, value in asked.items():
            if name not in _CHANGES or isinstance(value, bool) or not isinstance(value, _CHANGES[name]):
                raise BadRequest(400, f"{name[:40]} cannot be changed to this")
        self._merchant.changes[str(route)] = asked
        return {"route": route, **asked}

    async def settle_kept(self, _request: Request) -> Any:
        """``POST /sandbox/kept/settle``."""
        return {"settlements": [settlement_json(each) for each in self._merchant.settle_kept()]}

    async def show_visits(self, _request: Request) -> Any:
        """``GET /sandbox/visits``."""
        return {"visits": list(self._merchant.visits)}

    def _check_route(self, route: Any, *, or_all: bool = False) -> None:
        if route not in self._paths and not (or_all and route == "*"):
            raise BadRequest(400, "route is none of the merchant's paths")


class ChainControls:
    """The chain's."""

    def __init__(self, chain: Chain, nodes: Sequence[Node]) -> None:
        self._chain, self._nodes = chain, nodes
        self._works: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "advance": lambda asked: self._chain.advance(_whole(asked, "seconds", MOST_SECONDS)),
            "mine": lambda _asked: _nothing(self._chain.mine()),
            "drop_waiting": lambda _asked: self._chain.drop_waiting(),
            "reorganise": self._reorganise,
            "give": self._give,
            "node": self._change_node,
        }

    async def change(self, request: Request) -> Any:
        """``POST /sandbox/chain``."""
        asked = await read_json(request)
        work = self._works.get(str(asked.get("do")))
        if work is None:
            raise BadRequest(400, f"do must be one of: {', '.join(self._works)}")
        work(asked)
        return self._state()

    async def show_transfers(self, _request: Request) -> Any:
        """``GET /sandbox/transfers``."""
        mined = [_shown(each) for each in self._chain.transactions()]
        return {**self._state(), "total": str(self._chain.total()), "transfers": mined}

    def _state(self) -> dict[str, Any]:
        chain = self._chain
        return {"block": chain.head(), "time": chain.now(), "waiting": [each.hash for each in chain.waiting]}

    def _reorganise(self, asked: Mapping[str, Any]) -> None:
        self._chain.reorganise(_whole(asked, "depth", MOST_BLOCKS), lose=asked.get("lose") is True)

    def _give(self, asked: Mapping[str, Any]) -> None:
        try:
            self._chain.give(address(asked.get("address"), "address"), _whole(asked, "value", 10**15))
        except (WireError, Reverted) as exc:
            raise BadRequest(400, str(exc)) from exc

    def _change_node(self, asked: Mapping[str, Any]) -> None:
        number = _whole(asked, "node", len(self._nodes))
        self._nodes[number - 1].behaviour = Behaviour(
            lag_blocks=_whole(asked, "lag_blocks", MOST_BLOCKS) if "lag_blocks" in asked else 0,
            chain_id=_whole(asked, "chain_id", 10**15) if "chain_id" in asked else None,
            denies_use=asked.get("denies_use") is True,
            fails=asked.get("fails") is True,
        )


def _nothing(_mined: object) -> None:
    """What was mined stands in the transfers."""


def _shown(mined: Mined) -> dict[str, Any]:
    transfer = mined.transaction.transfer
    return {
        "hash": mined.transaction.hash,
        "from": transfer.sender,
        "to": transfer.to,
        "value": str(transfer.value),
        "nonce": transfer.nonce,
        "block": mined.number,
        "time": mined.time,
        "succeeded": mined.succeeded,
    }


def _whole(asked: Mapping[str, Any], name: str, most: int) -> int:
    value = asked.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadRequest(400, f"{name} must be a whole number from 1 to {most}")
    return value
