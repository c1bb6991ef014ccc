"""How long the worst catalog pages of 16 MB take until they are refused or read; each is to take less than a second.

python -m tests.bench.bench_pages
"""

from __future__ import annotations

import time

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.catalog import parse_page

SIZE = 16 * 1024 * 1024
MARKS = jsontext.MAX_MARKS - 1_000
DEEP = b"[" * 70 + b"]" * 70


def page(unit: bytes, marks: int, head: bytes = b"", tail: bytes = b"1", most: int = MARKS) -> bytes:
    """As many units as the reader's bound on their commas and brackets lets in, and blanks up to 16 MB."""
    times = min(most // marks if marks else SIZE, (SIZE - 2_000) // len(unit))
    text = b'{"capabilities":[' + head + unit * times + tail + b"]}"
    return text + b" " * (SIZE - len(text))


PAGES = {
    "text without an end, deep before it": page(b'\\"', 0, b"[" * 65 + b'"', b""),
    "long text, deep before it": page(b'\\"', 0, DEEP + b',"', b'"'),
    "brackets never closed": page(b"[", 1, tail=b""),
    "brackets nested": page(b"[" * 490_000 + b"]" * 490_000 + b",", 490_000),
    "lists": page(b"[],", 2),
    "lists beside a deep one": page(b"[],", 2, DEEP + b",", most=MARKS * 9 // 10),
    "objects": page(b'{"":{}},', 3),
    "integers": page(b"1,", 1),
    "long integers": page(b"1" * 4_000 + b",", 1),
    "decimals": page(b"1e1,", 1),
    "decimals out of range": page(b"1e99999999999999999999,", 1),
    "NaN": page(b"NaN,", 1),
    "lone surrogates": page(b'"\\ud800",', 1),
    "capabilities without actions": page(b'{"id":"a","actions":[]},', 4, most=4 * 19_000),
    "capabilities": page(b'{"id":"a/b","actions":[{"id":"x"}]},', 5, most=5 * 19_000),
    "actions": page(b'{"id":"a/b","actions":[' + b'{"id":"x"},' * 499 + b"1]},", 1_002),
}


def main() -> None:
    """Read each and print its seconds of processor time."""
    for name, body in PAGES.items():
        began = time.process_time()
        try:
            end = f"{len(parse_page(body).actions)} actions"
        except WireError as exc:
            end = f"refused: {exc}"
        print(f"{time.process_time() - began:6.2f} s  {name}: {end}")


if __name__ == "__main__":
    main()
