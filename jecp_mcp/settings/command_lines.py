"""The commands that a person is told to run, written so that they look where this process looks.

Whoever reads one has another terminal, with another environment, or none of ours: what this process was given by an
option or a variable stands in the command, quoted for a POSIX shell. A secret never does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from jecp_mcp.extras import uvx
from jecp_mcp.settings.loading import HUB_VARIABLE
from jecp_mcp.settings.places import APP, STATE_VARIABLE, config_file, sandbox_dir, state_dir, variable_of
from jecp_mcp.source_names import FIRST

LEDGER_VARIABLE: Final = "JECP_MCP_LEDGER__URL"
SANDBOX_OPTION: Final = "--sandbox"
STATE_OPTION: Final = "--state-dir"
_HUB_SETTING: Final = "JECP_MCP_HUB__BASE_URL"

_OF_THE_SERVER: Final = (
    "PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGSSLMODE",
    "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY",
)  # fmt: skip
"""What libpq reads of the environment to find and verify a server (PostgreSQL 16 documentation §34.15)."""

_PLACEHOLDER: Final = "PASSWORD"
_SECRET_PARAMETERS: Final = frozenset({"password", "sslpassword"})
_AT_THE_HUB: Final = frozenset(
    {
        "call",
        "catalog",
        "config",
        "describe",
        "doctor",
        "refund",
        "register",
        "search",
        "serve",
        "status",
        "topup",
        "wallet",
    }
)
_WITHOUT_BOOKS: Final = frozenset({"completion", "demo", "sandbox"})
"""Commands that know none of the options for where the books are."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """How a person runs this program so that it looks where this process looks.

    Attributes:
        program: what starts it.
        places: the options for the books and the settings.
        hub: the option for the Hub.
        variables: what goes before the program, for what no option says.
    """

    program: tuple[str, ...] = (APP,)
    places: tuple[str, ...] = ()
    hub: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        *,
        hub: str | None = None,
        config: Path | None = None,
        state: Path | None = None,
        sandbox: bool = False,
        server: bool = False,
    ) -> Self:
        """What a process was given.

        Args:
            environ: its environment.
            hub, config, state: its options of those names.
            sandbox: whether it buys from a sandbox of its own, whose books are never on a server.
            server: whether its ledger is in PostgreSQL.
        """
        places = [SANDBOX_OPTION] if sandbox else []
        if state is not None or _any_of(environ, STATE_VARIABLE, "XDG_STATE_HOME"):
            places += [STATE_OPTION, str((sandbox_dir if sandbox else state_dir)(environ, state))]
        file, named = config_file(environ, config)
        if named or (variable_of(environ, "XDG_CONFIG_HOME") and file.exists()):
            places += ["--config", str(file)]
        at = hub or variable_of(environ, _HUB_SETTING) or environ.get(HUB_VARIABLE, "").strip()
        return cls(
            _program(),
            tuple(places),
            ("--hub", without_password(at)) if at and not sandbox else (),
            tuple(_server(environ)) if server and not sandbox else (),
        )

    def at_other_books(self, folder: Path) -> Self:
        """The same for the sandbox's books where these are the real wallet's, and the other way round.

        Args:
            folder: where the other books are.
        """
        places = [word for word in self.places if word != SANDBOX_OPTION]
        if STATE_OPTION in places:
            places[places.index(STATE_OPTION) + 1] = str(folder)
        also = () if SANDBOX_OPTION in self.places else (SANDBOX_OPTION,)
        return replace(self, places=(*also, *places), hub=())

    def at_hub(self, called: str) -> Self:
        """The same at one of several Hubs, by what it is called. An address that was given is the first one's."""
        return self if called == FIRST and self.hub else replace(self, hub=("--hub", called))

    def line(self, *words: str) -> str:
        """A whole command, such as of ``"approve", "K7QW-2MXB"``; each word is quoted where it must be."""
        command, parts, before = words[0], [*self.program, *words], ""
        if command not in _WITHOUT_BOOKS:
            parts += self.places + (self.hub if command in _AT_THE_HUB else ())
            before = "".join(f"{name}={shlex.quote(value)} " for name, value in self.variables)
        # A file name that is no Unicode would end the connection that it is told over.
        return (before + shlex.join(parts)).encode(errors="backslashreplace").decode()


PLAIN: Final = CommandLine()
"""Of a process that was given nothing of its own."""


def _any_of(environ: Mapping[str, str], *variables: str) -> bool:
    return any(variable_of(environ, variable) for variable in variables)


def _program() -> tuple[str, ...]:
    """This program by its bare name only where a shell outside its virtual environment finds it under that."""
    if (again := uvx()) is not None:
        return tuple(again)
    called, beside = Path(sys.argv[0]), Path(sys.executable).parent / APP
    own = called if called.name == APP and called.is_absolute() and called.is_file() else beside
    found = shutil.which(APP)
    if found is not None and os.path.realpath(found) == os.path.realpath(own):
        inside = sys.prefix != sys.base_prefix and Path(found).parent == Path(sys.executable).parent
        if not inside:
            return (APP,)
    return (str(own),) if own.is_file() else (sys.executable, "-m", "jecp_mcp")


def _server(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """What of the environment leads to a ledger in PostgreSQL."""
    url = variable_of(environ, LEDGER_VARIABLE).strip()
    found = [(LEDGER_VARIABLE, without_password(url))] if url else []
    return found + [(name, environ[name]) for name in _OF_THE_SERVER if environ.get(name)]


def without_password(url: str) -> str:
    """A server's URL with the word PASSWORD in the place of one, for a person to put theirs in."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _PLACEHOLDER
    who, at, host = parts.netloc.rpartition("@")
    user, colon, _ = who.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(name in _SECRET_PARAMETERS for name, _ in query):
        masked = [(name, _PLACEHOLDER if name in _SECRET_PARAMETERS else value) for name, value in query]
        parts = parts._replace(query=urlencode(masked))
    return urlunsplit(parts._replace(netloc=f"{user}{colon}{_PLACEHOLDER if colon else ''}{at}{host}"))
