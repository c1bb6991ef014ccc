"""Whatever the code and the documentation cite is there: the document, and the section in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.citations.finder import Citation, Index, files

ROOT = Path(__file__).parents[3]
INDEX = Index.read(Path(__file__).with_name("headings.toml"))


def test_every_citation_leads_somewhere_and_every_entry_of_others_is_cited() -> None:
    cited: set[tuple[str, str]] = set()
    faults: list[str] = []
    for path in files(ROOT / "jecp_mcp", ROOT / "docs"):
        citations, wrong = INDEX.find(path.read_text(encoding="utf-8"))
        cited.update((each.document, each.section) for each in citations)
        faults += [f"{path.relative_to(ROOT)}:{each.line}: {each.reason}" for each in wrong]
    assert not faults, "\n".join(faults)
    assert len([each for each in cited if each[0].startswith("JECP ")]) > 20
    assert not INDEX.others - cited, "nobody cites these any more: delete them from headings.toml"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(JECP 01-protocol §5)", [(1, "JECP 01-protocol", "5")]),
        ("Ends here (RFC 9110 §10.2.3).", [(1, "RFC 9110", "10.2.3")]),
        ("JECP 01-protocol §3 to §6.", [(1, "JECP 01-protocol", "3"), (1, "JECP 01-protocol", "6")]),
        ("JECP 03-errors §RATE_LIMITED", [(1, "JECP 03-errors", "RATE_LIMITED")]),
        ("JECP ADR-0001, JECP ADR-0001 §Decision", [(1, "JECP ADR-0001", ""), (1, "JECP ADR-0001", "Decision")]),
        ("as JSON (RFC 8259)", [(1, "RFC 8259", "")]),
        ("a\nb (JECP\n    03-errors §2,\n    §4)", [(3, "JECP 03-errors", "2"), (4, "JECP 03-errors", "4")]),
        ("# so says RFC 9110\n    # §5.6.7.", [(2, "RFC 9110", "5.6.7")]),
        ("the HTML standard §9.2.6", [(1, "HTML standard", "9.2.6")]),
        (
            "JECP 05-discovery §6, §7 and §11, JECP 04-manifest §5",
            [(1, "JECP 05-discovery", each) for each in ("6", "7", "11")] + [(1, "JECP 04-manifest", "5")],
        ),
        ("within 24-hour windows, decisions/0007-rails.md, _RFC850_PIVOT, spec/v1.0/01-protocol#v1-jecp", []),
    ],
)
def test_what_is_cited_is_found_in_every_form_there_is(text: str, found: list[tuple[int, str, str]]) -> None:
    citations, faults = INDEX.find(text)
    assert citations == [Citation(*each) for each in found]
    assert not faults


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("fine (JECP 01-protocol §5)\nand not (JECP 03-discovery §6)", 2),  # no such file
        ("JECP 02-manifest §5", 1),
        ("JECP 01-protocol §12", 1),  # no such section
        ("JECP 01-protocol §4.2,\n§4.9", 2),
        ("JECP 03-errors §REFUNDS", 1),  # no such heading
        ("JECP 01-protocol", 1),  # where in it?
        ("JECP 01-protocol, refunds", 1),
        ("JECP ADR-0009", 1),
        ("RFC 9999", 1),  # no such document here
        ("RFC 9110 §99", 1),
        ("RFC9110 §10.2.3", 1),  # written otherwise
        ("RFC-9110", 1),
        ("JECP 02-authentication §3.2, 03-errors §4", 1),
        ("a\n\n(ADR-0001)", 3),
        ("``completed`` of §4.3", 1),  # of what?
        ("ISO 8601 §5", 1),
        ("PostgreSQL documentation, §55.2.2", 1),
    ],
)
def test_a_wrong_citation_is_caught_with_its_line(text: str, line: int) -> None:
    _, faults = INDEX.find(text)
    assert {each.line for each in faults} == {line}


def test_an_entry_of_others_that_nobody_cites_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "headings.toml"
    path.write_text('[jecp.01-protocol]\nheadings = ["1. Abstract"]\n[others]\n"RFC 1" = []\n"RFC 2" = ["3. Three"]\n')
    assert Index.read(path).others == {("RFC 1", ""), ("RFC 2", "3")}
