"""Provider ``plumbline``: what is in a CSV file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import StatisticsError, correlation, fmean, median, quantiles, stdev
from typing import Any

from jecp_mcp.sandbox.work.capability import Action, Capability, Deprecation, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.csv_table import Column, instant, read_columns
from jecp_mcp.sandbox.work.json_schema import COUNT, NUMBER, STRING, array, choice, list_of, record, text, whole

_MOST_CHARACTERS = 1_500_000
_MOST_GROUPS = 5_000
_MOST_CORRELATED = 10
_PAIRS = 25


def profile(given: Input) -> Work:
    """Describe every column."""
    columns = read_columns(given["csv"])
    return Work(
        {
            "rows": len(columns[0].values),
            "columns": list(map(profile_column, columns)),
            "correlations": correlations(columns)[:_PAIRS],
        }
    )


def profile_column(column: Column) -> dict[str, Any]:
    """A column's kind, gaps and statistics."""
    present = [value for value in column.values if value is not None]
    counted = Counter(present)
    found: dict[str, Any] = {
        "name": column.name,
        "type": column.kind,
        "count": len(present),
        "missing": len(column.values) - len(present),
        "distinct": len(counted),
    }
    if column.numeric:
        found["statistics"] = _statistics(present)
    elif column.kind in {"date", "datetime"}:
        found["earliest"], found["latest"] = min(present, key=instant), max(present, key=instant)
    elif present:
        # Ties in the order they were met, so that the same file gives the same answer.
        found["top"] = [{"value": str(value)[:200], "count": count} for value, count in counted.most_common(5)]
    return found


_FUNCTIONS: dict[str, Callable[[Sequence[float]], float | None]] = {
    "min": min,
    "max": max,
    "sum": math.fsum,
    "mean": fmean,
    "median": median,
    "std": lambda values: stdev(values) if len(values) > 1 else None,
}
"""The sample's standard deviation, as of no single value."""


def _statistics(values: Sequence[float]) -> dict[str, float | None]:
    """Quantiles by linear interpolation; `outliers` lie beyond 1.5 IQR."""
    q1, _, q3 = quantiles(values, n=4, method="inclusive") if len(values) > 1 else list(values) * 3
    reach = 1.5 * (q3 - q1)
    outliers = sum(value < q1 - reach or value > q3 + reach for value in values)
    figures = {name: _round(function(values)) for name, function in _FUNCTIONS.items()}
    return {**figures, "q1": _round(q1), "q3": _round(q3), "outliers": outliers}


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.9g}")


def correlations(columns: list[Column]) -> list[dict[str, Any]]:
    """Pearson's r of each pair of the first numeric columns over rows where both have a value, strongest first."""
    pairs: list[dict[str, Any]] = []
    numeric = [column for column in columns if column.numeric]
    for one, other in combinations(numeric[:_MOST_CORRELATED], 2):
        both = [pair for pair in zip(other.values, one.values, strict=True) if None not in pair]
        if len(both) < 3:  # noqa: PLR2004  # two points always correlate
            continue
        try:
            r = correlation(*zip(*both, strict=True))
        except StatisticsError:  # one of them is constant
            continue
        pairs.append({"a": other.name, "b": one.name, "r": round(min(1, max(-1, r)), 6), "rows": len(both)})
    return sorted(pairs, key=lambda pair: -abs(pair["r"]))


def group_by(given: Input) -> Work:
    """Aggregate numeric columns over groups of rows."""
    columns = read_columns(given["csv"])
    keys = [_find(columns, name) for name in given["by"]]
    aggregates = [(_find(columns, each["column"]), each["function"]) for each in given["aggregates"]]
    for column, function in aggregates:
        if function != "count" and not column.numeric:
            raise WorkFailed("COLUMN_NOT_NUMERIC", f"{column.name!r} holds {column.kind}, which has no {function}")
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(column.values for column in keys), strict=True)):
        groups.setdefault(key, []).append(row)
    if len(groups) > _MOST_GROUPS:
        raise WorkFailed("TOO_LARGE", f"there are {len(groups)} groups, at most {_MOST_GROUPS} are allowed")
    found: list[dict[str, Any]] = []
    for key, rows in groups.items():
        values = {f"{name}({column.name})": _aggregate(column, name, rows) for column, name in aggregates}
        found.append({"key": dict(zip(given["by"], key, strict=True)), "rows": len(rows), "values": values})
    found.sort(key=lambda group: _order(next(iter(group["values"].values()))), reverse=True)
    return Work({"groups": found[: given.get("limit", 100)], "total_groups": len(found)})


