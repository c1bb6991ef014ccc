"""Provider ``plumbline``: what is in a CSV file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

from jecp_mcp.clock import parse_iso
from jecp_mcp.sandbox.work import schemas
from jecp_mcp.sandbox.work.forms import Action, Capability, Ending, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.tables import MOST_CHARACTERS, Column, Table, table_of

if TYPE_CHECKING:
    import numpy as np

_MOST_GROUPS = 5_000
_PAIRS = 25


def rounded(value: float) -> float | None:
    """Nine significant digits; None for what no JSON number can be."""
    return float(f"{value:.9g}") if math.isfinite(value) else None


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
        found["statistics"] = statistics(present)
    elif column.kind in {"date", "datetime"}:
        found["earliest"], found["latest"] = min(present, key=parse_iso), max(present, key=parse_iso)
    else:
        # Ties in the order they were met, so that the same file gives the same answer.
        found["top"] = [{"value": str(value)[:200], "count": count} for value, count in counted.most_common(5)]
    return found


def statistics(values: list[float]) -> dict[str, float | int | None]:
    """Moments and quantiles (linear interpolation); `std` is the sample's, `outliers` lie beyond 1.5 IQR."""
    import numpy as np

    with np.errstate(all="ignore"):
        data = np.asarray(values)
        q1, q2, q3 = np.quantile(data, (0.25, 0.5, 0.75))
        reach = 1.5 * (q3 - q1)
        std = float(data.std(ddof=1)) if len(values) > 1 else math.nan
        skew = float(((data - data.mean()) ** 3).mean() / data.std() ** 3) if std > 0 else math.nan
        return {
            "min": rounded(float(data.min())),
            "max": rounded(float(data.max())),
            "sum": rounded(float(data.sum())),
            "mean": rounded(float(data.mean())),
            "std": rounded(std),
            "q1": rounded(float(q1)),
            "median": rounded(float(q2)),
            "q3": rounded(float(q3)),
            "skewness": rounded(skew),
            "outliers": int(((data < q1 - reach) | (data > q3 + reach)).sum()),
        }


def correlations(table: Table) -> list[dict[str, Any]]:
    """Pearson's r of each pair of numeric columns over the rows where both have a value, strongest first."""
    import numpy as np

    columns = [column for column in table.columns if column.numeric]
    if len(columns) < 2:  # noqa: PLR2004  # a pair
        return []
    raw = np.array([[math.nan if v is None else v for v in column.values] for column in columns]).T
    with np.errstate(all="ignore"):
        n, r = _pearson(raw)
    pairs: list[dict[str, Any]] = [
        {"a": columns[i].name, "b": columns[j].name, "r": round(float(r[i, j]), 6), "rows": int(n[i, j])}
        for i in range(len(columns))
        for j in range(i)
        if math.isfinite(r[i, j])
    ]
    return sorted(pairs, key=lambda pair: -abs(pair["r"]))


def _pearson(raw: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Every pair at once by products of matrices; columns are scaled first so that squares stay exact enough."""
    import numpy as np

    known = ~np.isnan(raw)
    mask = known.astype(float)
    counts = np.maximum(mask.sum(0), 1)
    # Halved before it is summed up: values near the largest float must not overflow on the way.
    largest = np.maximum(np.where(known, np.abs(raw), 0).max(0), np.finfo(float).tiny)
    scaled = np.where(known, raw / largest, 0)
    data = np.where(known, scaled - scaled.sum(0) / counts, 0)
    n = mask.T @ mask
    sums = data.T @ mask
    squares = (data**2).T @ mask
    covariance = n * (data.T @ data) - sums * sums.T
    spread = (n * squares - sums**2) * (n * squares - sums**2).T
    enough = (n > 2) & (spread > 1e-24 * n**4)  # noqa: PLR2004  # two points always correlate
    return n, np.where(enough, np.clip(covariance / np.sqrt(np.where(enough, spread, 1)), -1, 1), math.nan)


def _std(values: list[float]) -> float:
    if len(values) < 2:  # noqa: PLR2004  # a sample's spread needs two
        return math.nan
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "mean": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
    "median": median,
    "std": _std,
}


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
    if not values:
        return None
    try:
        return rounded(_FUNCTIONS[function](values))
    except OverflowError:
        return None


_CSV = schemas.text(
    f"The file's text, with a head line. At most 200 columns and 300000 cells; {MOST_CHARACTERS} characters.",
    MOST_CHARACTERS,
)
_DELIMITER = schemas.choice("What separates fields.", "auto", "comma", "semicolon", "tab", "pipe", default="auto")
_STATISTIC = {"type": ["number", "null"]}
_PROFILE = Action(
    id="profile",
    name="Profile",
    description="Tell each column's type, gaps, statistics or most frequent values, and correlations.",
    price="0.02",
    work=profile,
    input_schema=schemas.record({"csv": _CSV, "delimiter": _DELIMITER}, optional=("delimiter",)),
    output_schema=schemas.record(
        {
            "rows": {"type": "integer", "minimum": 1},
            "delimiter": {"type": "string"},
            "columns": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "type": {"enum": ["integer", "number", "boolean", "date", "datetime", "text", "empty"]},
                        "count": {"type": "integer", "minimum": 0},
                        "missing": {"type": "integer", "minimum": 0},
                        "distinct": {"type": "integer", "minimum": 0},
                        "statistics": schemas.record(
                            {
                                **dict.fromkeys(
                                    ("min", "max", "sum", "mean", "std", "q1", "median", "q3", "skewness"), _STATISTIC
                                ),
                                "outliers": {"type": "integer", "minimum": 0},
                            },
                            description="Of numeric columns.",
                        ),
                        "earliest": {"type": "string"},
                        "latest": {"type": "string"},
                        "top": {
                            "type": "array",
                            "items": schemas.record({"value": {"type": "string"}, "count": {"type": "integer"}}),
                        },
                    },
                    "required": ["name", "type", "count", "missing", "distinct"],
                },
            },
            "correlations": {
                "type": "array",
                "description": "Pearson's r, strongest first.",
                "items": schemas.record(
                    {
                        "a": {"type": "string"},
                        "b": {"type": "string"},
                        "r": schemas.number("Pearson's r.", -1, 1),
                        "rows": {"type": "integer"},
                    }
                ),
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
    input_schema=schemas.record(
        {
            "csv": _CSV,
            "delimiter": _DELIMITER,
            "by": schemas.array("Columns to group by.", {"type": "string", "maxLength": 120}, 3, 1, uniqueItems=True),
            "aggregates": schemas.array(
                "What to work out for each group.",
                schemas.record(
                    {
                        "column": {"type": "string", "maxLength": 120},
                        "function": schemas.choice("How.", "count", *_FUNCTIONS),
                    }
                ),
                10,
                1,
            ),
            "limit": schemas.whole("How many groups to return.", 1, 1_000, default=100),
        },
        optional=("delimiter", "limit"),
    ),
    output_schema=schemas.record(
        {
            "groups": {
                "type": "array",
                "items": schemas.record(
                    {
                        "key": {"type": "object"},
                        "rows": {"type": "integer", "minimum": 1},
                        "values": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
                    }
                ),
            },
            "total_groups": {"type": "integer", "minimum": 1},
        }
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
