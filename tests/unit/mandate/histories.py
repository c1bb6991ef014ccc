"""Random lives of a ledger: everything that can be done to it through its own methods, in an order of the dice's."""

import random
from dataclasses import replace

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import ClockWentBack, LedgerError
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, everything, meter, reservation


class History:
    """One ledger file and the ids of the calls made in it."""

    def __init__(self, ledger: SqliteLedger, clock: HandClock, seed: int) -> None:
        self.ledger, self.clock, self.seed = ledger, clock, seed
        self.dice = random.Random(seed)
        self.calls: list[str] = []
        self.opened = 0
        self.grants = 0

    def _meters(self) -> list[Meter]:
        windows = (Window.HOUR, Window.DAY, Window.MONTH, Window.TOTAL, Window.SESSION)
        chosen = self.dice.sample(windows, self.dice.randint(0, 4))
        patterns = (None, "docs/*", "*:read")
        return [
            meter(
                window,
                100_000,
                key=f"session {self.ledger.session}" if window is Window.SESSION else None,
                pattern=None if window is Window.SESSION else self.dice.choice(patterns),
            )
            for window in chosen
        ]

    async def live(self, steps: int) -> None:
        for _ in range(steps):
            try:
                await self.step()
            except ClockWentBack:
                await self.ledger.trust_clock()
            except LedgerError:
                # A call that has ended, or was never charged.
                continue

    async def step(self) -> None:
        dice, ledger = self.dice, self.ledger
        what = dice.choice(
            ["reserve"] * 4 + ["conclude"] * 5 + ["deliver", "refund", "time", "time", "prune", "restart"]
        )
        call_id = dice.choice(self.calls) if self.calls else None
        if what == "reserve":
            name = f"h{self.seed}-{len(self.calls)}"
            uses = await self.prepare(f"print of {name}") if dice.random() < 0.3 else ()
            wanted = reservation(
                ledger.session,
                dice.randint(0, 9_000),
                meters=self._meters(),
                call_id=name,
                send=dice.random() < 0.7,
                action=dice.choice(["make", "read"]),
                fingerprint=None if uses or dice.random() < 0.8 else "the same",
                request=dice.randbytes(8),
            )
            if isinstance(await ledger.reserve(replace(wanted, uses=uses)), Admitted):
                self.calls.append(name)
        elif what == "grant":
            await self.grant()
        elif what == "time":
            self.clock.forward(ms=dice.choice([1, 70_000, 4_000_000, 90_000_000, -30_000, -7_200_000]))
        elif what == "prune":
            await ledger.prune(UnixMs(self.clock.at - dice.choice([0, 3_600_000])))
        elif what == "restart":
            self.opened += 1
            await ledger.close()
            self.ledger = open_ledger(ledger.path, f"h{self.seed}-{self.opened}", self.clock)
            await self.ledger.adopt_orphans(everything)
        elif call_id is None:
            return
        elif what == "deliver":
            ledger.note_delivery(call_id)
            await ledger.flush()
        elif what == "refund":
            await ledger.refund(call_id, MicroUSDC(dice.randint(0, 9_000)), "a refund")
        elif dice.random() < 0.2:
            await ledger.send(call_id)
        elif dice.random() < 0.2:
            row = await ledger.row(call_id)
            await ledger.resend(call_id, 0 if row is None else row.claim, self._meters())
        else:
            await self.conclude(call_id)

    async def prepare(self, subject: str, state: GrantState = GrantState.GRANTED) -> tuple[GrantRef, ...]:
        self.grants += 1
        kind = GrantKind.PREPARED if state is GrantState.GRANTED else GrantKind.APPROVAL
        now = UnixMs(self.clock.at)
        grant = Grant(kind, f"grant{self.grants}", "local", subject, state, b"agreed", now, UnixMs(now + 3_600_000))
        await self.ledger.write_grant(grant)
        return (GrantRef(kind, grant.grant_id),)

    async def grant(self) -> None:
        """Somebody is asked, and answers now and then."""
        (asked,) = await self.prepare(self.dice.choice(["one call", "another call"]), GrantState.ASKED)
        if self.dice.random() < 0.7:
            await self.ledger.answer_grant(asked, self.dice.random() < 0.5, "by a person")

    async def conclude(self, call_id: str) -> None:
        if self.dice.random() < 0.15:
            self.ledger.write_off(call_id, "too late")
            return
        if self.dice.random() < 0.1:
            await self.ledger.correct(call_id, MicroUSDC(self.dice.randint(0, 10_000)), "a ruling")
            return
        verdict = self.dice.choice(list(Verdict))
        charged = MicroUSDC(self.dice.randint(0, 10_000) if verdict is Verdict.CHARGED else 0)
        some = self.dice.random() < 0.5
        await self.ledger.conclude_now(
            Conclusion(
                call_id,
                verdict,
                charged,
                balance_after=MicroUSDC(self.dice.randint(0, 99)) if some else None,
                reference=f"tx of {call_id}" if some else None,
                evidence="what the Hub said" if some else None,
                answer=self.dice.randbytes(8) if self.dice.random() < 0.6 else None,
                attempts=self.dice.randint(0, 3),
            )
        )
