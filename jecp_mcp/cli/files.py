"""``jecp-mcp files``: the files that calls produced, as the store keeps them: listed, copied out, opened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start
from jecp_mcp.cli.saved_files import TargetPath, file_name, taken, write_beside, write_new
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.tools.publishing import file_words

if TYPE_CHECKING:
    from jecp_mcp.tools.artifact_store import ArtifactStore, StoredArtifact

_ON_A_PAGE: Final = 20
_MOST: Final = 100_000
_SHORT_ID: Final = 8


class FileFault(JecpMcpError):
    """A file is not there, or cannot be copied or opened."""


@click.command(
    "files",
    epilog=examples(
        "jecp-mcp files",
        "jecp-mcp files 3f9a --output ~/invoice.pdf",
        "jecp-mcp files 3f9a --open",
    ),
)
@click.argument("file", required=False)
@common_options
@click.option("--output", metavar="PATH", type=TargetPath(path_type=Path), help="Copy FILE to PATH (or into a folder).")
@click.option("--open", "opened", is_flag=True, help="Open FILE with the program this machine has for it.")
@click.option("--limit", type=click.IntRange(1, _MOST), help=f"At most so many; default {_ON_A_PAGE}, with --json all.")
@as_json
def command(
    file: str | None,
    hub: str | None,
    config: Path | None,
    state_dir: Path | None,
    output: Path | None,
    opened: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the files that calls produced, latest first; or show, copy or open one.

    FILE is the beginning of its id, its address (jecp://artifact/...), its name or path, or the id of the call that it
    came with.
    """
    if file is None and (output is not None or opened):
        raise click.UsageError(f"--{'open' if opened else 'output'} needs a FILE", click.get_current_context())
    if file is not None and limit is not None:
        raise click.UsageError("--limit goes with the list, not with a FILE", click.get_current_context())
    given = start(hub, config, state_dir)
    store = _store(given)
    if file is None:
        _list(store, limit or (_MOST if as_json else _ON_A_PAGE), as_json=as_json)
        return
    kept = _find(given, store, file)
    shown = _row(store, kept)
    if output is not None:
        shown["saved"] = str(_copy(store, kept, output))
    if opened:
        _open(kept)
    if as_json:
        print(json.dumps(shown, indent=2))
    else:
        _print_one(shown)


def _store(given: Start) -> ArtifactStore:
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.tools.artifact_store import ArtifactStore

    return ArtifactStore(given.artifacts, given.settings.artifacts, SystemClock(), shared_disk=True)


def _all(store: ArtifactStore) -> Iterator[StoredArtifact]:
    """Every kept file, whoever's it is, latest first."""
    page = store.list()
    while page:
        yield from page
        page = store.list((page[-1].created_at, page[-1].id))


def _find(given: Start, store: ArtifactStore, named: str) -> StoredArtifact:
    """The one file that is meant.

    Raises:
        FileFault: there is none, or several could be meant.
    """
    found = _named(store, named)
    if not found:
        from jecp_mcp.cli.other_books import where_else

        async def has(other: Start) -> bool:
            return other.artifacts.is_dir() and bool(_named(_store(other), named))

        elsewhere = anyio.run(where_else, given, has, "files", named)
        raise FileFault(
            f"no kept file has the name {named[:64]!r}, an id that begins so, or came with such a call.{elsewhere}"
        )
    if len(found) > 1:
        ids = ", ".join(one.id for one in found[:4])
        raise FileFault(f"{named[:64]!r} could be {len(found)} files ({ids}); give more of the id")
    return found[0]


def _named(store: ArtifactStore, named: str) -> list[StoredArtifact]:
    from jecp_mcp.tools.artifact_store import URI

    begins = named.removeprefix(URI)

    def is_meant(one: StoredArtifact) -> bool:
        # Its file is named for its id and ends as its kind does.
        beginning = Path(begins).name.removesuffix(one.path.suffix)
        return one.id.startswith((begins, beginning or begins)) or named in {one.call_id, one.name}

    return [one for one in _all(store) if begins and is_meant(one)]


def _copy(store: ArtifactStore, kept: StoredArtifact, output: Path) -> Path:
    from jecp_mcp.errors import ToolFault

    try:
        data = store.read(kept)
        if output.is_dir():
            return write_beside(output, file_name(kept.name, kept.mime_type), data)
        return write_new(output, data)
    except ToolFault as exc:
        raise FileFault(f"{kept.path} cannot be read; it may have been deleted") from exc
    except FileExistsError as exc:
        raise FileFault(f"{taken(output)}; name another place") from exc
    except OSError as exc:
        raise FileFault(f"the file cannot be written to {output}: {exc.strerror}") from exc


def _open(kept: StoredArtifact) -> None:
    if not kept.path.is_file():
        raise FileFault(f"{kept.path} cannot be read; it may have been deleted")
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    try:
        # The path is the store's own, and its ending is none that runs anything.
        done = subprocess.run(  # noqa: S603 - a fixed program, and a path of ours
            [opener, str(kept.path)], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
    except OSError as exc:
        raise FileFault(f"{opener}, which opens files, cannot be run; the file is {kept.path}") from exc
    if done.returncode != 0:
        raise FileFault(f"this machine has no program that opens it; the file is {kept.path}")


def _row(store: ArtifactStore, kept: StoredArtifact) -> dict[str, Any]:
    from jecp_mcp.clock import iso

    return {
        "id": kept.id,
        "name": kept.name,
        **store.description(kept),
        "bought_at": iso(kept.created_at),
        "call_id": kept.call_id,
        "principal": kept.owner,
    }


def _list(store: ArtifactStore, limit: int, *, as_json: bool) -> None:
    every = list(_all(store))
    rows = [_row(store, one) for one in every[:limit]]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from jecp_mcp.cli import rich_output

    if not rows:
        rich_output.say("No file is kept: calls have produced none, or they have been deleted since.")
        return
    columns: list[rich_output.Column] = [("id", "left"), ("file", "prose"), ("kind", "spare"), ("size", "right")]
    columns.append(("kept until", "left"))
    width = _short_ids(every)
    cells = [
        (
            one["id"][:width],
            one["name"],
            file_words.kind(one["content_type"]),
            file_words.size(one["size_bytes"]),
            one["kept_until"][:10],
        )
        for one in rows
    ]
    rich_output.show(rich_output.Listing("Files", columns, cells))
    if len(every) > limit:
        rich_output.say(f"{len(every) - limit} more; --limit N shows them", "dim", stderr=True)


def _short_ids(every: list[StoredArtifact]) -> int:
    """How much of an id is enough to tell each file from the others."""
    width = _SHORT_ID
    while len({one.id[:width] for one in every}) < len(every):
        width += 1
    return width


def _print_one(shown: dict[str, Any]) -> None:
    from jecp_mcp.cli import rich_output

    facts = {
        "file": shown["name"],
        "kind": file_words.kind(shown["content_type"]),
        "size": file_words.size(shown["size_bytes"]),
        "bought": shown["bought_at"][:19].replace("T", " "),
        "kept until": shown["kept_until"][:10],
        "call": shown["call_id"] or "",
        "id": shown["id"],
    }
    rich_output.show(rich_output.Facts(facts))
    rich_output.say(f"kept at {shown['path']}")
    if "saved" in shown:
        rich_output.say(f"saved to {shown['saved']}")
