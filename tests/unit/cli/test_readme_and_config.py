"""What we hand to newcomers agrees with the code: README, example settings, host snippets."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from jecp_mcp.cli.main import COMMANDS, jecp_mcp
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.errors import SettingsError
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.settings import NamedHubSettings, Settings, find_credentials, load_settings

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config" / "jecp-mcp.toml"
HOSTS = sorted((ROOT / "config" / "hosts").iterdir())
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def sections() -> dict[str, type[Any]]:
    return {name: field.annotation for name, field in Settings.model_fields.items() if name != "hubs"}  # type: ignore[misc]


def uncommented() -> str:
    """The example with its commented-out keys and blocks switched on."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return "\n".join(re.sub(r"^# (?=[a-z0-9_]+ = |\[\[)", "", line) for line in lines)


def test_the_example_settings_are_exactly_the_defaults() -> None:
    assert load_settings(EXAMPLE, environ={}) == Settings()


def test_the_example_settings_show_every_key_there_is() -> None:
    shown = tomllib.loads(uncommented())
    [further] = shown.pop("hubs")
    assert set(further) == set(NamedHubSettings.model_fields)
    assert set(shown) == set(sections())
    for name, model in sections().items():
        assert set(shown[name]) == set(model.model_fields), name
    [limit] = shown["mandate"]["limits"]
    assert set(limit) == set(sections()["mandate"].model_fields["limits"].annotation.__args__[0].model_fields)


def test_the_example_settings_with_everything_switched_on_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    path.write_text(uncommented(), encoding="utf-8")
    settings = load_settings(path, environ={})
    assert settings.mandate.approve_above_usdc == 100_000
    assert settings.mandate.limits[0].match == "docs/*"


def test_the_example_with_two_hubs_buys_from_both_what_it_says() -> None:
    policy = Policy.from_settings(load_settings(EXAMPLE.with_name("two-hubs.toml"), environ={}).mandate)

    def permits(capability: str, hub: str) -> bool:
        return policy.permits(Offer(capability, "make", "", Price(None), source_name=hub), "tool")

    assert [permits("docs/pdf", ""), permits("maps/route", ""), permits("docs/pdf", "eu")] == [True] * 3
    assert [permits("maps/route", "eu"), permits("docs/mail", "eu"), permits("docs/mail", "")] == [False] * 3


def yaml(text: str) -> Any:
    """The YAML of our snippets, and nothing else of YAML: nested mappings, JSON values, plain words."""
    root: dict[str, Any] = {}
    stack: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"( *)([A-Za-z_]+):(?: (.+))?", line)
        assert match, line
        indent, key, value = len(match[1]), match[2], match[3]
        while stack[-1][0] >= indent:
            stack.pop()
        if value is None:
            stack[-1][1][key] = inner = {}
            stack.append((indent, inner))
        else:
            stack[-1][1][key] = json.loads(value) if value[0] in '["0123456789tf' else value
    return root


def server_of(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    parse = {".json": json.loads, ".toml": tomllib.loads, ".yaml": yaml}[path.suffix]
    document = parse(text)
    keys = ("mcpServers", "servers", "context_servers", "mcp_servers", "extensions")
    [found] = [document[key] for key in keys if key in document]
    return found["jecp"]


def env_of(path: Path) -> dict[str, str]:
    server = server_of(path)
    return server.get("env") or server["envs"]


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.name)
def test_each_host_snippet_parses_and_starts_the_server_with_limits(path: Path) -> None:
    server = server_of(path)
    assert [server.get("command", server.get("cmd")), *server["args"]] == ["uvx", "jecp-mcp", "serve"]
    env = env_of(path)
    limits = {key: value for key, value in env.items() if key.startswith("JECP_MCP_")}
    assert load_settings(environ=limits) == Settings()
    asked = set(env) | set(server.get("env_vars", [])) | set(server.get("env_keys", []))
    assert {"JECP_AGENT_ID", "JECP_API_KEY"} <= asked


@pytest.mark.parametrize(
    "path", [path for path in HOSTS if "AGENT_ID" in str(env_of(path))], ids=lambda path: path.name
)
def test_a_snippet_nobody_filled_in_is_refused_as_such(path: Path) -> None:
    given = {key: value for key, value in env_of(path).items() if not key.startswith("JECP_MCP_")}
    assert set(given) == {"JECP_AGENT_ID", "JECP_API_KEY"}
    with pytest.raises(SettingsError, match="placeholder"):
        find_credentials(Settings(), given, Path("/nonexistent"))


def test_the_readme_has_the_two_commands_that_ci_runs() -> None:
    lines = README.splitlines()
    for heading, end in (("### Watch it work", " demo"), ("### Run the tests", "pytest -n auto")):
        under = lines[lines.index(heading) : 60]
        first = under[under.index("```sh") + 1]
        assert first.startswith("python3 -m venv .venv && ")
        assert first.endswith(end)


def test_the_readme_names_every_command_and_every_setting() -> None:
    for command in COMMANDS:
        assert f"`{command}" in README or f"jecp-mcp {command}" in README, command
    for name in sections():
        assert f"[{name}]" in README, name


def test_every_command_in_the_readme_exists_with_its_options() -> None:
    used = re.findall(r"jecp-mcp ([a-z]+)((?: --?[a-z-]+)*)", README)
    context = click.Context(jecp_mcp)
    assert used
    for name, options in used:
        if name not in COMMANDS:
            continue
        command = jecp_mcp.get_command(context, name)
        assert command is not None
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        known = {option for one in (command, *inner) for parameter in one.params for option in parameter.opts}
        assert set(options.split()) <= known, (name, options)


def test_the_readme_links_only_to_files_that_are_there() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_every_place_that_the_documentation_names_is_there() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    rooms = {one.name for one in (ROOT / "jecp_mcp").iterdir() if one.is_dir()}
    for document in documents:
        text = document.read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (document.parent / link).exists(), (document.name, link)
        for named in re.findall(r"`([\w.]+/[\w./-]*)`", text):
            top = named.partition("/")[0]
            if top in rooms:
                assert (ROOT / "jecp_mcp" / named).exists(), (document.name, named)
            elif top in {"jecp_mcp", "tests", "config", "docs", ".ci"}:
                assert (ROOT / named).exists(), (document.name, named)
