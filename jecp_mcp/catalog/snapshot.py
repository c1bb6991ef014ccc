"""The last catalog on disk, so that a start needs no network: written whole or not at all, read with suspicion.

A header line of JSON, then of each page a short row on every action, what the operator's settings leave out, and the
actions' bytes, which nobody reads before they are needed. A file that is damaged, of another form, or of another source
or filter is ignored and later replaced; losing it costs one fetch.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.rows import Row, Rows, unwritten, written
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError

log = logging.getLogger(__name__)

FORM: Final = 5
MAX_BYTES: Final = 256 * 1024 * 1024
_MAX_HEADER: Final = 16 * 1024 * 1024
_MOST_QUARANTINED: Final = 500


@dataclass(frozen=True, slots=True)
class StoredPage:
    """One page as last seen, under the URL it was fetched from and the source's entity tag for it.

    Attributes:
        data: the actions, one behind the other.
        rows: what is known of each without reading it, by `Offer.key`, in the order of `data`.
        excluded: the operator's patterns that left an action of the page out.
        left_out: the keys of the page's actions that the operator's settings leave out, by setting.
    """

    url: str
    etag: str | None
    data: bytes = field(repr=False)
    rows: Mapping[str, Row] = field(repr=False, compare=False)
    quarantined: tuple[tuple[str, str], ...] = ()
    next_cursor: str | None = None
    has_more: bool = False
    excluded: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole catalog as last fetched.

    Attributes:
        scope: the source and the filters it was fetched with; a snapshot serves no other.
    """

    scope: str
    revision: str
    fetched_at: UnixMs
    pages: tuple[StoredPage, ...]


def catalog_of(rows: Rows, pages: Sequence[StoredPage], revision: str, fetched_at: UnixMs) -> Catalog:
    """The pages as one catalog; `rows` are theirs. Of an action of several versions only the whole is left out."""
    left_out: dict[str, dict[str, None]] = {}
    for setting, keys in (one for stored in pages for one in stored.left_out.items()):
        left_out.setdefault(setting, {}).update(dict.fromkeys(key for key in keys if key not in rows))
    return Catalog(
        revision,
        rows,
        quarantined=tuple(dict.fromkeys(entry for stored in pages for entry in stored.quarantined)),
        fetched_at=fetched_at,
        excluded=frozenset(pattern for stored in pages for pattern in stored.excluded),
        left_out={setting: tuple(keys) for setting, keys in left_out.items() if keys},
    )


def write(path: Path, snapshot: Snapshot) -> bool:
    """Replace the file by this snapshot, readable by its owner only.

    Returns:
        Whether it was written; why not is in the log, and harmless.
    """
    rows = [jsontext.dumps([written(stored.rows), stored.left_out]) for stored in snapshot.pages]
    parts = [part for row, stored in zip(rows, snapshot.pages, strict=True) for part in (row, stored.data)]
    header = {
        "form": FORM,
        "scope": snapshot.scope,
        "revision": snapshot.revision,
        "fetched_at": snapshot.fetched_at,
        "digest": _digest(*parts),
        "pages": [_page_header(stored, len(row)) for row, stored in zip(rows, snapshot.pages, strict=True)],
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123  # a descriptor made with its permissions
            file.writelines((jsontext.dumps(header), b"\n", *parts))
        beside.replace(path)
    except OSError as exc:
        log.warning("the catalog snapshot was not written: %s", exc)
        return False
    return True


def read(path: Path, scope: str, source: str = "") -> Snapshot | None:
    """The snapshot in the file, if there is one for this scope and it is whole; its offers are those of `source`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            log.warning("the catalog snapshot %s is ignored: it is too large", path)
            return None
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        log.warning("the catalog snapshot cannot be read: %s", exc)
        return None
    try:
        return _parsed(data, scope, source)
    except _ForeignError as exc:
        log.info("the catalog snapshot %s is ignored: %s", path, exc)
    except (WireError, KeyError, TypeError, ValueError) as exc:
        log.warning("the catalog snapshot %s is ignored: it is damaged (%s)", path, type(exc).__name__)
    return None


def is_whole(path: Path) -> bool:
    """Whether the file is a snapshot as it was written, of whichever source, or of another version's form."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        header = jsontext.loads(data.partition(b"\n")[0], max_bytes=_MAX_HEADER)
        _parsed(data, header["scope"])
    except _ForeignError:
        return True
    except (OSError, WireError, KeyError, TypeError, ValueError):
        return False
    return True


class _ForeignError(Exception):
    """The file is sound, but not for us."""


def _parsed(data: bytes, scope: str, source: str = "") -> Snapshot:
    line, _, body = data.partition(b"\n")
    header = jsontext.loads(line, max_bytes=_MAX_HEADER)
    if not isinstance(header, dict) or header.get("form") != FORM:
        raise _ForeignError("it is of another form")
    if header["scope"] != scope:
        raise _ForeignError("it is of another source or filter")
    if header["digest"] != _digest(body):
        raise ValueError("the digest differs")
    pages = []
    at = 0
    for page in header["pages"]:
        middle = at + page["rows"]
        end = middle + page["length"]
        pages.append(_stored(page, body[at:middle], body[middle:end], source))
        at = end
    return Snapshot(scope, str(header["revision"]), UnixMs(int(header["fetched_at"])), tuple(pages))


def _page_header(stored: StoredPage, rows: int) -> Mapping[str, Any]:
    return {
        "url": stored.url,
        "etag": stored.etag,
        "rows": rows,
        "length": len(stored.data),
        "next_cursor": stored.next_cursor,
        "has_more": stored.has_more,
        "quarantined": stored.quarantined[:_MOST_QUARANTINED],
        "excluded": stored.excluded,
    }


def _stored(header: Mapping[str, Any], rows: bytes, data: bytes, source: str) -> StoredPage:
    entries, left_out = jsontext.loads(rows, max_bytes=MAX_BYTES, max_marks=None)
    return StoredPage(
        header["url"],
        header["etag"],
        data,
        unwritten(entries, data, source),
        tuple((str(key), str(reason)) for key, reason in header["quarantined"]),
        header["next_cursor"],
        header["has_more"],
        tuple(str(pattern) for pattern in header["excluded"]),
        {str(setting): tuple(map(str, keys)) for setting, keys in left_out.items()},
    )


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
