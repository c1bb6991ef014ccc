"""The sandbox's merchant, facilitator and chain for tests: served from a thread, with handles to what they do.

`serving` runs them; `PaidHttp` works the same on a sandbox in another process, from the line it printed. `Payer` is a
buyer that does what a test says, step by step. `served` and `shop` are fixtures for a folder's ``conftest.py``.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from jecp_mcp import jsontext
from jecp_mcp.sandbox.paid_http.config import PaidHttpConfig
from jecp_mcp.sandbox.paid_http.run import Served, serve_paid_http
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.challenge import Challenge, read_challenge
from jecp_mcp.wire.x402.payment import Authorization, Payment, payment_header, with_identifier
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from jecp_mcp.wire.x402.settlement import Settlement, read_settlement
from jecp_mcp.wire.x402.typed_data import authorization_digest

START_SECONDS = 60


@contextmanager
def serving(config: PaidHttpConfig | None = None) -> Iterator[PaidHttp]:
    """Serve the three on free ports until the block ends."""
    config = config or PaidHttpConfig()
    ready, served, failed = threading.Event(), [], []
    stop: list[Any] = []

    async def main() -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(end.set))
        async with serve_paid_http(config) as where:
            served.append(where)
            ready.set()
            await end.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as exc:  # noqa: BLE001  # raised again in the test's thread
            failed.append(exc)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="x402 sandbox")
    thread.start()
    try:
        assert ready.wait(START_SECONDS)
        if failed:
            raise failed[0]
        with httpx2.Client(timeout=START_SECONDS) as http:
            yield PaidHttp(served[0], config.control_key, http)
    finally:
        for each in stop:
            with suppress(RuntimeError):  # it never started
                each()
        thread.join(START_SECONDS)
        assert not thread.is_alive()


@dataclass
class ChainHandle:
    """The chain: what happened on it, and its switches."""

    url: str
    control_key: str = field(repr=False)
    http: httpx2.Client = field(repr=False)
    changed: bool = False

    def put_right(self) -> None:
        """Let both nodes be right, and nothing wait."""
        if self.changed:
            self.node(1)
            self.node(2)
            self.drop_waiting()
        self.changed = False

    def _do(self, what: str, **more: Any) -> dict[str, Any]:
        self.changed = True
        answer = self.http.post(
            f"{self.url}/sandbox/chain", json={"do": what, **more}, headers={"x-sandbox-key": self.control_key}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def books(self) -> dict[str, Any]:
        """``{"block", "time", "waiting": [hash], "total", "transfers": […]}``."""
        return self.http.get(f"{self.url}/sandbox/transfers").raise_for_status().json()

    def transfers(self) -> list[dict[str, Any]]:
        """What was paid, successful ones: ``{"hash", "from", "to", "value", "nonce", "block", "time"}``."""
        return [each for each in self.books()["transfers"] if each["nonce"] and each["succeeded"]]

    def paid_by(self, address: str) -> list[int]:
        """The values of one payer's transfers."""
        return [int(each["value"]) for each in self.transfers() if each["from"] == address]

    def now(self) -> int:
        """The chain's time, Unix seconds."""
        return int(self.books()["time"])

    def advance(self, seconds: int) -> None:
        """Let time pass on the chain."""
        self._do("advance", seconds=seconds)

    def mine(self) -> None:
        """Give what waits its blocks."""
        self._do("mine")

    def drop_waiting(self) -> None:
        """Forget what waits."""
        self._do("drop_waiting")

    def reorganise(self, depth: int, *, lose: bool = False) -> None:
        """Replace the newest blocks; their transactions wait again, or are lost."""
        self._do("reorganise", depth=depth, lose=lose)

    def give(self, address: str, value: int) -> None:
        """Give an address money out of the treasury, in millionths."""
        self._do("give", address=address, value=value)

    def node(self, number: int, **wrong: Any) -> None:
        """Make a node wrong: `lag_blocks`, `chain_id`, `denies_use`, `fails`; right again with none of them."""
        self._do("node", node=number, **wrong)

    def ask(self, method: str, *params: Any, node: int = 1) -> Any:
        """A node's answer: the result, or the error where there is one."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self.http.post(f"{self.url}/node/{node}", json=asked).raise_for_status().json()
        return answer["error"] if "error" in answer else answer["result"]


@dataclass
class MerchantHandle:
    """The merchant: what came to it, and how it goes wrong."""

    url: str
    control_key: str = field(repr=False)
    http: httpx2.Client = field(repr=False)
    changed: bool = False

    def put_right(self) -> None:
        """Let no fault wait."""
        if self.changed:
            self.clear()
        self.changed = False

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        self.changed = True
        return self.http.post(f"{self.url}{path}", json=body, headers={"x-sandbox-key": self.control_key})

    def fault(self, mode: str, route: str = "*", **more: Any) -> None:
        """Go wrong once (or `times`) on a route; see `jecp_mcp.sandbox.paid_http.merchant.faults`."""
        answer = self._post("/sandbox/faults", {"mode": mode, "route": route, **more})
        assert answer.status_code == 200, answer.text

    def clear(self) -> None:
        """Take back the faults that did not happen; slow answers come now."""
        headers = {"x-sandbox-key": self.control_key}
        self.http.delete(f"{self.url}/sandbox/faults", headers=headers).raise_for_status()

    def change(self, route: str, **terms: Any) -> None:
        """Let a route ask for other terms from now on: `amount`, `pay_to`, `asset`, `network`, `timeout_seconds`."""
        answer = self._post("/sandbox/terms", {"route": route, **terms})
        assert answer.status_code == 200, answer.text

    def settle_kept(self) -> list[dict[str, Any]]:
        """Settle what ``late_settlement`` kept."""
        return self._post("/sandbox/kept/settle", {}).raise_for_status().json()["settlements"]

    def visits(self) -> list[dict[str, Any]]:
        """The requests that came: ``{"method", "target", "headers", "body"}``."""
        headers = {"x-sandbox-key": self.control_key}
        return self.http.get(f"{self.url}/sandbox/visits", headers=headers).raise_for_status().json()["visits"]


@dataclass
class PaidHttp:
    """All three, from the line that says where they are."""

    where: Served
    control_key: str = field(repr=False)
    http: httpx2.Client = field(repr=False)
    merchant: MerchantHandle = field(init=False, repr=False)
    chain: ChainHandle = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.merchant = MerchantHandle(self.url, self.control_key, self.http)
        self.chain = ChainHandle(str(self.where["chain"]), self.control_key, self.http)

    def put_right(self) -> None:
        """Take back what was made wrong."""
        self.merchant.put_right()
        self.chain.put_right()

    @property
    def url(self) -> str:
        """The merchant's."""
        return str(self.where["merchant"])

    @property
    def rpc(self) -> list[str]:
        """The two nodes of the chain."""
        return list(self.where["rpc"])

    def payer(self) -> Payer:
        """A new buyer, with what the faucet gives."""
        payer = Payer(self, PrivateKey(secrets.token_bytes(32)))
        self.http.post(self.where["faucet"], json={"address": payer.address}).raise_for_status()
        return payer


