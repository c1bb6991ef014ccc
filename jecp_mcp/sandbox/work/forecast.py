"""Provider ``plumbline``: a series continued along its straight line."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, linear_regression

from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work
from jecp_mcp.sandbox.work.json_schema import COUNT, NUMBER, STRING, array, list_of, number, record, whole


def project(given: Input) -> Work:
    """Lay the line of least squares through the series and follow it, with normal prediction intervals."""
    values = [float(value) for value in given["values"]]
    count, level = len(values), float(given.get("level", 0.95))
    slope, intercept = linear_regression(range(count), values)
    errors = [value - intercept - slope * place for place, value in enumerate(values)]
    sigma = math.sqrt(math.fsum(error**2 for error in errors) / (count - 2))
    reach = NormalDist().inv_cdf(0.5 + level / 2) * sigma
    steps = []
    for step in range(1, given["horizon"] + 1):
        place = count - 1 + step
        # The line is less certain the farther it is from the middle of what it was drawn through.
        half = reach * math.sqrt(1 + 1 / count + 12 * (place - (count - 1) / 2) ** 2 / (count**3 - count))
        value = intercept + slope * place
        steps.append(
            {"step": step, "value": _round(value), "lower": _round(value - half), "upper": _round(value + half)}
        )
    mean_error = fmean(map(abs, errors))
    return Work(
        {
            "forecast": steps,
            "level": level,
            "model": {"name": "line", "slope": _round(slope), "intercept": _round(intercept)},
            "fit": {"observations": count, "sigma": _round(sigma), "mean_absolute_error": _round(mean_error)},
        }
    )


def _round(value: float) -> float:
    return float(f"{value:.9g}")


_VISITORS = (
    112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118, 115, 126, 141, 135, 125, 149,
    170, 170, 158, 133, 114, 140, 145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166,
)  # fmt: skip

CAPABILITY = Capability(
    id="plumbline/forecast",
    version="2.0.0",
    name="Time series forecast",
    description="Forecasts a regular time series by its trend, with prediction intervals.",
    tags=("forecast", "time-series", "statistics"),
    actions=(
        Action(
            id="project",
            name="Forecast a series",
            description="Continue a series along its line of least squares; seasons are not looked for.",
            price="0.25",
            work=project,
            input_schema=record(
                values=array("The series at equal intervals, oldest first.", number("A value.", -1e15, 1e15), 2_000, 8),
                horizon=whole("How many steps ahead.", 1, 200),
                level=number("Probability that the interval covers.", 0.5, 0.995, default=0.95),
            ),
            output_schema=record(
                forecast=list_of(record(step=COUNT, value=NUMBER, lower=NUMBER, upper=NUMBER)),
                level=NUMBER,
                model=record(name=STRING, slope=NUMBER, intercept=NUMBER),
                fit=record(observations=COUNT, sigma=NUMBER, mean_absolute_error=NUMBER),
            ),
            example={"values": list(_VISITORS), "horizon": 12, "level": 0.9},
        ),
    ),
)
