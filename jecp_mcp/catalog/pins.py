"""Pins: what was seen of each action first, or approved since, and what has changed too much to be sold unasked.

An action's first sight is taken on trust. From then on its pin moves only by the operator's word (`Pins.approve`, which
no tool reaches): what the tolerance lets pass is compared with the pin again next time, so that a price cannot creep up
in small steps. An action that is held is neither published nor sold; the others are not touched.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from jecp_mcp.catalog.changes import (
    Change,
    Document,
    Tolerance,
    Vetting,
    changes,
    digest_of,
    read,
    substance,
    written,
)
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.lookalikes import id_skeleton, near_popular
from jecp_mcp.catalog.pinfile import PinFile, PinId, Pinned, PinRow
from jecp_mcp.catalog.rows import calls_of, sources_of
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.errors import PinsUnusable, WireError
from jecp_mcp.settings import CatalogSettings
from jecp_mcp.settings.command_lines import PLAIN, CommandLine

log = logging.getLogger(__name__)

FILE: Final = "pins.sqlite"
"""The file's name in the state folder."""

_RULES: Final = 1
"""Counts up when the same change would be judged otherwise than before."""

BLIND_SECONDS: Final = 30.0
"""How soon to try again where the pins could not be read."""

_MOST_LOGGED: Final = 10
_BLIND: Final = f"what was seen of it before cannot be read; its operator must look at {FILE}"
_UNWRITTEN: Final = f"it is new, and that cannot be written down; its operator must look at {FILE}"


@dataclass(frozen=True, slots=True)
class Held:
    """An action that is not sold until the operator approves it.

    Attributes:
        before: what was pinned, under this key or under the one it seems to have been renamed from; None for an
            action seen for the first time.
        after: what its source offers now.
    """

    key: str
    changes: tuple[Change, ...]
    before: Document | None
    after: Document


class _Seen(NamedTuple):
    """An action with its fingerprint."""

    action: Offer
    document: bytes
    row: PinRow


