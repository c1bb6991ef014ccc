from pathlib import Path

import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import Settings, load_settings

BASE = '[paid_http]\nmerchants = ["https://api.example.com"]\n'
PAY_TO = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings(path, environ=environ)


def test_it_is_off_by_default_and_pays_on_base_alone() -> None:
    found = Settings().paid_http
    assert (found.merchants, found.networks, found.rpc) == ((), ("eip155:8453",), {})


def test_a_whole_section_is_read(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        f"""{BASE}
networks = ["eip155:8453", "eip155:137"]
max_valid_seconds = 120
[paid_http.pay_to]
"https://API.example.com/" = ["{PAY_TO}"]
[paid_http.rpc]
"eip155:8453" = ["https://one.example/key", "https://two.example"]
""",
    ).paid_http
    assert found.pay_to == {"https://api.example.com": (PAY_TO.lower(),)}
    assert found.rpc == {"eip155:8453": ("https://one.example/key", "https://two.example/")}
    assert (found.max_valid_seconds, found.loopback) == (120, False)


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ('merchants = ["http://api.example.com"]', "merchants", "https"),
        ('merchants = ["https://*.com"]', "merchants", "two labels"),
        ('networks = ["base"]', "networks", "CAIP-2"),
        ("networks = []", "networks", ""),
        ("max_valid_seconds = 601", "max_valid_seconds", ""),
        ('private_key = "0x1"', "private_key", "JECP_X402_PRIVATE_KEY in the environment"),
        ('pay_to = { "https://other.example" = ["0x209693Bc6afc0C5328bA36FaF03C514EF312287C"] }', "", "not among"),
        ('pay_to = { "https://api.example.com" = ["0x1"] }', "pay_to", "40 hexadecimal"),
        ('rpc = { "eip155:8453" = ["https://one.example"] }', "rpc", ""),
        ('rpc = { "eip155:8453" = ["https://one.example", "https://one.example/"] }', "", "same one twice"),
        ('rpc = { "eip155:8453" = ["http://one.example", "https://two.example"] }', "rpc", "https"),
        ('rpc = { "eip155:8453" = ["http://127.0.0.1:1", "http://127.0.0.1:2"] }', "", "this machine"),
        ('mercants = ["https://api.example.com"]', "mercants", "merchants"),
    ],
)
def test_a_wrong_key_is_refused_with_its_reason(tmp_path: Path, text: str, key: str, reason: str) -> None:
    whole = f"[paid_http]\n{text}\n" if "merchants" in text else f"{BASE}{text}\n"
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, whole)
    assert caught.value.key.startswith(f"paid_http.{key}" if key else "paid_http")
    assert reason in caught.value.reason


def test_a_variable_can_only_take_merchants_and_networks_away(tmp_path: Path) -> None:
    both = '[paid_http]\nmerchants = ["https://a.example.com", "https://b.example.com"]\n'
    found = load(tmp_path, both, JECP_MCP_PAID_HTTP__MERCHANTS="https://b.example.com")
    assert found.paid_http.merchants == ("https://b.example.com",)
    with pytest.raises(SettingsError, match="more than"):
        load(tmp_path, both, JECP_MCP_PAID_HTTP__MERCHANTS="https://c.example.com")


@pytest.mark.parametrize("name", ["RPC", "PAY_TO"])
def test_a_table_is_given_in_the_file_alone(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="only the settings file"):
        load(tmp_path, BASE, **{f"JECP_MCP_PAID_HTTP__{name}": "{}"})


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("paid-http/api.example.com", True),
        ("paid-http/api.example.com:post", True),
        ("paid-http/*", True),
        ("paid-http/*.example.com:*", True),
        ("paid-http/1inch.example", True),
        ("paid-http/API.example.com", False),
        ("paid-http/api.example.com:POST", False),
        ("paid-http/:post", False),
        ("paid-httpx/api.example.com", False),
        ("docs/a.b:merge", False),
    ],
)
def test_a_limit_may_name_a_merchant(tmp_path: Path, pattern: str, taken: bool) -> None:
    text = f'[mandate]\ndeny = ["{pattern}"]\n'
    if taken:
        assert load(tmp_path, text).mandate.deny == (pattern,)
    else:
        with pytest.raises(SettingsError, match="matches no action"):
            load(tmp_path, text)
