"""The catalog over HTTP: every example works, pages add up, filters filter, unchanged pages are not sent again."""

from __future__ import annotations

import base64
from typing import Any

import jsonschema_rs
import pytest

from jecp_mcp.wire.jecp.catalog import parse_page
from jecp_mcp.wire.jecp.guide import parse_guide
from tests.contract.sandbox.conftest import Buyer, error, manifest, output


def pages(buyer: Buyer, size: int, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        name = "page_size" if buyer.dialect == "reference" else "limit"
        asked = {name: str(size), **query, **({"cursor": cursor} if cursor else {})}
        page = buyer.http.get("/v1/capabilities", params=asked).raise_for_status().json()
        found.append(page)
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def third_parties(buyer: Buyer, page: dict[str, Any]) -> list[dict[str, Any]]:
    if buyer.dialect == "reference":
        return page["third_party_capabilities"]
    return [each for each in page["capabilities"] if "/" in each["id"]]


def test_small_pages_add_up_to_one_large_page(buyer: Buyer) -> None:
    [whole] = pages(buyer, 200)
    small = pages(buyer, 2)
    assert len(small) > 3
    ids = [(each["id"], each["version"]) for page in small for each in third_parties(buyer, page)]
    assert ids == [(each["id"], each["version"]) for each in third_parties(buyer, whole)]
    assert len(set(ids)) == len(ids) >= 12
    if buyer.dialect == "reference":
        assert all(page["capabilities"] == whole["capabilities"] for page in small)
        assert [page["has_more"] for page in small] == [True] * (len(small) - 1) + [False]
        assert all(page["page_size"] == 2 and page["paginated"] for page in small)
        flat = buyer.http.get("/v1/capabilities", params={"paginated": "false"}).json()
        assert flat["paginated"] is False
        assert flat["third_party_count"] == len(ids)
    else:
        assert all(page["total"] == whole["total"] for page in small)


def test_both_dialects_read_to_the_same_actions_for_a_client(buyer: Buyer) -> None:
    read = parse_page(buyer.http.get("/v1/capabilities", params={"limit": "200", "page_size": "200"}).content)
    assert read.quarantined == ()
    keys = {action.key: action for action in read.actions}
    assert len(keys) >= 14
    assert len({action.payee for action in read.actions if action.payee}) >= 2
    prices = [action.price.amount for action in read.actions]
    assert None not in prices
    assert min(price for price in prices if price is not None) <= 500
    assert max(price for price in prices if price is not None) == 1_500_000
    assert any(action.streaming for action in read.actions)
    assert any(action.tier == "silver" for action in read.actions)
    assert any(action.price.rates for action in read.actions)
    assert keys["text-stats:count"].payee == ""


def test_a_filter_keeps_what_it_says(buyer: Buyer) -> None:
    [one] = pages(buyer, 200, **{"namespace" if buyer.dialect == "reference" else "provider": "plumbline"})
    assert {each["id"].split("/")[0] for each in third_parties(buyer, one)} == {"plumbline"}
    tags = {tag for each in third_parties(buyer, pages(buyer, 200)[0]) for tag in each["tags"]}
    tag = min(tags)
    [tagged] = pages(buyer, 200, tags=f"{tag},none-has-this")
    assert third_parties(buyer, tagged)
    assert all(tag in each["tags"] for each in third_parties(buyer, tagged))


@pytest.mark.parametrize("cursor", ["nonsense", "!!!", base64.urlsafe_b64encode(b"[1,2]").decode(), "W10"])
def test_a_foreign_cursor_is_refused_with_the_way_back(buyer: Buyer, cursor: str) -> None:
    body = error(buyer.http.get("/v1/capabilities", params={"cursor": cursor}), "INVALID_CURSOR", 400)
    assert body["next_action"]["type"] == "discover"


def test_an_unchanged_page_is_not_sent_again_and_a_changed_one_is(buyer: Buyer) -> None:
    first = buyer.http.get("/v1/capabilities")
    etag = first.headers["etag"]
    assert first.headers["cache-control"].startswith("public, max-age=")
    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = buyer.http.get("/v1/capabilities", headers={"if-none-match": header})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert buyer.buy().status_code == 200
    assert buyer.http.get("/v1/capabilities", headers={"if-none-match": etag}).status_code == 304
    buyer.publish(manifest(capability="aaa-new"))
    changed = buyer.http.get("/v1/capabilities", headers={"if-none-match": etag})
    assert changed.status_code == 200
    assert "lab/aaa-new" in changed.text
    buyer.http.post("/sandbox/catalog", json={"remove": ["lab/aaa-new"]}).raise_for_status()
    assert buyer.http.get("/v1/capabilities").headers["etag"] == etag


@pytest.mark.requirement("MANIFEST-3-1")
def test_a_single_capability_is_told_with_its_schemas(buyer: Buyer) -> None:
    for capability in ("plumbline/forecast", "text-stats"):
        answer = buyer.http.get(f"/v1/capabilities/{capability}")
        [action, *_] = parse_page(answer.content).actions
        assert action.capability == capability
        assert action.input_schema["type"] == "object"
        again = buyer.http.get(f"/v1/capabilities/{capability}", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
    for unknown in ("nobody/nothing", "NOT AN ID", "lab/counting@7.0.0"):
        error(buyer.http.get(f"/v1/capabilities/{unknown}"), "CAPABILITY_NOT_FOUND")


def test_an_invalid_manifest_is_refused_with_the_place(buyer: Buyer) -> None:
    for bad, place in (
        (manifest(version="1"), "/version"),
        (manifest(endpoint="http://provider.example/"), "/endpoint"),
        (manifest(surprise=1), "/surprise"),
        (manifest(description="x" * 501), "/description"),
    ):
        answer = buyer.http.post("/sandbox/catalog", json={"manifests": [bad]})
        assert place in error(answer, "INVALID_MANIFEST", 400)["error"]["message"]


def test_every_example_in_the_catalog_is_sold_for_its_price(buyer: Buyer) -> None:
    buyer.wallet(balance_usdc="100", total_calls=500)
    [whole] = pages(buyer, 200)
    builtins = whole["capabilities"] if buyer.dialect == "reference" else []
    sold = gone = 0
    for each in [*builtins, *third_parties(buyer, whole), *(whole["capabilities"] if not builtins else [])]:
        shown = each.get("manifest", each)
        pinned = each["id"] if "/" not in each["id"] else f"{each['id']}@{each['version']}"
        for action in shown["actions"]:
            for example in action.get("examples", []):
                answer = buyer.buy(pinned, action["id"], input=example["input"])
                if answer.status_code == 410:
                    gone += 1
                    continue
                promised = jsonschema_rs.validator_for(action["output_schema"])
                assert [each.message for each in promised.iter_errors(output(answer))] == [], (pinned, action["id"])
                sold += 1
    assert sold >= 14
    assert gone >= 1
    books = buyer.books()
    assert books["credited_micro"] - books["charged_micro"] == books["balance_micro"]
    for row in books["transactions"]:
        assert row["provider_share_micro"] + row["hub_fee_micro"] + row["payment_fee_micro"] == row["amount_micro"]


def test_a_binary_answer_is_an_artifact(buyer: Buyer) -> None:
    answer = output(buyer.buy("inkwell/invoice", "render", input=buyer.example("inkwell/invoice", "render")))
    artifact = answer["artifact"]
    data = base64.b64decode(artifact["data_base64"], validate=True)
    assert data.startswith(b"%PDF-")
    assert (artifact["content_type"], artifact["size_bytes"], artifact["inline"]) == (
        "application/pdf",
        len(data),
        True,
    )


def test_the_hub_describes_itself_in_every_place_a_client_looks(buyer: Buyer) -> None:
    guide = parse_guide(buyer.http.get("/.well-known/agent-guide.json").content)
    assert guide.idempotency_window_seconds == 86_400
    made = buyer.http.post(guide.paths["register"], json={"name": "a"})
    assert made.json()["free_calls_remaining"] == 100
    card = buyer.http.get("/.well-known/agent.json").json()
    assert card["jecp"]["capabilities_url"].endswith("/v1/capabilities")
    text = buyer.http.get("/llms.txt")
    assert text.headers["content-type"].startswith("text/plain")
    assert "/v1/invoke" in text.text
    health = buyer.http.get("/health").json()
    assert (health["status"], health["checks"]["database"]) == ("ok", "ok")
    page = buyer.http.get("/")
    assert "lab/counting" in page.text
    assert buyer.api_key not in page.text
