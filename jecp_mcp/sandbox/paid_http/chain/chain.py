"""The test chain: a block every two seconds and one for each transfer; exact balances; each authorization once.

The blocks in between are worked out when asked for, so that a chain of months costs nothing: block *n* is that of a
transaction or, with *k* transactions before it, the one of second ``GENESIS + 2 (n - k)``.

Time is that of the clock, moved by `advance`; it never goes back behind the last block with a transaction.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from jecp_mcp.clock import Clock
from jecp_mcp.sandbox.paid_http.chain.accounts import SUPPLY, TREASURY
from jecp_mcp.sandbox.paid_http.chain.transactions import Mined, Transaction, Transfer, grant, hashed
from jecp_mcp.sandbox.paid_http.database import Database
from jecp_mcp.wire.x402.assets import Asset

GENESIS = 1_767_225_600
"""When block 0 was, Unix seconds: 2026-01-01T00:00:00Z."""
BLOCK_SECONDS = 2
MOST_WAITING = 1_000
"""The most transactions that wait for a block."""


class Reverted(Exception):
    """The token does not take this transfer; the message is the contract's."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block.

    Attributes:
        time: Unix seconds.
        mined: its transaction, if it has one.
    """

    number: int
    hash: str
    parent: str
    time: int
    mined: Mined | None


class Chain:
    """The chain as it is. Use from one thread."""

    def __init__(self, asset: Asset, clock: Clock, database: Database) -> None:
        self.asset = asset
        self._clock, self._database = clock, database
        self._ahead = 0
        self._forks: list[int] = []
        """Where each reorganisation began: its block's number."""
        self.waiting: list[Transaction] = []
        """Sent, and not in a block yet."""
        self._mined = list(database.transactions())
        self._replay()

    def _replay(self) -> None:
        self._balances: Counter[str] = Counter({TREASURY: SUPPLY})
        self._used: dict[tuple[str, str], Mined] = {}
        for mined in self._mined:
            self._book(mined)

    # What may be asked of it

    def now(self) -> int:
        """The time, Unix seconds."""
        last = self._mined[-1].time if self._mined else GENESIS
        return max(self._clock.now() // 1000 + self._ahead, last)

    def head(self) -> int:
        """The number of the newest block."""
        return (self.now() - GENESIS) // BLOCK_SECONDS + len(self._mined)

    def block(self, number: int) -> Block | None:
        """A block by its number, counted from 0."""
        if not 0 <= number <= self.head():
            return None
        before = bisect_right(self._mined, number, key=lambda mined: mined.number)
        mined = self._mined[before - 1] if before and self._mined[before - 1].number == number else None
        time = mined.time if mined is not None else GENESIS + BLOCK_SECONDS * (number - before)
        return Block(number, self._hash(number), self._hash(number - 1), time, mined)

    def block_of(self, block_hash: str) -> Block | None:
        """A block by its hash; None for one that a reorganisation took away."""
        try:
            number = int(block_hash[2:18], 16)
        except ValueError:
            return None
        block = self.block(number)
        return block if block is not None and block.hash == block_hash.lower() else None

    def balance(self, address: str, number: int | None = None) -> int:
        """What an address holds at a block (now unless given), in millionths."""
        holder = address.lower()
        if number is None or number >= self.head():
            return self._balances[holder]
        balance = SUPPLY if holder == TREASURY else 0
        for mined in self._until(number):
            transfer = mined.transaction.transfer
            if mined.succeeded:
                balance += transfer.value * ((transfer.to == holder) - (transfer.sender == holder))
        return balance

    def used(self, sender: str, nonce: str, number: int | None = None) -> bool:
        """Whether an authorization was used at a block (now unless given)."""
        mined = self._used.get((sender.lower(), nonce.lower()))
        return mined is not None and (number is None or mined.number <= number)

    def transactions(self, first: int = 0, last: int | None = None) -> tuple[Mined, ...]:
        """The transactions from one block to another, both included."""
        return tuple(mined for mined in self._until(self.head() if last is None else last) if mined.number >= first)

    def total(self) -> int:
        """The sum of all balances."""
        return self._balances.total()

    def check(self, transfer: Transfer) -> None:
        """Whether the token would take a transfer in the next block. The signature is its bringer's to check.

        Raises:
            Reverted: it would not.
        """
        now = self.now()
        if transfer.nonce:
            if now <= transfer.valid_after:
                raise Reverted("FiatTokenV2: authorization is not yet valid")
            if now >= transfer.valid_before:
                raise Reverted("FiatTokenV2: authorization is expired")
            if transfer.key in self._used:
                raise Reverted("FiatTokenV2: authorization is used or canceled")
        if self._balances[transfer.sender] < transfer.value:
            raise Reverted("ERC20: transfer amount exceeds balance")

    # What changes it

    def give(self, to: str, value: int) -> Mined:
        """Give an address money out of the treasury.

        Raises:
            Reverted: so much is not left.
        """
        granted = grant(to, value, len(self._mined))
        self.check(granted.transfer)
        return self._mine(granted)

    def send(self, transfer: Transfer, *, mine: bool = True) -> Transaction:
        """Bring a transfer whose signature was verified.

        Args:
            transfer: what was signed.
            mine: whether it gets its block at once; else it waits for `mine`.

        Raises:
            Reverted: the token would not take it now, or too many wait.
        """
        self.check(transfer)
        if len(self.waiting) >= MOST_WAITING:
            raise Reverted("too many transactions wait")
        transaction = hashed(transfer, f"{len(self._mined)}+{len(self.waiting)}")
        if mine:
            self._mine(transaction)
        else:
            self.waiting.append(transaction)
        return transaction

    def mine(self) -> tuple[Mined, ...]:
        """Give each transaction that waits its block; one that the token refuses by now fails there."""
        mined = []
        for transaction in self.waiting:
            try:
                self.check(transaction.transfer)
            except Reverted:
                mined.append(self._mine(transaction, succeeded=False))
            else:
                mined.append(self._mine(transaction))
        self.waiting.clear()
        return tuple(mined)

    def drop_waiting(self) -> None:
        """Forget what waits, as a node under load does."""
        self.waiting.clear()

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self._ahead += seconds

    def reorganise(self, depth: int, *, lose: bool = False) -> None:
        """Replace the newest `depth` blocks by others.

        Args:
            depth: how many blocks.
            lose: whether their transactions are gone; else they wait for `mine` again.
        """
        first = max(self.head() - depth + 1, 1)
        taken = [mined for mined in self._mined if mined.number >= first]
        self._forks.append(first)
        del self._mined[len(self._mined) - len(taken) :]
        self._database.forget(first)
        self._replay()
        if not lose:
            self.waiting.extend(mined.transaction for mined in taken)

    def _mine(self, transaction: Transaction, *, succeeded: bool = True) -> Mined:
        time = self.now()
        mined = Mined(transaction, (time - GENESIS) // BLOCK_SECONDS + len(self._mined) + 1, time, succeeded)
        self._database.keep(mined)
        self._mined.append(mined)
        self._book(mined)
        return mined

    def _book(self, mined: Mined) -> None:
        transfer = mined.transaction.transfer
        if not mined.succeeded:
            return
        self._balances[transfer.sender] -= transfer.value
        self._balances[transfer.to] += transfer.value
        assert self._balances[transfer.sender] >= 0, "nobody pays what it has not"
        if transfer.nonce:
            assert transfer.key not in self._used, "an authorization is used once"
            self._used[transfer.key] = mined

    def _until(self, number: int) -> Iterable[Mined]:
        return self._mined[: bisect_right(self._mined, number, key=lambda mined: mined.number)]

    def _hash(self, number: int) -> str:
        if number < 0:
            return "0x" + "0" * 64
        fork = sum(number >= first for first in self._forks)
        rest = sha256(f"{self.asset.network}|{fork}|{number}".encode()).hexdigest()[:48]
        return f"0x{number:016x}{rest}"
