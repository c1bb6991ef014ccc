"""Several Hubs in the settings: their names, their credentials, and the patterns that name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.errors import SettingsError
from jecp_mcp.mandate.naming import names_of
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.settings import (
    MandateSettings,
    Settings,
    find_credentials,
    find_every_account,
    load_settings,
    store_credentials,
)
from jecp_mcp.settings.patterns import ids_of, matches, within

TWO = '[hub]\nbase_url = "https://hub.example"\n[[hubs]]\nname = "eu"\nbase_url = "https://eu.example"\n'
KEY, OTHER_KEY = "jdb_ak_ofthefirst", "jdb_ak_ofthesecond"


def loaded(folder: Path, text: str = TWO, **environ: str) -> Settings:
    path = folder / "given.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ=environ)


def test_each_further_hub_has_the_keys_of_the_first_and_a_name(tmp_path: Path) -> None:
    settings = loaded(tmp_path, TWO + "timeout_seconds = 5\n")
    assert [(name, one.base_url) for name, one in settings.every_hub.items()] == [
        ("", "https://hub.example"),
        ("eu", "https://eu.example"),
    ]
    assert (settings.hub.timeout_seconds, settings.hubs[0].timeout_seconds) == (30, 5)


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ('hubs = "eu"\n', "hubs", r"write \[\[hubs\]\]"),
        ('[[hubs]]\nname = "eu"\n', "hubs[0].base_url", "required"),
        ('[[hubs]]\nbase_url = "https://eu.example"\n', "hubs[0].name", "required"),
        ('[[hubs]]\nname = "EU-1"\nbase_url = "https://eu.example"\n', "hubs[0].name", "pattern"),
        ('[[hubs]]\nname = "hub"\nbase_url = "https://eu.example"\n', "hubs[0].name", "is taken"),
        ('[[hubs]]\nname = "jecp"\nbase_url = "https://eu.example"\n', "hubs[0].name", "is taken"),
        ('[[hubs]]\nname = "eu"\nbase_url = "http://eu.example"\n', "hubs[0].base_url", "plain http"),
        (TWO + 'url = "https://eu.example"\n', "hubs[0].url", "no such key"),
        (TWO + 'api_key = "jdb_ak_x"\n', "hubs[0].api_key", "JECP_API_KEY_<NAME>"),
        (TWO + '[[hubs]]\nname = "eu"\nbase_url = "https://us.example"\n', "hubs[1].name", "of another"),
        (TWO + '[[hubs]]\nname = "us"\nbase_url = "https://EU.example/"\n', "hubs[1].base_url", "one wallet"),
        (
            '[hub]\nbase_url = "http://localhost:8401"\n[[hubs]]\nname = "eu"\nbase_url = "http://127.0.0.1:8401"\n',
            "hubs[0].base_url",
            "is the Hub of hub.base_url already",
        ),
        (TWO + '[mandate]\nallow = ["us::*"]\n', "mandate.allow", "the Hubs here are called hub, eu"),
        (TWO + '[mandate]\ndeny = ["e::*"]\n', "mandate.deny", "names a Hub that is not here"),
        (TWO + '[mandate]\ndeny = ["eu::docs_pdf_merge"]\n', "mandate.deny[0]", "matches no action there can be"),
        ('[[mandate.limits]]\nmatch = "eu::*"\ndaily_usdc = "1"\n', "mandate.limits", r"there are no \[\[hubs\]\]"),
        (TWO + '[tools]\npinned = ["us::docs/pdf:merge"]\n', "tools.pinned", "names a Hub that is not here"),
    ],
)
def test_what_several_hubs_cannot_be_is_refused_where_it_stands(tmp_path: Path, text: str, key: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as refused:
        loaded(tmp_path, text)
    assert (refused.value.key, refused.value.source) == (key, str(tmp_path / "given.toml"))


def test_hubs_are_no_variable_and_the_first_may_still_be_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="in the settings file only"):
        loaded(tmp_path, JECP_MCP_HUBS="[]")
    assert loaded(tmp_path, JECP_BASE_URL="https://us.example").hub.base_url == "https://us.example"
    with pytest.raises(SettingsError, match="one Hub has one wallet"):
        loaded(tmp_path, JECP_BASE_URL="https://eu.example")


def test_each_hub_has_credentials_by_its_name(tmp_path: Path) -> None:
    settings, state = loaded(tmp_path), tmp_path / "state"
    environ = {"JECP_AGENT_ID": "first_agent", "JECP_API_KEY": KEY}
    store_credentials(state, "https://eu.example", "stored_agent", SecretStr(OTHER_KEY))
    found = find_every_account(settings, environ, tmp_path, state)
    assert {name: one.agent_id for name, one in found.items()} == {"": "first_agent", "eu": "stored_agent"}
    environ |= {"JECP_AGENT_ID_EU": "eu_agent", "JECP_API_KEY_EU": "jdb_ak_fromtheenvironment"}
    assert find_every_account(settings, environ, tmp_path, state)["eu"].agent_id == "eu_agent"
    del environ["JECP_API_KEY_EU"]
    with pytest.raises(SettingsError, match="JECP_API_KEY_EU") as refused:
        find_credentials(settings, environ, tmp_path, state, "eu")
    assert "JECP_AGENT_ID_EU is" in str(refused.value)
    assert find_credentials(settings, environ, tmp_path, state) is not None


@pytest.mark.parametrize("same", ["id", "key"])
def test_two_hubs_are_never_given_one_account(tmp_path: Path, same: str) -> None:
    environ = {"JECP_AGENT_ID": "first_agent", "JECP_API_KEY": KEY}
    environ |= {"JECP_AGENT_ID_EU": "first_agent" if same == "id" else "eu_agent"}
    environ |= {"JECP_API_KEY_EU": KEY if same == "key" else OTHER_KEY}
    with pytest.raises(SettingsError, match="the Hubs hub and eu would get the same agent id or key") as refused:
        find_every_account(loaded(tmp_path), environ, tmp_path, tmp_path / "state")
    assert KEY not in str(refused.value)


def test_the_cli_s_own_credentials_serve_whichever_hub_they_are_for(tmp_path: Path) -> None:
    folder = tmp_path / ".jecp"
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps({"agent_id": "cli_agent", "api_key": KEY, "base_url": "https://eu.example"}))
    file.chmod(0o600)
    assert list(find_every_account(loaded(tmp_path), {}, tmp_path, tmp_path / "state")) == ["eu"]


def offer(name: str = "eu") -> Offer:
    return Offer("docs/pdf", "merge", "docs", Price(None), source_name=name)


TOOL = "eu__docs_pdf_merge"


@pytest.mark.parametrize(
    ("allow", "at_first", "at_eu"),
    [
        (None, True, True),
        (["*"], True, False),
        (["docs/*"], True, False),
        (["docs_pdf_merge"], True, False),
        (["*pdf*"], True, False),
        (["hub::docs/*"], True, False),
        (["eu::*"], False, True),
        (["eu::docs/pdf"], False, True),
        (["eu__docs_*"], False, True),
        (["*::docs/*"], False, True),
        (["e?::*:merge"], False, True),
        (["us::*"], False, False),
        (["*", "*::*"], True, True),
    ],
)
def test_an_allow_without_a_hub_means_the_first_alone(allow: list[str] | None, at_first: bool, at_eu: bool) -> None:
    policy = Policy.from_settings(MandateSettings() if allow is None else MandateSettings(allow=tuple(allow)))
    assert (policy.permits(offer(""), "docs_pdf_merge"), policy.permits(offer(), TOOL)) == (at_first, at_eu)
    looked_at = not (policy.allows_all_like("docs/pdf:merge") and policy.allows_all_like("eu::docs/pdf:merge"))
    assert looked_at or (at_first and at_eu)


@pytest.mark.parametrize(
    ("pattern", "at_first", "at_eu"),
    [
        ("docs/*", True, True),
        ("docs/pdf:merge", True, True),
        ("docs_pdf_merge", True, True),
        ("*", True, True),
        ("eu::*", False, True),
        ("eu__*", False, True),
        ("*::*", False, True),
        ("hub::docs/pdf", True, False),
        ("us::*", False, False),
        ("eu*", False, True),
    ],
)
def test_a_deny_or_limit_without_a_hub_means_every_one(pattern: str, at_first: bool, at_eu: bool) -> None:
    first, further = names_of(offer(""), "docs_pdf_merge"), names_of(offer(), TOOL)
    assert (matches(pattern, first), matches(pattern, further)) == (at_first, at_eu)
    denying = Policy.from_settings(MandateSettings(deny=(pattern,)))
    assert not (at_eu and denying.permits(offer(), TOOL))


def test_of_one_hub_there_are_the_names_there_always_were() -> None:
    assert names_of(offer(""), "docs_pdf_merge") == ("docs/pdf:merge", "docs/pdf", "docs_pdf_merge")
    assert ids_of("docs/pdf:merge") == ("docs/pdf:merge", "docs/pdf")


def test_a_variable_never_adds_a_hub_to_an_allow(tmp_path: Path) -> None:
    text = TWO + '[mandate]\nallow = ["*"]\n'
    for more in ("eu::*", "*::*", "eu__docs_pdf_merge"):
        assert not within(more, "*")
        with pytest.raises(SettingsError, match="is more than"):
            loaded(tmp_path, text, JECP_MCP_MANDATE__ALLOW=more)
    assert loaded(tmp_path, text, JECP_MCP_MANDATE__ALLOW="docs/*").mandate.allow == ("docs/*",)
    both = TWO + '[mandate]\nallow = ["*", "*::*"]\n'
    assert loaded(tmp_path, both, JECP_MCP_MANDATE__ALLOW="eu::docs/*").mandate.allow == ("eu::docs/*",)
