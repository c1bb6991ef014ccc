from pathlib import Path

import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import Settings, load_settings
from jecp_mcp.settings.agent_key import FILE, find_agent_key
from jecp_mcp.settings.key_file import store_key
from jecp_mcp.tools.publishing.links import LinkPolicy

AGENT = 'name = "words"\nid = "provenance:domain:agent.example"\n'
OTHER = '[[ajp.agents]]\nname = "other"\nid = "provenance:domain:127.0.0.1:8409/x"\n'
HEAD = '[ajp]\nidentity = "provenance:domain:me.example"\n'


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings(path, environ=environ)


def test_nobody_is_hired_by_default() -> None:
    assert Settings().ajp.agents == ()


def test_an_agent_is_read_with_its_limits(tmp_path: Path) -> None:
    [found] = load(tmp_path, f'{HEAD}[[ajp.agents]]\n{AGENT}max_usdc = "0.05"\n').ajp.agents
    assert (found.name, found.max_usdc, found.max_seconds, found.loopback) == ("words", 50_000, 120, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"[[ajp.agents]]\n{AGENT}", 'config.toml: ajp: the agent "words" must know who hires it: set identity = '),
        (f"{HEAD}[[ajp.agents]]\n{AGENT}[[ajp.agents]]\n{AGENT}", 'two agents have the name "words"'),
        (f"{HEAD}[[ajp.agents]]\n{AGENT}{OTHER}", "all on this machine"),
        (f"{HEAD}[[ajp.agents]]\n{AGENT}max_usdc = 0.05\n", "in quotes"),
        (f"{HEAD}[[ajp.agents]]\n{AGENT}max_secs = 5\n", "did you mean max_seconds?"),
        (f'{HEAD}[[ajp.agents]]\n{AGENT}fingerprint = "abc"\n', "64 hexadecimal"),
        (f'{HEAD}[[ajp.agents]]\n{AGENT}secret_env = "s3cret value"\n', "never the secret itself"),
        (f'{HEAD}[[ajp.agents]]\nname = "W"\nid = "provenance:domain:a.example"\n', "32 of a-z"),
        (f'{HEAD}[[ajp.agents]]\nname = "w"\nid = "agent.example"\n', "provenance:domain:"),
        (f'{HEAD}private_key = "x"\n', "PROVENANCE_PRIVATE_KEY in the environment"),
    ],
)
def test_what_is_wrong_is_named_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, text)
    assert reason in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_who_may_be_hired_is_said_in_the_file_alone(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="in the settings file only"):
        load(tmp_path, HEAD, JECP_MCP_AJP__AGENTS='[{"name": "x", "id": "provenance:domain:evil.example"}]')


def test_a_key_is_in_the_environment_or_in_a_private_file(tmp_path: Path) -> None:
    assert find_agent_key({}, tmp_path) is None
    assert find_agent_key({"PROVENANCE_PRIVATE_KEY": " abc "}, tmp_path) == "abc"
    store_key(tmp_path / FILE, "def")
    assert (find_agent_key({}, tmp_path) or "").strip() == "def"
    with pytest.raises(SettingsError, match="who hires is not clear"):
        find_agent_key({"PROVENANCE_PRIVATE_KEY": "abc"}, tmp_path)
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        find_agent_key({}, tmp_path)


def test_the_names_of_agents_that_the_operator_listed_may_be_shown(tmp_path: Path) -> None:
    ajp = load(tmp_path, f"{HEAD}[[ajp.agents]]\n{AGENT}").ajp
    links = LinkPolicy("https://hub.example", ajp.origins)
    said = "Nothing was ever bought from provenance:domain:agent.example before."
    assert links.words(said, 200) == said
    assert "evil.example" not in links.words("Nothing was ever bought from provenance:domain:evil.example before.", 200)
