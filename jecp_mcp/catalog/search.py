"""Finding actions by words, by parts of words, and by names nearly right.

An SQLite FTS5 index in memory (BM25, fields weighted), built when first asked: publishing never waits for it. A second
index of trigrams answers what the first cannot: misspelt words, and scripts that write no blanks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.forms import Action

if TYPE_CHECKING:
    import apsw

_COLUMNS: Final = ("ids", "title", "tags", "words", "more")
_TEXT_LENGTH: Final = 1_000
_QUERY_LENGTH: Final = 300
_MOST_TERMS: Final = 16
_SHORTEST_PREFIX: Final = 3
_TRIGRAM: Final = 3
_SIMILAR: Final = 0.3
_NEAR: Final = 0.45
_CANDIDATES: Final = 60
_NEAREST: Final = 5
_PROPERTIES: Final = 24
_LENGTHS_APART: Final = 2
_SPELT: Final = 0.75
_MOST_WORDS: Final = 20_000
_WORD: Final = re.compile(r"\w+")
_STOP: Final = frozenset(
    {"a", "an", "and", "for", "from", "i", "in", "me", "my", "of", "on", "or", "please", "the", "to", "with"}
)

# Every match, best first: ids, title, tags, words and the rest weigh less and less.
_MATCHING: Final = """
    SELECT rowid, bm25(entries, 8.0, 6.0, 5.0, 2.5, 1.0) AS rank FROM entries WHERE entries MATCH ? ORDER BY rank
"""
# The entries that share the rarest trigrams with a text, in its ids or anywhere.
_SIMILAR_IDS: Final = "SELECT rowid, ids FROM grams WHERE ids MATCH ? ORDER BY rank LIMIT ?"
_SIMILAR_ANYWHERE: Final = "SELECT rowid, everything FROM grams WHERE everything MATCH ? ORDER BY rank LIMIT ?"


@dataclass(frozen=True, slots=True)
class Hit:
    """A match; a higher score is better, within one search."""

    action: Action
    score: float


class Index:
    """A search index over actions."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions = tuple(actions)

    def search(
        self,
        query: str,
        *,
        namespace: str | None = None,
        tags: tuple[str, ...] = (),
        max_price: MicroUSDC | None = None,
        limit: int = 10,
    ) -> list[Hit]:
        """The best matches, best first; without words, all actions, the most called first.

        Args:
            namespace: only this provider's.
            tags: only actions with all of them.
            max_price: only actions whose price, or base price when metered, is known and at most this, micro-USDC.
        """

        def wanted(action: Action) -> bool:
            amount = action.price.amount
            return (
                (namespace is None or action.namespace == namespace)
                and set(tags) <= set(action.tags)
                and (max_price is None or (amount is not None and amount <= max_price))
            )

        hits: dict[str, Hit] = {}
        for place, score in self._ranked(_plain(query)[:_QUERY_LENGTH]):
            action = self._actions[place]
            if action.key not in hits and wanted(action):
                hits[action.key] = Hit(action, score)
                if len(hits) >= limit * 2:
                    break
        # What is no longer sold is found, but never before what is.
        return sorted(hits.values(), key=lambda hit: _is_sunset(hit.action))[:limit]

    def nearest(self, text: str, *, limit: int = _NEAREST) -> list[str]:
        """The action keys that look most like `text`, a key or a tool name nearly right."""
        import difflib

        wanted = _squeezed(_plain(text)[:_QUERY_LENGTH])
        if not wanted:
            return []
        near: list[tuple[float, str]] = []
        for place, _ in self._similar(wanted, _SIMILAR_IDS, _CANDIDATES):
            action = self._actions[place]
            ratio = difflib.SequenceMatcher(None, wanted, _squeezed(action.key), autojunk=False).ratio()
            own = difflib.SequenceMatcher(None, wanted, _squeezed(action.action), autojunk=False).ratio()
            if max(ratio, own) >= _NEAR:
                near.append((max(ratio, own * 0.95), action.key))
        return [key for _, key in sorted(near, key=lambda one: (-one[0], one[1]))[:limit]]

    def _ranked(self, query: str) -> Iterator[tuple[int, float]]:
        """Places of the actions that match, best first, then those that nearly do. A place may come twice."""
        words = _WORD.findall(query.casefold())[:_MOST_TERMS]
        terms = [word for word in words if word not in _STOP] or words
        if not terms:
            order = sorted(range(len(self._actions)), key=lambda at: (-(self._actions[at].total_calls or 0), at))
            yield from ((place, 0.0) for place in order)
            return
        found = list(self._worded(terms))
        if not found:
            found = list(self._worded([self._spelt(term) for term in terms]))
        yield from found or self._similar(" ".join(terms), _SIMILAR_ANYWHERE, _CANDIDATES)
        if not found:
            yield from self._containing(terms)

    def _worded(self, terms: list[str]) -> Iterator[tuple[int, float]]:
        """Places of the actions with all the terms, then of those with some."""
        for joint, bonus in ((" AND ", 10.0), (" OR ", 0.0)):
            rows = self._db.execute(_MATCHING, (joint.join(_term(term) for term in terms),))
            yield from ((int(place), bonus - float(rank)) for place, rank in rows)

    def _spelt(self, term: str) -> str:
        """The catalog's word that a term nearly is, or the term."""
        import difflib

        likely = [word for word in self._vocabulary if abs(len(word) - len(term)) <= _LENGTHS_APART]
        return next(iter(difflib.get_close_matches(term, likely, n=1, cutoff=_SPELT)), term)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        words = (word for action in self._actions for field in _fields(action)[:4] for word in _WORD.findall(field))
        found = {word.casefold() for word in words if len(word) > _TRIGRAM}
        return frozenset(sorted(found)[:_MOST_WORDS])

    def _similar(self, text: str, query: str, most: int) -> list[tuple[int, float]]:
        """Places of the actions with the most trigrams in common with `text`, the share of them as the score."""
        grams = {text[at : at + _TRIGRAM] for at in range(len(text) - _TRIGRAM + 1) if " " not in text[at : at + 3]}
        if not grams:
            return []
        match = " OR ".join(f'"{gram}"' for gram in sorted(grams))
        rows = self._db.execute(query, (match, most))
        shares = [(int(place), sum(gram in row for gram in grams) / len(grams)) for place, row in rows]
        return sorted(((place, share) for place, share in shares if share >= _SIMILAR), key=lambda one: -one[1])

    def _containing(self, terms: list[str]) -> Iterator[tuple[int, float]]:
        """Places of the actions that contain a term too short for trigrams, as in scripts without blanks."""
        short = [term for term in terms if len(term) < _TRIGRAM and not term.isascii()]
        if short:
            rows = self._db.execute("SELECT rowid, everything FROM grams")
            yield from ((int(place), 0.1) for place, text in rows if any(term in text for term in short))

    @cached_property
    def _db(self) -> apsw.Connection:
        import apsw

        db = apsw.Connection(":memory:")
        columns = ", ".join(_COLUMNS)
        db.execute(
            f"CREATE VIRTUAL TABLE entries USING fts5({columns}, tokenize='porter unicode61 remove_diacritics 2')"
        )
        db.execute("CREATE VIRTUAL TABLE grams USING fts5(ids, everything, tokenize='trigram', detail='column')")
        with db:
            rows = [(place, *_fields(action)) for place, action in enumerate(self._actions)]
            db.executemany("INSERT INTO entries(rowid, ids, title, tags, words, more) VALUES (?, ?, ?, ?, ?, ?)", rows)
            db.executemany(
                "INSERT INTO grams(rowid, ids, everything) VALUES (?, ?, ?)",
                [(row[0], _squeezed(self._actions[row[0]].key), _grams_of(row)) for row in rows],
            )
        return db


