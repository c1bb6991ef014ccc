"""Provider ``plumbline``: a full report on a CSV file, as PDF. The dearest thing on sale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jecp_mcp.sandbox.work import convert, json_schema, pdf
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Input,
    Work,
    WorkFailed,
)
from jecp_mcp.sandbox.work.csv_analysis import correlations, described
from jecp_mcp.sandbox.work.csv_table import DELIMITER, Table, table_of
from jecp_mcp.sandbox.work.markdown import Block, Span

_MOST_CHARACTERS = 1_000_000
_MOST_COLUMNS = 40
_MOST_SHOWN = 40
_STATISTICS = ("min", "q1", "median", "q3", "max", "mean", "std", "skewness", "outliers")


def compile_report(given: Input) -> Work:
    """Profile every column and lay the findings out."""
    table = table_of(given)
    if len(table.columns) > _MOST_COLUMNS:
        raise WorkFailed("TOO_LARGE", f"there are {len(table.columns)} columns, a report holds {_MOST_COLUMNS}")
    title = given.get("title", "Data report")
    return convert.laid_out([_heading(title, 1), *_overview(table)], title)


def _overview(table: Table) -> Iterator[Block]:
    profiles = [described(column) for column in table.columns]
    gaps, cells = sum(each["missing"] for each in profiles), table.rows * len(profiles)
    yield _line(
        f"{table.rows:,} rows, {len(profiles)} columns, {gaps:,} of {cells:,} cells missing ({gaps / cells:.1%})"
    )
    keys = ("name", "type", "count", "missing", "distinct")
    yield _rows(
        ("Column", "Type", "Present", "Missing", "Distinct"), *([each[key] for key in keys] for each in profiles)
    )
    pairs = correlations(table)[:12]
    if pairs:
        yield _heading("Correlations", 2)
        yield _rows(("Column", "Column", "r"), *((each["a"], each["b"], f"{each['r']:+.3f}") for each in pairs))
    for profile in profiles:
        yield _heading(profile["name"], 2)
        yield _line(f"{profile['type']}, {profile['count'] / table.rows:.1%} present, {profile['distinct']:,} distinct")
        if "statistics" in profile:
            yield _rows(_STATISTICS, [profile["statistics"][name] for name in _STATISTICS])
        if "earliest" in profile:
            yield _line(f"from {profile['earliest']} to {profile['latest']}")
        if "top" in profile:
            shares = ((top["value"], top["count"], f"{top['count'] / profile['count']:.1%}") for top in profile["top"])
            yield _rows(("Most frequent", "Count", "Share"), *shares)


def _heading(text: str, level: int) -> Block:
    return Block("heading", (Span(_cell_text(text)),), level=level)


def _line(text: str) -> Block:
    return Block("paragraph", (Span(text),))


def _rows(*rows: Iterable[Any]) -> Block:
    return Block("table", rows=tuple(tuple((Span(_cell_text(cell)),) for cell in row) for row in rows))


def _cell_text(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, int | float):
        return f"{value:,.5g}" if isinstance(value, float) else f"{value:,}"
    text = pdf.clean(str(value)).replace("\n", " ")
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


CAPABILITY = Capability(
    namespace="plumbline",
    capability="report",
    version="1.0.0",
    name="Data report",
    description="A printable report on a CSV file: overview, statistics, correlations.",
    tags=("csv", "report", "pdf"),
    actions=(
        Action(
            id="compile",
            name="Compile",
            description="Compile a PDF report on a CSV file: each column's statistics, and correlations.",
            price="1.50",
            work=compile_report,
            tier="silver",
            rpm=20,
            p95_ms=4_000,
            input_schema=json_schema.record(
                {
                    "csv": json_schema.text(
                        f"The file's text, with a head line. At most {_MOST_COLUMNS} columns.", _MOST_CHARACTERS
                    ),
                    "delimiter": DELIMITER,
                    "title": json_schema.text("The report's title.", 120),
                },
                optional=("delimiter", "title"),
            ),
            output_schema=json_schema.artifact("application/pdf"),
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
