"""Settings from their four sources, later ones winning: TOML file, ``JECP_BASE_URL``, ``JECP_MCP_*``, command line.

A wrong key or value is refused with its source, key and reason before anything starts.

Hosts and compose files make an empty variable of what the operator left out, so an empty variable counts as not set.
A list that the file gives is never loosened by a variable: what is denied or limited adds up, and what lets something
in can only become less.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, get_origin

from pydantic import ValidationError

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings.ajp import AgentSettings
from jecp_mcp.settings.fields import Section
from jecp_mcp.settings.hubs import hub_fault
from jecp_mcp.settings.models import LimitSettings, NamedHubSettings, Settings
from jecp_mcp.settings.patterns import within
from jecp_mcp.settings.places import CONFIG_VARIABLE, STATE_VARIABLE, config_file

PREFIX = "JECP_MCP_"
HUB_VARIABLE = "JECP_BASE_URL"
COMMAND_LINE = "the command line"
VARIABLE_ORIGIN = "the environment variable "
"""What the source of a value that a variable gave begins with, before the variable's name."""

_PLACES = frozenset({CONFIG_VARIABLE, STATE_VARIABLE})
_MOST_BYTES = 1_048_576
_SECRETS = ("api_key", "agent_id", "agent_key", "key", "private_key", "token", "secret", "password")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_RESTRICTING = frozenset({"mandate.deny", "mandate.limits", "catalog.without"})
"""Lists of which every entry takes something away."""
_FILTERING = frozenset({"catalog.only", "catalog.namespaces", "catalog.tags"})
"""Lists of which every entry lets something in, and of which an empty one lets everything in."""
_GRANTING = _FILTERING | {
    "mandate.allow",
    "catalog.tolerate",
    "hub.link_origins",
    "server.allowed_hosts",
    "server.allowed_origins",
    "paid_http.merchants",
    "paid_http.networks",
    "flow402.merchants",
    "flow402.networks",
}
"""Lists of which every entry lets something in."""
_GLOBS = frozenset({"mandate.allow", "catalog.only"})
_HUBS = "hubs"
"""The one list of sections."""
_ENTRIES: Mapping[str, type[Section]] = {"ajp": AgentSettings, _HUBS: NamedHubSettings}
"""What stands in the list of a section, where that is not a limit."""
_SECTIONS = tuple(name for name in Settings.model_fields if name != _HUBS)


_WHERE_CREDENTIALS_ARE = (
    "credentials are never settings: give JECP_AGENT_ID and JECP_API_KEY in the environment, or let jecp_register "
    "store them"
)
_WHERE_SECRETS_ARE: Mapping[str, str] = {
    "ajp": "a key is never a setting: give PROVENANCE_PRIVATE_KEY in the environment, or name secret_env",
    "flow402": "a key is never a setting: give JECP_402FLOW_BOOTSTRAP_KEY in the environment",
    "paid_http": "a wallet's key is never a setting: give JECP_X402_PRIVATE_KEY in the environment",
    _HUBS: "credentials are never settings: give JECP_AGENT_ID_<NAME> and JECP_API_KEY_<NAME> in the environment, with "
    "the Hub's name in capitals, or let jecp_register store them",
}


