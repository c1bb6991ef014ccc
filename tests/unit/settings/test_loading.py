"""Settings come from four sources in a fixed order, and what is wrong is refused with its source, key and reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.clock import iso
from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import DEFAULT_HUB, Settings, check_hub_url, load_settings, state_dir


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: the platform's folders lie below `tmp_path`."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "given.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(here: Path, text: str = "", environ: Mapping[str, str] | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(written(here, text), environ=environ or {})
    return caught.value


def test_nothing_configured_gives_the_safe_defaults(here: Path) -> None:
    settings = load_settings(environ={})
    assert settings.hub.base_url == DEFAULT_HUB
    assert settings.mandate.per_call_usdc == 250_000
    assert settings.mandate.daily_usdc == 2_000_000
    assert settings.mandate.unknown_price == "deny"
    assert settings == Settings()


def test_each_source_wins_over_the_one_before(here: Path) -> None:
    path = written(here, '[hub]\nbase_url = "https://file.example"\n')
    environ: dict[str, str] = {}
    assert load_settings(path, environ=environ).hub.base_url == "https://file.example"
    environ["JECP_BASE_URL"] = "https://base.example"
    assert load_settings(path, environ=environ).hub.base_url == "https://base.example"
    environ["JECP_MCP_HUB__BASE_URL"] = "https://own.example"
    assert load_settings(path, environ=environ).hub.base_url == "https://own.example"
    option = {"hub.base_url": "https://option.example"}
    assert load_settings(path, environ=environ, overrides=option).hub.base_url == "https://option.example"


def test_a_variable_changes_its_own_key_and_leaves_the_file_s_others(here: Path) -> None:
    path = written(here, '[mandate]\ndaily_usdc = "5"\nhourly_usdc = "1.5"\n')
    mandate = load_settings(path, environ={"JECP_MCP_MANDATE__DAILY_USDC": "3"}).mandate
    assert (mandate.daily_usdc, mandate.hourly_usdc) == (3_000_000, 1_500_000)


def test_the_file_is_found_by_option_then_variable_then_platform_folder(here: Path) -> None:
    (here / "jecp-mcp").mkdir()
    (here / "jecp-mcp" / "config.toml").write_text("[tools]\nmax_tools = 7\n")
    (here / "named.toml").write_text("[tools]\nmax_tools = 8\n")
    option = written(here, "[tools]\nmax_tools = 9\n")
    named = {"JECP_MCP_CONFIG": str(here / "named.toml")}
    assert load_settings(environ={}).tools.max_tools == 7
    assert load_settings(environ=named).tools.max_tools == 8
    assert load_settings(option, environ=named).tools.max_tools == 9


def test_lists_come_as_json_or_separated_by_commas(here: Path) -> None:
    for text in ("docs/*, data/*:read", '["docs/*", "data/*:read"]'):
        assert load_settings(environ={"JECP_MCP_MANDATE__ALLOW": text}).mandate.allow == ("docs/*", "data/*:read")


def test_limits_come_from_the_file_or_as_json(here: Path) -> None:
    path = written(here, '[[mandate.limits]]\nmatch = "docs/*"\ndaily_usdc = "0.5"\n')
    [limit] = load_settings(path, environ={}).mandate.limits
    assert (limit.match, limit.daily_usdc, limit.per_call_usdc) == ("docs/*", 500_000, None)
    environ = {"JECP_MCP_MANDATE__LIMITS": '[{"match":"data/*","total_usdc":"9"}]'}
    [limit] = load_settings(environ=environ).mandate.limits
    assert (limit.match, limit.total_usdc) == ("data/*", 9_000_000)


def test_instants_are_read_with_any_offset_and_as_a_toml_date(here: Path) -> None:
    for text in ('"2027-01-31T02:00:00+02:00"', "2027-01-31T00:00:00Z", "2027-01-31", '"2027-01-31T00:00:00"'):
        at = load_settings(written(here, f"[mandate]\nexpires_at = {text}\n"), environ={}).mandate.expires_at
        assert at is not None
        assert iso(at) == "2027-01-31T00:00:00.000Z"


def test_an_unknown_price_can_be_given_an_amount_to_hold(here: Path) -> None:
    assert load_settings(environ={"JECP_MCP_MANDATE__UNKNOWN_PRICE": "0.10"}).mandate.unknown_price == 100_000
    assert load_settings(environ={"JECP_MCP_MANDATE__UNKNOWN_PRICE": "deny"}).mandate.unknown_price == "deny"
    assert "deny" in refused(here, environ={"JECP_MCP_MANDATE__UNKNOWN_PRICE": "allow"}).reason


WRONG: list[tuple[str, str, str]] = [
    ('[mandate]\ndaly_usdc = "2"\n', "mandate.daly_usdc", "did you mean daily_usdc?"),
    ('[mandat]\ndaily_usdc = "2"\n', "mandat", "did you mean mandate?"),
    ('daily_usdc = "2"\n', "daily_usdc", "belongs in the section [mandate]"),
    ("[hub]\nmax_tools = 3\n", "hub.max_tools", "belongs in the section [tools]"),
    ("mandate = 3\n", "mandate", "is a section"),
    ("[mandate]\ndaily_usdc = 2.5\n", "mandate.daily_usdc", "inexact"),
    ("[mandate]\ndaily_usdc = 2\n", "mandate.daily_usdc", "in quotes"),
    ('[mandate]\ndaily_usdc = "-2"\n', "mandate.daily_usdc", "not an amount"),
    ('[mandate]\ndaily_usdc = "0.0000001"\n', "mandate.daily_usdc", "six decimals"),
    ('[mandate]\ndaily_usdc = "1e3"\n', "mandate.daily_usdc", "not an amount"),
    ('[mandate]\nexpires_at = "tomorrow"\n', "mandate.expires_at", "RFC 3339"),
    ("[mandate]\nunknown_price = 1.5\n", "mandate.unknown_price", "deny"),
    ('[[mandate.limits]]\nmatch = "x"\ndaly_usdc = "1"\n', "mandate.limits[0].daly_usdc", "did you mean daily_usdc?"),
    ('[[mandate.limits]]\ndaily_usdc = "1"\n', "mandate.limits[0].match", "required"),
    ('[mandate]\nallow = "docs/*"\n', "mandate.allow", "should be a list"),
    ('[mandate]\nallow = [""]\n', "mandate.allow[0]", "at least 1"),
    ("[tools]\nmax_tools = true\n", "tools.max_tools", "whole number"),
    ("[tools]\nmax_tools = 4.5\n", "tools.max_tools", "whole number"),
    ("[tools]\nmax_tools = 0\n", "tools.max_tools", "greater than or equal to 1"),
    ('[tools]\nmode = "all"\n', "tools.mode", "'auto', 'direct' or 'search'"),
    ("[server]\nport = 70000\n", "server.port", "less than or equal"),
    ("[hub]\ntimeout_seconds = nan\n", "hub.timeout_seconds", "finite"),
    ("[hub]\ntimeout_seconds = true\n", "hub.timeout_seconds", "number of seconds"),
    ('[hub]\nbase_url = "http://jecp.dev"\n', "hub.base_url", "loopback only"),
    ('[hub]\napi_key = "jdb_ak_SECRETSECRETSECRET"\n', "hub.api_key", "credentials are never settings"),
]


@pytest.mark.parametrize(("text", "key", "reason"), WRONG, ids=[key for _, key, _ in WRONG])
def test_what_is_wrong_in_the_file_is_refused_with_file_key_and_reason(
    here: Path, text: str, key: str, reason: str
) -> None:
    error = refused(here, text)
    assert error.source == str(here / "given.toml")
    assert error.key == key
    assert reason in error.reason
    assert "SECRET" not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("environ", "key", "reason"),
    [
        ({"JECP_MCP_MANDATE__DALY_USDC": "1"}, "mandate.daly_usdc", "did you mean daily_usdc?"),
        ({"JECP_MCP_MANDAT__DAILY_USDC": "1"}, "", "did you mean mandate?"),
        ({"JECP_MCP_DAILY_USDC": "1"}, "", "belongs in the section [mandate]"),
        ({"JECP_MCP_MANDATE__DALY_USDC": ""}, "mandate.daly_usdc", "did you mean daily_usdc?"),
        ({"JECP_MCP_MANDATE__LIMITS__0__MATCH": "x"}, "mandate.limits", "JSON list"),
        ({"JECP_MCP_MANDATE__LIMITS": "docs/*"}, "mandate.limits", "not JSON"),
        ({"JECP_MCP_MANDATE__LIMITS": '[{"match":"x","daily_usdc":1}]'}, "mandate.limits[0].daily_usdc", "in quotes"),
        ({"JECP_MCP_TOOLS__PINNED": "[1"}, "tools.pinned", "not JSON"),
        ({"JECP_MCP_TOOLS__MAX_TOOLS": "many"}, "tools.max_tools", "whole number"),
        ({"jecp_mcp_mandate__daily_usdc": "x"}, "mandate.daily_usdc", "not an amount"),
        ({"JECP_BASE_URL": "http://jecp.dev"}, "hub.base_url", "loopback only"),
    ],
)
def test_what_is_wrong_in_the_environment_is_refused_with_its_variable(
    here: Path, environ: dict[str, str], key: str, reason: str
) -> None:
    error = refused(here, environ=environ)
    assert error.source == f"the environment variable {next(iter(environ))}"
    assert error.key == key
    assert reason in error.reason


def test_an_option_that_is_wrong_names_the_command_line(here: Path) -> None:
    with pytest.raises(SettingsError, match=r"^the command line: hub\.base_url: "):
        load_settings(environ={}, overrides={"hub.base_url": "ftp://jecp.dev"})


def test_a_named_file_that_is_not_there_is_refused(here: Path) -> None:
    for config, environ in ((here / "gone.toml", {}), (None, {"JECP_MCP_CONFIG": str(here / "gone.toml")})):
        with pytest.raises(SettingsError, match=r"gone\.toml: there is no such file"):
            load_settings(config, environ=environ)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"[mandate\n", "is not TOML"), (b"\xff\xfe", "is not UTF-8"), (b"#" * 1_100_000, "larger than")],
)
def test_a_file_that_is_no_settings_file_is_refused(here: Path, data: bytes, reason: str) -> None:
    path = here / "given.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=reason):
        load_settings(path, environ={})


def test_a_folder_in_the_file_s_place_is_refused(here: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(here, environ={})


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://jecp.dev", "https://jecp.dev"),
        ("https://JECP.dev:443/", "https://jecp.dev"),
        (" https://hub.example:8443 ", "https://hub.example:8443"),
        ("http://localhost:8401", "http://localhost:8401"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8401/", "http://[::1]:8401"),
    ],
)
def test_a_hub_origin_is_normalised(given: str, normal: str) -> None:
    assert check_hub_url(given) == normal
    assert check_hub_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "jecp.dev",
        "ftp://jecp.dev",
        "https://",
        "https://user:pw@jecp.dev",
        "https://@jecp.dev",
        "https://jecp.dev/v1",
        "https://jecp.dev?x=1",
        "https://jecp.dev#x",
        "https://jecp.dev:99999",
        "https://jecp.dev:abc",
        "https://jécp.dev",
        "https://jecp.dev\\@evil.example",
        "https://je cp.dev",
        "http://127.0.0.1.evil.example",
        "http://192.168.1.4",
        "http://[::ffff:1.2.3.4]",
        "https://[::1",
    ],
)
def test_what_is_no_hub_origin_is_refused(here: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"hub\.base_url"):
        load_settings(environ={"JECP_BASE_URL": url})


def test_the_state_folder_is_named_by_option_then_variable_then_platform(here: Path) -> None:
    environ: dict[str, Any] = {"JECP_MCP_STATE_DIR": str(here / "variable")}
    assert state_dir(environ, here / "option") == here / "option"
    assert state_dir(environ, None) == here / "variable"
    assert state_dir({}, None) == here / "jecp-mcp"
