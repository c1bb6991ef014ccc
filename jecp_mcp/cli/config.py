"""``jecp-mcp config``: the settings as they hold here, and where each comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start_from
from jecp_mcp.settings import Credentials
from jecp_mcp.settings.command_lines import CommandLine

if TYPE_CHECKING:
    from jecp_mcp.cli.rich_output import Column

_MASK: Final = "********"
_SANDBOX: Final = "the sandbox"
_OF_THE_SANDBOX: Final = (
    "hub.base_url", "ledger.url", "paid_http.merchants", "paid_http.networks", "paid_http.rpc", "flow402.base_url",
    "flow402.organization", "flow402.agent", "flow402.merchants", "flow402.networks", "ajp.agents",
)  # fmt: skip
_NOT_OF_THE_SANDBOX: Final = ("paid_http.", "flow402.", "ajp.")


@click.command(
    "config",
    epilog=examples("jecp-mcp config", "jecp-mcp config --json"),
)
@common_options
@as_json
def command(as_json: bool, **given: Any) -> None:
    """Show every setting as it holds here, and where it comes from. No key and no password is shown."""
    from jecp_mcp.settings.loading import setting_origins
    from jecp_mcp.settings.places import config_file

    where = start_from(given)
    overrides = {} if given["hub"] is None or where.asked_hub is not None else {"hub.base_url": given["hub"]}
    origins = dict(setting_origins(given["config"], environ=os.environ, overrides=overrides))
    if where.sandbox:
        # What is configured of these does not hold there.
        origins = {key: origin for key, origin in origins.items() if not key.startswith(_NOT_OF_THE_SANDBOX)}
        origins |= dict.fromkeys(_OF_THE_SANDBOX, _SANDBOX)
    path, _ = config_file(os.environ, given["config"])
    hubs = where.settings.hubs
    shown: dict[str, Any] = {
        "file": str(path) if path.exists() else None,
        "state_dir": str(where.state),
        "credentials": _credentials(where.credentials),
        **({"hubs_credentials": {one.name: _credentials(where.account(one.name)) for one in hubs}} if hubs else {}),
        "settings": _settings(where, origins),
    }
    if as_json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(shown, str(path), where.commands, sandbox=where.sandbox)


def _credentials(found: Credentials | None) -> dict[str, Any] | None:
    return None if found is None else {"agent_id": found.agent_id, "api_key": _MASK, "from": found.source}


def _settings(given: Start, origins: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """By dotted key, the value as JSON and where it comes from, None for a default; amounts as decimal text in USDC."""
    made: dict[str, dict[str, Any]] = {}
    dumped = given.settings.model_dump(mode="python")
    for hub in dumped.pop("hubs"):
        name = hub.pop("name")
        made |= {f"hubs.{name}.{key}": {"value": value, "from": origins.get("hubs")} for key, value in hub.items()}
    for section, values in dumped.items():
        for key, value in values.items():
            origin = origins.get(f"{section}.{key}")
            made[f"{section}.{key}"] = {"value": _readable(section, key, value), "from": origin}
    if given.hub is None:
        made["hub.base_url"] = {"value": None, "from": f"{_SANDBOX}, which has not run yet"}
    return made


def _readable(section: str, key: str, value: Any) -> Any:
    from pydantic import SecretStr

    from jecp_mcp.clock import iso
    from jecp_mcp.money import format_usdc

    if isinstance(value, SecretStr):
        from jecp_mcp.mandate.postgres.connection import place

        return place(value.get_secret_value())
    if isinstance(value, dict):
        return {name: _readable(section, name, one) for name, one in value.items() if one is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_readable(section, key, one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and key.endswith("_usdc"):
        return format_usdc(value)
    if isinstance(value, int) and key == "expires_at":
        return iso(value)
    return value


def _print(shown: dict[str, Any], path: str, commands: CommandLine, *, sandbox: bool) -> None:
    from jecp_mcp.cli import rich_output

    credentials = shown["credentials"]
    agent = "the sandbox's own, once it has run" if sandbox and credentials is None else _agent(credentials, commands)
    told = {"settings file": shown["file"] or f"{path} (not there)", "state folder": shown["state_dir"]}
    told |= {"credentials": agent}
    for name, found in shown.get("hubs_credentials", {}).items():
        told[f"credentials at {name}"] = _agent(found, commands, "--hub", name)
    rich_output.show(rich_output.Facts(told))
    columns: list[Column] = [("setting", "left"), ("value", "prose"), ("from", "prose")]
    rows = [(key, _text(one["value"]), one["from"] or "") for key, one in shown["settings"].items()]
    rich_output.show(rich_output.Listing("\nSettings", columns, rows))


def _agent(found: Mapping[str, Any] | None, commands: CommandLine, *hub: str) -> str:
    if found is None:
        return f"none; `{commands.line('register', *hub)}` makes an account"
    return f"agent {found['agent_id']}, key {found['api_key']}, from {found['from']}"


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
