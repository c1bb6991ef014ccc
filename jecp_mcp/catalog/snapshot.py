"""The last catalog on disk, so that a start needs no network: written whole or not at all, read with suspicion.

A header line of JSON, then each page's actions. A file that is damaged, of another form, or of another Hub or filter is
ignored and later replaced; losing it costs one fetch.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.wire import jsontext
from jecp_mcp.wire.catalog import CatalogPage, dump_actions, load_actions

log = logging.getLogger(__name__)

FORM: Final = 1
MAX_BYTES: Final = 256 * 1024 * 1024
_MAX_HEADER: Final = 16 * 1024 * 1024
_MOST_QUARANTINED: Final = 500


@dataclass(frozen=True, slots=True)
class StoredPage:
    """One page as last seen, under the URL it was fetched from and the Hub's entity tag for it."""

    url: str
    etag: str | None
    page: CatalogPage


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole catalog as last fetched.

    Attributes:
        scope: the Hub and the filters it was fetched with; a snapshot serves no other.
    """

    scope: str
    revision: str
    fetched_at: UnixMs
    pages: tuple[StoredPage, ...]


def write(path: Path, snapshot: Snapshot) -> bool:
    """Replace the file by this snapshot, readable by its owner only.

    Returns:
        Whether it was written; why not is in the log, and harmless.
    """
    bodies = [dump_actions(stored.page.actions) for stored in snapshot.pages]
    pages = [_page_header(stored, len(body)) for stored, body in zip(snapshot.pages, bodies, strict=True)]
    body = b"".join(bodies)
    header = {
        "form": FORM,
        "scope": snapshot.scope,
        "revision": snapshot.revision,
        "fetched_at": snapshot.fetched_at,
        "digest": _digest(body),
        "pages": pages,
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123  # a descriptor made with its permissions
            file.write(jsontext.dumps(header) + b"\n" + body)
        beside.replace(path)
    except OSError as exc:
        log.warning("the catalog snapshot was not written: %s", exc)
        return False
    return True


def read(path: Path, scope: str) -> Snapshot | None:
    """The snapshot in the file, if there is one for this scope and it is whole."""
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
        return _parsed(data, scope)
    except _ForeignError as exc:
        log.info("the catalog snapshot %s is ignored: %s", path, exc)
    except (WireError, KeyError, TypeError, ValueError) as exc:
        log.warning("the catalog snapshot %s is ignored: it is damaged (%s)", path, type(exc).__name__)
    return None


class _ForeignError(Exception):
    """The file is sound, but not for us."""


def _parsed(data: bytes, scope: str) -> Snapshot:
    line, _, body = data.partition(b"\n")
    header = jsontext.loads(line, max_bytes=_MAX_HEADER)
    if not isinstance(header, dict) or header.get("form") != FORM:
        raise _ForeignError("it is of another form")
    if header["scope"] != scope:
        raise _ForeignError("it is of another Hub or filter")
    if header["digest"] != _digest(body):
        raise ValueError("the digest differs")
    pages = []
    at = 0
    for page in header["pages"]:
        length = page["length"]
        pages.append(_stored(page, body[at : at + length]))
        at += length
    return Snapshot(scope, str(header["revision"]), UnixMs(int(header["fetched_at"])), tuple(pages))


def _page_header(stored: StoredPage, length: int) -> Mapping[str, Any]:
    page = stored.page
    return {
        "url": stored.url,
        "etag": stored.etag,
        "length": length,
        "next_cursor": page.next_cursor,
        "has_more": page.has_more,
        "total": page.total,
        "quarantined": page.quarantined[:_MOST_QUARANTINED],
    }


def _stored(header: Mapping[str, Any], body: bytes) -> StoredPage:
    page = CatalogPage(
        actions=load_actions(body),
        quarantined=tuple((str(key), str(reason)) for key, reason in header["quarantined"]),
        next_cursor=header["next_cursor"],
        has_more=header["has_more"],
        total=header["total"],
    )
    return StoredPage(header["url"], header["etag"], page)


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
