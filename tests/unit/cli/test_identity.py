"""Who hires: the key, the declaration to publish, whether it is found; and what doctor says of agents."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.settings.agent_key import FILE
from jecp_mcp.wire.ajp.declaration import read_declaration
from jecp_mcp.wire.ajp.signatures import PrivateKey, new_private_key
from tests.ajp_agent import Agent, serving
from tests.unit.cli.test_commands import run, state

__all__ = ["run", "state"]


@pytest.fixture
def agent() -> Iterator[Agent]:
    with serving(Agent(PrivateKey(new_private_key()))) as served:
        yield served


def configured(tmp_path: Path, agent: Agent, **changes: str) -> tuple[str, str]:
    path = tmp_path / "config.toml"
    more = "".join(f"{name} = {json.dumps(value)}\n" for name, value in changes.items())
    path.write_text(f'[ajp]\nidentity = "{agent.id}"\n[[ajp.agents]]\nname = "words"\nid = "{agent.id}"\n{more}')
    return "--config", str(path)


def test_a_key_is_made_once_published_and_found(run: Any, state: Path, tmp_path: Path, agent: Agent) -> None:
    config = configured(tmp_path, agent)
    status, _, err = run("identity", "check", *config)
    assert (status, "make one: " in err and "identity key" in err) == (2, True)
    status, out, err = run("identity", "key", *config)
    path = state / FILE
    key = PrivateKey(path.read_text())
    assert (status, out.strip(), path.stat().st_mode & 0o777) == (0, key.public.text, 0o600)
    assert path.read_text().strip() not in out + err
    status, _, err = run("identity", "key", *config)
    assert (status, f"{path}: holds a key" in err, key.public.fingerprint in err) == (2, True, True)
    assert PrivateKey(path.read_text()).public.text == key.public.text
    status, out, err = run("identity", "declaration", "--name", "Us", "--description", "We hire.", *config)
    declared = read_declaration(out.encode())
    assert (status, declared.id, declared.key.fingerprint) == (0, agent.id, key.public.fingerprint)
    status, _, err = run("identity", "check", *config)
    assert (status, key.public.fingerprint in err) == (2, True), "the agent's own key stands there"
    agent.declaration = lambda: json.loads(out)  # type: ignore[method-assign]
    assert run("identity", "check", *config)[:2] == (
        0,
        f"{agent.id} is found at {agent.origin}{agent.name}/.well-known/provenance.json with the key that signs here\n",
    )
    agent.declaration = lambda: {"no": "declaration"}  # type: ignore[method-assign]
    assert "identity" in run("identity", "check", *config)[2]
    agent.name = "/gone"
    assert "status 404" in run("identity", "check", *config)[2]


def test_a_key_of_ones_own_is_taken_from_standard_input_and_a_wrong_one_is_not_repeated(
    run: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENANCE_PRIVATE_KEY", "not-a-key")
    status, _, err = run("identity", "key")
    assert (status, "PROVENANCE_PRIVATE_KEY: the private key is no Ed25519 key" in err, str(state) in err) == (
        2,
        True,
        False,
    )
    monkeypatch.delenv("PROVENANCE_PRIVATE_KEY")
    monkeypatch.setattr("sys.stdin", io.StringIO("not-a-key"))
    status, out, err = run("identity", "key", "--stdin")
    assert (status, out, "no Ed25519 key" in err, "not-a-key" in err) == (2, "", True, False)
    text = new_private_key()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))
    assert run("identity", "key", "--stdin")[1].strip() == PrivateKey(text).public.text
    assert (state / FILE).read_text().strip() == text
    (state / FILE).unlink()
    (state / FILE).mkdir()
    assert run("identity", "key")[0] == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "ajp.identity: is missing"),
        ('[ajp]\nidentity = "provenance:domain:me.example:8443"\n', "does not say where"),
        ('[ajp]\nidentity = "provenance:domain:me.example"\ndeclaration_url = "ftp://x"\n', "https://"),
        ('[ajp]\nidentity = "provenance:domain:me.example"\ndeclaration_url = "https://evil.example/x"\n', "is not a place where"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_count_is_not_looked_for(
    run: Any, state: Path, tmp_path: Path, settings: str, said: str
) -> None:
    (tmp_path / "config.toml").write_text(settings)
    assert run("identity", "key", "--config", str(tmp_path / "config.toml"))[0] == 0
    status, _, err = run("identity", "check", "--config", str(tmp_path / "config.toml"))
    assert (status, said in err) == (2, True), err


@pytest.mark.slow
def test_doctor_looks_at_the_key_and_at_each_agent(
    run: Any, state: Path, tmp_path: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*config: str) -> list[tuple[str, str]]:
        found = json.loads(run("doctor", "--json", *config)[1])["findings"]
        return [(one["level"], one["what"]) for one in found if one["about"].startswith("agent")]

    (_, own), (level, words) = told(*configured(tmp_path, agent))
    assert "there is no key to sign with" in own
    assert (level, agent.endpoint in words, agent.key.public.fingerprint in words) == ("ok", True, True)
    assert run("identity", "key", *configured(tmp_path, agent))[0] == 0
    other = told(*configured(tmp_path, agent, fingerprint="0" * 64))
    assert [level for level, _ in other] == ["warning", "fault"]
    [(level, words)] = told(*configured(tmp_path, agent, secret_env="WORDS_SECRET"))
    assert (level, "shared secret is not set" in words) == ("fault", True)
    monkeypatch.setenv("WORDS_SECRET", "correct horse")
    assert [level for level, _ in told(*configured(tmp_path, agent, secret_env="WORDS_SECRET"))] == ["ok"]


@pytest.mark.slow
def test_doctor_asks_the_index_how_we_and_the_agents_stand(run: Any, state: Path, tmp_path: Path, agent: Agent) -> None:
    path = tmp_path / "config.toml"
    ours = "provenance:domain:hirer.example"

    def told(**more: str) -> list[tuple[str, str]]:
        settings = {"identity": ours, "index_url": agent.origin, **more}
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        path.write_text(f'[ajp]\n{lines}[[ajp.agents]]\nname = "words"\nid = "{agent.id}"\n')
        found = json.loads(run("doctor", "--json", "--config", str(path))[1])["findings"]
        return [(one["level"], one["what"]) for one in found if "the index http" in one["what"]]

    def profile(**more: Any) -> tuple[int, dict[str, Any]]:
        return 200, {"provenance_id": agent.id, "status": "active", "incident_count": 0, **more}

    agent.profile = profile()
    (own, unknown), (level, words) = told()
    assert (own, f"speaks against {ours}: it is not known there" in unknown) == ("warning", True)
    assert (level, f"has nothing against {agent.id}" in words) == ("ok", True)
    assert [level for level, _ in told(identity=agent.id)] == ["ok", "ok"]
    agent.profile = profile(incident_count=2)
    assert "open incidents there: 2" in told()[1][1]
    agent.profile = 500, {}
    for setting, expected in (("deny", "fault"), ("allow", "warning")):
        [(level, words)] = told(identity=agent.id, on_standing_unavailable=setting)
        assert (level, "does not say" in words, "status 500" in words) == (expected, True, True)
    assert told(index_url=f"{agent.origin}/nowhere")[1][0] == "warning"
