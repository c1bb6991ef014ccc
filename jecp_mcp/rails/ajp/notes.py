"""What is written down of a job, in as few durable steps as may be."""

from __future__ import annotations

from jecp_mcp.domain.outcomes import Entry, Mark
from jecp_mcp.rails.base import Journal


class JobNotes:
    """The journal of a job, with what is known and need not be durable by itself: it is kept with what comes next."""

    def __init__(self, journal: Journal, mount: str | None = None) -> None:
        """Write to `journal`; `mount` is where the job was taken, if that is news."""
        self._journal = journal
        self._unwritten: tuple[Entry, ...] = ()
        if mount is not None:
            self.taken_at(mount)

    def taken_at(self, mount: str) -> None:
        """Have it kept with the next entries that the job was taken at `mount`."""
        self._unwritten = (Entry(Mark.ACCEPTED, mount),)

    async def keep(self, *entries: Entry) -> None:
        """Make these durable, and what is not written yet, in one step; nothing where there is neither.

        Raises:
            NotNow: as `jecp_mcp.rails.base.Journal.keep`.
        """
        if self._unwritten or entries:
            await self._journal.keep(*self._unwritten, *entries)
            self._unwritten = ()
