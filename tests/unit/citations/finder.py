"""Finds what a text cites, and what of it does not stand in an index of headings (``headings.toml``).

A citation is ``JECP <file stem> §<number or heading>``, ``RFC <n> §<number>`` or another document's name with ``§``.
Further sections of the same document follow after a comma, ``and``, ``or`` or ``to``. A decision beside the
specification (``JECP ADR-0001``) and the documents of others may be cited whole.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_GAP = r"(?:[ \t]+|[ \t]*\n[ \t]*(?:#[ \t]*)?)"
"""A blank, or the end of a line and what begins the next one in a docstring or a comment."""
_SECTION = r"§(?:\d+(?:\.\d+)*|[A-Za-z]\w*)"
_MORE = rf"(?:,{_GAP}|{_GAP}(?:and|or|to){_GAP})"
_NUMBER = re.compile(r"(\d+(?:\.\d+)*)\.? ")
_WORD = re.compile(r"`?([A-Za-z]\w*)`?")
# What looks like a citation and is none of the one form. A bare stem is caught for the numbers there are: 24-hour is none.
_LOOSE = re.compile(r"§|(?<![\w./-])(?:0\d-[a-z]+|ADR-\d+)|\bRFC[-#]?\d|\bRFCs?\s+\d")


class Citation(NamedTuple):
    """One place that a text names; `section` is ``""`` for the whole document."""

    line: int
    document: str
    section: str


class Fault(NamedTuple):
    """A citation that leads nowhere."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Index:
    """What may be cited: each document's sections, by the name under which it is cited."""

    sections: Mapping[str, frozenset[str]]
    whole: frozenset[str]
    """The documents that may be cited without a section."""
    others: frozenset[tuple[str, str]]
    """What stands in the index only because it is cited: sections, and documents with the section ``""``."""

    @classmethod
    def read(cls, path: Path) -> Index:
        """Read ``headings.toml``."""
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        sections = {f"JECP {stem}": _sections(entry["headings"]) for stem, entry in data["jecp"].items()}
        decisions = {name for name in sections if name.startswith("JECP ADR-")}
        others = {name: _sections(headings) for name, headings in data["others"].items()}
        kept = {(name, section) for name, found in others.items() for section in found or {""}}
        return cls(sections | others, frozenset(decisions | set(others)), frozenset(kept))

    def find(self, text: str) -> tuple[list[Citation], list[Fault]]:
        """What a text cites, right or wrong, and what is wrong with it; both in the text's order."""
        citations: list[Citation] = []
        faults: list[Fault] = []
        taken: set[int] = set()
        for match in self._pattern().finditer(text):
            taken.update(range(*match.span()))
            document = " ".join(re.sub(_GAP, " ", match["document"]).split())
            here = [
                Citation(_line(text, match.start("sections") + each.start()), document, each.group()[1:])
                for each in re.finditer(_SECTION, match["sections"])
            ]
            here = here or [Citation(_line(text, match.start()), document, "")]
            citations += here
            faults += [Fault(each.line, reason) for each in here if (reason := self._wrong(each))]
        for match in _LOOSE.finditer(text):
            if match.start() not in taken:
                line = _line(text, match.start())
                said = text[match.start() : match.start() + 20].partition("\n")[0]
                faults.append(
                    Fault(line, f"{said!r} follows no document that the index names, or is written otherwise")
                )
        return citations, sorted(faults)

    def _pattern(self) -> re.Pattern[str]:
        named = [re.escape(name).replace(r"\ ", _GAP) for name in self.sections if not name.startswith(("JECP", "RFC"))]
        names = "|".join([rf"JECP{_GAP}(?:\d\d-[a-z0-9]+(?:-[a-z0-9]+)*|ADR-\d+)", rf"RFC{_GAP}\d+", *named])
        return re.compile(rf"\b(?P<document>{names})(?P<sections>(?:{_GAP}{_SECTION}(?:{_MORE}{_SECTION})*)?)")

    def _wrong(self, citation: Citation) -> str:
        _, document, section = citation
        if document not in self.sections:
            return f"{document} does not stand in the index"
        if not section:
            return "" if document in self.whole else f"{document} is cited without a section"
        return "" if section in self.sections[document] else f"{document} has no §{section}"


def _sections(headings: list[str]) -> frozenset[str]:
    """How headings are cited: by the number, or by the heading itself if it has none and is one word."""
    found = [_NUMBER.match(heading) or _WORD.fullmatch(heading) for heading in headings]
    return frozenset(match.group(1) for match in found if match)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def files(*roots: Path) -> Iterator[Path]:
    """Every text below the folders in which something may be cited."""
    for root in roots:
        yield from sorted(path for path in root.rglob("*") if path.suffix in {".py", ".md", ".toml"})
