from pathlib import Path

import pytest
from click.testing import CliRunner

from jecp_mcp.cli.main import jecp_mcp
from jecp_mcp.errors import ExtraMissing, SettingsError
from jecp_mcp.settings.wallet_key import FILE, KEY_VARIABLE, find_wallet_key, store_wallet_key
from jecp_mcp.wire.x402.secp256k1 import PrivateKey

SECRET = bytes(range(1, 33))
HEX = SECRET.hex()
ADDRESS = PrivateKey(SECRET).address


def test_it_comes_from_the_environment_or_a_file_of_its_own(tmp_path: Path) -> None:
    assert find_wallet_key({}, tmp_path) is None
    assert find_wallet_key({KEY_VARIABLE: ""}, tmp_path) is None
    for text in (HEX, f"0x{HEX}", f" 0X{HEX}\n".replace("X", "x"), HEX.upper()):
        found = find_wallet_key({KEY_VARIABLE: text}, tmp_path)
        assert found is not None
        assert found.secret == SECRET
        assert HEX not in repr(found)
    store_wallet_key(tmp_path / "state" / FILE, SECRET)
    stored = find_wallet_key({}, tmp_path / "state")
    assert stored is not None
    assert stored.secret == SECRET
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


def test_two_sources_are_one_too_many(tmp_path: Path) -> None:
    store_wallet_key(tmp_path / FILE, SECRET)
    with pytest.raises(SettingsError, match="not clear"):
        find_wallet_key({KEY_VARIABLE: HEX}, tmp_path)


@pytest.mark.parametrize("text", ["x", HEX[:-1], HEX + "0", "0x", f"{HEX} {HEX}", "${KEY}"])
def test_what_is_no_key_is_refused_without_being_repeated(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    (tmp_path / FILE).chmod(0o600)
    for environ, state in (({KEY_VARIABLE: text}, tmp_path / "none"), ({}, tmp_path)):
        with pytest.raises(SettingsError) as caught:
            find_wallet_key(environ, state)
        assert HEX[:20] not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    store_wallet_key(tmp_path / FILE, SECRET)
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        find_wallet_key({}, tmp_path)


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        find_wallet_key({}, tmp_path)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    store_wallet_key(tmp_path / FILE, SECRET)
    with pytest.raises(FileExistsError):
        store_wallet_key(tmp_path / FILE, b"\x01" * 32)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        store_wallet_key(tmp_path / "link", SECRET)
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)

    def run(*more: str, given: str = "") -> tuple[object, str, str]:
        found = CliRunner().invoke(jecp_mcp, ["x402", "key", "--state-dir", str(tmp_path), *more], input=given)
        return found.exception, found.stdout, found.stderr

    return run


def test_the_command_prints_the_address_alone(run, tmp_path: Path) -> None:
    failed, out, err = run()
    stored = find_wallet_key({}, tmp_path)
    assert failed is None
    assert stored is not None
    assert out == f"{PrivateKey(stored.secret).address}\n"
    assert stored.secret.hex() not in err
    again, _, _ = run()
    assert out.strip() in str(again)
    assert "never overwritten" in str(again)


def test_a_key_of_ones_own_is_taken_from_standard_input(run, tmp_path: Path) -> None:
    assert run("--stdin", given=f"{HEX}\n")[:2] == (None, f"{ADDRESS}\n")
    assert run("--stdin", given=HEX)[1] == ""


@pytest.mark.parametrize("given", ["", "x", "0" * 64, "f" * 64])
def test_a_wrong_key_is_refused_and_nothing_is_stored(run, tmp_path: Path, given: str) -> None:
    failed, out, _ = run("--stdin", given=given)
    assert isinstance(failed, SettingsError)
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed, _, _ = run("--state-dir", str(tmp_path / "file" / "state"))
    assert isinstance(failed, SettingsError)


def test_without_the_extra_it_says_what_to_install(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jecp_mcp.extras.find_spec", lambda _: None)
    failed, _, _ = run()
    assert isinstance(failed, ExtraMissing)
    assert "[x402]" in str(failed)