class Pins:
    """The pins of the offers of some sources, each of which has pins of its own."""

    def __init__(
        self,
        path: Path,
        sources: Iterable[str],
        settings: CatalogSettings,
        clock: Clock,
        commands: CommandLine = PLAIN,
        own: Iterable[str] = (),
    ) -> None:
        """Look at nothing yet.

        Args:
            path: the file, shared by every process of the user.
            sources: where the offers come from.
            settings: the section ``[catalog]``.
            clock: when something was seen.
            commands: what the operator is told to run.
            own: those of the sources whose offers the operator writes: a change of theirs is approved as it is.
        """
        self._commands, self._clock = commands, clock
        self._file, self._sources, self._own = PinFile(path), tuple(sources), frozenset(own)
        self._tolerance = Tolerance(frozenset(settings.tolerate), settings.max_price_rise_percent)
        rule = f"{_RULES} {sorted(settings.tolerate)} {settings.max_price_rise_percent}"
        self._rule = hashlib.blake2b(f"{rule} {settings.scope()}".encode(), digest_size=12).hexdigest()
        self._generation: int | None = None
        self._vetting = Vetting()
        self._blind_since: float | None = None
        self._unwritten_since: float | None = None
        self._fault: PinsUnusable | None = None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def vet(self, catalog: Catalog, touched: Iterable[str] | None = None) -> Vetting:
        """Compare a catalog with the pins, and pin what is seen for the first time.

        Never raises for what is wrong with the file: what it would have allowed is held.

        Args:
            touched: the keys that are not as they were in the catalog last given; None: look at all of them.
        """
        if not catalog.actions:
            self._vetting = Vetting()
            return self._vetting
        try:
            if touched is None or self._blind_since is not None:
                self._vetting = self._remembered(catalog) or self._compared(catalog, catalog.actions.values(), {})
            else:
                again = {key: catalog.actions[key] for key in {*touched, *self._vetting.held} if key in catalog.actions}
                self._vetting = self._compared(catalog, again.values(), self._vetting.held)
            self._blind_since = self._fault = None
        except PinsUnusable as exc:
            log.error(  # noqa: TRY400 - the cause is in the message
                "no action is sold: what was seen of them before cannot be read: %s; see %s",
                exc,
                self._commands.line("doctor"),
            )
            self._fault = exc
            # The next try opens whatever is there by then.
            self._file.close()
            self._vetting, self._blind_since = Vetting(dict.fromkeys(catalog.actions, _BLIND)), self._clock.monotonic()
        return self._vetting

    @property
    def fault(self) -> PinsUnusable | None:
        """Why the pins could not be read at the last comparison, so that nothing is sold."""
        return self._fault

    @property
    def waiting(self) -> bool:
        """Whether something is held that may be approved at any moment."""
        return bool(self._vetting.held)

    def moved(self) -> bool:
        """Whether another process approved or pinned something since the last comparison; cheap enough to ask often.

        Says no while nothing is held, for then nothing can come of it. Where the pins could not be read or written,
        says yes when it is time to try again.
        """
        if not self._vetting.held:
            return False
        failed = self._unwritten_since if self._blind_since is None else self._blind_since
        if failed is not None and self._clock.monotonic() - failed >= BLIND_SECONDS:
            return True
        if self._blind_since is not None:
            return False
        try:
            with self._file.reading() as pinned:
                return pinned.generation(self._sources) != self._generation
        except PinsUnusable:
            return False

    def held(self, catalog: Catalog) -> list[Held]:
        """What of a catalog is held now and why, by key. Pins nothing.

        Raises:
            PinsUnusable: the pins cannot be read.
        """
        seen, unseen = _fingerprinted(catalog.actions.values())
        if unseen:
            log.warning("%d actions cannot be fingerprinted and stay held", len(unseen))
        with self._file.reading() as pinned:
            judge = _Judge(pinned, self._sources, self._tolerance, catalog)
            return sorted((held for _, held in judge.all(seen) if held is not None), key=lambda one: one.key)

    def gone(self, catalog: Catalog) -> list[str]:
        """Pinned actions that a catalog does not have. Raises `PinsUnusable`."""
        with self._file.reading() as pinned:
            pins = pinned.rows(self._sources)
        sources = sources_of(catalog.actions)
        return sorted({row.key for row in pins if sources.get(row.key) != row.source})

    def approve(self, actions: Sequence[Offer]) -> None:
        """Pin these actions as they are. For the operator only.

        Raises:
            PinsUnusable: it cannot be written; nothing was approved.
            WireError: one of them cannot be fingerprinted.
        """
        pins = []
        for action in actions:
            document = written(action)
            pins.append((_row(action, document), document))
        with self._file.writing() as pinned:
            pinned.keep(pins, self._clock.now())

    def _remembered(self, catalog: Catalog) -> Vetting | None:
        with self._file.reading() as pinned:
            found = pinned.remembered(self._sources, catalog.revision, self._rule) if catalog.revision else None
            self._generation = pinned.generation(self._sources)
        return None if found is None else Vetting(*found)

    def _compared(self, catalog: Catalog, actions: Iterable[Offer], held: Mapping[str, str]) -> Vetting:
        """Judge `actions`, the rest of the catalog being as `held` says."""
        seen, unseen = _fingerprinted(actions)
        rest = {key: why for key, why in held.items() if key in catalog.actions} | unseen
        try:
            with self._file.writing() as pinned:
                vetting, first = self._judged(pinned, catalog, seen, rest)
                if first:
                    pinned.keep(((one.row, one.document) for one in first), self._clock.now())
                if catalog.revision:
                    pinned.remember(self._sources, catalog.revision, self._rule, vetting.held, vetting.marks)
                self._generation = pinned.generation(self._sources)
            self._unwritten_since = None
        except PinsUnusable as exc:
            # A full disk or a folder that is read only: what is pinned can still be compared.
            log.warning("what is seen for the first time cannot be pinned, and is held: %s", exc)
            with self._file.reading() as pinned:
                vetting, first = self._judged(pinned, catalog, seen, rest)
                self._generation = pinned.generation(self._sources)
            vetting = Vetting({**vetting.held, **{one.row.key: _UNWRITTEN for one in first}}, vetting.marks)
            self._unwritten_since = self._clock.monotonic() if first else None
        self._tell(vetting.held)
        return vetting

    def _tell(self, held: Mapping[str, str]) -> None:
        """Log what is held now and was not before."""
        news = [key for key in held if key not in self._vetting.held]
        if news:
            log.warning(
                "%d actions are held until approved: see %s", len(held), self._commands.line("catalog", "--changes")
            )
        for key in news[:_MOST_LOGGED]:
            log.info("%s is held: %s", key[:120], held[key])

    def _judged(
        self, pinned: Pinned, catalog: Catalog, seen: Sequence[_Seen], rest: Mapping[str, str]
    ) -> tuple[Vetting, list[_Seen]]:
        """What is held, and what may be pinned now."""
        judge = _Judge(pinned, self._sources, self._tolerance, catalog)
        held = dict(rest)
        first: list[_Seen] = []
        for one, found in judge.all(seen):
            held.pop(one.row.key, None)
            if found is not None and one.action.source not in self._own:
                held[one.row.key] = _reason(found)
            elif found is not None or one.row.id not in judge.known:
                first.append(one)
        return Vetting(held, near_popular(_calls(calls_of(catalog.actions)))), first


