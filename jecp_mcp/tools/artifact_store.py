"""Files that paid calls produced, kept on disk where a result can only point at them.

An artifact is two files in one directory: the bytes, under a name a person can open, and a small JSON record. Its id
is a hash of what it holds and whose it is, so the same file is kept once for each principal and nobody can name one
they have not seen. Several processes of one user may share the directory.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jecp_mcp.clock import Clock, UnixMs, iso
from jecp_mcp.domain.purchases import LOCAL, Principal
from jecp_mcp.errors import ToolFault
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.codes import ARTIFACT_NOT_FOUND, ARTIFACT_NOT_STORED
from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.publishing.file_words import extension

URI: Final = "jecp://artifact/"
LISTED: Final = 100
"""The most artifacts on one page of a listing."""

_DAY_MS = 86_400_000
_SWEEP_EVERY_MS = 3_600_000
_ORPHAN_MS = _DAY_MS
_MAX_RECORD = 4096
_NAME_LENGTH = 80
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_MIME = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}", re.ASCII)
_RECORD_VERSION = 1
_OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """One kept file.

    Attributes:
        id: 32 hex digits.
        name: what it is called for people; never used as a path.
        size: in bytes.
        call_id: the latest call that it came with.
        owner: whose it is.
        created_at: when that call brought it.
        path: where the bytes are.
    """

    id: str
    name: str
    mime_type: str
    size: int
    call_id: str | None
    owner: Principal
    created_at: UnixMs
    path: Path

    @property
    def uri(self) -> str:
        """The resource's address, ``jecp://artifact/{id}``."""
        return URI + self.id