@dataclass
class Payer:
    """A buyer that does what it is told."""

    shop: PaidHttp = field(repr=False)
    key: PrivateKey

    @property
    def address(self) -> str:
        """Whose money it pays with."""
        return self.key.address

    def probe(self, path: str, method: str = "GET", **request: Any) -> httpx2.Response:
        """Ask for something without paying."""
        return self.shop.http.request(method, f"{self.shop.url}{path}", **request)

    def challenge(self, path: str, method: str = "GET", version: int | None = None, **request: Any) -> Challenge:
        """What the merchant asks for; with `version` 1, what its body asks for."""
        answer = self.probe(path, method, **request)
        assert answer.status_code == 402, answer.text
        headers = {name: value for name, value in answer.headers.items() if not (version == 1 and "payment" in name)}
        found = read_challenge(headers, answer.content)
        assert isinstance(found, Challenge)
        return found

    def sign(self, challenge: Challenge, entry: int = 0, *, identifier: str = "", **other: Any) -> Payment:
        """Sign for one entry of a challenge; `other` says otherwise what an authorization says."""
        option = challenge.options[entry]
        raw = jsontext.plain(option.raw)
        amount = raw["amount" if challenge.version == 2 else "maxAmountRequired"]
        terms = {
            "sender": self.address,
            "to": raw["payTo"].lower(),
            "value": int(amount),
            "valid_after": 0,
            "valid_before": self.shop.chain.now() + 300,
            "nonce": secrets.token_bytes(32),
        }
        authorization = Authorization(**{**terms, **other})
        signature = self.key.sign(authorization_digest(SANDBOX_ASSET, authorization))
        accepted = raw if challenge.version == 2 else {name: raw[name] for name in ("scheme", "network")}
        extensions = challenge.extensions
        if identifier:
            extensions = with_identifier(extensions, identifier)
        return Payment(challenge.version, authorization, signature, accepted, challenge.resource, extensions)

    def send(self, payment: Payment, path: str, method: str = "GET", **request: Any) -> httpx2.Response:
        """Ask for something and pay."""
        name, value = payment_header(payment)
        headers = {**request.pop("headers", {}), name: value}
        return self.shop.http.request(method, f"{self.shop.url}{path}", headers=headers, **request)

    def buy(self, path: str, method: str = "GET", entry: int = 0, version: int | None = None, **request: Any) -> Bought:
        """Probe, sign and pay."""
        payment = self.sign(self.challenge(path, method, version, **request), entry)
        return Bought(payment, self.send(payment, path, method, **request))

    def balance(self) -> int:
        """What it has, in millionths."""
        call = {"to": SANDBOX_ASSET.address, "data": f"0x70a08231{self.address[2:]:0>64}"}
        return int(self.shop.chain.ask("eth_call", call, "latest"), 16)

    def used(self, payment: Payment, node: int = 1, block: Any = "latest") -> bool:
        """Whether a node says that its authorization was used."""
        data = f"0xe94a0102{self.address[2:]:0>64}{payment.authorization.nonce.hex()}"
        return (
            int(self.shop.chain.ask("eth_call", {"to": SANDBOX_ASSET.address, "data": data}, block, node=node), 16) == 1
        )


@dataclass
class Bought:
    """What came of it."""

    payment: Payment
    answer: httpx2.Response

    @property
    def receipt(self) -> Settlement | None:
        """What the merchant says became of the payment."""
        return read_settlement(self.answer.headers)


@pytest.fixture(scope="session")
def served() -> Iterator[PaidHttp]:
    """One sandbox for all tests of a folder."""
    with serving() as shop:
        yield shop


@pytest.fixture
def shop(served: PaidHttp) -> Iterator[PaidHttp]:
    """The same, with nothing left wrong after a test."""
    yield served
    served.put_right()
