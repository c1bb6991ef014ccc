"""The console: for whoever has the start's key, on this machine; everything in it, live, and nobody's key."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Self

import httpx2
import pytest

from jecp_mcp.browser_sessions import SESSION_SECONDS
from jecp_mcp.pages import STYLE, source_of
from jecp_mcp.sandbox.console.layout import SCRIPT, VIEWS
from jecp_mcp.sandbox.console.records import ConsoleRecords
from jecp_mcp.sandbox.console.request_log import MOST_BYTES, MOST_KEPT, RequestLog
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.run import SandboxConfig
from jecp_mcp.sandbox.webhooks.outbox import MOST_ATTEMPTS
from jecp_mcp.sandbox.webhooks.subscriptions import Subscriptions
from tests.acceptance.browser import browser, needs_browser
from tests.acceptance.roads import running as process
from tests.contract.providers.conftest import House, Seller, endpoint, house
from tests.contract.sandbox.conftest import Buyer, running
from tests.contract.sandbox.receiver import receiver
from tests.contract.sandbox.test_webhooks import advance, tried

pytestmark = pytest.mark.slow

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=alert(1)>\"'&"


@dataclass
class Books:
    """A Hub in which everything has happened, and whoever did it."""

    house: House = field(repr=False)
    buyer: Buyer
    seller: Seller
    transaction_id: str
    event_id: str

    @property
    def origin(self) -> str:
        return str(self.house.http.base_url).rstrip("/")

    @property
    def key(self) -> str:
        return self.house.http.headers["X-Sandbox-Key"]


@pytest.fixture(scope="module")
def books() -> Iterator[Books]:
    with house() as made, endpoint() as point, receiver() as hook:
        seller = made.seller(point, display_name=HOSTILE)
        seller.sell()
        agent = made.http.post("/api/agents/register", json={"name": HOSTILE, "agent_type": HOSTILE}).json()
        buyer = Buyer(made.dialect, made.http, agent["agent_id"], agent["api_key"], made.clock)
        buyer.wallet(balance_usdc="10")
        hooked = made.http.post("/v1/subscriptions", json={"endpoint_url": hook.url}, headers=buyer.auth)
        hook.answers.put(500)
        sold = [buyer.buy(f"{seller.namespace}/words", input={"text": HOSTILE}) for _ in range(3)]
        refunded = sold[0].raise_for_status().json()["billing"]["transaction_id"]
        asked = {"transaction_id": refunded, "reason": HOSTILE}
        refund = made.http.post("/v1/refunds", json=asked, headers=buyer.auth).raise_for_status().json()
        resolved = made.http.post(
            f"/sandbox/refunds/{refund['refund_id']}", json={"decision": "approve", "note": HOSTILE}
        )
        resolved.raise_for_status()
        made.http.post("/sandbox/payouts", json={"least_usdc": "0.000001"}).raise_for_status()
        assert hooked.status_code == 201
        event = hook.next().event(hooked.json()["hmac_secret"])
        yield Books(made, buyer, seller, sold[-1].json()["billing"]["transaction_id"], event.id)


class Tags(HTMLParser):
    """The tags of a page, with the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


class Reader:
    """A person's browser without scripts."""

    def __init__(self, origin: str) -> None:
        self.http = httpx2.Client(base_url=origin, headers={"Origin": origin}, timeout=30)
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def unlock(self, key: str) -> httpx2.Response:
        answer = self.http.post("/console", data={"key": key})
        return self.open(answer.headers["location"]) if answer.status_code == 303 else answer

    def open(self, path: str) -> httpx2.Response:
        answer = self.http.get(path)
        self.text = answer.text
        return answer

    def links(self, words: str = "") -> list[str]:
        found = re.findall(r'<a [^>]*href="(/console[^"]*)"[^>]*>(.*?)</a>', self.text)
        return [html.unescape(address) for address, said in found if words in html.unescape(said)]

    def follow(self, words: str) -> str:
        address = self.links(words)[0]
        assert self.open(address).status_code == 200, address
        return html.unescape(self.text)


