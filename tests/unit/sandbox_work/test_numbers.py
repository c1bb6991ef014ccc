"""CSV and forecasts: the figures are right."""

import json
import math
import random
import statistics
from typing import Any

import pytest

from jecp_mcp.sandbox import work


def out(capability: str, action: str, given: dict[str, Any]) -> Any:
    return work.run(capability, action, given).output


def columns(csv: str, **more: Any) -> dict[str, Any]:
    return {each["name"]: each for each in out("plumbline/csv", "profile", {"csv": csv, **more})["columns"]}


def test_each_kind_of_column_is_recognised() -> None:
    found = columns(
        "i,n,b,d,t,x,e,m\n"
        '1,1.5,yes,2026-01-31,2026-01-31T10:00,a,,"1,200"\n'
        "-2,2e3,no,2026-02-01,2026-01-31 09:00:00+02:00,1,NA,-4\n"
    )
    kinds = {name: each["type"] for name, each in found.items()}
    assert kinds == {
        "i": "integer", "n": "number", "b": "boolean", "d": "date", "t": "datetime", "x": "text", "e": "empty",
        "m": "integer",
    }  # fmt: skip
    assert found["m"]["statistics"]["max"] == 1200
    assert found["t"]["earliest"].startswith("2026-01-31 09")


@pytest.mark.parametrize("cell", ["2026-02-30", "1_000", "0x10", "inf", "1,2", "12:30", "1.2.3", "٣"])
def test_what_only_looks_like_a_number_or_date_stays_text(cell: str) -> None:
    assert columns(f'a\n"{cell}"\n')["a"]["type"] == "text"


def test_statistics_agree_with_the_standard_librarys() -> None:
    chance = random.Random(5)
    values = [chance.lognormvariate(1, 0.8) for _ in range(501)]
    found = columns("v\n" + "\n".join(map(repr, values)))["v"]["statistics"]
    q1, q2, q3 = statistics.quantiles(values, n=4, method="inclusive")
    expected = {
        "mean": statistics.mean(values), "std": statistics.stdev(values), "min": min(values), "max": max(values),
        "sum": math.fsum(values), "q1": q1, "median": q2, "q3": q3,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-8), name
    reach = 1.5 * (q3 - q1)
    assert found["outliers"] == sum(value < q1 - reach or value > q3 + reach for value in values)


def test_correlations_use_the_rows_where_both_have_a_value() -> None:
    chance = random.Random(6)
    pairs = [(chance.gauss(1e9, 1), chance.gauss(0, 1)) for _ in range(200)]
    pairs = [(x, y + (x - 1e9)) for x, y in pairs]
    rows = [(repr(x), "" if place % 7 == 0 else repr(y)) for place, (x, y) in enumerate(pairs)]
    found = out("plumbline/csv", "profile", {"csv": "x,y\n" + "\n".join(map(",".join, rows))})["correlations"]
    kept = [pair for place, pair in enumerate(pairs) if place % 7]
    assert found[0]["rows"] == len(kept)
    assert found[0]["r"] == pytest.approx(statistics.correlation(*zip(*kept, strict=True)), abs=1e-4)


def test_correlations_are_of_the_first_ten_numeric_columns() -> None:
    names = [f"c{place}" for place in range(12)]
    rows = [",".join(str(row * (place + 1)) for place in range(12)) for row in range(9)]
    found = out("plumbline/csv", "profile", {"csv": "\n".join([",".join(names), *rows])})["correlations"]
    assert {name for pair in found for name in (pair["a"], pair["b"])} <= set(names[:10])
    assert len(found) == 25


def test_a_constant_column_correlates_with_nothing() -> None:
    assert out("plumbline/csv", "profile", {"csv": "a,b\n1,5\n2,5\n3,5\n"})["correlations"] == []


def test_groups_are_aggregated_and_sorted_by_the_first_aggregate() -> None:
    found = out(
        "plumbline/csv",
        "group-by",
        {
            "csv": "k;v;w\na;1;x\nb;10;\na;3;y\nb;;z\nc;;\n",
            "by": ["k"],
            "aggregates": [
                {"column": "v", "function": "sum"},
                {"column": "v", "function": "median"},
                {"column": "w", "function": "count"},
            ],
            "limit": 2,
        },
    )
    assert found["total_groups"] == 3
    assert found["groups"] == [
        {"key": {"k": "b"}, "rows": 2, "values": {"sum(v)": 10, "median(v)": 10, "count(w)": 1}},
        {"key": {"k": "a"}, "rows": 2, "values": {"sum(v)": 4, "median(v)": 2, "count(w)": 2}},
    ]


@pytest.mark.parametrize(
    ("by", "column", "code"),
    [("nope", "v", "COLUMN_UNKNOWN"), ("k", "nope", "COLUMN_UNKNOWN"), ("v", "k", "COLUMN_NOT_NUMERIC")],
)
def test_a_wrong_column_is_refused(by: str, column: str, code: str) -> None:
    given = {"csv": "k,v\na,1\n", "by": [by], "aggregates": [{"column": column, "function": "sum"}]}
    with pytest.raises(work.WorkFailed) as failed:
        work.run("plumbline/csv", "group-by", given)
    assert failed.value.code == code


def simulated(seed: int, n: int) -> list[float]:
    """A series of the very model: a line and noise."""
    chance = random.Random(seed)
    return [50 + 0.4 * place + chance.gauss(0, 2) for place in range(n)]


def test_ninety_percent_intervals_cover_about_ninety_percent_of_what_comes() -> None:
    hits = total = 0
    for seed in range(60):
        series = simulated(seed, 92)
        steps = out("plumbline/forecast", "project", {"values": series[:80], "horizon": 12, "level": 0.9})["forecast"]
        hits += sum(step["lower"] <= value <= step["upper"] for step, value in zip(steps, series[80:], strict=True))
        total += 12
    assert 0.84 < hits / total < 0.96


def test_a_straight_line_goes_on_and_a_constant_stays() -> None:
    line = out("plumbline/forecast", "project", {"values": list(range(0, 60, 3)), "horizon": 3})["forecast"]
    assert [step["value"] for step in line] == pytest.approx([60, 63, 66])
    flat = out("plumbline/forecast", "project", {"values": [7] * 9, "horizon": 2})["forecast"]
    assert flat == [{"step": step, "value": 7.0, "lower": 7.0, "upper": 7.0} for step in (1, 2)]


def test_intervals_widen_with_the_horizon_and_with_the_level() -> None:
    values = simulated(3, 80)
    wide, narrow = (
        out("plumbline/forecast", "project", {"values": values, "horizon": 9, "level": level})["forecast"]
        for level in (0.99, 0.8)
    )
    widths = [step["upper"] - step["lower"] for step in wide]
    assert widths == sorted(widths)
    assert all(a["upper"] > b["upper"] for a, b in zip(wide, narrow, strict=True))


@pytest.mark.parametrize("values", [[1e15, -1e15] * 20, [1e-12 * place for place in range(30)], [0] * 7 + [1]])
def test_extreme_series_give_finite_forecasts(values: list[float]) -> None:
    json.dumps(out("plumbline/forecast", "project", {"values": values, "horizon": 200}), allow_nan=False)


def test_a_forecast_tells_its_line_and_how_well_it_fits() -> None:
    found = out("plumbline/forecast", "project", {"values": [1, 3, 2, 4, 3, 5, 4, 6], "horizon": 1})
    assert found["model"] == {"name": "line", "slope": 0.571428571, "intercept": 1.5}
    assert found["fit"]["observations"] == 8
    assert found["fit"]["mean_absolute_error"] == pytest.approx(0.7142857)
