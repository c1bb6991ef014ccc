"""``jecp-mcp identity``: who hires agents: the key that signs, and the declaration by which others know it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, common_options, sandbox_asked, start_from
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import AJP
from jecp_mcp.settings.agent_key import FILE, agent_key_source, find_agent_key
from jecp_mcp.settings.key_file import store_key

_MOST_CHARACTERS = 4_096


@click.group("identity", epilog=examples("jecp-mcp identity key"))
def command() -> None:
    """Say who hires agents: make a key, print the declaration to publish, and check that it is found."""


@command.command("key", epilog=examples("jecp-mcp identity key", "jecp-mcp identity key --stdin < key.txt"))
@click.option("--stdin", "from_stdin", is_flag=True, help="Take the private key from standard input.")
@common_options
def key(from_stdin: bool, **given: Any) -> None:
    """Make the key that signs jobs' offers, once, and print its public key; the key itself is never shown."""
    from jecp_mcp.wire.ajp.signatures import PrivateKey, new_private_key

    where = _start(given)
    if find_agent_key(os.environ, where.state) is not None:
        there = _key(where).public
        raise SettingsError(
            *agent_key_source(os.environ, where.state),
            f"holds a key to sign with already, with the fingerprint {there.fingerprint}; it is never overwritten",
        )
    path = where.state / FILE
    text = sys.stdin.read(_MOST_CHARACTERS).strip() if from_stdin else new_private_key()
    try:
        public = PrivateKey(text).public
        store_key(path, "".join(text.split()))
    except WireError as exc:
        raise SettingsError("standard input", "", str(exc)) from exc
    except OSError as exc:
        raise SettingsError(str(path), "", f"cannot be written: {exc.strerror or type(exc).__name__}") from exc
    print(public.text)
    print(f"jecp-mcp: the key is in {path}; its fingerprint is {public.fingerprint}", file=sys.stderr)


@command.command(
    "declaration",
    epilog=examples('jecp-mcp identity declaration --name "Our desk" --description "Hires for the newsroom."'),
)
@click.option("--name", required=True, help="Your name, as others read it.")
@click.option("--description", required=True, help="What you do, in a sentence.")
@common_options
def declaration(name: str, description: str, **given: Any) -> None:
    """Print the signed declaration of the setting ajp.identity, to publish where that id says."""
    from jecp_mcp.wire.ajp.declaration import sign_declaration, standard_place

    where = _start(given)
    identity = _identity(where)
    body = {
        "provenance_id": identity,
        "name": name,
        "description": description,
        "capabilities": ["delegate:agents"],
        "constraints": [],
    }
    try:
        declared, place = sign_declaration(body, _key(where)), standard_place(identity)
    except WireError as exc:
        raise SettingsError("the declaration", "", str(exc)) from exc
    print(json.dumps(declared, indent=2, ensure_ascii=False))
    at = where.settings.ajp.declaration_url or (None if place is None else place.url)
    print(f"jecp-mcp: publish it at {at}, unchanged; then run: {_check_line(where)}", file=sys.stderr)


@command.command("check", epilog=examples("jecp-mcp identity check"))
@common_options
def check(**given: Any) -> None:
    """See that the published declaration is found, and names the key that signs here."""
    import anyio

    where = _start(given)
    found = anyio.run(published, where)
    print(f"{_identity(where)} is found at {found} with the key that signs here")


async def published(where: Start) -> str:
    """Where the declaration of the setting ajp.identity was found.

    Raises:
        SettingsError: it was not, or is another's.
    """
    from jecp_mcp.agent_declarations import PublishedDeclarations
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.http import ExchangeFailed
    from jecp_mcp.http_gate import HttpGate
    from jecp_mcp.settings.merchants import read_place
    from jecp_mcp.wire.ajp.declaration import standard_place, stands_at

    identity, key, url = _identity(where), _key(where).public, where.settings.ajp.declaration_url
    loopback = where.settings.ajp.loopback
    try:
        place = standard_place(identity, loopback=loopback) if url is None else read_place(url)
    except ValueError as exc:
        raise SettingsError("the settings", "ajp.declaration_url", str(exc)) from exc
    if place is None:
        raise SettingsError("the settings", "ajp.identity", "does not say where its declaration stands")
    if not stands_at(identity, place.url, loopback=loopback):
        reason = f"{place.url} is not a place where {identity} can declare itself"
        raise SettingsError("the settings", "ajp.declaration_url", reason)
    clock = SystemClock()
    async with HttpGate(clock, loopback=loopback) as gate:
        try:
            found = await PublishedDeclarations(gate, clock).fetch(identity, place)
        except (ExchangeFailed, WireError) as exc:
            why = exc.reason if isinstance(exc, ExchangeFailed) else str(exc)
            raise SettingsError("the declaration", "", why if place.url in why else f"{place.url}: {why}") from exc
    if found.key.fingerprint != key.fingerprint:
        reason = f"{place.url} has the key {found.key.fingerprint}, and here {identity} signs with {key.fingerprint}"
        raise SettingsError("the declaration", "", reason)
    return place.url


def _start(given: dict[str, Any]) -> Start:
    if sandbox_asked():
        raise click.UsageError("the sandbox hires by itself; leave out --sandbox")
    AJP.require()
    return start_from(given)


def _identity(where: Start) -> str:
    if where.settings.ajp.identity is None:
        where_to = f"`{where.commands.line('config')}` names the settings file; write there, under [ajp]"
        reason = f'is missing; {where_to}: identity = "provenance:domain:you.example"'
        raise SettingsError("the settings", "ajp.identity", reason)
    return where.settings.ajp.identity


def _key(where: Start) -> Any:
    from jecp_mcp.wire.ajp.signatures import PrivateKey

    text = where.agent_key()
    if text is None:
        made = where.commands.line("identity", "key")
        raise SettingsError("the state folder", "", f"there is no key to sign with; make one: {made}")
    try:
        return PrivateKey(text)
    except WireError as exc:
        raise SettingsError(*agent_key_source(os.environ, where.state), str(exc)) from exc


def _check_line(where: Start) -> str:
    return where.commands.line("identity", "check")
