"""Provider ``plumbline``: what is in a CSV file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import StatisticsError, correlation, fmean, median, pstdev, quantiles, stdev
from typing import Any

from jecp_mcp.clock import parse_iso
from jecp_mcp.sandbox.work import json_schema
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Ending,
    Input,
    Work,
    WorkFailed,
)
from jecp_mcp.sandbox.work.csv_table import (
    DELIMITER,
    MOST_CHARACTERS,
    Column,
    Table,
    table_of,
)

_MOST_GROUPS = 5_000
_MOST_CORRELATED = 10
_PAIRS = 25
_Values = Sequence[float]


def profile(given: Input) -> Work:
    """Describe every column."""
    table = table_of(given)
    return Work(
        {
            "rows": table.rows,
            "delimiter": table.delimiter,
            "columns": [described(column) for column in table.columns],
            "correlations": correlations(table)[:_PAIRS],
        }
    )


def described(column: Column) -> dict[str, Any]:
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
    if not present:
        return found
    if column.numeric:
        found["statistics"] = _statistics(present)
    elif column.kind in {"date", "datetime"}:
        found["earliest"], found["latest"] = min(present, key=parse_iso), max(present, key=parse_iso)
    else:
        # Ties in the order they were met, so that the same file gives the same answer.
        found["top"] = [{"value": str(value)[:200], "count": count} for value, count in counted.most_common(5)]
    return found


def _statistics(values: _Values) -> dict[str, float | int | None]:
    """Moments and quantiles (linear interpolation); `std` is the sample's, `outliers` lie beyond 1.5 IQR."""
    # Quartered before: a quantile is the weighted sum of two values, and no weight of these passes 4.
    quarters = [value / 4 for value in values]
    q1, middle, q3 = (
        4 * cut for cut in (quantiles(quarters, n=4, method="inclusive") if len(values) > 1 else quarters * 3)
    )
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    figures = {name: _figure(function, values) for name, function in _MOMENTS.items()}
    cuts = {"q1": _rounded(q1), "median": _rounded(middle), "q3": _rounded(q3)}
    return {**figures, **cuts, "outliers": sum(value < low or value > high for value in values)}


def _skewness(values: _Values) -> float:
    mean, spread = fmean(values), pstdev(values)
    return fmean([((value - mean) / spread) ** 3 for value in values])


_FUNCTIONS: dict[str, Callable[[_Values], float]] = {
    "sum": math.fsum,
    "mean": fmean,
    "min": min,
    "max": max,
    "median": median,
    "std": stdev,
}
_MOMENTS = {**{name: _FUNCTIONS[name] for name in ("min", "max", "sum", "mean", "std")}, "skewness": _skewness}


def _figure(function: Callable[[_Values], float], values: _Values) -> float | None:
    """None where the values have no such figure, or one that no float holds."""
    try:
        return _rounded(function(values))
    except (StatisticsError, OverflowError, ZeroDivisionError):
        return None


def _rounded(value: float) -> float | None:
    """Nine significant digits; None for what no JSON number can be."""
    return float(f"{value:.9g}") if math.isfinite(value) else None


def correlations(table: Table) -> list[dict[str, Any]]:
    """Pearson's r of each pair of the first numeric columns over rows where both have a value, strongest first."""
    pairs: list[dict[str, Any]] = []
    columns = [column for column in table.columns if column.numeric][:_MOST_CORRELATED]
    for (a, ours), (b, theirs) in combinations([(column.name, _scaled(column)) for column in columns], 2):
        both = [pair for pair in zip(theirs, ours, strict=True) if None not in pair]
        if len(both) < 3:  # noqa: PLR2004  # two points always correlate
            continue
        try:
            r = correlation(*zip(*both, strict=True))
        except StatisticsError:  # one of them is constant
            continue
        pairs.append({"a": b, "b": a, "r": round(min(1, max(-1, r)), 6), "rows": len(both)})
    return sorted(pairs, key=lambda pair: -abs(pair["r"]))


def _scaled(column: Column) -> list[float | None]:
    """At most 1 in size, so that values near the largest float do not overflow when they are squared."""
    largest = max(abs(value) for value in column.values if value is not None) or 1
    return [None if value is None else value / largest for value in column.values]


def group_by(given: Input) -> Work:
    """Aggregate numeric columns over groups of rows."""
    table = table_of(given)
    keys = [table.column(name) for name in given["by"]]
    wanted = [(table.column(each["column"]), each["function"]) for each in given["aggregates"]]
    for column, function in wanted:
        if function != "count" and not column.numeric:
            raise WorkFailed("COLUMN_NOT_NUMERIC", f"{column.name!r} holds {column.kind}, which has no {function}")
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(column.values for column in keys), strict=True)):
        groups.setdefault(key, []).append(row)
    if len(groups) > _MOST_GROUPS:
        raise WorkFailed("TOO_LARGE", f"there are {len(groups)} groups, at most {_MOST_GROUPS} are allowed")
    found: list[dict[str, Any]] = [
        {
            "key": dict(zip(given["by"], key, strict=True)),
            "rows": len(rows),
            "values": {f"{function}({column.name})": _aggregate(column, function, rows) for column, function in wanted},
        }
        for key, rows in groups.items()
    ]
    first = f"{wanted[0][1]}({wanted[0][0].name})"
    found.sort(key=lambda group: -math.inf if group["values"][first] is None else group["values"][first], reverse=True)
    return Work({"groups": found[: given.get("limit", 100)], "total_groups": len(found)})


