"""The files of the one call that ``jecp-mcp call`` makes, whether or not the artifact store keeps them."""

from __future__ import annotations

from pathlib import Path

from jecp_mcp.clock import Clock
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.errors import ToolFault
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.artifact_store import ArtifactStore, StoredArtifact


class ArtifactRecorder(ArtifactStore):
    """The store of artifacts as the one call fills it; `--output` saves what the answer had, not what was kept.

    Attributes:
        files: the name, the media type and the bytes of every file, in the answer's order.
        not_kept: why a file was not kept, for each that was not.
    """

    def __init__(self, directory: Path, settings: ArtifactSettings, clock: Clock) -> None:
        super().__init__(directory, settings, clock, shared_disk=True)
        self.files: list[tuple[str, str, bytes]] = []
        self.not_kept: list[str] = []

    def put(self, data: bytes, mime_type: str, name: str, call_id: str | None, owner: Principal) -> StoredArtifact:
        """As `ArtifactStore.put`."""
        self.files.append((name, mime_type.lower(), data))
        try:
            return super().put(data, mime_type, name, call_id, owner)
        except ToolFault as exc:
            self.not_kept.append(str(exc))
            raise
