"""The official JSON Schema test suite, out of the source archive of the ``jsonschema`` package."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

VERSION = "4.26.0"
DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
MAPS = {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
VALUES = {"enum", "const", "default", "examples"}


class Case(NamedTuple):
    """One value, as the property ``x`` of the arguments, and whether the schema of the arguments takes it."""

    name: str
    schema: dict[str, Any]
    arguments: dict[str, Any]
    valid: bool


def archive(folder: Path) -> Path:
    """The archive in a folder, downloaded where it is not yet.

    Raises `OSError` or `subprocess.SubprocessError` where it cannot be had.
    """
    found = folder / f"jsonschema-{VERSION}.tar.gz"
    if not found.exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", "jsonschema", "-d", str(folder), f"jsonschema=={VERSION}"]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    if not found.exists():
        raise FileNotFoundError(found)
    return found


def cases(source: Path, draft: str) -> Iterator[Case]:
    """Every case of a draft."""
    with tarfile.open(source) as files:
        for member in files:
            name = member.name.partition(f"/json/tests/{draft}/")[2]
            content = files.extractfile(member) if name.endswith(".json") else None
            for group in json.load(content) if content is not None else ():
                schema = wrapped(group["schema"], DRAFTS[draft])
                for test in group["tests"]:
                    full = f"{draft}/{name}: {group['description']}: {test['description']}"
                    yield Case(full, schema, {"x": test["data"]}, test["valid"])


def wrapped(schema: Any, meta: str) -> dict[str, Any]:
    """A schema of arguments that asks of ``x`` what a schema asks of everything."""
    declared = schema.get("$schema", meta) if isinstance(schema, dict) else meta
    return {"$schema": declared, "properties": {"x": _moved(schema)}}


def _moved(schema: Any) -> Any:
    """A schema whose references to its root lead to where that is now."""
    if isinstance(schema, list):
        return [_moved(part) for part in schema]
    if not isinstance(schema, dict) or isinstance(schema.get("$id", schema.get("id")), str):
        # What has an address of its own is the root of its references wherever it stands.
        return schema
    made = {}
    for keyword, value in schema.items():
        if keyword == "$ref" and isinstance(value, str) and (value == "#" or value.startswith("#/")):
            made[keyword] = f"#/properties/x{value[1:]}"
        elif keyword in MAPS and isinstance(value, dict):
            made[keyword] = {name: _moved(part) for name, part in value.items()}
        else:
            made[keyword] = value if keyword in VALUES else _moved(value)
    return made
