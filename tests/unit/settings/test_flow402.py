"""The settings of 402flow and its key: whole, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import Flow402Settings, load_settings
from jecp_mcp.settings.bootstrap_key import FILE, KEY_VARIABLE, find_bootstrap_key

GOOD: dict[str, Any] = {
    "base_url": "https://plane.example/",
    "organization": "acme",
    "agent": "buyer-1",
    "merchants": ["https://api.example.com"],
}
KEY = "bk_0123456789abcdef"


def test_it_is_off_without_merchants_and_whole_with_them() -> None:
    assert Flow402Settings().merchants == ()
    made = Flow402Settings.model_validate(GOOD)
    assert (made.base_url, made.loopback) == ("https://plane.example", False)
    assert made.account == "https://plane.example acme/buyer-1"
    one, other = (made.model_copy(update={"base_url": f"https://plane.example/{path}"}).account for path in "ab")
    assert one != other, "two control planes behind one gateway are two payers"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"base_url": None}, "base_url is not set"),
        ({"organization": None}, "organization is not set"),
        ({"agent": None}, "agent is not set"),
        ({"agent": "Buyer"}, "3 to 64 of a-z"),
        ({"agent": "a-"}, "3 to 64 of a-z"),
        ({"base_url": "http://plane.example"}, "https"),
        ({"base_url": "https://plane.example/?a=b"}, "no query"),
        ({"base_url": "http://127.0.0.1:9"}, "on this machine"),
        ({"networks": ["base"]}, "CAIP-2"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Flow402Settings.model_validate(GOOD | wrong)


@pytest.mark.parametrize("other", ["https://api.example.com", "https://*.example.com", "https://api.example.com/v1"])
def test_a_host_is_paid_by_one_road_alone(tmp_path: Path, other: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[flow402]\nbase_url = "https://plane.example"\norganization = "acme"\nagent = "buyer"\n'
        f'merchants = ["https://api.example.com/reports"]\n[paid_http]\nmerchants = ["{other}"]\n'
    )
    with pytest.raises(SettingsError, match=r"flow402\.merchants.*host in common"):
        load_settings(path, environ={})
    path.write_text(path.read_text().replace(f'["{other}"]', '["https://other.example.org"]'))
    assert load_settings(path, environ={}).flow402.merchants == ("https://api.example.com/reports",)


def test_the_key_is_in_the_environment_or_a_file_of_its_owner_and_never_shown(tmp_path: Path) -> None:
    assert find_bootstrap_key({}, tmp_path) is None
    assert find_bootstrap_key({KEY_VARIABLE: f" {KEY}\n"}, tmp_path) == KEY
    (tmp_path / FILE).write_text(f"{KEY}\n")
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(SettingsError, match="other users"):
        find_bootstrap_key({}, tmp_path)
    (tmp_path / FILE).chmod(0o600)
    assert find_bootstrap_key({}, tmp_path) == KEY
    for environ in ({KEY_VARIABLE: KEY}, {KEY_VARIABLE: "other_0123456789"}):
        with pytest.raises(SettingsError, match="is there too") as both:
            find_bootstrap_key(environ, tmp_path)
        assert KEY not in str(both.value)
    (tmp_path / FILE).unlink()
    with pytest.raises(SettingsError, match="no bootstrap key") as wrong:
        find_bootstrap_key({KEY_VARIABLE: "two words of it"}, tmp_path)
    assert "two words" not in str(wrong.value)


def test_a_key_among_the_settings_is_sent_where_it_belongs(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[flow402]\nkey = "{KEY}"\n')
    with pytest.raises(SettingsError, match=KEY_VARIABLE):
        load_settings(path, environ={})