class _Judge:
    """Judges actions one after another, inside one transaction.

    Attributes:
        known: the pins there were; of the actions judged at least.
    """

    def __init__(self, pinned: Pinned, sources: Sequence[str], tolerance: Tolerance, catalog: Catalog) -> None:
        self._pinned = pinned
        self._sources = sources
        self._tolerance = tolerance
        self._catalog = catalog
        self.known: dict[PinId, PinRow] = {}

    def all(self, seen: Sequence[_Seen]) -> Iterator[tuple[_Seen, Held | None]]:
        """Each action with what holds it, or None."""
        many = len(seen) > len(self._catalog.actions) // 4
        pins = self._pinned.rows(self._sources) if many else self._pinned.find(one.row.id for one in seen)
        self.known = {row.id: row for row in pins}
        new = [one for one in seen if one.row.id not in self.known]
        held: set[PinId] = set()
        for one in seen:
            pin = self.known.get(one.row.id)
            if pin is None:
                continue
            found = None if pin.digest == one.row.digest else self._changed(one)
            if found is not None:
                held.add(one.row.id)
            yield one, found
        if new:
            yield from self._new(new, held)

    def _changed(self, one: _Seen) -> Held | None:
        before, after = self._read(one.row.id), read(one.document)
        return self._untolerated(one.row.key, changes(before, after), before, after)

    def _untolerated(self, key: str, found: Sequence[Change], before: Document | None, after: Document) -> Held | None:
        either = before or after
        kept = [change for change in found if not self._tolerance.accepts(change, either, after)]
        return Held(key, tuple(kept), before, after) if kept else None

    def _new(self, new: list[_Seen], held: set[PinId]) -> Iterator[tuple[_Seen, Held | None]]:
        """Judge what has no pin. What looks like another is held, not the other: the better known goes first."""
        others = _Others(self._pinned.rows(self._sources), self._catalog, held)
        calls = _calls((one.action.payee, one.action.total_calls or 0) for one in new)
        for one in sorted(new, key=lambda one: (-calls[one.action.payee], one.row.key)):
            after = read(one.document)
            found: list[Change] = []
            before = None
            if (renamed := others.renamed(one.row)) is not None:
                before = self._read(renamed.id)
                where = "of another source" if renamed.key == one.row.key else "under a new name"
                found += [Change("rename", f"it seems to be {renamed.key} {where}"), *changes(before, after)]
            if (like := others.passes_for(one.row.payee)) is not None:
                found.append(Change("look_alike", f"its provider's name looks like {like}, which is another provider"))
            if not found:
                found.append(Change("new", "it is new"))
            judged = self._untolerated(one.row.key, found, before, after)
            if judged is None:
                others.add(one.row)
            yield one, judged

    def _read(self, pin: PinId) -> Document:
        try:
            return read(self._pinned.document(pin))
        except WireError as exc:
            raise PinsUnusable(str(exc)) from exc


class _Others:
    """Every pin, by what a newcomer could borrow from it."""

    def __init__(self, rows: Iterable[PinRow], catalog: Catalog, held: set[PinId]) -> None:
        self._catalog = catalog
        self._held = held
        self._substances: dict[bytes | None, list[PinRow]] = {None: []}
        self._skeletons: dict[str, list[PinRow]] = {}
        self._namespaces: dict[str, str] = {}
        for row in rows:
            self.add(row)

    def add(self, row: PinRow) -> None:
        if row.substance is not None:
            self._substances.setdefault(row.substance, []).append(row)
        self._skeletons.setdefault(id_skeleton(row.key), []).append(row)
        self._namespaces.setdefault(id_skeleton(row.payee), row.payee)

    def renamed(self, row: PinRow) -> PinRow | None:
        """A pinned action that this one takes the place of: it says the same, or has a name that reads the same."""
        for pin in self._substances.get(row.substance, []) + self._skeletons.get(id_skeleton(row.key), []):
            # Beside an action that is sold as it was, another is a second offer and hides nothing.
            if pin.id != row.id and (pin.id in self._held or self._gone(pin)):
                return pin
        return None

    def _gone(self, pin: PinRow) -> bool:
        action = self._catalog.get(pin.key)
        if action is None or action.source != pin.source:
            return True
        return action.deprecation is not None and action.deprecation.status == "sunset"

    def passes_for(self, namespace: str) -> str | None:
        """Another provider whose name reads the same."""
        other = self._namespaces.get(id_skeleton(namespace))
        return other if other is not None and other != namespace else None


def _fingerprinted(actions: Iterable[Offer]) -> tuple[list[_Seen], dict[str, str]]:
    """Actions with their fingerprints, and those that have none, by key with the reason."""
    seen: list[_Seen] = []
    unseen: dict[str, str] = {}
    for action in actions:
        try:
            document = written(action)
            seen.append(_Seen(action, document, _row(action, document)))
        except WireError:
            unseen[action.key] = "it holds what cannot be fingerprinted"
    return seen, unseen


def _row(action: Offer, document: bytes) -> PinRow:
    return PinRow(action.source, action.key, action.payee, digest_of(document), substance(action))


def _calls(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """How often each namespace's actions were called, of the count of each action."""
    calls: dict[str, int] = {}
    for namespace, count in counts:
        calls[namespace] = calls.get(namespace, 0) + count
    return calls


def _reason(held: Held) -> str:
    """Why an action is held, for any reader: our own words, no provider's."""
    told = "; ".join(dict.fromkeys(change.words for change in held.changes))
    since = "" if held.before is None else " since it was approved or first seen"
    return f"{told}{since}. Its operator can look at it and approve it"
