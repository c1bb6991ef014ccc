"""Every error a Hub can cause, exactly as a model reads it, in a file for review: `every_error.json` beside this one.

python -m tests.acceptance.errors.snapshot     meets them all again and writes the file anew, and with it that of
                                               the bridge's own refusals, `tests/contract/tools/own_refusals.json`

Cases that are told the same share an entry, which names them all: dialect, HTTP status, the form it came in, and the
spelling of the code. What differs from run to run (ids, the Hub's port, the text that was bought) is masked.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from tests.acceptance.errors.seats import ERAS
from tests.acceptance.errors.stage import REFERENCE, SPEC, open_stage

if TYPE_CHECKING:
    from tests.acceptance.errors.test_every_code import Case, Performance

FILE = Path(__file__).with_name("every_error.json")
_CALL_ID = re.compile(r"call_[0-9A-Za-z_-]{8,}")

Told = dict[str, dict[str, str]]
"""The error as one line of JSON, by what the Hub said and by how it said it."""


def told(performance: Performance) -> Told:
    """What each case of a performance came to."""
    made: Told = {}
    for case, seen in performance.seen.items():
        made.setdefault(_heading(case), {})[_manner(case, performance.hub.dialect)] = _masked(
            seen.error, case, performance.hub.url
        )
    return made


def _heading(case: Case) -> str:
    from tests.acceptance.errors.test_every_code import SPELLINGS

    step = "without a next_action" if case.word is None else f"with next_action {case.word}"
    return f"{SPELLINGS[case.spelling].code} {step}"


def _manner(case: Case, dialect: str) -> str:
    return f"{dialect} {case.status} {case.form} {case.spelling}"


def _masked(error: dict[str, Any], case: Case, hub_url: str) -> str:
    text = json.dumps(error, ensure_ascii=False).replace(case.label, "…").replace(hub_url, "https://hub")
    return _CALL_ID.sub("call_…", text)


def read(path: Path = FILE) -> Told:
    """The file, spread out again."""
    return {
        heading: {
            manner: json.dumps(entry["error"], ensure_ascii=False) for entry in entries for manner in entry["said"]
        }
        for heading, entries in json.loads(path.read_text(encoding="utf-8")).items()
    }


def written(every: Iterable[Told]) -> str:
    """The file: an entry for each different error, on two lines, so that a review sees what changed."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for one in every:
        for heading, manners in one.items():
            for manner, error in manners.items():
                grouped.setdefault(heading, {}).setdefault(error, []).append(manner)
    headings = []
    for heading in sorted(grouped):
        entries = [
            f'    {{"said": {json.dumps(sorted(said))},\n     "error": {error}}}'
            for error, said in sorted(grouped[heading].items(), key=lambda one: min(one[1]))
        ]
        headings.append(f"  {json.dumps(heading)}: [\n" + ",\n".join(entries) + "\n  ]")
    return "{\n" + ",\n".join(headings) + "\n}\n"


def main() -> None:
    """Meet every error in both dialects, and write the files."""
    from tests.acceptance.errors.test_every_code import perform
    from tests.contract.tools.test_own_refusals import write

    every = []
    for dialect in (REFERENCE, SPEC):
        with open_stage(dialect) as hub, tempfile.TemporaryDirectory() as state:
            every.append(told(anyio.run(perform, hub, ERAS["2026"], Path(state))))
    FILE.write_text(written(every), encoding="utf-8")
    write()


if __name__ == "__main__":
    main()
