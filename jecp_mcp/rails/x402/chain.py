"""What a chain says of an authorization: two nodes or more, which must agree, at a block that is final enough.

A node may be wrong, behind, or of another chain. So each is asked for the chain's id; all are asked at one and the same
block, named by its hash; and money is given back only where that block is later than the authorization's end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.x402.outcome import OnChain
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.payment import Authorization
from jecp_mcp.wire.x402.secp256k1 import keccak256

_SECONDS: Final = 15.0
_MOST_BYTES: Final = 4 * 1024 * 1024
_BLOCKS_BACK: Final = 4_000
"""How many blocks before the one that was looked at are searched for the transfer."""

_QUANTITY: Final = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,15})", re.ASCII)
_HASH: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_WORD: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_AUTHORIZATION_STATE: Final = "0xe94a0102"
_BALANCE_OF: Final = "0x70a08231"
_USED: Final = b"AuthorizationUsed(address,bytes32)"


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    hash: str
    timestamp: int


class ChainReader:
    """Asks the nodes that the operator named."""

    def __init__(self, gate: HttpGate, nodes: Mapping[str, Sequence[str]], confirmations: int) -> None:
        """Ask through `gate`.

        Args:
            nodes: the addresses of each network's nodes, two or more.
            confirmations: how many blocks must follow the one that is looked at.
        """
        self._gate = gate
        self._nodes = {network: [read_place(url) for url in urls] for network, urls in nodes.items()}
        self._confirmations = confirmations

    def reads(self, network: str) -> bool:
        """Whether there are nodes to ask of a network."""
        return network in self._nodes

    async def find(self, asset: Asset, authorization: Authorization) -> OnChain:
        """What became of an authorization. Raises nothing but cancellation."""
        nodes = self._nodes.get(asset.network, ())
        if not nodes:
            return OnChain(None, reason="no node is configured")
        try:
            block = await self._common_block(nodes, asset)
            said = {await self._state(node, asset, authorization, block) for node in nodes}
            if len(said) > 1:
                return OnChain(None, reason="the nodes contradict each other")
            if said == {True}:
                return OnChain(True, await self._transaction(nodes[0], asset, authorization, block))
        except (ExchangeFailed, WireError) as exc:
            return OnChain(None, reason=str(exc))
        if block.timestamp < authorization.valid_before:
            return OnChain(None, reason="its final blocks are not past the payment's end yet")
        return OnChain(False)

    async def balance(self, asset: Asset, owner: str) -> int:
        """What an address holds of a token now, in its smallest units.

        Raises:
            ExchangeFailed, WireError: the first node does not say.
        """
        first, *_ = self._nodes[asset.network]
        await self._check_chain(first, asset)
        return int(await self._call(first, asset, _BALANCE_OF + _padded(owner), "latest"), 16)

    async def _common_block(self, nodes: Sequence[Place], asset: Asset) -> _Block:
        """A block that is final enough for every node and the same to all of them.

        Raises:
            ExchangeFailed, WireError: there is none that can be told.
        """
        heads: list[int] = []
        for node in nodes:
            await self._check_chain(node, asset)
            heads.append((await self._block(node, "latest")).number)
        number = min(heads) - self._confirmations
        if number < 0:
            raise WireError("the chain has too few blocks")
        found = {await self._block(node, hex(number)) for node in nodes}
        if len(found) > 1:
            raise WireError("the nodes are not on the same chain of blocks")
        return found.pop()

    async def _check_chain(self, node: Place, asset: Asset) -> None:
        said = _quantity(await self._ask(node, "eth_chainId", []), "the chain's id")
        if said != asset.chain_id:
            raise WireError(f"the node at {node.host} is of the chain {said}, not {asset.chain_id}")

    async def _block(self, node: Place, which: str) -> _Block:
        found = await self._ask(node, "eth_getBlockByNumber", [which, False])
        if not isinstance(found, Mapping):
            raise WireError(f"the node at {node.host} does not know the block {which}")
        name = found.get("hash")
        if not isinstance(name, str) or _HASH.fullmatch(name) is None:
            raise WireError("a block's hash is none")
        block = _Block(_quantity(found.get("number"), "a number"), name, _quantity(found.get("timestamp"), "a time"))
        if which != "latest" and hex(block.number) != which:
            raise WireError(f"the node at {node.host} gave another block than it was asked for")
        return block

    async def _state(self, node: Place, asset: Asset, authorization: Authorization, block: _Block) -> bool:
        data = _AUTHORIZATION_STATE + _padded(authorization.sender) + authorization.nonce.hex()
        found = int(await self._call(node, asset, data, {"blockHash": block.hash, "requireCanonical": True}), 16)
        if found > 1:
            raise WireError(f"the token answered {found} where only yes or no is meant")
        return found == 1

    async def _transaction(self, node: Place, asset: Asset, authorization: Authorization, block: _Block) -> str | None:
        """The transfer's name, as a help to whoever looks it up; that the nonce is used is proven without."""
        wanted = {
            "address": asset.address,
            "topics": [
                f"0x{keccak256(_USED).hex()}",
                f"0x{_padded(authorization.sender)}",
                f"0x{authorization.nonce.hex()}",
            ],
            "fromBlock": hex(max(0, block.number - _BLOCKS_BACK)),
            "toBlock": hex(block.number),
        }
        try:
            found = await self._ask(node, "eth_getLogs", [wanted])
        except (ExchangeFailed, WireError):
            return None
        first = found[0] if isinstance(found, list) and len(found) == 1 else None
        name = first.get("transactionHash") if isinstance(first, Mapping) else None
        return name if isinstance(name, str) and _HASH.fullmatch(name) else None

    async def _call(self, node: Place, asset: Asset, data: str, block: object) -> str:
        found = await self._ask(node, "eth_call", [{"to": asset.address, "data": data}, block])
        if not isinstance(found, str) or _WORD.fullmatch(found) is None:
            raise WireError(f"the node at {node.host} answered for the token with something else than a number")
        return found

    async def _ask(self, node: Place, method: str, parameters: list[Any]) -> Any:
        """One question. A node's address may hold a key: it is named by its host alone."""
        body = jsontext.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        headers = {"Content-Type": "application/json"}
        heard = await self._gate.exchange(
            "POST", node, headers=headers, body=body, timeout=_SECONDS, max_bytes=_MOST_BYTES
        )
        found = jsontext.loads(heard.body, max_bytes=_MOST_BYTES)
        if heard.status != 200 or not isinstance(found, Mapping) or "result" not in found or found.get("error"):  # noqa: PLR2004 - HTTP's OK
            raise WireError(f"the node at {node.host} did not answer {method}")
        return found["result"]


def _quantity(value: object, what: str) -> int:
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise WireError(f"{what} is none")
    return int(value, 16)


def _padded(address: str) -> str:
    return address[2:].rjust(64, "0")
