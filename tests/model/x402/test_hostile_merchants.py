"""A merchant that asks and answers anything at all: it is refused, or paid what was agreed, and no money is lost."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.domain.quotes import Free, Quote
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.rails.base import OpenCall
from jecp_mcp.rails.paid_http.request import read_request
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.rails.x402.chain import ChainReader
from jecp_mcp.rails.x402.payload import Payload, Terms
from jecp_mcp.rails.x402.rail import Pays, X402Rail
from jecp_mcp.rails.x402.wiring import KNOWN
from jecp_mcp.settings import PaidHttpSettings
from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.wire.x402.challenge import Challenge, PaymentOption, read_challenge
from jecp_mcp.wire.x402.payment import read_payment
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from jecp_mcp.wire.x402.settlement import NONCE_USED, read_settlement
from tests.model.wire.test_x402_properties import damaged, mutated
from tests.unit.mandate.reservations import HandClock
from tests.unit.wire.x402.messages import v1_challenge, v1_option, v2_challenge, v2_option

pytestmark = pytest.mark.anyio

THOROUGH = 5_000
EXHAUSTING = 100_000
KEY = PrivateKey(b"\x07" * 32)
REQUEST = read_request({"url": "https://api.example.com/report"})
ASKED = [
    v2_challenge(v2_option(), v2_option(network="eip155:1", amount="20000")),
    v2_challenge(v2_option(scheme="upto"), v2_option()),
    v1_challenge(v1_option()),
]
RECEIPT = {"success": True, "transaction": f"0x{1:064x}", "network": "eip155:8453", "payer": KEY.address, "amount": "10000"}  # fmt: skip
ANSWERED: list[Any] = [
    RECEIPT,
    RECEIPT | {"success": False, "errorReason": "invalid_exact_evm_nonce_already_used", "transaction": ""},
    RECEIPT | {"success": False, "errorReason": "settlement_pending"},
    {"error": "no"},
]
STATUSES = [200, 200, 200, 201, 204, 302, 400, 402, 402, 402, 403, 409, 500, 502, 503]


class Signer(PrivateKey):
    """The key, and how often it signed."""

    signed = 0

    def sign(self, digest: bytes) -> bytes:
        Signer.signed += 1
        return super().sign(digest)


class Gate:
    """Gives the answer that is next, and keeps the payments that came."""

    def __init__(self) -> None:
        self.answer: HttpAnswer | ExchangeFailed = HttpAnswer(200, {}, b"")
        self.payments: list[Any] = []

    async def exchange(self, _method: str, _place: Any, **more: Any) -> HttpAnswer:
        payment = read_payment({name.lower(): value for name, value in more["headers"].items()})
        if payment is not None:
            await more["before_sending"]()
            self.payments.append(payment)
        if isinstance(self.answer, ExchangeFailed):
            raise self.answer
        return self.answer


class Writes:
    """A journal that takes down everything."""

    async def sending(self) -> None:
        """Nothing stands in the way."""

    async def keep(self, *_entries: Any) -> None:
        """It is kept."""


class Market:
    """The rail, and a merchant that sends what the dice say."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice, self.gate, self.clock = random.Random(seed), Gate(), HandClock()
        settings = PaidHttpSettings.model_validate(
            {"merchants": ["https://api.example.com"], "networks": ["eip155:8453"]}
        )
        gate: Any = self.gate
        pays = Pays(Signer(b"\x07" * 32), KNOWN, ChainReader(gate, {}, 12), PayeePins(folder, PAID_HTTP, self.clock))
        self.rail = X402Rail(gate, settings, pays, self.clock)
        self.ends: Counter[str] = Counter()

    def says(self, known: list[Any], status: int) -> HttpAnswer:
        """A message in its place or another, exchanged or damaged in parts."""
        made = mutated(self.dice.choice(known), self.dice) if self.dice.random() < 0.7 else self.dice.choice(known)
        raw = damaged(json.dumps(made).encode(), self.dice)
        text = base64.b64encode(raw).decode()
        if self.dice.random() < 0.1:
            text = damaged(text.encode(), self.dice).decode("latin-1")
        usual = ["payment-required" if known is ASKED else "payment-response"] * 6
        name = self.dice.choice([*usual, "payment-required", "payment-response", "x-payment-response", "content-type"])
        headers: Mapping[str, str] = {name: text} if name != "content-type" else {name: "application/json"}
        return HttpAnswer(status, headers, raw if self.dice.random() < 0.7 else b"{}")

    async def ask(self, number: int) -> None:
        """Ask for a price, and pay where there is one that is good."""
        signed = Signer.signed
        self.gate.answer = self.says(ASKED, 402 if self.dice.random() < 0.9 else self.dice.choice(STATUSES))
        found = await self.rail.quote(REQUEST.offer, REQUEST.arguments)
        assert (Signer.signed, self.gate.payments) == (signed, []), "a question is not signed for"
        if isinstance(found, Refusal):
            assert found.message.isprintable()
            assert "othing was charged" in found.message
            self.ends[found.code] += 1
        elif isinstance(found, Free):
            assert 200 <= self.gate.answer.status < 300
            self.ends["free"] += 1
        else:
            await self.pay(number, found, self.gate.answer)

    async def pay(self, number: int, quote: Quote, asked: HttpAnswer | ExchangeFailed) -> None:
        terms = Terms.unpack(quote.payload)
        assert (terms.network, terms.asset) == ("eip155:8453", v2_option()["asset"].lower())
        assert isinstance(asked, HttpAnswer)
        challenge = read_challenge(asked.headers, asked.body)
        assert isinstance(challenge, Challenge)
        options = [one for one in challenge.options if isinstance(one, PaymentOption)]
        [offered] = [one.raw for one in options if one.raw == terms.option][:1]
        assert quote.amount == int(str(offered.get("amount", offered.get("maxAmountRequired")))) > 0
        assert terms.pay_to == str(offered["payTo"]).lower()
        stored = self.rail.prepare(f"call_{number:032x}", REQUEST.offer, REQUEST.arguments, quote, quote.amount, self.clock.now())  # fmt: skip
        self.gate.answer = self.says(ANSWERED, self.dice.choice(STATUSES))
        if self.dice.random() < 0.1:
            self.gate.answer = ExchangeFailed(sent=True, phase="answer", reason="it broke off")
        call = OpenCall(stored)
        for _ in range(2):
            outcome = await self.rail.execute(call, Writes()) if not self.gate.payments else await self.rail.find_out(call, Writes())  # fmt: skip
            self.judge(stored.hold, outcome)
        self.ends[f"paid: {outcome.verdict.name}"] += 1
        agreed = Payload.unpack(stored.payload).authorization
        assert (agreed.value, agreed.to) == (quote.amount, terms.pay_to)
        assert {one.authorization for one in self.gate.payments} == {agreed}
        assert len({one.signature for one in self.gate.payments}) == 1
        self.gate.payments.clear()

    def judge(self, hold: int, outcome: Any) -> None:
        """What left this machine is charged or in doubt, never free, and never for another amount."""
        assert outcome.verdict in {Verdict.CHARGED, Verdict.IN_DOUBT}
        assert outcome.amount == (hold if outcome.verdict is Verdict.CHARGED else 0)
        assert outcome.answer is not None or outcome.refusal is not None
        assert outcome.evidence.isprintable()
        if outcome.refusal is not None:
            assert outcome.refusal.message.isprintable()
        if outcome.verdict is Verdict.CHARGED and isinstance(self.gate.answer, HttpAnswer):
            assert 200 <= self.gate.answer.status < 300 or says_taken(self.gate.answer)


