"""What the specification demands of a Hub, an agent or a provider, each demand tied to the tests that prove it.

One file a document of the specification, `headings.toml` of `tests/unit/citations` says of which commit. ``[musts]``
counts how often a section says MUST, MUST NOT or REQUIRED; each occurrence stands in one row, and where a list follows
one occurrence, each further item has a row with ``musts = 0``. What only defines the words, quotes them or names a plan
is not counted; of a conformance case, its description.

A row has the section, whom it concerns, what it says in our own words, and one of:

- ``proved_by``: tests, by file and function. Each carries ``@pytest.mark.requirement`` with the row's id.
- ``not_applicable``: why it binds nothing here.
- ``follows_with``: what is not built yet and brings it.
- ``not_met``: where this Hub does otherwise, and why.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent
WHY: Final = ("not_applicable", "follows_with", "not_met")
CONCERNED: Final = frozenset({"hub", "agent", "provider"})
_MARK: Final = re.compile(
    r"^@pytest\.mark\.requirement\((?P<ids>[^)]*)\)|^(?:async )?def (?P<test>test_\w+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A demand.

    Attributes:
        name: the row's id.
        clause: where it stands, as the documentation cites it.
        musts: how many of the section's MUSTs it stands for.
        says: the demand in our own words.
        proved_by: tests as ``file::function``, the file below ``tests``.
        why: for a demand without tests, which of `WHY` and the reason.
    """

    name: str
    clause: str
    musts: int
    concerns: frozenset[str]
    says: str
    proved_by: tuple[str, ...]
    why: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the specification: its demands, and how often each section says that it makes one."""

    name: str
    musts: Mapping[str, int]
    requirements: tuple[Requirement, ...]


def documents() -> list[Document]:
    """Read the manifest."""
    return [_document(path) for path in sorted(HERE.glob("*.toml")) if path.name != "faults.toml"]


def _document(path: Path) -> Document:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = tuple(
        Requirement(
            row["id"],
            f"JECP {path.stem} §{row['section']}",
            row.get("musts", 1),
            frozenset(row["concerns"]),
            row["says"],
            tuple(row.get("proved_by", ())),
            {name: row[name] for name in WHY if name in row},
        )
        for row in data["requirement"]
    )
    return Document(path.stem, data["musts"], rows)


def requirements() -> list[Requirement]:
    """Every demand, in the documents' order."""
    return [each for document in documents() for each in document.requirements]


def marks() -> dict[str, frozenset[str]]:
    """The tests that carry the marker, as ``file::function``, and the ids they name."""
    found: dict[str, frozenset[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.requirement" in text:
            found |= {f"{path.relative_to(TESTS)}::{test}": ids for test, ids in marks_in(text).items()}
    return found


def marks_in(text: str) -> dict[str, frozenset[str]]:
    """The ids that the tests of one file name."""
    found: dict[str, frozenset[str]] = {}
    named: list[str] = []
    for match in _MARK.finditer(text):
        if match["test"] is None:
            named += re.findall(r'"([^"]+)"', match["ids"])
        elif named:
            found[match["test"]] = frozenset(named)
            named = []
    return found


def disagreements(rows: Iterable[Requirement], marked: Mapping[str, frozenset[str]]) -> list[str]:
    """Where rows and tests do not name each other, and what mends it."""
    said = {(test, row.name) for row in rows for test in row.proved_by}
    borne = {(test, name) for test, ids in marked.items() for name in ids}
    return [
        *(
            f'{test} is named by {name} and does not bear @pytest.mark.requirement("{name}")'
            for test, name in said - borne
        ),
        *(f"{test} bears {name}, whose row does not name it" for test, name in borne - said),
    ]
