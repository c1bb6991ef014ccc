"""The specification's conformance cases (its v1.0 folder) of the provider side, each by its id, in both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.providers.conftest import Endpoint, House, house

pytestmark = pytest.mark.slow

BLOCKED = "https://jecp.dev/errors/url_blocked_ssrf"


@pytest.fixture(scope="module", params=["reference", "spec"])
def network(request: pytest.FixtureRequest) -> Iterator[House]:
    """A Hub whose providers are on the network."""
    with house(dialect=request.param, loopback=False) as made:
        yield made


def registered(hub: House, **changes: Any) -> Any:
    body = {
        "namespace": "test-register",
        "display_name": "Register test",
        "owner_email": "ops@example.com",
        "endpoint_url": "https://test.example.com/jecp",
        "country": "JP",
    }
    return hub.http.post("/v1/providers/register", json={**body, **changes})


@pytest.mark.requirement("MANIFEST-8.6-2", "MANIFEST-8.6.1-1", "MANIFEST-8.6.2-2", "MANIFEST-8.6.3-2")
def test_provider_must_auth_required(network: House) -> None:
    fake = {"Authorization": "Bearer jdb_pk_" + "0" * 52}
    yaml = {"Content-Type": "application/x-yaml"}
    for method, path, body, headers in (
        ("GET", "/v1/providers/me", None, {}),
        ("POST", "/v1/providers/verify-dns", "{}", {}),
        ("POST", "/v1/providers/me/rotate-key", "{}", {}),
        ("POST", "/v1/manifests", "namespace: test\ncapability: x\nversion: 1.0.0\n", yaml),
        ("POST", "/v1/providers/me/rotate-key", "{}", fake),
    ):
        sent = {"Content-Type": "application/json", **headers}
        answer = network.http.request(method, path, content=body, headers=sent)
        error = answer.json()["error"]
        assert answer.status_code == 401
        assert (isinstance(error["code"], str), isinstance(error["message"], str)) == (True, True)


@pytest.mark.requirement("MANIFEST-6.1-2")
def test_provider_must_manifest_validates_schema(network: House) -> None:
    seller = network.seller(Endpoint("https://test.example.com/jecp"))
    record = seller.registered["next_steps"]["1_dns"]
    network.http.post("/sandbox/dns", json={"name": record["name"], "values": [record["value"]]}).raise_for_status()
    assert seller.post("/v1/providers/verify-dns").json()["verified"]
    text = (
        f'namespace: {seller.namespace}\ndisplay_name: "Empty actions test"\ncapability: empty\nversion: 1.0.0\n'
        'description: "It has none."\nendpoint: "https://test.example.com/jecp"\nactions: []\n'
    )
    answer = seller.publish(text, "application/x-yaml")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_MANIFEST")


@pytest.mark.requirement("AUTH-9.7.1.1-3")
def test_provider_must_register_rejects_http_scheme(network: House) -> None:
    answer = registered(network, endpoint_url="http://example.com/jecp")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "URL_BLOCKED_SSRF")
    assert (error["details"]["field"], error["details"]["reason"]) == ("endpoint_url", "scheme")
    assert error["details"]["documentation_url"].startswith(BLOCKED)


@pytest.mark.requirement("MANIFEST-5-2")
def test_provider_must_register_rejects_invalid_namespace(network: House) -> None:
    answer = registered(network, namespace="1invalid")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_NAMESPACE")
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.requirement("AUTH-9.7.1.1-6")
def test_provider_must_register_rejects_private_ip(network: House) -> None:
    answer = registered(network, endpoint_url="https://192.168.1.1/jecp")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "URL_BLOCKED_SSRF")
    assert (error["details"]["field"], error["details"]["reason"]) == ("endpoint_url", "resolved_to_deny_cidr")
    assert error["details"]["documentation_url"].startswith(BLOCKED)


def test_provider_must_register_rejects_unsupported_country(network: House) -> None:
    answer = registered(network, country="XX")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "UNSUPPORTED_COUNTRY")
    assert "supported" in answer.json()["error"]["message"]