def says_taken(heard: HttpAnswer) -> bool:
    """Whether an answer can be read as one to a payment that was taken."""
    with suppress(WireError):
        settlement = read_settlement(heard.headers)
        if settlement is not None and (settlement.success or settlement.error_reason in NONCE_USED):
            return True
    with suppress(WireError):
        challenge = read_challenge(heard.headers, heard.body)
        return isinstance(challenge, Challenge) and challenge.error in NONCE_USED
    return False


async def _asked(folder: Path, seed: int, count: int) -> None:
    market = Market(folder, seed)
    for number in range(count):
        await market.ask(number)
    print(f"{count} challenges, {Signer.signed} signatures: {dict(market.ends)}")
    assert market.ends["PAYMENT_NOT_POSSIBLE"] > count // 10
    assert market.ends["paid: CHARGED"] > 0 < market.ends["paid: IN_DOUBT"]


@pytest.mark.slow
async def test_many_hostile_messages_end_in_a_refusal_or_in_what_was_agreed(tmp_path: Path) -> None:
    await _asked(tmp_path, 402, THOROUGH)


@pytest.mark.long
async def test_very_many_hostile_messages_end_in_a_refusal_or_in_what_was_agreed(tmp_path: Path) -> None:
    await _asked(tmp_path, 4_020, EXHAUSTING)
