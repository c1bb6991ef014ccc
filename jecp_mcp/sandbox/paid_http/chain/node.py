"""A node of the test chain: what it answers to JSON-RPC (Ethereum's execution API), and how it may be wrong.

Two nodes look at one chain. Each can be behind, say another chain's id, deny that an authorization was used, or fail:
what a payer must notice before it believes that a payment never happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jecp_mcp.sandbox.paid_http.chain.abi import call_token
from jecp_mcp.sandbox.paid_http.chain.accounts import RELAY
from jecp_mcp.sandbox.paid_http.chain.chain import Block, Chain
from jecp_mcp.sandbox.paid_http.chain.transactions import Mined

FINAL_AFTER = 32
"""How many blocks after it one is final."""
MOST_LOG_BLOCKS = 10_000
"""The most blocks one question for logs may reach over."""

TRANSFER_EVENT = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Keccak-256 of ``Transfer(address,address,uint256)``."""
AUTHORIZATION_USED_EVENT = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
"""Keccak-256 of ``AuthorizationUsed(address,bytes32)``."""

INVALID_PARAMS, SERVER_ERROR, NO_METHOD = -32602, -32000, -32601
_ZERO = "0x" + "0" * 64
_CODE = "0x00"
"""The token's code: there is one, and nobody runs it."""


class RpcError(Exception):
    """A question refused, with JSON-RPC's code."""

    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass(slots=True)
class Behaviour:
    """How a node is wrong.

    Attributes:
        lag_blocks: how far behind it is.
        chain_id: what it takes its chain to be, where it is wrong about that.
        denies_use: whether it says of every authorization that it was not used, and knows no transfer.
        fails: whether it answers every question with an error.
    """

    lag_blocks: int = 0
    chain_id: int | None = None
    denies_use: bool = False
    fails: bool = False