class _Sources:
    """The merged values, and where each came from."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
        self.hubs: list[Any] = []
        self.origins: dict[str, str] = {}

    def put(self, section: str, key: str, value: Any, origin: str) -> None:
        self.values[section][key] = value
        self.origins[f"{section}.{key}"] = origin

    def put_list(self, section: str, key: str, value: list[Any], origin: str) -> None:
        """Take a list from a variable, without loosening one that is there.

        Raises:
            SettingsError: it would.
        """
        dotted = f"{section}.{key}"
        known = self.values[section].get(key)
        if not value:
            raise SettingsError(origin, dotted, "an empty list is given in the settings file only; leave it out here")
        if known is None:
            self.put(section, key, value, origin)
        elif not isinstance(known, list):
            return  # It is refused where it stands.
        elif dotted in _RESTRICTING:
            before = self.origins[dotted]
            added = [one for one in value if one not in known]
            for place in range(len(known)):
                self.origins.setdefault(f"{dotted}.{place}", before)
            self.put(section, key, [*known, *added], origin)
        elif dotted in _GRANTING and (known or dotted not in _FILTERING):
            fits = within if dotted in _GLOBS else str.__eq__
            for one in value:
                if not any(fits(str(one), str(other)) for other in known):
                    raise SettingsError(
                        origin, dotted, f'"{one}" is more than {self.origins[dotted]} lets in; widen the list there'
                    )
            self.put(section, key, value, origin)
        else:
            self.put(section, key, value, origin)

    def origin(self, dotted: str) -> str:
        while dotted:
            if dotted in self.origins:
                return self.origins[dotted]
            dotted = dotted.rpartition(".")[0]
        return "the settings"

    def section_origin(self, section: str) -> str:
        """Where the keys of a section come from, of which no single one is wrong."""
        found = dict.fromkeys(origin for key, origin in self.origins.items() if key.startswith(f"{section}."))
        return " and ".join(found) or "the settings"


def load_settings(
    config: Path | None = None, *, environ: Mapping[str, str], overrides: Mapping[str, Any] = _NOTHING
) -> Settings:
    """Read the settings.

    Args:
        config: the file named by ``--config``; else ``$JECP_MCP_CONFIG``, else the platform's config folder.
        environ: the environment.
        overrides: dotted keys from the command line, such as ``hub.base_url``.

    Raises:
        SettingsError: a file, key or value is wrong.
    """
    sources = _read(config, environ, overrides)
    try:
        settings = Settings.model_validate({**sources.values, _HUBS: sources.hubs})
    except ValidationError as exc:
        _refuse(sources, exc)
    if (fault := hub_fault(settings)) is not None:
        key, reason = fault
        raise SettingsError(sources.origin(key.partition("[")[0]), key, reason)
    return settings


def setting_origins(
    config: Path | None = None, *, environ: Mapping[str, str], overrides: Mapping[str, Any] = _NOTHING
) -> Mapping[str, str]:
    """Where each setting comes from that is no default, by dotted key; reads what `load_settings` does.

    Raises:
        SettingsError: a file, key or variable is wrong.
    """
    return _read(config, environ, overrides).origins


def _read(config: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> _Sources:
    sources = _Sources()
    path, named = config_file(environ, config)
    _read_file(sources, path, named)
    if environ.get(HUB_VARIABLE, "").strip():
        sources.put("hub", "base_url", environ[HUB_VARIABLE], f"{VARIABLE_ORIGIN}{HUB_VARIABLE}")
    _read_environment(sources, environ)
    for dotted, value in overrides.items():
        section, _, key = dotted.partition(".")
        sources.put(section, key, value, COMMAND_LINE)
    return sources


def _read_file(sources: _Sources, path: Path, named: bool) -> None:
    for section, table in _document(path, named).items():
        if section == _HUBS:
            if not isinstance(table, list):
                raise SettingsError(str(path), section, "is a list of sections: write [[hubs]] before each Hub's keys")
            sources.hubs, sources.origins[section] = table, str(path)
            continue
        if section not in sources.values:
            raise SettingsError(str(path), section, _unknown_section(section))
        if not isinstance(table, dict):
            raise SettingsError(str(path), section, f"is a section: write [{section}] and its keys below it")
        for key, value in table.items():
            sources.put(section, key, value, str(path))


def _document(path: Path, named: bool) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as exc:
        if named:
            raise SettingsError(str(path), "", "there is no such file") from exc
        return _NOTHING
    except OSError as exc:
        raise SettingsError(str(path), "", f"cannot be read: {exc.strerror or type(exc).__name__}") from exc
    if len(data) > _MOST_BYTES:
        raise SettingsError(str(path), "", "is larger than a settings file can be (1 MiB)")
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise SettingsError(str(path), "", f"is not UTF-8 text (byte {exc.start})") from exc
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise SettingsError(str(path), "", f"is not TOML: {exc}") from exc


def _read_environment(sources: _Sources, environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        # A variable in another case would be a limit that is silently not there.
        name = variable.upper()
        if not name.startswith(PREFIX) or name in _PLACES:
            continue
        origin = f"{VARIABLE_ORIGIN}{variable}"
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if section == _HUBS:
            raise SettingsError(origin, section, "are given in the settings file only, as [[hubs]]")
        if section not in sources.values:
            raise SettingsError(origin, "", _unknown_section(section))
        fields = _fields(section)
        if key not in fields:
            if key.partition("__")[0] == "limits":
                raise SettingsError(
                    origin,
                    "mandate.limits",
                    f'is given whole, as a JSON list in {PREFIX}MANDATE__LIMITS: [{{"match":…}}]',
                )
            raise SettingsError(origin, f"{section}.{key}", _unknown_key(section, key))
        value: Any = environ[variable]
        if not value.strip():
            continue
        value = _value(origin, f"{section}.{key}", value, fields[key])
        if isinstance(value, list):
            sources.put_list(section, key, value, origin)
        else:
            sources.put(section, key, value, origin)


def _value(origin: str, dotted: str, text: str, field: Any) -> Any:
    """What a variable's text says of a key."""
    if get_origin(field.annotation) is dict:
        raise SettingsError(origin, dotted, "is a table, which only the settings file can give")
    if dotted == "ajp.agents":
        raise SettingsError(origin, dotted, "is given in the settings file only: it names who may be hired")
    if dotted == "mandate.limits":
        return _json(origin, dotted, text)
    return _listed(origin, dotted, text) if isinstance(field.default, tuple) else text


