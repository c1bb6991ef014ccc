"""The thesaurus is data files of the package: read when something is searched, and refused whole where one is broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jecp_mcp.catalog import thesaurus
from jecp_mcp.catalog.thesaurus.loading import TRADES, load_apart, load_stop_words, load_synonyms
from jecp_mcp.errors import PackageDamaged

SHIPPED = Path(thesaurus.__file__).parent


def load(folder: Path) -> tuple[object, ...]:
    return load_stop_words(folder), load_apart(folder), load_synonyms(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in SHIPPED.glob("*.toml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_every_file_that_is_shipped_is_read(folder: Path) -> None:
    assert {file.stem for file in folder.iterdir()} == {"stop_words", "stems", *TRADES}
    assert load(folder) == (load_stop_words(), load_apart(), load_synonyms())


def test_headings_and_empty_lines_say_nothing_and_each_way_to_say_it_is_one(folder: Path) -> None:
    before = load_synonyms(folder)
    with (folder / "general.toml").open("w") as file:
        file.write(
            "alike = '''\n# a heading\n\none two+three\n'''\nimplied = '''\n# another\nfour five, six > seven\n'''\n"
        )
    changed = load_synonyms(folder)
    assert changed.alike[0] == ["one", "two+three"]
    assert changed.implied[:2] == [("four five", "seven"), ("six", "seven")]
    assert len(changed.alike) < len(before.alike)


@pytest.mark.parametrize("name", ["stop_words", "stems", *TRADES])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / f"{name}.toml").unlink()
    with pytest.raises(PackageDamaged, match=rf"{name}\.toml, a file of jecp-mcp itself, .*; install it again"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("money", b"alike = '''\nloan cred", "Expected"),
        ("money", b"\xff\xfe", "utf-8"),
        ("money", b"", "must hold alike and implied"),
        ("money", b"alike = 'loan credit'", "must hold alike and implied"),
        ("money", b"alike = 'loan credit'\nimplied = 'a > b'\nmore = 'c'", "and nothing else"),
        ("money", b"alike = ['loan', 'credit']\nimplied = 'a > b'", "each a text"),
        ("money", b"alike = '''\n'''\nimplied = 'a > b'", "each a text"),
        ("money", b"alike = 'loan'\nimplied = 'a > b'", "'loan' is alone"),
        ("money", b"alike = 'loan credit'\nimplied = 'lend me money'", "'lend me money' is not of the form"),
        ("money", b"alike = 'loan credit'\nimplied = 'lend me, > loan'", "'lend me, > loan' is not of the form"),
        ("money", b"alike = 'loan credit'\nimplied = ' > loan'", "is not of the form"),
        ("money", b"alike = 'loan credit'\nimplied = 'lend > '", "is not of the form"),
        ("money", b"alike = 'loan credit'\nimplied = 'lend > loan > credit'", "is not of the form"),
        ("stop_words", b"stop = 'a the'", "must hold stop and weak"),
        ("stems", b"apart = 7", "must hold apart"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong_with_it(
    folder: Path, name: str, content: bytes, reason: str
) -> None:
    (folder / f"{name}.toml").write_bytes(content)
    with pytest.raises(PackageDamaged) as raised:
        load(folder)
    said = str(raised.value)
    assert f"{name}.toml" in said
    assert reason in said


def test_no_file_of_it_is_opened_before_the_first_search() -> None:
    program = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)

def read():
    return sum("thesaurus" in name and name.endswith(".toml") for name in opened)

import jecp_mcp.cli.assembly
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.search import Finder
finder = Finder(lambda: Catalog("", {}))
print(read())
finder.search("a loan")
print(read())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["0", str(2 + len(TRADES))]
