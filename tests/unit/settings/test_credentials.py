"""Credentials are found where people keep them, in a fixed order, and never leave their file open or their text in a log."""

from __future__ import annotations

import json
import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import DEFAULT_HUB, Settings, find_credentials, load_settings, store_credentials

KEY = "jdb_ak_SECRETSECRETSECRET01"
AGENT = "jdb_ag_0123456789abcdef"
SETTINGS = Settings()


def cli_file(home: Path, mode: int = 0o600, **more: Any) -> Path:
    path = home / ".jecp" / "config.json"
    path.parent.mkdir(exist_ok=True)
    document = {"agent_id": "jdb_ag_fromthejecpcli000", "api_key": KEY, "base_url": DEFAULT_HUB} | more
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    path.chmod(mode)
    return path


def test_no_credentials_anywhere_is_none(tmp_path: Path) -> None:
    assert find_credentials(SETTINGS, {}, tmp_path, tmp_path) is None


def test_the_environment_wins_over_the_own_file_and_that_over_the_jecp_cli(tmp_path: Path) -> None:
    cli_file(tmp_path)
    found = find_credentials(SETTINGS, {}, tmp_path, tmp_path)
    assert found is not None
    assert found.agent_id == "jdb_ag_fromthejecpcli000"
    path = store_credentials(tmp_path, DEFAULT_HUB, "jdb_ag_fromownfile000000", SecretStr(KEY))
    found = find_credentials(SETTINGS, {}, tmp_path, tmp_path)
    assert found is not None
    assert (found.agent_id, found.source) == ("jdb_ag_fromownfile000000", str(path))
    found = find_credentials(SETTINGS, {"JECP_AGENT_ID": AGENT, "JECP_API_KEY": KEY}, tmp_path, tmp_path)
    assert found is not None
    assert (found.agent_id, found.source) == (AGENT, "environment")


def test_the_older_name_of_the_key_is_read_and_the_newer_wins(tmp_path: Path) -> None:
    old = {"JECP_AGENT_ID": AGENT, "JECP_AGENT_KEY": "jdb_ak_older00000000000"}
    found = find_credentials(SETTINGS, old, tmp_path)
    assert found is not None
    assert found.api_key.get_secret_value() == "jdb_ak_older00000000000"
    found = find_credentials(SETTINGS, old | {"JECP_API_KEY": KEY}, tmp_path)
    assert found is not None
    assert found.api_key.get_secret_value() == KEY


def test_empty_variables_are_as_good_as_none(tmp_path: Path) -> None:
    assert find_credentials(SETTINGS, {"JECP_AGENT_ID": "", "JECP_API_KEY": " "}, tmp_path) is None


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"JECP_AGENT_ID": AGENT}, "JECP_API_KEY: is not set"),
        ({"JECP_API_KEY": KEY}, "JECP_AGENT_ID: is not set"),
        ({"JECP_AGENT_ID": AGENT, "JECP_API_KEY": "${JECP_API_KEY}"}, "placeholder"),
        ({"JECP_AGENT_ID": "<your agent id>", "JECP_API_KEY": KEY}, "JECP_AGENT_ID: is a placeholder"),
        (
            {"JECP_AGENT_ID": "<your agent id>", "JECP_API_KEY": "${KEY}"},
            "JECP_AGENT_ID and JECP_API_KEY: are placeholders that nobody filled in; .* or leave both out",
        ),
        (
            {"JECP_AGENT_ID": "jdb_ag_…", "JECP_API_KEY": "jdb_ak_..."},
            "JECP_AGENT_ID and JECP_API_KEY: are placeholders",
        ),
        ({"JECP_AGENT_ID": AGENT, "JECP_API_KEY": KEY + "\r\nX-Evil: 1"}, "no credential"),
        ({"JECP_AGENT_ID": AGENT, "JECP_API_KEY": KEY + "é"}, "no credential"),
    ],
)
def test_half_a_pair_or_what_cannot_be_a_credential_is_refused_without_repeating_it(
    tmp_path: Path, environ: dict[str, str], reason: str
) -> None:
    cli_file(tmp_path)
    with pytest.raises(SettingsError, match=reason) as caught:
        find_credentials(SETTINGS, environ, tmp_path)
    assert "SECRET" not in str(caught.value)


