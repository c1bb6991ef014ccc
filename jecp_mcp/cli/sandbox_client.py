"""The demo's human at a sandbox: pays at the Hub's checkout, asks Hub and chain for their books, and breaks things."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin

from jecp_mcp.cli.hub_record import SandboxAgents, SandboxControlPlane, SandboxHub, SandboxMerchant
from jecp_mcp.errors import PayeeError
from jecp_mcp.http import ExchangeFailed, Http, HttpAnswer
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.codes import HUB_MISBEHAVED, HUB_UNREACHABLE

_ERROR = 400


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the form and what is in it."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = given.get("action", "")
        elif tag in {"input", "button"} and self.action is not None and given.get("name"):
            self.fields.setdefault(given["name"], given.get("value", ""))


class SandboxClient:
    """What a person, or a test, does at a sandbox Hub beside the protocol."""

    def __init__(self, hub: SandboxHub, http: Http) -> None:
        self._hub = hub
        self._http = http
        self._agent = {"X-Agent-ID": hub.agent_id, "X-API-Key": hub.api_key, "X-Sandbox-Key": hub.control_key}

    async def pay(self, url: str) -> None:
        """Open a checkout page and post its form.

        Raises:
            PayeeError: there is no form, or the Hub did not take it.
        """
        page = _Form()
        page.feed((await _ask(self._http, "GET", url)).body.decode())
        if page.action is None:
            raise PayeeError(HUB_MISBEHAVED, "the checkout page has no form")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        await _ask(self._http, "POST", urljoin(url, page.action), form, urlencode(page.fields).encode())

    async def books(self) -> dict[str, Any]:
        """The Hub's books about this agent."""
        answer = await _ask(
            self._http, "GET", f"{self._hub.url}/sandbox/books?agent_id={self._hub.agent_id}", self._agent
        )
        books: dict[str, Any] = json.loads(answer.body)
        return books

    async def empty_wallet(self) -> None:
        """Take all that is in the wallet."""
        await self._post("/sandbox/wallet", {"balance_usdc": "0.00"})

    async def lose_answers(self, action: str, attempts: int) -> None:
        """Let the next call of an action be done and charged and its answer be lost, and the repeats get nowhere."""
        await self._post("/sandbox/faults", {"match": action, "fault": "drop_after_charge"})
        if attempts > 1:
            await self._post("/sandbox/faults", {"match": action, "fault": "drop_before", "times": attempts - 1})

    async def forget_faults(self) -> None:
        """Let everything work again."""
        await _ask(self._http, "DELETE", f"{self._hub.url}/sandbox/faults", self._agent)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        headers = {**self._agent, "Content-Type": "application/json"}
        await _ask(self._http, "POST", self._hub.url + path, headers, json.dumps(body).encode())


class MerchantClient:
    """What a test does at the sandbox's merchant and its chain beside the protocol."""

    def __init__(self, merchant: SandboxMerchant, control_key: str, shop: Http, chain: Http) -> None:
        """Speak to the merchant through `shop`, to the chain through `chain`."""
        self.url = merchant.url
        self._chain_url = merchant.chain
        self._shop = shop
        self._chain = chain
        self._headers = {"X-Sandbox-Key": control_key, "Content-Type": "application/json"}

    async def lose_answer(self, route: str) -> None:
        """Let the next payment for a route be taken, and the connection break in the middle of the answer."""
        await self._post("/sandbox/faults", {"mode": "cut", "route": route})

    async def ask_for(self, route: str, price: MicroUSDC) -> None:
        """Let a route cost something else from now on."""
        await self._post("/sandbox/terms", {"route": route, "amount": str(price)})

    async def pass_time(self, seconds: int) -> None:
        """Let time pass on the chain."""
        body = json.dumps({"do": "advance", "seconds": seconds}).encode()
        await _ask(self._chain, "POST", f"{self._chain_url}/sandbox/chain", self._headers, body)

    async def transfers(self) -> dict[str, MicroUSDC]:
        """What was paid on the chain, by transaction."""
        books = json.loads((await _ask(self._chain, "GET", f"{self._chain_url}/sandbox/transfers")).body)
        # The faucet's gifts have no authorization.
        paid = (one for one in books["transfers"] if one["nonce"] and one["succeeded"])
        return {one["hash"]: MicroUSDC(int(one["value"])) for one in paid}

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        await _ask(self._shop, "POST", self.url + path, self._headers, json.dumps(body).encode())


class ControlPlaneClient:
    """What a test asks the sandbox's control plane beside the protocol.

    Attributes:
        merchant: the merchant, where the control plane pays it.
    """

    def __init__(self, plane: SandboxControlPlane, control_key: str, http: Http) -> None:
        self.merchant = plane.merchant
        self._url = plane.url
        self._http = http
        self._headers = {"X-Sandbox-Key": control_key}

    async def payments(self) -> dict[str, MicroUSDC]:
        """What it paid, by the key of the decision."""
        answer = await _ask(self._http, "GET", f"{self._url}/sandbox/decisions", self._headers)
        decisions = json.loads(answer.body)["decisions"]
        return {key: MicroUSDC(int(one["amount"])) for key, one in decisions.items() if one["paid"]}


class AgentsClient:
    """What a test asks the sandbox's agents beside what the wallet does."""

    def __init__(self, agents: SandboxAgents, http: Http) -> None:
        self._agents = agents
        self._http = http

    @staticmethod
    def origin(agents: SandboxAgents) -> str:
        """Where they are."""
        return f"http://{agents.hirer.removeprefix('provenance:domain:').partition('/')[0]}"

    async def wake(self) -> None:
        """Ask for something, and wait until they run.

        Raises:
            PayeeError: they do not.
        """
        hirer = self._agents.hirer.removeprefix("provenance:domain:")
        await _ask(self._http, "GET", f"http://{hirer}/.well-known/provenance.json")

    async def result(self, agent: str, job_id: str) -> dict[str, Any]:
        """A job's result in an agent's own books.

        Raises:
            PayeeError: it has none.
        """
        url = f"{self.origin(self._agents)}/{agent}/jobs/{job_id}"
        found: dict[str, Any] = json.loads((await _ask(self._http, "GET", url)).body)
        return found


async def _ask(
    http: Http, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> HttpAnswer:
    try:
        answer = await http.exchange(method, url, headers=headers, body=body)
    except ExchangeFailed as exc:
        raise PayeeError(HUB_UNREACHABLE, f"{url}: {exc}") from exc
    if answer.status >= _ERROR:
        raise PayeeError(HUB_MISBEHAVED, f"{url} answered HTTP {answer.status}: {answer.body[:200].decode()}")
    return answer