class Finder:
    """Search over whatever the current catalog is; its index is built when first asked after a change."""

    def __init__(self, current: Callable[[], Catalog]) -> None:
        """`current` gives the catalog in use, such as ``lambda: source.current``."""
        self._current = current
        self._indexed: tuple[Catalog, Index] | None = None

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        namespace: str | None = None,
        tags: tuple[str, ...] = (),
        max_price: MicroUSDC | None = None,
    ) -> list[Action]:
        """As `Index.search`: the actions, best first."""
        hits = self._index().search(query, namespace=namespace, tags=tags, max_price=max_price, limit=limit)
        return [hit.action for hit in hits]

    def nearest(self, text: str, *, limit: int = _NEAREST) -> list[Action]:
        """As `Index.nearest`: the actions."""
        catalog = self._current()
        found = (catalog.get(key) for key in self._index().nearest(text, limit=limit))
        return [action for action in found if action is not None]

    def _index(self) -> Index:
        catalog = self._current()
        if self._indexed is None or self._indexed[0].actions is not catalog.actions:
            self._indexed = (catalog, Index(catalog.actions.values()))
        return self._indexed[1]


def _fields(action: Action) -> tuple[str, str, str, str, str]:
    return (
        _plain(f"{action.action} {action.capability}"),
        _plain(f"{action.title} {action.capability_name}"),
        _plain(" ".join(action.tags)),
        _plain(action.description),
        _plain(f"{action.capability_description} {' '.join(_properties(action.input_schema))}"),
    )


def _properties(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    return [name for name, _ in zip(properties, range(_PROPERTIES), strict=False) if isinstance(name, str)]


def _grams_of(row: tuple[int, str, str, str, str, str]) -> str:
    return f"{row[1]} {row[2]} {row[3]} {row[4][:200]}".casefold()


def _plain(text: str) -> str:
    """Text SQLite takes: no lone surrogates, no NUL, not too long."""
    return text[:_TEXT_LENGTH].encode("utf-8", "replace").decode("utf-8").replace("\x00", " ")


def _squeezed(text: str) -> str:
    """An id without its joints, so that a tool name and a key can be compared."""
    return "".join(_WORD.findall(text.casefold())).replace("_", "")


def _term(term: str) -> str:
    return f'"{term}"*' if len(term) >= _SHORTEST_PREFIX else f'"{term}"'


def _is_sunset(action: Action) -> bool:
    return action.deprecation is not None and action.deprecation.status == "sunset"
