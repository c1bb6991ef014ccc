"""The command that changes one setting where it was said: in the environment, or in its line of the settings file.

A command for a file is only given where it was tried, in memory, that it changes this setting and nothing else.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from jecp_mcp.cli.checks.limit_conflicts import Place
from jecp_mcp.settings.loading import PREFIX

_ASSIGNMENT: Final = re.compile(r"(\s*([A-Za-z0-9_-]+)\s*=\s*)(\"[^\"]*\"|'[^']*')(\s*(?:#.*)?)")


def change_command(place: Place, value: str | None, environ: Mapping[str, str], file: Path) -> str | None:
    """The command that gives the setting at `place` another value, or with None takes it out.

    Returns None where none is known to work: an entry of a list in a variable, or a file that puts it otherwise.
    """
    variable = f"{PREFIX}{place[0]}__{place[1]}".upper()
    set_as = next((name for name, text in environ.items() if name.upper() == variable and text.strip()), None)
    if set_as is not None and len(place) == 2:  # noqa: PLR2004 - a section and a key
        return f"unset {set_as}" if value is None else f"export {set_as}={shlex.quote(value)}"
    try:
        text = file.read_text(encoding="utf-8")
        number, line = _edit(text, place, value) or (0, None)
    except (OSError, ValueError):
        return None
    if not number:
        return None
    # Whatever became of the file meanwhile, a line that sets something else stays as it is.
    there = f"{number}s/^[[:space:]]*{re.escape(str(place[-1]))}"
    script = f"{there}/# &/" if line is None else f"{there}.*/{_replacement(line)}/"
    return shlex.join(["sed", "-i.before", script, str(file.resolve())])


def _replacement(line: str) -> str:
    return re.sub(r"[\\/&]", r"\\\g<0>", line)


def _edit(text: str, place: Place, value: str | None) -> tuple[int, str | None] | None:
    """The number of the line that sets it, from 1 on, and what it must be instead, None for a comment."""
    wanted = _document_with(tomllib.loads(text), place, value)
    if wanted is None:
        return None
    lines = text.split("\n")
    for number, line in enumerate(lines):
        found = _ASSIGNMENT.fullmatch(line)
        if found is None or found[2] != place[-1]:
            continue
        new = None if value is None else f'{found[1]}"{value}"{found[4]}'
        tried = [*lines[:number], new or "", *lines[number + 1 :]]
        if tomllib.loads("\n".join(tried)) == wanted:
            return number + 1, new
    return None


def _document_with(document: Any, place: Place, value: str | None) -> Any:
    """A document with another value at a place; None where there is no such place in it."""
    changed = here = deepcopy(document)
    try:
        for key in place[:-1]:
            here = here[key]
        here[place[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    if value is None:
        del here[place[-1]]
    else:
        here[place[-1]] = value
    return changed
