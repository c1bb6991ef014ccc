"""The sandbox's pages in a browser: what they say, and that everybody but a browser still gets JSON."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import httpx2
import pytest

from jecp_mcp.pages import STYLE, source_of
from jecp_mcp.sandbox.config import SandboxConfig
from tests.contract.sandbox.conftest import Buyer, controlled, running

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def closed(answer: httpx2.Response) -> str:
    """The page, which admits our style sheet and nothing else."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    rules = answer.headers["content-security-policy"]
    assert rules.startswith(f"default-src 'none'; style-src {source_of(STYLE)}; form-action 'self'")
    assert answer.headers["cache-control"] == "no-store"
    assert '<html lang="en">' in answer.text
    assert f"<style>{STYLE}</style>" in answer.text
    assert not re.findall(r"<script|<link|<img|\sstyle=|\son\w+=", answer.text)
    return html.unescape(answer.text)


def test_the_front_page_shows_wallet_calls_and_prices(fresh: Buyer) -> None:
    before = closed(fresh.http.get("/", headers=BROWSER))
    fresh.wallet(balance_usdc="1")
    assert fresh.buy().status_code == 200
    page = closed(fresh.http.get("/", headers=BROWSER))
    balance = fresh.http.get("/sandbox/books", headers=fresh.auth).json()["balance_usdc"]
    assert balance == "0.995"
    # Another agent's call, with its name; the wallet is the test agent's.
    newest = page.partition("Recent calls")[2].partition("</tr></thead>")[2].partition("</tr>")[0]
    assert "<code>lab/counting:count</code>" in newest
    assert "(just now)</time>, tester" in newest
    assert '<td class="price">$0.005</td>' in newest
    assert before.partition("Connect a host")[0] == page.partition("Connect a host")[0]
    for_sale = page.partition("For sale")[2]
    assert "Counts a text." in for_sale
    assert "$0.000001 per input token, $0.000004 per output token, at most the call's budget" in for_sale
    assert '<td class="price">metered</td>' in for_sale
    assert "from $" not in for_sale
    names = re.findall(r"<td><code>([^<]*)</code>", for_sale)
    assert len(names) == len(set(names))
    # What is called by no version, as on the page, is the current one; an older one is not what a bridge buys.
    assert "inkwell/thumbnail:make" in names
    assert not [name for name in names if "@" in name]
    assert "Replaced by 2.0.0" not in for_sale


def test_the_configuration_it_shows_is_for_this_very_hub(tmp_path: Path) -> None:
    data = tmp_path / "sandbox.sqlite"
    with running(SandboxConfig(data=data)) as ready, controlled(ready) as http:
        shown = closed(http.get("/"))
        assert ready["api_key"] not in shown
        assert "$20.00" in shown
        assert "None yet." in shown
        server = json.loads(shown.partition('<pre class="copy">')[2].partition("</pre>")[0])["mcpServers"]["jecp"]
        assert server["args"] == ["serve", "--sandbox", "--state-dir", str(tmp_path)]
        assert Path(server["command"]).name == "jecp-mcp"


def test_one_without_a_servers_file_is_reached_by_its_address(served: Buyer) -> None:
    shown = closed(served.http.get("/"))
    server = json.loads(shown.partition('<pre class="copy">')[2].partition("</pre>")[0])["mcpServers"]["jecp"]
    assert server["args"] == ["serve"]
    assert server["env"]["JECP_BASE_URL"] == str(served.http.base_url).rstrip("/")
    assert server["env"]["JECP_AGENT_ID"] == served.agent_id
    assert served.api_key not in shown


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/nowhere", 404, "This Hub has no such endpoint."),
        ("DELETE", "/health", 405, "does not take that method"),
        ("GET", "/v1/capabilities/lab%2Fnothing", 404, "List the capabilities and check namespace and name."),
        ("GET", "/sandbox/books", 401, "Register an agent"),
        ("POST", "/topup", 400, "amount must be one of"),
    ],
)
def test_an_error_is_a_page_in_a_browser_and_an_envelope_elsewhere(
    served: Buyer, method: str, path: str, status: int, said: str
) -> None:
    form = {"agent_id": served.agent_id, "amount": "7"} if path == "/topup" else None
    page = served.http.request(method, path, headers=BROWSER, data=form)
    assert page.status_code == status
    assert said in closed(page)
    answer = served.http.request(method, path, data=form)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["status"] == "failed"


def test_a_wallet_is_filled_with_nothing_but_links_and_buttons(fresh: Buyer) -> None:
    page = closed(fresh.http.get("/topup"))
    assert "sbx_ag_" in page
    checkout = fresh.http.post("/topup", data={"agent_id": fresh.agent_id, "amount": "20"}, follow_redirects=True)
    assert "Pay $20.00 of test money" in closed(checkout)
    paid = fresh.http.post(f"{checkout.url}/pay", follow_redirects=True)
    assert 'class="good">Paid' in closed(paid)
    assert "Wallet now</dt><dd>$20.00" in closed(paid)
    for path, form in (("/topup", {"agent_id": "nobody", "amount": "5"}), ("/register", {"name": ""})):
        assert closed(fresh.http.post(path, data=form)).count("To the front page") == 1
    assert "To the front page" in closed(fresh.http.get("/checkout/none"))
    assert "JECP_API_KEY" in closed(fresh.http.post("/register", data={"name": "by page"}))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/register", "/topup", "/checkout/{session}/pay", "/onboarding/{token}"])
def test_a_form_is_taken_from_the_hubs_own_pages_alone(fresh: Buyer, path: str) -> None:
    wanted = {"name": "by page", "agent_id": fresh.agent_id, "amount": "20"}
    own = f"http://{fresh.http.base_url.netloc.decode()}"
    checkout = fresh.http.post("/topup", data=wanted, headers={"Origin": own}).headers["location"]
    path = path.replace("/checkout/{session}", checkout).replace("{token}", "none")
    for origin in ("http://evil.example", "null", f"{own}.evil.example", "https://" + own.partition("://")[2]):
        refused = fresh.http.post(path, data=wanted, headers={"Origin": origin, **BROWSER})
        assert (refused.status_code, "Open the Hub's own page" in closed(refused)) == (403, True)
    assert fresh.http.get("/sandbox/books", headers=fresh.auth).json()["balance_usdc"] == "0.00"
    for headers in ({}, {"Origin": own}):
        assert fresh.http.post(path, data=wanted, headers=headers).status_code in {201, 303}
