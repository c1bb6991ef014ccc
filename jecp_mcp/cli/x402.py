"""``jecp-mcp x402``: the wallet that pays HTTP merchants."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import checked_state_folder, common_options, sandbox_asked
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import X402
from jecp_mcp.settings.wallet_key import FILE, find_wallet_key, read_wallet_key, store_wallet_key

_MOST_CHARACTERS = 4_096


@click.group("x402", epilog=examples("jecp-mcp x402 key"))
def command() -> None:
    """Pay HTTP merchants by x402, from a wallet of its own."""


@command.command(
    "key",
    short_help="Make the wallet's key, once, and print its address.",
    epilog=examples("jecp-mcp x402 key", "jecp-mcp x402 key --stdin < key.txt"),
)
@click.option("--stdin", "from_stdin", is_flag=True, help="Take the private key from standard input.")
@common_options
def key(from_stdin: bool, state_dir: Path | None, **_given: Any) -> None:
    """Make the wallet's key, once, and print its address; the key itself is never shown.

    Use a wallet for this alone. Send it USDC and nothing else, and no more than you would lose: what it holds is the
    last limit on what can be spent.
    """
    from jecp_mcp.wire.x402.secp256k1 import PrivateKey

    if sandbox_asked():
        raise click.UsageError("the sandbox makes a wallet of play money by itself; leave out --sandbox")
    X402.require()
    state = checked_state_folder(state_dir)
    there = find_wallet_key(os.environ, state)
    if there is not None:
        address = PrivateKey(there.secret).address
        raise SettingsError(there.source, "", f"holds the key of {address} already; it is never overwritten")
    path = state / FILE
    secret = read_wallet_key(sys.stdin.read(_MOST_CHARACTERS), "standard input").secret if from_stdin else _fresh()
    try:
        made = PrivateKey(secret)
        store_wallet_key(path, secret)
    except WireError as exc:
        raise SettingsError("standard input", "", str(exc)) from exc
    except FileExistsError as exc:
        raise SettingsError(str(path), "", "holds a key already; it is never overwritten") from exc
    except OSError as exc:
        raise SettingsError(str(path), "", f"cannot be written: {exc.strerror or type(exc).__name__}") from exc
    print(made.address)
    print(f"jecp-mcp: the key is in {path}; keep a copy of that file, nobody else has one", file=sys.stderr)


def _fresh() -> bytes:
    return secrets.token_bytes(32)
