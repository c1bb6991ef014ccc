"""Provider ``plumbline``: a full report on a CSV file, as PDF. The dearest thing on sale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import shorten
from typing import Any

from jecp_mcp.sandbox.work import blocks
from jecp_mcp.sandbox.work.blocks import Block, heading, paragraph
from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.csv_analysis import correlations, profile_column
from jecp_mcp.sandbox.work.csv_table import Column, read_columns
from jecp_mcp.sandbox.work.json_schema import artifact, record, text

_MOST_COLUMNS = 40
_MOST_SHOWN = 40
_STATISTICS = ("min", "q1", "median", "q3", "max", "mean", "std", "outliers")


def compile_report(given: Input) -> Work:
    """Profile every column and lay the findings out."""
    from jecp_mcp.sandbox.work import pdf

    columns = read_columns(given["csv"])
    if len(columns) > _MOST_COLUMNS:
        raise WorkFailed("TOO_LARGE", f"there are {len(columns)} columns, a report holds {_MOST_COLUMNS}")
    title = given.get("title", "Data report")
    return pdf.lay_out([heading(title, 1), *_overview(columns)], title)


def _overview(columns: list[Column]) -> Iterator[Block]:
    profiles = [profile_column(column) for column in columns]
    rows = len(columns[0].values)
    gaps, cells = sum(each["missing"] for each in profiles), rows * len(profiles)
    yield paragraph(f"{rows:,} rows, {len(profiles)} columns, {gaps:,} of {cells:,} cells missing ({gaps / cells:.1%})")
    keys = ("name", "type", "count", "missing", "distinct")
    yield _table(
        ("Column", "Type", "Present", "Missing", "Distinct"), *([each[key] for key in keys] for each in profiles)
    )
    if pairs := correlations(columns)[:12]:
        yield heading("Correlations", 2)
        yield _table(("Column", "Column", "r"), *((each["a"], each["b"], f"{each['r']:+.3f}") for each in pairs))
    for each in profiles:
        yield heading(_cell(each["name"]), 2)
        yield paragraph(f"{each['type']}, {each['count'] / rows:.1%} present, {each['distinct']:,} distinct")
        if "statistics" in each:
            yield _table(_STATISTICS, [each["statistics"][name] for name in _STATISTICS])
        if "earliest" in each:
            yield paragraph(f"from {each['earliest']} to {each['latest']}")
        if "top" in each:
            shares = ((top["value"], top["count"], f"{top['count'] / each['count']:.1%}") for top in each["top"])
            yield _table(("Most frequent", "Count", "Share"), *shares)


def _table(*rows: Iterable[Any]) -> Block:
    return blocks.table(*(map(_cell, row) for row in rows))


def _cell(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, int | float):
        return f"{value:,.5g}" if isinstance(value, float) else f"{value:,}"
    return shorten(str(value), _MOST_SHOWN, placeholder="…")


CAPABILITY = Capability(
    id="plumbline/report",
    version="1.0.0",
    name="Data report",
    description="A printable report on a CSV file: overview, statistics, correlations.",
    tags=("csv", "report", "pdf"),
    actions=(
        Action(
            id="compile",
            name="Compile a data report",
            description="Compile a PDF report on a CSV file: each column's statistics, and correlations.",
            price="1.50",
            work=compile_report,
            limits={"trust_tier_required": "silver", "rate_limit_rpm": 20},
            input_schema=record(
                "title",
                csv=text(f"The file's text, with a head line. At most {_MOST_COLUMNS} columns.", 1_000_000),
                title=text("The report's title.", 120),
            ),
            output_schema=artifact("application/pdf"),
            example={
                "title": "Reed beds, May 2026",
                "csv": "day,site,herons,depth_cm\n2026-05-01,North,14,41.5\n2026-05-02,North,11,40.0\n"
                "2026-05-03,North,9,37.5\n2026-05-01,Weir,6,28.0\n2026-05-02,Weir,4,27.5\n2026-05-03,Weir,,26.0\n",
            },
        ),
    ),
)
