"""Rows of the manifest that have a word in them: ``python -m tests.requirements [WORD...]``

A word is an id, a clause, a test's name, ``hub``, ``not_met`` or any other part of a row; without one, every row is shown.
"""

from __future__ import annotations

import sys

from tests.requirements.manifest import requirements


def main() -> int:
    shown = 0
    for each in requirements():
        lines = [f"{each.name}  {each.clause}  ({', '.join(sorted(each.concerns))})", f"    {each.says}"]
        lines += [f"    {test}" for test in each.proved_by]
        lines += [f"    {kind}: {reason}" for kind, reason in each.why.items()]
        text = "\n".join(lines)
        if all(word.lower() in text.lower() for word in sys.argv[1:]):
            print(text)
            shown += 1
    print(f"{shown} requirements")
    return 0 if shown else 1


if __name__ == "__main__":
    sys.exit(main())