def test_the_key_is_in_no_repr(tmp_path: Path) -> None:
    found = find_credentials(SETTINGS, {"JECP_AGENT_ID": AGENT, "JECP_API_KEY": KEY}, tmp_path)
    assert "SECRET" not in repr(found) + str(found)


@pytest.mark.requirement("AUTH-3.3-1")
def test_stored_credentials_are_private_and_per_hub(tmp_path: Path) -> None:
    state = tmp_path / "state"
    path = store_credentials(state, DEFAULT_HUB, AGENT, SecretStr(KEY))
    store_credentials(state, "https://other.example", "xyz_ag_0123456789abcdef", SecretStr("xyz_ak_0000"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    other = load_settings(environ={"JECP_BASE_URL": "https://other.example"})
    for settings, agent_id in ((SETTINGS, AGENT), (other, "xyz_ag_0123456789abcdef")):
        found = find_credentials(settings, {}, tmp_path, state)
        assert found is not None
        assert found.agent_id == agent_id
    third = load_settings(environ={"JECP_BASE_URL": "https://third.example"})
    assert find_credentials(third, {}, tmp_path, state) is None


def test_an_account_is_never_overwritten(tmp_path: Path) -> None:
    path = store_credentials(tmp_path, DEFAULT_HUB, AGENT, SecretStr(KEY))
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        store_credentials(tmp_path, DEFAULT_HUB, "jdb_ag_another000000000", SecretStr("jdb_ak_another"))
    assert path.read_bytes() == before


def test_those_who_store_at_once_lose_nothing(tmp_path: Path) -> None:
    def store(number: int) -> None:
        store_credentials(tmp_path, f"https://hub{number}.example", AGENT, SecretStr(KEY))

    # Each has a lock of its own on its own open file, as processes have.
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(store, range(12)))
    assert len(json.loads((tmp_path / "credentials.json").read_text())["hubs"]) == 12


@pytest.mark.parametrize("text", ["{", "[]", '{"hubs": []}', '{"hubs": {"https://jecp.dev": {"agent_id": 1}}}'])
def test_a_damaged_own_file_is_refused_and_not_written_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"credentials\.json"):
        find_credentials(SETTINGS, {}, tmp_path, tmp_path)
    with pytest.raises(SettingsError):
        store_credentials(tmp_path, DEFAULT_HUB, AGENT, SecretStr(KEY))
    assert path.read_text() == text


@pytest.mark.requirement("AUTH-3.3-1")
def test_an_own_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    store_credentials(tmp_path, DEFAULT_HUB, AGENT, SecretStr(KEY)).chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        find_credentials(SETTINGS, {}, tmp_path, tmp_path)


@pytest.mark.parametrize("base_url", [None, "https://jecp.dev/", "https://JECP.dev:443"])
def test_the_jecp_cli_s_file_is_used_for_the_same_hub(tmp_path: Path, base_url: str | None) -> None:
    cli_file(tmp_path, base_url=base_url)
    assert find_credentials(SETTINGS, {}, tmp_path) is not None


def test_the_jecp_cli_s_file_for_another_hub_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cli_file(tmp_path, base_url="https://other.example")
    assert find_credentials(SETTINGS, {}, tmp_path) is None
    assert not caplog.records


@pytest.mark.parametrize(
    ("mode", "more"),
    [(0o644, {}), (0o600, {"api_key": None}), (0o600, {"base_url": "nonsense"}), (0o600, {"api_key": "SECRET é"})],
)
def test_a_jecp_cli_file_that_cannot_be_trusted_is_left_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, more: dict[str, Any]
) -> None:
    cli_file(tmp_path, mode, **more)
    with caplog.at_level(logging.WARNING):
        assert find_credentials(SETTINGS, {}, tmp_path) is None
    [record] = caplog.records
    assert "is not used" in record.getMessage()
    assert "SECRET" not in record.getMessage()
