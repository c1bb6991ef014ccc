"""What is not installed is named before anything starts, with the command that installs it from where we came."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from importlib.metadata import Distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp import extras
from jecp_mcp.catalog import embeddings
from jecp_mcp.extras import EMBEDDINGS, EXTRAS, POSTGRES, SANDBOX
from jecp_mcp.settings.command_lines import CommandLine
from tests.unit.cli.test_commands import run, state

__all__ = ["run", "state"]

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
FOR_US = {"test", "dev", "judges"}
"""Extras that nothing needs at run time."""


def lack(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Have these be importable no more, as where they are not installed."""
    for module in modules:
        for name in [one for one in sys.modules if one == module or one.startswith(f"{module}.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)


def packages_of(extra: str) -> set[str]:
    """What an extra installs, with what the extras within it do."""
    found: set[str] = set()
    for one in PROJECT["optional-dependencies"][extra]:
        within = re.match(r"jecp-mcp\[(.+)\]", one)
        found |= packages_of(within[1]) if within else {re.split(r"[\[>]", one)[0]}
    return found


def test_every_extra_of_the_package_is_known_with_all_that_it_installs() -> None:
    named = {extra: packages_of(extra) for extra in PROJECT["optional-dependencies"] if extra not in FOR_US}
    assert {extra.name: set(extra.packages.values()) for extra in EXTRAS} == named
    installed = packages_distributions()
    for extra in EXTRAS:
        for module, package in extra.packages.items():
            assert package in installed.get(module, [package]), (module, package)


@pytest.mark.parametrize(
    ("command", "module"),
    [
        *((("sandbox",), module) for module in SANDBOX.packages),
        (("demo",), "segno"),
        (("serve", "--sandbox"), "PIL"),
        (("catalog", "--sandbox"), "segno"),
        (("call", "docs_invoice_render", "--sandbox"), "fpdf"),
    ],
)
def test_a_sandbox_without_its_packages_starts_nothing(
    run: Any, state: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], module: str
) -> None:
    lack(monkeypatch, module)
    status, out, err = run(*command)
    assert (status, out) == (2, "")
    assert err == (
        f"jecp-mcp: a Hub with test money needs {SANDBOX.packages[module]}, which is not installed; "
        f"run: {SANDBOX.install()}\n"
    )
    assert not state.exists()


def test_the_books_of_a_sandbox_are_read_without_its_packages(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lack(monkeypatch, *SANDBOX.packages)
    assert run("ledger", "--sandbox", "--json")[:2] == (0, "[]\n")


@pytest.mark.parametrize("command", ["serve", "wallet", "approve", "ledger", "reconcile"])
def test_a_ledger_in_postgresql_without_its_driver_is_refused_by_name(
    run: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    lack(monkeypatch, "psycopg")
    monkeypatch.setenv("JECP_MCP_LEDGER__URL", "postgresql://jecp@db.example/jecp")
    status, _, err = run(command)
    assert status == 2
    assert "a ledger in PostgreSQL needs psycopg, which is not installed; run: " in err
    assert POSTGRES.install() in err


def test_a_search_by_meaning_that_lacks_something_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "wordllama").mkdir()
    (tmp_path / "wordllama" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    lack(monkeypatch, "tokenizers", "safetensors")
    assert embeddings.installed.__wrapped__() is None
    assert "search by meaning needs safetensors, tokenizers, which are not installed; run: " in caplog.text


def test_doctor_names_what_the_settings_need_and_the_command_that_installs_it(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack(monkeypatch, "psycopg", "segno", "tokenizers")
    monkeypatch.setenv("JECP_MCP_CATALOG__EMBEDDINGS", "true")

    def found(*options: str) -> dict[str, tuple[str, str]]:
        told = json.loads(run("doctor", "--json", *options)[1])["findings"]
        return {one["about"]: (one["level"], one["mend"]) for one in told if one["about"].startswith("extra ")}

    assert found("--sandbox")["extra sandbox"] == ("fault", SANDBOX.install())
    assert found("--sandbox")["extra embeddings"] == ("warning", EMBEDDINGS.install())
    monkeypatch.setenv("JECP_MCP_LEDGER__URL", "postgresql://jecp@db.example/jecp")
    monkeypatch.setenv("JECP_MCP_CATALOG__EMBEDDINGS", "false")
    assert found("--hub", "http://127.0.0.1:9") == {"extra postgres": ("fault", POSTGRES.install())}


class Installed(Distribution):
    """A package as an installer left it."""

    def __init__(self, told: str | None) -> None:
        self.told = told

    def read_text(self, filename: str) -> str | None:
        return self.told if filename == "direct_url.json" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("editable", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_what_came_from_a_folder_is_installed_from_that_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, editable: bool, there: bool
) -> None:
    folder = tmp_path / "a clone"
    folder.mkdir()
    if there:
        (folder / "pyproject.toml").touch()
    told = json.dumps({"url": folder.as_uri(), "dir_info": {"editable": editable}})
    monkeypatch.setattr("importlib.metadata.distribution", lambda _name: Installed(told))
    monkeypatch.setattr(extras, "find_spec", lambda _name: object())
    words = shlex.split(SANDBOX.install())
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert words[4:] == ([*(["-e"] if editable else []), f"{folder}[sandbox]"] if there else ["jecp-mcp[sandbox]"])


@pytest.mark.parametrize("told", [None, "{}", "no JSON", '{"url": "https://example.com/x.whl", "archive_info": {}}'])
def test_what_came_from_elsewhere_is_installed_by_its_name(monkeypatch: pytest.MonkeyPatch, told: str | None) -> None:
    monkeypatch.setattr("importlib.metadata.distribution", lambda _name: Installed(told))
    assert shlex.split(POSTGRES.install())[-1] == "jecp-mcp[postgres]"


def test_what_uv_runs_once_is_run_again_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/u/.cache/uv/archive-v0/3tiInBbi6APtFlBm")
    monkeypatch.setattr(sys, "argv", ["/bin/jecp-mcp", "serve", "--sandbox"])
    monkeypatch.setattr("importlib.metadata.distribution", lambda _name: Installed(None))
    lack(monkeypatch, "segno", "coincurve", "rfc8785", "psycopg", "tokenizers")
    assert SANDBOX.install() == "uvx --from 'jecp-mcp[sandbox]' jecp-mcp serve --sandbox"
    assert CommandLine.of({}).line("ledger") == "uvx jecp-mcp ledger"
    # What it was started with stays.
    monkeypatch.delitem(sys.modules, "psycopg")
    assert SANDBOX.install() == "uvx --from 'jecp-mcp[postgres,sandbox]' jecp-mcp serve --sandbox"
    assert CommandLine.of({}).line("ledger") == "uvx --from 'jecp-mcp[postgres]' jecp-mcp ledger"


def test_an_environment_without_pip_is_served_by_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/opt/bin/{name}")
    assert shlex.split(EMBEDDINGS.install())[:5] == ["/opt/bin/uv", "pip", "install", "--python", sys.executable]
