"""Provider ``plumbline``: a series continued along its straight line."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, linear_regression

from jecp_mcp.sandbox.work import json_schema
from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work

_LEAST, _MOST = 8, 2_000


def forecast(given: Input) -> Work:
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
        middle = intercept + slope * place
        steps.append(dict(zip(_STEP, (step, *map(_number, (middle, middle - half, middle + half))), strict=True)))
    return Work(
        {
            "forecast": steps,
            "level": level,
            "model": {"name": "line", "slope": _number(slope), "intercept": _number(intercept)},
            "fit": {
                "observations": count,
                "sigma": _number(sigma),
                "mean_absolute_error": _number(fmean(map(abs, errors))),
            },
        }
    )


def _number(value: float) -> float:
    return float(f"{value:.9g}")


_ANY: json_schema.Schema = {"type": "number"}
_STEP: dict[str, json_schema.Schema] = {
    "step": {"type": "integer", "minimum": 1},
    "value": _ANY,
    "lower": _ANY,
    "upper": _ANY,
}
_VISITORS = (
    112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118, 115, 126, 141, 135, 125, 149,
    170, 170, 158, 133, 114, 140, 145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166,
)  # fmt: skip

CAPABILITY = Capability(
    namespace="plumbline",
    capability="forecast",
    version="2.0.0",
    name="Time series forecast",
    description="Forecasts a regular time series by its trend, with prediction intervals.",
    tags=("forecast", "time-series", "statistics"),
    actions=(
        Action(
            id="project",
            name="Project",
            description="Continue a series along its line of least squares; seasons are not looked for.",
            price="0.25",
            work=forecast,
            input_schema=json_schema.record(
                {
                    "values": json_schema.array(
                        "The series at equal intervals, oldest first.",
                        {"type": "number", "minimum": -1e15, "maximum": 1e15},
                        _MOST,
                        _LEAST,
                    ),
                    "horizon": json_schema.whole("How many steps ahead.", 1, 200),
                    "level": json_schema.number("Probability that the interval covers.", 0.5, 0.995, default=0.95),
                },
                optional=("level",),
            ),
            output_schema=json_schema.record(
                {
                    "forecast": {"type": "array", "minItems": 1, "items": json_schema.record(_STEP)},
                    "level": _ANY,
                    "model": json_schema.record({"name": json_schema.STRING, "slope": _ANY, "intercept": _ANY}),
                    "fit": json_schema.record(
                        {"observations": json_schema.COUNT, "sigma": _ANY, "mean_absolute_error": _ANY}
                    ),
                }
            ),
            examples=({"input": {"values": list(_VISITORS), "horizon": 12, "level": 0.9}},),
        ),
    ),
)