@pytest.fixture
def reader(books: Books) -> Iterator[Reader]:
    with Reader(books.origin) as made:
        assert made.unlock(books.key).status_code == 200
        yield made


def test_nothing_is_shown_without_the_key_and_neither_half_of_a_session_opens_it(books: Books) -> None:
    with Reader(books.origin) as stranger, Reader(books.origin) as person:
        wanted = "/console/transactions"
        assert stranger.open(wanted).status_code == 200
        for wrong in ("", books.key[:-1], books.buyer.api_key, books.seller.registered["provider_api_key"]):
            assert stranger.unlock(wrong).status_code == 403
            assert "That is not the key." in stranger.http.post("/console", data={"key": wrong}).text
        assert person.unlock(books.key).status_code == 200
        address = person.links("Transactions")[0]
        assert "words:count" in person.open(address).text
        cookies = dict(person.http.cookies)
        for path, given in ((address, {}), (wanted, cookies), (f"{wanted}?session=guess", cookies)):
            answer = httpx2.get(books.origin + path, cookies=given)
            assert "words:count" not in answer.text
            assert answer.status_code == (200 if path == wanted else 403)
            assert "Key</label>" in answer.text
        with Reader(books.origin) as other:
            other.unlock(books.key)
            # One session's token opens no other.
            assert httpx2.get(books.origin + address, cookies=dict(other.http.cookies)).status_code == 403
        assert person.http.cookies.jar
        for cookie in person.http.cookies.jar:
            assert (cookie.path, cookie.expires is not None) == ("/console", True)
        said = person.http.post("/console", data={"key": books.key}).headers["set-cookie"].lower()
        assert "httponly" in said
        assert "samesite=strict" in said
        assert f"max-age={int(SESSION_SECONDS)}" in said


def test_only_this_machine_is_answered_and_only_its_own_form_is_read(books: Books, reader: Reader) -> None:
    address = reader.links("Wallets")[0]
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Forwarded-Host"):
        for answer in (
            reader.http.get(address, headers={name: "10.0.0.1"}),
            reader.http.post("/console", data={"key": books.key}, headers={name: "10.0.0.1"}),
        ):
            assert (answer.status_code, "Wallet" in answer.text) == (403, False)
    for origin in ("https://elsewhere.example", "null", "http://127.0.0.1:1", "http://localhost"):
        foreign = reader.http.post("/console", data={"key": books.key}, headers={"Origin": origin})
        assert (foreign.status_code, "set-cookie" in foreign.headers) == (403, False)
    assert reader.http.post("/console", content=b"key=" + b"x" * 100_000).status_code == 400
    assert reader.http.get(address, headers={"Host": "elsewhere.example"}).status_code == 421


def test_a_proxy_before_the_hub_leads_to_no_console() -> None:
    with running(SandboxConfig(public_url="https://hub.example.com")) as ready, Reader(ready["hub"]) as person:
        assert ready["console"] == f"{ready['hub']}/console"
        named = {"Host": "hub.example.com", "Origin": "http://hub.example.com"}
        assert person.http.get("/health", headers=named).status_code == 200
        assert person.http.get("/console", headers=named).status_code == 403
        key = {"key": ready["control_key"]}
        assert person.http.post("/console", data=key, headers=named).status_code == 403
        assert person.unlock(ready["control_key"]).status_code == 200
        assert "Nothing was sold yet." in person.text
        for view in ("Transactions", "Requests", "Providers", "Payouts", "Webhooks", "Refunds"):
            assert "<table" not in person.follow(view)


