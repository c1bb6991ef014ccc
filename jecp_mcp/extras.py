"""The extras of this package: what each is for, what it installs, and the command that installs it.

Whoever needs one asks here before anything starts, so that no import fails in the middle of a call.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

from jecp_mcp.errors import ExtraMissing

_PACKAGE: Final = "jecp-mcp"
_UV_CACHE: Final = "archive-v"
"""How uv's folder of environments for one run begins, before its version."""


@dataclass(frozen=True, slots=True)
class Extra:
    """One extra.

    Attributes:
        name: as in ``jecp-mcp[name]``.
        purpose: what needs it, as the subject of a sentence.
        packages: what it installs: the name that is imported, and the package it comes in.
    """

    name: str
    purpose: str
    packages: Mapping[str, str]

    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for module, package in self.packages.items() if find_spec(module) is None]

    def lack(self) -> str | None:
        """What is missing, and for what, in words; None where nothing is."""
        missing = self.missing()
        if not missing:
            return None
        verb = "is" if len(missing) == 1 else "are"
        return f"{self.purpose} needs {', '.join(missing)}, which {verb} not installed"

    def absence(self) -> str | None:
        """What is missing and the command that installs it, in one sentence; None where nothing is."""
        lack = self.lack()
        return None if lack is None else f"{lack}; run: {self.install()}"

    def require(self) -> None:
        """See that everything is there. Raises `ExtraMissing`."""
        absence = self.absence()
        if absence is not None:
            raise ExtraMissing(self.name, absence)

    def install(self) -> str:
        """The command that installs it beside this package, from where this package came.

        Where uv made the environment for one run only, it is the same run with the extra.
        """
        if (again := uvx(self.name)) is not None:
            return shlex.join([*again, *sys.argv[1:]])
        source, editable = _source()
        wanted = f"{source}[{self.name}]"
        python = sys.executable
        if find_spec("pip") is None and (uv := shutil.which("uv")) is not None:
            words = [uv, "pip", "install", "--python", python]
        else:
            words = [python, "-m", "pip", "install"]
        return shlex.join([*words, *(["-e"] if editable else []), wanted])


def _source() -> tuple[str, bool]:
    """What to name to an installer: the folder this package was installed from, else its name; whether editable.

    A folder is told by ``direct_url.json`` (PEP 610).
    """
    # Only whoever lacks something waits for this import.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        told = json.loads(distribution(_PACKAGE).read_text("direct_url.json") or "{}")
        folder, editable = unquote(urlsplit(told["url"]).path), bool(told["dir_info"].get("editable"))
    except (PackageNotFoundError, ValueError, KeyError):
        return _PACKAGE, False
    return (folder, editable) if Path(folder, "pyproject.toml").is_file() else (_PACKAGE, False)


_SIGNATURES: Final = {"coincurve": "coincurve", "Crypto": "pycryptodome"}
_AGENTS: Final = {"cryptography": "cryptography", "rfc8785": "rfc8785"}

X402: Final = Extra("x402", "paying HTTP merchants", MappingProxyType(_SIGNATURES))
AJP: Final = Extra("ajp", "hiring agents", MappingProxyType(_AGENTS))
SANDBOX: Final = Extra(
    "sandbox",
    "a Hub with test money",
    MappingProxyType(
        {
            "PIL": "pillow",
            "fpdf": "fpdf2",
            "fontTools": "fonttools",
            "fontpkg_noto_sans": "fontpkg-noto-sans",
            "markdown_it": "markdown-it-py",
            "docx": "python-docx",
            "segno": "segno",
            "ruamel": "ruamel.yaml",
            **_SIGNATURES,
            **_AGENTS,
        }
    ),
)
POSTGRES: Final = Extra("postgres", "a ledger in PostgreSQL", MappingProxyType({"psycopg": "psycopg"}))
EMBEDDINGS: Final = Extra(
    "embeddings",
    "search by meaning",
    MappingProxyType(
        {"wordllama": "wordllama", "safetensors": "safetensors", "tokenizers": "tokenizers", "numpy": "numpy"}
    ),
)

EXTRAS: Final = (SANDBOX, X402, AJP, POSTGRES, EMBEDDINGS)


def uvx(*names: str) -> list[str] | None:
    """How uv runs this program with the extras there are and these; None where it did not make this environment so.

    Such an environment is in uv's cache and goes when that is cleaned, so nothing is installed into it.
    """
    if not Path(sys.prefix).parent.name.startswith(_UV_CACHE):
        return None
    source, _ = _source()
    wanted = sorted({*names, *(extra.name for extra in EXTRAS if not extra.missing())})
    whole = f"{source}[{','.join(wanted)}]" if wanted else source
    return ["uvx", *(["--from", whole] if whole != _PACKAGE else []), _PACKAGE]