def _order(value: float | None) -> float:
    return -math.inf if value is None else value


def _find(columns: list[Column], name: str) -> Column:
    for column in columns:
        if column.name == name:
            return column
    known = ", ".join(column.name for column in columns[:20])
    raise WorkFailed("COLUMN_UNKNOWN", f"there is no column {name[:80]!r}; there are {known[:400]}")


def _aggregate(column: Column, function: str, rows: list[int]) -> float | None:
    values = [value for row in rows if (value := column.values[row]) is not None]
    if function == "count":
        return len(values)
    return _round(_FUNCTIONS[function](values)) if values else None


_CSV = text("The file's text, with a head line. At most 200 columns and 300000 cells.", _MOST_CHARACTERS)
_NAME = {"type": "string", "maxLength": 120}
_STATISTIC = {"type": ["number", "null"]}
_STATISTICS = record(**dict.fromkeys((*_FUNCTIONS, "q1", "q3"), _STATISTIC), outliers=COUNT)
_COLUMN = record(
    "statistics",
    "earliest",
    "latest",
    "top",
    name=STRING,
    type={"enum": ["integer", "number", "boolean", "date", "datetime", "text", "empty"]},
    count=COUNT,
    missing=COUNT,
    distinct=COUNT,
    statistics={**_STATISTICS, "description": "Of numeric columns."},
    earliest=STRING,
    latest=STRING,
    top=list_of(record(value=STRING, count=COUNT)),
)
_CORRELATIONS = {
    **list_of(record(a=STRING, b=STRING, r=NUMBER, rows=COUNT)),
    "description": f"Pearson's r, strongest first, of the first {_MOST_CORRELATED} numeric columns.",
}
_PROFILE = Action(
    id="profile",
    name="Profile a CSV table",
    description="Tell each column's type, gaps, statistics or most frequent values, and correlations.",
    price="0.02",
    work=profile,
    input_schema=record(csv=_CSV),
    output_schema=record(rows=COUNT, columns=list_of(_COLUMN), correlations=_CORRELATIONS),
    example={
        "csv": "day,site,visitors,rain_mm\n2026-05-01,North,120,0\n2026-05-02,North,80,6.5\n"
        "2026-05-01,Weir,64,0\n2026-05-02,Weir,31,7\n2026-05-03,Weir,,2.1\n"
    },
)
_GROUP_BY = Action(
    id="group-by",
    name="Group a CSV table",
    description="Group a table's rows by columns and aggregate others; largest by the first aggregate first.",
    price="0.01",
    work=group_by,
    input_schema=record(
        csv=_CSV,
        by=array("Columns to group by.", _NAME, 3, uniqueItems=True),
        aggregates=array(
            "What to work out for each group.", record(column=_NAME, function=choice("How.", "count", *_FUNCTIONS)), 10
        ),
        limit=whole("How many groups to return.", 1, 1_000, default=100),
    ),
    output_schema=record(
        groups=list_of(
            record(key={"type": "object"}, rows=COUNT, values={"type": "object", "additionalProperties": _STATISTIC})
        ),
        total_groups=COUNT,
    ),
    example={
        "csv": "site,visitors\nNorth,120\nNorth,80\nWeir,64\n",
        "by": ["site"],
        "aggregates": [{"column": "visitors", "function": "mean"}],
    },
)

CAPABILITY = Capability(
    id="plumbline/csv",
    version="2.0.0",
    name="CSV analysis",
    description="Profiles and aggregates CSV tables: column types, statistics, correlations, groups.",
    tags=("csv", "statistics", "data"),
    actions=(_PROFILE, _GROUP_BY),
)
CAPABILITY_1 = replace(
    CAPABILITY,
    version="1.0.0",
    description="Profiles CSV tables. Gone: use 2.0.0.",
    actions=(_PROFILE,),
    deprecation=Deprecation("sunset", -12, "2.0.0"),
)
