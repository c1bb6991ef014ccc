"""The text of a manifest: YAML by its core schema, JSON, and nothing that could stand for more than it says."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.errors import ExtraMissing
from jecp_mcp.wire.jecp.manifest_text import ManifestTooLarge, ManifestUnreadable, read_manifest_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: [no, yes, on, ~, null, true, False]", {"a": ["no", "yes", "on", None, None, True, False]}),
        ("a: [1.0.0, $0.005, 0.005, 1e3, .5, -7, 0x1f, 0o17, 1_000]", None),
        ("a: 2027-01-01T00:00:00Z\nb: '12'\nc:", {"a": "2027-01-01T00:00:00Z", "b": "12", "c": None}),
        ("a: >\n  one\n  two\n", {"a": "one two\n"}),
        ("7: seven\n<<: not merged", {"7": "seven", "<<": "not merged"}),
        (' {"a": 0.10}', {"a": Decimal("0.10")}),
        ("%YAML 1.2\n---\na: b\n...\n", {"a": "b"}),
    ],
)
def test_a_manifest_says_what_its_text_says(text: str, value: Any) -> None:
    numbers = {"a": ["1.0.0", "$0.005", Decimal("0.005"), Decimal(1000), Decimal("0.5"), -7, 31, 15, "1_000"]}
    assert read_manifest_text(text.encode()) == (numbers if value is None else value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "empty"),
        (b"# nothing\n", "empty"),
        (b"a: 1\na: 2", "line 2: the key 'a' stands twice"),
        (b"a: &x [1]\nb: *x", "line 1: a manifest has no anchors"),
        (b"a: !!python/object:os.system x", "no tags"),
        (b"a: 1\n---\nb: 2", "one YAML document"),
        (b"a: [1", "line 1"),
        (b"- " * 3_000, "nests deeper"),
        (b"[" * 5_000, "nests deeper"),
        (b"? [1]\n: 2", "a key is a text"),
        (b"a: " + b"9" * 5_000, "without quotes"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a": 1', "JSON"),
        (b'a: "\\U00110000"', "YAML"),
        (b'a: "\\UFFFFFFFF"', "YAML"),
        (b"%YAML " + b"1" * 5_000 + b".1\n---\na", "YAML"),
    ],
)
def test_what_is_no_manifest_is_refused_by_its_line(text: bytes, why: str) -> None:
    with pytest.raises(ManifestUnreadable, match=why):
        read_manifest_text(text)


@pytest.mark.requirement("MANIFEST-4.4-1")
def test_a_manifest_is_no_longer_than_ten_kilobytes() -> None:
    read_manifest_text(b"a: 1" + b" " * 10_236)
    with pytest.raises(ManifestTooLarge):
        read_manifest_text(b"a: 1" + b" " * 10_237)


def test_whoever_lacks_the_library_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel", None)
    assert read_manifest_text(b"{}") == {}
    with pytest.raises(ExtraMissing, match=r"ruamel\.yaml"):
        read_manifest_text(b"a: 1")