def empty_variables(environ: Mapping[str, str]) -> list[str]:
    """The variables of ours that are set to nothing, and so count as not set."""
    return sorted(
        variable
        for variable, value in environ.items()
        if not value.strip() and (variable.upper().startswith(PREFIX) or variable == HUB_VARIABLE)
    )


def _listed(origin: str, key: str, text: str) -> Any:
    """A list as JSON, or separated by commas."""
    if text.lstrip().startswith("["):
        return _json(origin, key, text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _json(origin: str, key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise SettingsError(origin, key, f"is not JSON: {exc}") from exc


def _refuse(sources: _Sources, error: ValidationError) -> NoReturn:
    # One at a time, the first: people mend one and start again.
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    dotted = "" if found["loc"] else ".flow402.merchants"
    for part in found["loc"]:
        dotted += f"[{part}]" if isinstance(part, int) else f".{part}"
    # What the sections say together is refused where the second of two roads to a merchant is.
    section, *rest = (str(part) for part in found["loc"] or ("flow402", "merchants"))
    origin = sources.origin(".".join([section, *rest])) if rest else sources.section_origin(section)
    if found["type"] == "extra_forbidden":
        inside = _ENTRIES.get(section, LimitSettings).model_fields if len(rest) > 1 else None
        reason = _unknown_key(section, rest[-1], inside)
    else:
        reason = found["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
        reason = reason[:1].lower() + reason[1:]
    raise SettingsError(origin, dotted.removeprefix("."), reason) from None


def _fields(section: str) -> Mapping[str, Any]:
    model = Settings.model_fields[section].annotation
    fields: Mapping[str, Any] = model.model_fields  # type: ignore[union-attr]  # every section is a model
    return fields


def _unknown_section(section: str) -> str:
    for name in _SECTIONS:
        if section in _fields(name):
            return f"belongs in the section [{name}]"
    return f"there is no such section{_suggestion(section, Settings.model_fields)}"


def _unknown_key(section: str, key: str, inside: Iterable[str] | None = None) -> str:
    if key in _SECRETS:
        return _WHERE_SECRETS_ARE.get(section, _WHERE_CREDENTIALS_ARE)
    for name in _SECTIONS:
        if inside is None and name != section and key in _fields(name):
            return f"belongs in the section [{name}]"
    return f"there is no such key{_suggestion(key, inside or _fields(section))}"


def _suggestion(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