class ArtifactStore:
    """The kept files of one state directory. Every method touches the disk; none keeps anything in memory for long.

    Attributes:
        shared_disk: whether whoever reads the results can open the files' paths themselves.
    """

    def __init__(self, directory: Path, settings: ArtifactSettings, clock: Clock, *, shared_disk: bool = False) -> None:
        self.shared_disk = shared_disk
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._swept_at: UnixMs | None = None
        self._grown = 0

    def put(self, data: bytes, mime_type: str, name: str, call_id: str | None, owner: Principal) -> StoredArtifact:
        """Keep a file; the same bytes of the same kind are kept once for an owner, with the age of the latest call.

        Raises:
            ToolFault: ``ARTIFACT_NOT_STORED`` when it is larger than the whole store may be, or the disk refuses.
        """
        mime_type = mime_type.lower() if _MIME.fullmatch(mime_type.lower()) else _OCTETS
        if len(data) > self._settings.max_total_bytes:
            raise ToolFault(
                ARTIFACT_NOT_STORED, f"the file has {len(data)} bytes, more than the artifact store may hold"
            )
        key = hashlib.sha256(f"{owner}\n{mime_type}\n".encode() + data).hexdigest()[:32]
        known = self.find(key)
        if known is not None and known.call_id == call_id and self._still_good(known):
            # A call's answer is read again: its file is as old as the call.
            return known
        made = StoredArtifact(
            id=key,
            name=clean(name, _NAME_LENGTH, one_line=True) or "artifact",
            mime_type=mime_type,
            size=len(data),
            call_id=call_id,
            owner=owner,
            created_at=self._clock.now(),
            path=self._bytes_path(key, mime_type),
        )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(made.path, data)
            self._write(self._record_path(key), _record(made))
            self._grown += len(data)
            self._sweep(made)
        except OSError as exc:
            raise ToolFault(
                ARTIFACT_NOT_STORED, f"the file could not be stored: {exc.strerror or type(exc).__name__}"
            ) from exc
        return made

    def read(self, kept: StoredArtifact, offset: int = 0, most: int = -1) -> bytes:
        """The bytes of a kept file, whole or from an offset on.

        Args:
            most: at most how many bytes; all that there are when negative.

        Raises:
            ToolFault: ``ARTIFACT_NOT_FOUND`` when they cannot be read (any more).
        """
        try:
            with kept.path.open("rb") as file:
                file.seek(offset)
                return file.read(most)
        except OSError as exc:
            raise ToolFault(
                ARTIFACT_NOT_FOUND,
                f"This file can no longer be read: {exc.strerror}. Nothing was charged.",
            ) from exc

    def owned(self, uri: str, owner: Principal) -> StoredArtifact:
        """What is known of a file by its ``jecp://artifact/{id}``, if it is the owner's.

        Raises:
            ToolFault: ``ARTIFACT_NOT_FOUND`` when they have none of that address (any more).
        """
        found = self.find(uri.removeprefix(URI)) if uri.startswith(URI) else None
        if found is None or found.owner != owner:
            raise ToolFault(
                ARTIFACT_NOT_FOUND,
                "There is no such file, or not any more: files are kept for some days. Nothing was charged.",
            )
        return found

    def kept_until(self, kept: StoredArtifact) -> UnixMs:
        """Until when a file is kept (UTC), if the store does not fill up before."""
        return UnixMs(kept.created_at + self._settings.keep_days * _DAY_MS)

    def description(self, kept: StoredArtifact) -> dict[str, Any]:
        """A file as results show it: its address, type, size in bytes, until when it is kept, and where it lies."""
        made: dict[str, Any] = {"uri": kept.uri, "content_type": kept.mime_type, "size_bytes": kept.size}
        if self.shared_disk:
            made["path"] = str(kept.path)
        return made | {"kept_until": iso(self.kept_until(kept))}

    def find(self, artifact_id: str) -> StoredArtifact | None:
        """What is known of an artifact, whoever's it is, or None."""
        if not _ID.fullmatch(artifact_id):
            return None
        try:
            with self._record_path(artifact_id).open("rb") as file:
                text = file.read(_MAX_RECORD)
        except OSError:
            return None
        return self._parse(artifact_id, text)

    def list(self, after: tuple[int, str] | None = None, owner: Principal | None = None) -> tuple[StoredArtifact, ...]:
        """At most `LISTED` artifacts, newest first; those that come after an age (Unix ms) and an id, where given.

        Args:
            owner: whose; everybody's where it is None.
        """
        ranked = sorted((kept for kept in self._all() if owner is None or kept.owner == owner), key=_rank)
        if after is not None:
            ranked = ranked[bisect.bisect_right(ranked, (-after[0], after[1]), key=_rank) :]
        return tuple(ranked[:LISTED])

    def _all(self) -> Iterator[StoredArtifact]:
        try:
            names = sorted(entry.name for entry in os.scandir(self._directory) if entry.name.endswith(".meta"))
        except OSError:
            return
        for name in names:
            found = self.find(name.removesuffix(".meta"))
            if found is not None:
                yield found

    def _sweep(self, keep: StoredArtifact) -> None:
        """Delete what is too old, then the oldest beyond the store's size; never `keep`.

        A sixteenth of the size stays free, which is what may be added before the next sweep looks.
        """
        now = self._clock.now()
        recent = self._swept_at is not None and 0 <= now - self._swept_at < _SWEEP_EVERY_MS
        if recent and self._grown < self._settings.max_total_bytes // 16:
            return
        most = self._settings.max_total_bytes
        room = max(keep.size, most - most // 16)
        total, horizon = keep.size, now - self._settings.keep_days * _DAY_MS
        others = (kept for kept in self._all() if kept.id != keep.id)
        for kept in sorted(others, key=lambda kept: kept.created_at, reverse=True):
            if kept.created_at < horizon or total + kept.size > room:
                self._delete(kept)
            else:
                total += kept.size
        self._drop_orphans(now)
        self._swept_at, self._grown = now, 0

    def _drop_orphans(self, now: UnixMs) -> None:
        """Delete bytes without a record and half-written files that a crash left, once they are a day old."""
        for entry in list(os.scandir(self._directory)):
            stem = entry.name.partition(".")[0]
            if entry.name.endswith(".meta") or self._record_path(stem).exists():
                continue
            with contextlib.suppress(FileNotFoundError):  # another process swept it
                if entry.stat(follow_symlinks=False).st_mtime * 1000 < now - _ORPHAN_MS:
                    Path(entry.path).unlink()

    def _still_good(self, kept: StoredArtifact) -> bool:
        try:
            return kept.path.stat().st_size == kept.size and self.kept_until(kept) > self._clock.now()
        except OSError:
            return False

    def _delete(self, kept: StoredArtifact) -> None:
        # The record first: a record never points at nothing for longer than this takes.
        self._record_path(kept.id).unlink(missing_ok=True)
        kept.path.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file whole or not at all, for this user only."""
        temporary = path.with_name(f"tmp-{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _record_path(self, artifact_id: str) -> Path:
        return self._directory / f"{artifact_id}.meta"

    def _bytes_path(self, artifact_id: str, mime_type: str) -> Path:
        return self._directory / f"{artifact_id}{extension(mime_type)}"

    def _parse(self, artifact_id: str, text: bytes) -> StoredArtifact | None:
        try:
            fields = json.loads(text)
            mime_type, size, created_at = str(fields["mime_type"]), int(fields["size"]), int(fields["created_at"])
            if fields["v"] != _RECORD_VERSION or not _MIME.fullmatch(mime_type):
                return None
            return StoredArtifact(
                id=artifact_id,
                name=str(fields["name"]),
                mime_type=mime_type,
                size=size,
                call_id=None if fields["call_id"] is None else str(fields["call_id"]),
                # Records of before there was more than one principal name none.
                owner=Principal(str(fields.get("owner", LOCAL))),
                created_at=UnixMs(created_at),
                path=self._bytes_path(artifact_id, mime_type),
            )
        except (ValueError, KeyError, TypeError):
            return None


def _rank(kept: StoredArtifact) -> tuple[int, str]:
    return -kept.created_at, kept.id


def _record(made: StoredArtifact) -> bytes:
    fields = {
        "v": _RECORD_VERSION,
        "name": made.name,
        "mime_type": made.mime_type,
        "size": made.size,
        "call_id": made.call_id,
        "owner": made.owner,
        "created_at": made.created_at,
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")
