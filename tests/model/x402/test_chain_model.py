"""Random lives of the sandbox's chain: its books add up at every block, and each authorization is used once."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jecp_mcp.clock import UnixMs
from jecp_mcp.sandbox.paid_http.chain.accounts import SUPPLY, TREASURY
from jecp_mcp.sandbox.paid_http.chain.chain import GENESIS, Chain, Reverted
from jecp_mcp.sandbox.paid_http.chain.transactions import Transfer
from jecp_mcp.sandbox.paid_http.database import Database
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET

HOLDERS = [f"0x{number:040x}" for number in (1, 2, 3)]
NONCES = [f"0x{number:064x}" for number in range(2)]
HOLDER, NONCE, VALUE = st.sampled_from(HOLDERS), st.sampled_from(NONCES), st.integers(0, 300)


class StillClock:
    """A clock that only the chain's own controls move."""

    def now(self) -> UnixMs:
        return UnixMs((GENESIS + 1_000) * 1_000)

    def monotonic(self) -> float:
        return 0.0


class ChainLife(RuleBasedStateMachine):
    """One chain, and what it ought to hold."""

    @initialize()
    def begin(self) -> None:
        self.database = Database(None)
        self.chain = Chain(SANDBOX_ASSET, StillClock(), self.database)
        for holder in HOLDERS:
            self.chain.give(holder, 500)

    @rule(to=HOLDER, value=VALUE)
    def give(self, to: str, value: int) -> None:
        self.chain.give(to, value)

    @rule(sender=HOLDER, to=HOLDER, value=VALUE, nonce=NONCE, lasts=st.integers(-5, 400), mine=st.booleans())
    def send(self, sender: str, to: str, value: int, nonce: str, lasts: int, mine: bool) -> None:
        transfer = Transfer(sender, to, value, nonce, 0, self.chain.now() + lasts)
        before, good = self.chain.balance(sender), not self.chain.used(sender, nonce) and lasts > 0
        with suppress(Reverted):
            self.chain.send(transfer, mine=mine)
            assert good
            assert before >= value
            assert self.chain.used(sender, nonce) is mine
            return
        assert not (good and before >= value)

    @rule(seconds=st.integers(1, 500))
    def advance(self, seconds: int) -> None:
        head = self.chain.head()
        self.chain.advance(seconds)
        assert self.chain.head() >= head + seconds // 2

    @rule()
    def mine(self) -> None:
        waiting = len(self.chain.waiting)
        assert len(self.chain.mine()) == waiting

    @rule()
    def drop(self) -> None:
        self.chain.drop_waiting()

    @rule(depth=st.integers(1, 60), lose=st.booleans())
    def reorganise(self, depth: int, lose: bool) -> None:
        block = self.chain.block(self.chain.head())
        kept = self.chain.block(max(self.chain.head() - depth, 0))
        assert block is not None
        assert kept is not None
        self.chain.reorganise(depth, lose=lose)
        assert self.chain.block_of(block.hash) is None
        assert self.chain.block_of(kept.hash) == kept

    @invariant()
    def its_books_add_up(self) -> None:
        mined = self.chain.transactions()
        books = Counter({TREASURY: SUPPLY})
        used: set[tuple[str, str]] = set()
        time = GENESIS
        for each in mined:
            block = self.chain.block(each.number)
            assert block is not None
            assert block.mined == each
            assert self.chain.block_of(block.hash) == block
            assert block.time == each.time >= time
            time = each.time
            transfer = each.transaction.transfer
            if each.succeeded:
                books[transfer.sender] -= transfer.value
                books[transfer.to] += transfer.value
            if transfer.nonce and each.succeeded:
                assert transfer.key not in used
                used.add(transfer.key)
                assert self.chain.used(*transfer.key, each.number)
                assert not self.chain.used(*transfer.key, each.number - 1)
            for holder in HOLDERS:
                assert self.chain.balance(holder, each.number) == books[holder] >= 0
        assert self.chain.total() == SUPPLY
        assert {holder: self.chain.balance(holder) for holder in HOLDERS} == {
            holder: books[holder] for holder in HOLDERS
        }
        assert len({each.transaction.hash for each in mined}) == len(mined)
        assert list(self.database.transactions()) == list(mined)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()


TestChainLife = ChainLife.TestCase
TestChainLife.settings = settings(max_examples=25, stateful_step_count=20)
