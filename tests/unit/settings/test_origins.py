"""Hosts and origins that are let in are those that a browser can send; anything else is refused, not ignored."""

from __future__ import annotations

import json

import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import load_settings


def given(name: str, *values: str) -> tuple[str, ...]:
    value = json.dumps(values)
    server = load_settings(environ={"JECP_MCP_CONFIG": "/dev/null", f"JECP_MCP_SERVER__{name.upper()}": value}).server
    found: tuple[str, ...] = getattr(server, name)
    return found


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://App.Example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80/", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://localhost:*", "http://localhost:*"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("vscode-webview://1a2b", "vscode-webview://1a2b"),
    ],
)
def test_an_origin_counts_as_browsers_send_it(text: str, origin: str) -> None:
    assert given("allowed_origins", text) == (origin,)


@pytest.mark.parametrize(
    "text",
    ["*", "null", "app.example", "https://*", "https://*.example", "https://a.example/path", "https://", "https://a:b@c",
     "https://a.example:*1", "https://a.example//", "https://a.example?x", "*:*", "https://a b"],
)  # fmt: skip
def test_what_no_browser_sends_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no origin") as caught:
        given("allowed_origins", "https://fine.example", text)
    assert caught.value.key.startswith("server.allowed_origins")


@pytest.mark.parametrize(
    ("text", "host"), [("Bridge.Example:8402", "bridge.example:8402"), ("bridge", "bridge"), ("[::1]:*", "[::1]:*")]
)
def test_a_host_counts_as_clients_send_it(text: str, host: str) -> None:
    assert given("allowed_hosts", text) == (host,)


@pytest.mark.parametrize("text", ["*", "https://bridge.example", "bridge.example/", "*.example", "a:b", "::1"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no host"):
        given("allowed_hosts", text)
