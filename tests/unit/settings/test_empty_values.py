"""An emptied value never widens anything: a compose file makes an empty variable of one that was never set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import Settings, empty_variables, load_settings

FILE = """
[hub]
link_origins = ["https://pay.example"]
[mandate]
daily_usdc = "0.50"
approve_above_usdc = "0.10"
expires_at = "2027-12-31T23:59:59Z"
allow = ["docs/*"]
deny = ["docs/mail:*"]
unknown_price = "0.01"
[[mandate.limits]]
match = "docs/pdf*"
daily_usdc = "0.20"
[tools]
pinned = ["docs/pdf:merge"]
[catalog]
namespaces = ["docs"]
tags = ["pdf"]
only = ["docs/*"]
without = ["docs/old*"]
max_price_usdc = "0.30"
max_tier = "silver"
tolerate = ["price_down"]
[server]
allowed_hosts = ["a.example"]
allowed_origins = ["https://a.example"]
[ledger]
url = "postgresql://db.example/jecp"
"""
DEFAULTS = {
    f"JECP_MCP_{section}__{key}".upper(): info.default
    for section, field in Settings.model_fields.items()
    if section != "hubs"
    for key, info in field.annotation.model_fields.items()  # type: ignore[union-attr]
}
LISTS = [variable for variable, default in DEFAULTS.items() if isinstance(default, tuple)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "given.toml"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("empty", ["", " ", "\n"])
@pytest.mark.parametrize("variable", ["JECP_BASE_URL", *DEFAULTS])
def test_an_empty_variable_counts_as_not_set(path: Path, variable: str, empty: str) -> None:
    assert load_settings(path, environ={variable: empty}) == load_settings(path, environ={})
    assert empty_variables({variable: empty, "JECP_MCP_X": "auto", "HOME": ""}) == [variable]


def test_an_empty_name_of_the_file_counts_as_not_set_and_is_named(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "jecp-mcp").mkdir()
    (tmp_path / "jecp-mcp" / "config.toml").write_text(FILE)
    for environ in ({"JECP_MCP_CONFIG": ""}, {"JECP_MCP_CONFIG": " "}, {"jecp_mcp_config": str(path)}):
        assert load_settings(environ=environ).mandate.deny == ("docs/mail:*",)
    assert empty_variables({"JECP_MCP_CONFIG": "", "JECP_MCP_STATE_DIR": ""}) == ["JECP_MCP_CONFIG", "JECP_MCP_STATE_DIR"]  # fmt: skip


@pytest.mark.parametrize("variable", LISTS)
@pytest.mark.parametrize("empty", ["[]", " [ ] ", ","])
def test_an_empty_list_is_given_in_the_file_only(path: Path, variable: str, empty: str) -> None:
    if variable == "JECP_MCP_MANDATE__LIMITS" and empty == ",":
        return
    with pytest.raises(SettingsError, match="in the settings file only"):
        load_settings(path, environ={variable: empty})


def test_what_a_variable_denies_or_limits_comes_beside_what_the_file_does(path: Path) -> None:
    environ = {
        "JECP_MCP_MANDATE__DENY": "docs/fax*,docs/mail:*",
        "JECP_MCP_CATALOG__WITHOUT": "docs/odd*",
        "JECP_MCP_MANDATE__LIMITS": '[{"match":"docs/pdf*","daily_usdc":"5"},{"match":"docs/fax","total_usdc":"1"}]',
    }
    settings = load_settings(path, environ=environ)
    assert settings.mandate.deny == ("docs/mail:*", "docs/fax*")
    assert settings.catalog.without == ("docs/old*", "docs/odd*")
    # The lowest limit of a pattern is the one that counts, so the file's stays in force.
    assert [(one.match, one.daily_usdc) for one in settings.mandate.limits] == [
        ("docs/pdf*", 200_000),
        ("docs/pdf*", 5_000_000),
        ("docs/fax", None),
    ]


@pytest.mark.parametrize(
    ("variable", "narrower", "wider"),
    [
        ("JECP_MCP_MANDATE__ALLOW", "docs/pdf:*", "docs/pdf:*,data/*"),
        ("JECP_MCP_MANDATE__ALLOW", "docs/*", "*"),
        ("JECP_MCP_CATALOG__ONLY", "docs/p*", "d*"),
        ("JECP_MCP_CATALOG__NAMESPACES", "docs", "docs,data"),
        ("JECP_MCP_CATALOG__TAGS", "pdf", "pdf,mail"),
        ("JECP_MCP_CATALOG__TOLERATE", "price_down", "price_down,price_up"),
        ("JECP_MCP_HUB__LINK_ORIGINS", "https://pay.example", "https://b.example"),
        ("JECP_MCP_SERVER__ALLOWED_HOSTS", "a.example", "b.example"),
        ("JECP_MCP_SERVER__ALLOWED_ORIGINS", "https://a.example", "https://*"),
    ],
)
def test_what_the_file_lets_in_a_variable_can_only_narrow(path: Path, variable: str, narrower: str, wider: str) -> None:
    load_settings(path, environ={variable: narrower})
    with pytest.raises(SettingsError, match="widen the list there") as caught:
        load_settings(path, environ={variable: wider})
    assert caught.value.source == f"the environment variable {variable}"
    assert str(path) in caught.value.reason


def test_a_filter_that_the_file_leaves_empty_lets_a_variable_narrow_everything(tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    path.write_text("[catalog]\nonly = []\nnamespaces = []\ntags = []\n[tools]\npinned = []\n")
    environ = {"JECP_MCP_CATALOG__ONLY": "docs/*", "JECP_MCP_CATALOG__NAMESPACES": "docs", "JECP_MCP_TOOLS__PINNED": "x:y"}  # fmt: skip
    settings = load_settings(path, environ=environ)
    assert (settings.catalog.only, settings.catalog.namespaces) == (("docs/*",), ("docs",))


def test_where_the_file_says_nothing_a_variable_may_say_anything() -> None:
    environ = {"JECP_MCP_CONFIG": "/dev/null", "JECP_MCP_CATALOG__TOLERATE": "price_up", "JECP_MCP_SERVER__ALLOWED_ORIGINS": "https://a.example"}  # fmt: skip
    settings = load_settings(environ=environ)
    assert (settings.catalog.tolerate, settings.server.allowed_origins) == (("price_up",), ("https://a.example",))


@pytest.mark.parametrize(
    ("text", "environ", "key", "source"),
    [
        ('[mandate]\ndeny = "docs/*"\n', {"JECP_MCP_MANDATE__DENY": "a/b"}, "mandate.deny", "given.toml"),
        ('[mandate]\ndeny = ["Docs/*"]\n', {"JECP_MCP_MANDATE__DENY": "a/b"}, "mandate.deny[0]", "given.toml"),
        ('[mandate]\ndeny = ["docs/*"]\n', {"JECP_MCP_MANDATE__DENY": "A/b"}, "mandate.deny[1]", "MANDATE__DENY"),
        ('[[mandate.limits]]\nmatch = "docs/*"\n', {}, "mandate.limits[0]", "given.toml"),
        ("", {"JECP_MCP_MANDATE__LIMITS": '[{"match":"docs/*"}]'}, "mandate.limits[0]", "MANDATE__LIMITS"),
        ("", {"JECP_MCP_MANDATE__LIMITS": '{"match":"docs/*"}'}, "mandate.limits", "MANDATE__LIMITS"),
    ],
)
def test_what_is_wrong_of_two_sources_is_laid_to_the_one_that_said_it(
    tmp_path: Path, text: str, environ: dict[str, Any], key: str, source: str
) -> None:
    path = tmp_path / "given.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ=environ)
    assert caught.value.key == key
    assert source in caught.value.source