class Node:
    """One node. Use from the chain's thread."""

    def __init__(self, chain: Chain) -> None:
        self.behaviour = Behaviour()
        self._chain = chain
        self._methods: Mapping[str, Callable[..., Any]] = {
            "eth_chainId": lambda: hex(self._chain_id()),
            "net_version": lambda: str(self._chain_id()),
            "web3_clientVersion": lambda: "jecp-mcp-sandbox",
            "eth_syncing": lambda: False,
            "eth_gasPrice": lambda: "0x1",
            "eth_blockNumber": lambda: hex(self._head()),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getCode": self._code,
            "eth_call": self._call,
            "eth_getLogs": self._logs,
            "eth_getTransactionReceipt": self._receipt,
        }

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result of one question.

        Raises:
            RpcError: there is none.
        """
        if self.behaviour.fails:
            raise RpcError(SERVER_ERROR, "this node cannot answer now")
        if method not in self._methods:
            raise RpcError(NO_METHOD, f"the method {method[:60]} does not exist")
        try:
            return self._methods[method](*params)
        except (TypeError, ValueError, AttributeError, KeyError) as exc:
            raise RpcError(INVALID_PARAMS, "invalid params") from exc

    def _chain_id(self) -> int:
        wrong = self.behaviour.chain_id
        return self._chain.asset.chain_id if wrong is None else wrong

    def _head(self) -> int:
        return max(self._chain.head() - self.behaviour.lag_blocks, 0)

    def _seen(self, block: Block | None) -> Block | None:
        return block if block is not None and block.number <= self._head() else None

    def _at(self, reference: Any) -> Block | None:
        """The block that a tag, a number, or EIP-1898's object stands for."""
        if isinstance(reference, dict):
            if "blockHash" in reference:
                return self._seen(self._chain.block_of(reference["blockHash"]))
            reference = reference["blockNumber"]
        tags = {
            "latest": self._head(),
            "pending": self._head(),
            "safe": max(self._head() - FINAL_AFTER // 2, 0),
            "finalized": max(self._head() - FINAL_AFTER, 0),
            "earliest": 0,
        }
        number = tags[reference] if reference in tags else _quantity(reference)
        return self._seen(self._chain.block(number))

    def _existing(self, reference: Any) -> Block:
        block = self._at(reference)
        if block is None:
            raise RpcError(SERVER_ERROR, "header not found")
        return block

    def _block_by_number(self, reference: Any, _full: bool = False) -> dict[str, Any] | None:
        block = self._at(reference)
        return None if block is None else self._block(block)

    def _block_by_hash(self, block_hash: str, _full: bool = False) -> dict[str, Any] | None:
        block = self._seen(self._chain.block_of(block_hash))
        return None if block is None else self._block(block)

    def _block(self, block: Block) -> dict[str, Any]:
        return {
            "number": hex(block.number),
            "hash": block.hash,
            "parentHash": block.parent,
            "timestamp": hex(block.time),
            "transactions": [] if self._mined(block) is None else [block.mined.transaction.hash],  # type: ignore[union-attr]
            "miner": RELAY,
            "difficulty": "0x0",
            "extraData": "0x",
            "gasLimit": "0x1c9c380",
            "gasUsed": "0x0",
            "baseFeePerGas": "0x1",
            "logsBloom": "0x" + "0" * 512,
            "mixHash": _ZERO,
            "nonce": "0x0000000000000000",
            "receiptsRoot": _ZERO,
            "sha3Uncles": _ZERO,
            "size": "0x0",
            "stateRoot": _ZERO,
            "transactionsRoot": _ZERO,
            "uncles": [],
        }

    def _mined(self, block: Block) -> Mined | None:
        return None if self.behaviour.denies_use else block.mined

    def _code(self, address: str, reference: Any = "latest") -> str:
        self._existing(reference)
        return _CODE if address.lower() == self._chain.asset.address else "0x"

    def _call(self, call: dict[str, Any], reference: Any = "latest") -> str:
        block = self._existing(reference)
        data = call.get("input", call.get("data", "0x"))
        if str(call.get("to")).lower() != self._chain.asset.address:
            return "0x"
        answer = call_token(self._chain, data, block.number, denies_use=self.behaviour.denies_use)
        if answer is None:
            raise RpcError(3, "execution reverted")
        return answer

    def _logs(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        if "blockHash" in asked:
            first = last = self._existing({"blockHash": asked["blockHash"]}).number
        else:
            first = self._existing(asked.get("fromBlock", "latest")).number
            found = self._at(asked.get("toBlock", "latest"))
            last = self._head() if found is None else found.number
        if last - first >= MOST_LOG_BLOCKS:
            raise RpcError(SERVER_ERROR, f"query exceeds {MOST_LOG_BLOCKS} blocks")
        addresses = asked.get("address", self._chain.asset.address)
        addresses = [addresses] if isinstance(addresses, str) else addresses
        if self._chain.asset.address not in [address.lower() for address in addresses] or self.behaviour.denies_use:
            return []
        topics = [None if each is None else _lower(each) for each in asked.get("topics") or []]
        return [
            log
            for mined in self._chain.transactions(first, last)
            for log in self._logs_of(mined)
            if _matches(log["topics"], topics)
        ]

    def _receipt(self, transaction_hash: str) -> dict[str, Any] | None:
        wanted = transaction_hash.lower()
        found = [
            mined
            for mined in self._chain.transactions(last=self._head())
            if mined.transaction.hash == wanted and not self.behaviour.denies_use
        ]
        if not found:
            return None
        mined = found[0]
        return {
            **self._place(mined),
            "from": RELAY,
            "to": self._chain.asset.address,
            "contractAddress": None,
            "status": "0x1" if mined.succeeded else "0x0",
            "type": "0x2",
            "gasUsed": "0x0",
            "cumulativeGasUsed": "0x0",
            "effectiveGasPrice": "0x1",
            "logsBloom": "0x" + "0" * 512,
            "logs": self._logs_of(mined),
        }

    def _place(self, mined: Mined) -> dict[str, Any]:
        block = self._chain.block(mined.number)
        assert block is not None, "whatever was mined has its block"
        return {
            "transactionHash": mined.transaction.hash,
            "transactionIndex": "0x0",
            "blockHash": block.hash,
            "blockNumber": hex(mined.number),
        }

    def _logs_of(self, mined: Mined) -> list[dict[str, Any]]:
        if not mined.succeeded:
            return []
        transfer = mined.transaction.transfer
        events = [
            ([TRANSFER_EVENT, _padded(transfer.sender), _padded(transfer.to)], f"0x{transfer.value:064x}"),
        ]
        if transfer.nonce:
            events.insert(0, ([AUTHORIZATION_USED_EVENT, _padded(transfer.sender), transfer.nonce], "0x"))
        return [
            {
                **self._place(mined),
                "address": self._chain.asset.address,
                "topics": topics,
                "data": data,
                "logIndex": hex(index),
                "removed": False,
            }
            for index, (topics, data) in enumerate(events)
        ]


def _quantity(text: str) -> int:
    if not text.startswith("0x") or len(text) > 18:  # noqa: PLR2004  # 64 bits
        raise ValueError(text)
    return int(text, 16)


def _padded(address: str) -> str:
    return f"0x{address[2:]:0>64}"


def _lower(topic: str | list[str]) -> list[str]:
    return [topic.lower()] if isinstance(topic, str) else [each.lower() for each in topic]


def _matches(topics: list[str], wanted: list[list[str] | None]) -> bool:
    """Whether an event is one of those asked for: place by place, None for any."""
    return len(wanted) <= len(topics) and all(
        options is None or topic in options for topic, options in zip(topics, wanted, strict=False)
    )
