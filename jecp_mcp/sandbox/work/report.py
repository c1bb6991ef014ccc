"""Provider ``plumbline``: a full report on a CSV file, as PDF with charts. The dearest thing on sale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import paper, schemas
from jecp_mcp.sandbox.work.csvdata import correlations, described
from jecp_mcp.sandbox.work.forms import Action, Capability, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.tables import Column, Table, table_of

if TYPE_CHECKING:
    from fpdf import FPDF

_MOST_CHARACTERS = 1_000_000
_MOST_COLUMNS = 40
_BINS = 24
_WIDTH = 174.0
_BAR = (57, 106, 177)
_AGAINST = (204, 88, 62)
_STATISTICS = ("min", "q1", "median", "q3", "max", "mean", "std", "skewness", "outliers")


def compile_report(given: Input) -> Work:
    """Profile every column and lay the findings out."""
    table = table_of(given)
    if len(table.columns) > _MOST_COLUMNS:
        raise WorkFailed("TOO_LARGE", f"there are {len(table.columns)} columns, a report holds {_MOST_COLUMNS}")
    profiles = [described(column) for column in table.columns]
    title = given.get("title", "Data report")
    paper.check([title, *_texts(profiles)])
    with paper.document(title) as page:
        _overview(page, title, table, profiles)
        _correlations(page, correlations(table)[:12])
        for column, profile in zip(table.columns, profiles, strict=True):
            _section(page, column, profile)
        return paper.sold(page)


def _texts(profiles: list[dict[str, Any]]) -> list[str]:
    return [
        text for profile in profiles for text in (profile["name"], *(top["value"] for top in profile.get("top", ())))
    ]


def _overview(page: FPDF, title: str, table: Table, profiles: list[dict[str, Any]]) -> None:
    paper.bold(page, 22)
    page.multi_cell(0, 11, paper.clean(title), align="L", new_x="LMARGIN", new_y="NEXT")
    paper.plain(page, 10, paper.GREY)
    gaps = sum(profile["missing"] for profile in profiles)
    cells = table.rows * len(profiles)
    page.cell(
        0, 7, f"{table.rows:,} rows, {len(profiles)} columns, {gaps:,} of {cells:,} cells missing ({gaps / cells:.1%})"
    )
    page.ln(11)
    _row(page, ("Column", "Type", "Present", "Missing", "Distinct"), heading=True)
    for profile in profiles:
        _row(
            page,
            (
                _short(profile["name"], 40),
                profile["type"],
                f"{profile['count']:,}",
                f"{profile['missing']:,}",
                f"{profile['distinct']:,}",
            ),
        )
    page.ln(6)


def _row(page: FPDF, cells: tuple[str, ...], *, heading: bool = False) -> None:
    _room(page, 6)
    (paper.bold if heading else paper.plain)(page, 9, paper.GREY if heading else paper.INK)
    for place, cell in enumerate(cells):
        page.cell(78 if place == 0 else 24, 6, cell, align="R" if place > 1 else "L")
    page.ln(6)


def _short(text: str, most: int) -> str:
    text = paper.clean(text).replace("\n", " ")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _room(page: FPDF, height: float) -> None:
    if page.get_y() + height > page.page_break_trigger:
        page.add_page()


def _heading(page: FPDF, text: str, below: float) -> None:
    _room(page, 12 + below)
    page.ln(4)
    paper.bold(page, 13)
    page.cell(0, 8, text, new_x="LMARGIN", new_y="NEXT")


def _correlations(page: FPDF, pairs: list[dict[str, Any]]) -> None:
    if not pairs:
        return
    _heading(page, "Correlations", 12)
    for pair in pairs:
        _room(page, 6)
        y = page.get_y()
        paper.plain(page, 9)
        page.cell(104, 6, f"{_short(pair['a'], 28)} / {_short(pair['b'], 28)}")
        page.cell(16, 6, f"{pair['r']:+.3f}", align="R")
        page.set_fill_color(*(_BAR if pair["r"] >= 0 else _AGAINST))
        page.rect(paper.MARGIN + 124, y + 1.5, 50 * abs(pair["r"]), 3, style="F")
        page.ln(6)


def _section(page: FPDF, column: Column, profile: dict[str, Any]) -> None:
    chart = 46.0 if column.numeric else 10.0 + 6 * len(profile.get("top", ()))
    _heading(page, _short(profile["name"], 60), chart)
    paper.plain(page, 9, paper.GREY)
    share = profile["count"] / len(column.values)
    page.cell(
        0, 5, f"{profile['type']}, {share:.1%} present, {profile['distinct']:,} distinct", new_x="LMARGIN", new_y="NEXT"
    )
    page.ln(2)
    if "statistics" in profile:
        _histogram(page, [value for value in column.values if value is not None])
        _figures(page, profile["statistics"])
    elif "earliest" in profile:
        paper.plain(page, 10)
        page.cell(0, 6, f"from {profile['earliest']} to {profile['latest']}", new_x="LMARGIN", new_y="NEXT")
    for top in profile.get("top", ()):
        y = page.get_y()
        paper.plain(page, 9)
        page.cell(80, 6, _short(top["value"], 44))
        page.cell(20, 6, f"{top['count']:,}", align="R")
        page.set_fill_color(*_BAR)
        page.rect(paper.MARGIN + 104, y + 1.5, 70 * top["count"] / profile["count"], 3, style="F")
        page.ln(6)


def _histogram(page: FPDF, values: list[float]) -> None:
    import numpy as np

    low, high = min(values), max(values)
    with np.errstate(all="ignore"):
        apart = math.isfinite(high - low) and high - low > 1e-9 * max(abs(low), abs(high))
        counts = np.histogram(values, _BINS)[0] if apart else np.array([len(values)])
    top, height = page.get_y(), 26.0
    width = _WIDTH / len(counts)
    page.set_fill_color(*_BAR)
    for place, count in enumerate(counts):
        tall = height * float(count) / float(counts.max())
        page.rect(paper.MARGIN + place * width + 0.3, top + height - tall, width - 0.6, tall, style="F")
    page.set_draw_color(*paper.GREY)
    page.set_line_width(0.2)
    page.line(paper.MARGIN, top + height, paper.MARGIN + _WIDTH, top + height)
    page.set_xy(paper.MARGIN, top + height + 0.5)
    paper.plain(page, 8, paper.GREY)
    page.cell(_WIDTH / 2, 4, f"{low:.6g}")
    page.cell(_WIDTH / 2, 4, f"{high:.6g}", align="R", new_x="LMARGIN", new_y="NEXT")
    page.ln(1)


def _figures(page: FPDF, statistics: dict[str, Any]) -> None:
    width = _WIDTH / len(_STATISTICS)
    paper.plain(page, 7.5, paper.GREY)
    for name in _STATISTICS:
        page.cell(width, 4, name, align="C")
    page.ln(4)
    paper.plain(page, 8.5)
    for name in _STATISTICS:
        value = statistics[name]
        page.cell(width, 5, "n/a" if value is None else f"{value:.5g}", align="C")
    page.ln(7)


CAPABILITY = Capability(
    namespace="plumbline",
    capability="report",
    version="1.0.0",
    name="Data report",
    description="A printable report on a CSV file: overview, distributions, correlations, charts.",
    tags=("csv", "report", "pdf", "charts"),
    actions=(
        Action(
            id="compile",
            name="Compile",
            description="Compile a PDF report on a CSV file: each column's statistics and chart, and correlations.",
            price="1.50",
            work=compile_report,
            p95_ms=4_000,
            input_schema=schemas.record(
                {
                    "csv": schemas.text(
                        f"The file's text, with a head line. At most {_MOST_COLUMNS} columns.", _MOST_CHARACTERS
                    ),
                    "delimiter": schemas.choice(
                        "What separates fields.", "auto", "comma", "semicolon", "tab", "pipe", default="auto"
                    ),
                    "title": schemas.text("The report's title.", 120),
                },
                optional=("delimiter", "title"),
            ),
            output_schema=schemas.artifact("application/pdf"),
            examples=(
                {
                    "input": {
                        "title": "Reed beds, May 2026",
                        "csv": "day,site,herons,depth_cm\n2026-05-01,North,14,41.5\n2026-05-02,North,11,40.0\n"
                        "2026-05-03,North,9,37.5\n2026-05-01,Weir,6,28.0\n2026-05-02,Weir,4,27.5\n2026-05-03,Weir,,26.0\n",
                    }
                },
            ),
        ),
    ),
)