def test_every_page_is_reached_by_links_and_shows_what_strangers_wrote_as_text_alone(
    books: Books, reader: Reader
) -> None:
    seen: dict[str, str] = {}
    waiting = reader.links()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        answer = reader.open(address)
        assert answer.status_code == 200, address
        seen[address] = answer.text
        waiting += reader.links()
        rules = answer.headers["content-security-policy"]
        assert rules == (
            f"default-src 'none'; style-src {source_of(STYLE)}; script-src {source_of(SCRIPT)}; connect-src 'self'; "
            "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert answer.headers["cache-control"] == "no-store"
        assert re.findall(r"<script.*?</script>", answer.text, re.DOTALL) == [f"<script>{SCRIPT}</script>"]
        tags = Tags(answer.text).found
        assert not [tag for tag, _ in tags if tag in {"img", "link", "iframe", "object"}]
        assert not [name for _, names in tags for name in names if name.startswith("on") or name == "style"]
    kinds = {re.sub(r"[?].*", "", address).split("/")[2:3][0] if address.count("/") > 1 else "" for address in seen}
    assert kinds == set(VIEWS)
    every = html.unescape("\n".join(seen.values()))
    assert every.count(HOSTILE) > 20
    for told in (books.transaction_id, books.event_id, books.buyer.agent_id, "po_"):
        assert told in every
    # What anybody could act with is nowhere.
    registered = books.seller.registered
    secrets = [books.key, books.buyer.api_key, registered["provider_api_key"], registered["hmac_secret"]]
    assert not [secret for secret in secrets if secret in every]
    assert f"sbx_ak_…{books.buyer.api_key[-4:]}" in every
    assert '"hmac_secret": "…"' in every


def test_the_books_of_one_sale_are_told_from_the_request_to_the_payout(books: Books, reader: Reader) -> None:
    assert "$9.979" in reader.follow("Overview")
    page = reader.follow("Transactions")
    newest = page.partition("<tbody>")[2].partition("</tr>")[0]
    amounts = re.findall(r"\$[\d.]+", newest)
    assert amounts == ["$0.01", "$0.0085", "$0.001", "$0.0005"]
    assert page.count("refunded") == 1
    detail = reader.follow("words:count")
    assert books.transaction_id in detail
    assert '"provider_share_usdc": 0.0085' in detail
    assert "seller-1" in reader.follow("Payouts")
    assert "-$0.017" in reader.text
    provider = reader.follow("seller-1")
    kinds = re.findall(r"<div>(sale|refund|payout)</div>", provider)
    assert kinds == ["payout", "refund", "sale", "sale", "sale"]
    assert "approved" in reader.follow("Refunds")
    assert "$0.009" in reader.text
    pools = reader.follow("Pools")
    assert "POST /v1/invoke" in pools
    assert re.findall(r"<div>(\w+)</div></td><td data-label=.Status", pools) == [
        "invoke",
        "read",
        "provider",
        "background",
    ]
    requests = reader.follow("Requests")
    assert "GET /" not in requests
    request = reader.follow("POST /v1/invoke")
    assert '"action": "count"' in request
    assert '"status": "success"' in request


def test_dead_letters_have_a_list_of_their_own() -> None:
    with house() as made, receiver() as hook, Reader(str(made.http.base_url).rstrip("/")) as person:
        buyer = made.buyer()
        asked = {"endpoint_url": hook.url, "events": ["test.synthetic"]}
        subscribed = made.http.post("/v1/subscriptions", json=asked, headers=buyer.auth).json()
        test = f"/v1/subscriptions/{subscribed['subscription_id']}/test"
        for _ in range(MOST_ATTEMPTS):
            hook.answers.put(500)
        made.http.post(test, headers=buyer.auth).raise_for_status()
        person.unlock(made.http.headers["X-Sandbox-Key"])
        assert "pending, next try" in person.follow("Webhooks")
        assert "There are none." in person.follow("Dead letters")
        for attempt in range(1, MOST_ATTEMPTS):
            tried(buyer, "pending", attempt)
            advance(buyer, 3_600)
        tried(buyer, "dead", MOST_ATTEMPTS)
        made.http.post(test, headers=buyer.auth).raise_for_status()
        tried(buyer, "delivered", 1)
        assert person.follow("Webhooks").count("test.synthetic") == 2
        dead = person.follow("Dead letters")
        assert dead.count("test.synthetic") == 1
        assert "dead letter, " in dead
        assert "HTTP 500" in person.follow("test.synthetic")
        assert '"message": "A test event. Nothing happened."' in html.unescape(person.text)


def test_a_page_that_has_not_changed_is_not_sent_again_and_one_that_has_is(books: Books, reader: Reader) -> None:
    address = reader.links("Pools")[0]
    first = reader.http.get(address)
    same = {"If-None-Match": first.headers["etag"]}
    again = reader.http.get(address, headers=same)
    assert (again.status_code, again.text) == (304, "")
    overview = reader.http.get(reader.links("Overview")[0])
    buyer = books.house.buyer("3.25")
    changed = reader.http.get(reader.links("Overview")[0], headers={"If-None-Match": overview.headers["etag"]})
    assert (changed.status_code, "$3.25" in changed.text) == (200, True)
    assert buyer.agent_id in changed.text


def test_what_is_not_there_is_said_to_be_missing(reader: Reader) -> None:
    session = reader.links("Pools")[0].partition("?")[2]
    for path in ("none", "wallets/none", "transactions/none", "requests/0", "requests/x", "providers/none", "webhooks/0",
                 f"webhooks/{'9' * 40}", "pools/invoke", "payouts/1"):  # fmt: skip
        answer = reader.open(f"/console/{path}?{session}")
        assert (answer.status_code, "There is no such thing" in answer.text) == (404, True), path
    for odd in ("x", "-1", "9" * 40, "1.", ".x", "%00"):
        for view in ("wallets", "transactions", "requests", "providers", "payouts", "webhooks", "refunds"):
            assert reader.open(f"/console/{view}?{session}&before={odd}").status_code == 200


def test_pages_follow_each_other_without_a_gap(reader: Reader, books: Books) -> None:
    made = [books.house.buyer() for _ in range(120)]
    for view in ("Wallets", "Requests"):
        shown: list[str] = []
        page = reader.follow(view)
        while True:
            shown += re.findall(r"<code>(sbx_ag_\w+)</code>", page.partition("<tbody>")[2])
            if not reader.links("Older ones"):
                break
            page = reader.follow("Older ones")
        agents = [one.agent_id for one in made]
        if view == "Wallets":
            assert len(shown) == len(set(shown)) > 120
            assert set(agents) <= set(shown)
        assert reader.links("The newest")
        assert agents[-1] in reader.follow("The newest") or view == "Requests"


@needs_browser
def test_a_top_up_is_seen_in_the_console_without_a_reload_in_a_real_browser(books: Books, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as console:
        console.open(f"{books.origin}/console")
        console.wait_for("The key is")
        console.type("not the key")
        console.wait_for("That is not the key.")
        console.type(books.key)
        console.wait_for("Live.")
        console.wait_for("$20.00")
        console.evaluate("window.stayed = true; document.querySelector('#transactions a').focus()")
        focus = console.evaluate("document.activeElement.href")
        shop = console.another()
        shop.open(f"{books.origin}/topup")
        shop.wait_for("Go to the checkout")
        shop.evaluate("document.querySelector('button').click()")
        shop.wait_for("Pay $5.00 of test money")
        shop.evaluate("document.querySelector('button').click()")
        shop.wait_for("Paid")
        console.show()
        console.wait_for("$25.00")
        # Nothing else has moved: neither the page nor where the reader is on it.
        assert console.evaluate("window.stayed && document.activeElement.href") == focus
        assert HOSTILE in console.evaluate("document.body.innerText")
        assert console.evaluate("document.title") == "Overview: JECP sandbox"
        assert console.evaluate("document.images.length") == 0
        for width in (1280, 390):
            picture = console.screenshot(width)
            (tmp_path / f"console-{width}.png").write_bytes(picture)
            assert picture.startswith(b"\x89PNG")
            # Nothing is wider than the window.
            assert console.evaluate("document.documentElement.scrollWidth <= innerWidth && innerWidth") == width


ROWS = {
    "agents (agent_id, name, agent_type, key_hash, balance, free_calls, created_at)": (
        "'agent' || i, 'name', '', x'', 5, 0, i / 7"
    ),
    "transactions": "i, 'tx' || i, 'agent' || (i % 3 + 1), 'call' || i, 'c', 'a', 'wallet', 100, 85, 10, 5, 1, i, NULL",
    "credits": "i, 'agent' || (i % 1000 + 1), 'topup', 5, 5, i",
    "refunds": "'rf' || i, 'tx' || i, 'agent1', 100, 90, '', NULL, 'denied', i / 7, i, NULL",
    "providers (provider_id, namespace, display_name, owner_email, endpoint_url, host, country, key_hash, hmac_secret,"
    " dns_token, created_at)": "'p' || i, 'ns' || i, '', '', '', '', '', 'k' || i, '', '', i / 7",
    "provider_entries": "i, 'p' || (i % 3 + 1), iif(i % 2, 'sale', 'payout'), 'tx' || i, 85, 85, i",
    "deliveries": "i, 's1', 'e' || i, '', '', iif(i % 1000, 'delivered', 'dead'), 1, i, i, i, NULL",
}
"""A row of each list, by its number i."""


def fill(database: HubDatabase, count: int) -> None:
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    for table, row in ROWS.items():
        database.rows(f"INSERT INTO {table} {numbers} SELECT {row} FROM n", count)


def counted(database: HubDatabase, ask: Callable[[], object]) -> int:
    """How many hundred steps of SQLite's machine a question takes."""
    steps = [0]

    def step() -> bool:
        steps[0] += 1
        return False

    database._db.set_progress_handler(step, 100)
    ask()
    database._db.set_progress_handler(None)
    return steps[0]


def test_a_page_takes_no_longer_of_a_hundred_thousand_of_everything() -> None:
    """Counted in steps of SQLite's machine, which no other load makes more."""
    taken: list[dict[str, int]] = []
    for count in (2_000, 100_000):
        database = HubDatabase(None)
        Subscriptions(database)
        fill(database, count)
        records, middle, old = ConsoleRecords(database), str(count // 2), count // 14
        assert records.totals() == (count, 100 * count, 85 * count, 10 * count, 5 * count)
        asked: dict[str, Callable[[], object]] = {
            "totals": records.totals,
            "wallets": partial(records.wallets, None, 50),
            "older wallets": partial(records.wallets, f"{old}.agent7", 50),
            "credits": partial(records.credits, "agent2", middle, 50),
            "transactions": partial(records.transactions, None, middle, 50),
            "an agent's transactions": partial(records.transactions, "agent2", middle, 50),
            "one transaction": partial(records.transaction, f"tx{middle}"),
            "what was earned": partial(records.earned, f"tx{middle}"),
            "providers": partial(records.providers, f"{old}.p7", 50),
            "entries": partial(records.entries, "p2", middle, 50),
            "payouts": partial(records.payouts, None, 50),
            "deliveries": partial(records.deliveries, middle, 50, dead=False),
            "dead letters": partial(records.deliveries, None, 50, dead=True),
            "refunds": partial(records.refunds, f"{old}.rf7", 50),
        }
        taken.append({name: counted(database, ask) for name, ask in asked.items()})
        database.close()
    assert {name: steps for name, steps in taken[1].items() if steps > 3 * max(taken[0][name], 20)} == {}


def test_only_the_last_requests_are_kept_and_of_each_only_the_beginning() -> None:
    log = RequestLog()
    for number in range(1, MOST_KEPT + 11):
        log.note(number, ("POST", "/" * 1_000, "agent"), 200, 1.0, (b"x" * MOST_BYTES * 2, b""))
    kept = log.newest(10**9, 10**9)
    assert [one.number for one in kept] == list(range(MOST_KEPT + 10, 10, -1))
    assert log.get(10) is None
    assert (len(kept[0].request), kept[0].request_bytes, len(kept[0].path)) == (MOST_BYTES, 2 * MOST_BYTES, 200)


def test_the_command_says_where_its_console_is_and_the_key_on_stdout_alone(tmp_path: Path) -> None:
    with process("sandbox", "--port", "0", "--data", str(tmp_path / "hub.sqlite")) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        line = json.loads(started.stdout.readline())
        assert line["console"] == f"{line['hub']}/console"
        told = started.stderr.readline()
        assert line["console"] in told
        assert line["control_key"] not in told
        with Reader(line["hub"]) as person:
            assert "Key</label>" in person.open(line["console"]).text
            assert 'href="/console"' in person.open("/").text
            person.unlock(line["control_key"])
            assert "Nothing was sold yet." in person.text