def _aggregate(column: Column, function: str, rows: list[int]) -> float | int | None:
    values = [value for row in rows if (value := column.values[row]) is not None]
    if function == "count":
        return len(values)
    return _figure(_FUNCTIONS[function], values) if values else None


_CSV = json_schema.text(
    f"The file's text, with a head line. At most 200 columns and 300000 cells; {MOST_CHARACTERS} characters.",
    MOST_CHARACTERS,
)
_STATISTIC = {"type": ["number", "null"]}
_COLUMN = {
    "type": "object",
    "properties": {
        "name": json_schema.STRING,
        "type": {"enum": ["integer", "number", "boolean", "date", "datetime", "text", "empty"]},
        **dict.fromkeys(("count", "missing", "distinct"), json_schema.COUNT),
        "statistics": json_schema.record(
            {**dict.fromkeys((*_MOMENTS, "q1", "median", "q3"), _STATISTIC), "outliers": json_schema.COUNT},
            description="Of numeric columns.",
        ),
        "earliest": json_schema.STRING,
        "latest": json_schema.STRING,
        "top": {
            "type": "array",
            "items": json_schema.record({"value": json_schema.STRING, "count": {"type": "integer"}}),
        },
    },
    "required": ["name", "type", "count", "missing", "distinct"],
}
_CORRELATION = json_schema.record(
    {
        "a": json_schema.STRING,
        "b": json_schema.STRING,
        "r": json_schema.number("Pearson's r.", -1, 1),
        "rows": {"type": "integer"},
    }
)
_GROUP = json_schema.record(
    {
        "key": {"type": "object"},
        "rows": {"type": "integer", "minimum": 1},
        "values": {"type": "object", "additionalProperties": _STATISTIC},
    }
)
_PROFILE = Action(
    id="profile",
    name="Profile",
    description="Tell each column's type, gaps, statistics or most frequent values, and correlations.",
    price="0.02",
    work=profile,
    input_schema=json_schema.record({"csv": _CSV, "delimiter": DELIMITER}, optional=("delimiter",)),
    output_schema=json_schema.record(
        {
            "rows": {"type": "integer", "minimum": 1},
            "delimiter": json_schema.STRING,
            "columns": {"type": "array", "items": _COLUMN},
            "correlations": {
                "type": "array",
                "description": f"Pearson's r, strongest first, of the first {_MOST_CORRELATED} numeric columns.",
                "items": _CORRELATION,
            },
        }
    ),
    examples=(
        {
            "input": {
                "csv": "day,site,visitors,rain_mm\n2026-05-01,North,120,0\n2026-05-02,North,80,6.5\n"
                "2026-05-01,Weir,64,0\n2026-05-02,Weir,31,7\n2026-05-03,Weir,,2.1\n"
            }
        },
    ),
    p95_ms=1_500,
)
_GROUP_BY = Action(
    id="group-by",
    name="Group by",
    description="Group a table's rows by columns and aggregate others; largest by the first aggregate first.",
    price="0.01",
    work=group_by,
    input_schema=json_schema.record(
        {
            "csv": _CSV,
            "delimiter": DELIMITER,
            "by": json_schema.array(
                "Columns to group by.", {"type": "string", "maxLength": 120}, 3, 1, uniqueItems=True
            ),
            "aggregates": json_schema.array(
                "What to work out for each group.",
                json_schema.record(
                    {
                        "column": {"type": "string", "maxLength": 120},
                        "function": json_schema.choice("How.", "count", *_FUNCTIONS),
                    }
                ),
                10,
                1,
            ),
            "limit": json_schema.whole("How many groups to return.", 1, 1_000, default=100),
        },
        optional=("delimiter", "limit"),
    ),
    output_schema=json_schema.record(
        {"groups": {"type": "array", "items": _GROUP}, "total_groups": {"type": "integer", "minimum": 1}}
    ),
    examples=(
        {
            "input": {
                "csv": "site,visitors\nNorth,120\nNorth,80\nWeir,64\n",
                "by": ["site"],
                "aggregates": [{"column": "visitors", "function": "mean"}],
            }
        },
    ),
    p95_ms=1_500,
)

CAPABILITY = Capability(
    namespace="plumbline",
    capability="csv",
    version="2.0.0",
    name="CSV analysis",
    description="Profiles and aggregates CSV tables: column types, statistics, correlations, groups.",
    tags=("csv", "statistics", "data"),
    actions=(_PROFILE, _GROUP_BY),
)

CAPABILITY_1 = Capability(
    namespace="plumbline",
    capability="csv",
    version="1.0.0",
    name="CSV analysis",
    description="Profiles CSV tables. Gone: use 2.0.0.",
    tags=("csv", "statistics", "data"),
    actions=(_PROFILE,),
    ending=Ending("sunset", -12, "2.0.0"),
)
