"""Provider ``plumbline``: Monte Carlo simulation of a formula over uncertain quantities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import expressions, schemas
from jecp_mcp.sandbox.work.csvdata import rounded
from jecp_mcp.sandbox.work.forms import Action, Capability, Input, Work, WorkFailed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

_MOST_RUNS = 200_000
_BINS = 20
_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def simulate(given: Input) -> Work:
    """Draw, evaluate, describe."""
    import numpy as np

    variables = given["variables"]
    names = frozenset(each["name"] for each in variables)
    if len(names) < len(variables):
        raise WorkFailed("VARIABLES_INVALID", "two variables share a name")
    taken = names.intersection(expressions.FUNCTIONS)
    if taken:
        raise WorkFailed("VARIABLES_INVALID", f"{min(taken)!r} is the name of a function")
    formula = expressions.compiled(given["formula"], names)
    runs = given.get("runs", 50_000)
    source = np.random.default_rng(given.get("seed", 1))
    with np.errstate(all="ignore"):
        drawn = {each["name"]: _drawn(source, each, runs) for each in variables}
        outcome = np.broadcast_to(np.asarray(formula(drawn), dtype=float), (runs,))
        failed = int((~np.isfinite(outcome)).sum())
        if failed:
            raise WorkFailed("FORMULA_UNDEFINED", f"the formula has no finite value in {failed} of {runs} runs")
        return Work(_described(outcome, drawn, given.get("target")))


def _drawn(source: np.random.Generator, variable: Mapping[str, Any], runs: int) -> Array:
    kind = variable["distribution"]
    needed = _NEEDED[kind]
    missing = [name for name in needed if name not in variable]
    if missing:
        raise WorkFailed("VARIABLES_INVALID", f"{variable['name']}: {kind} needs {' and '.join(missing)}")
    values = [float(variable[name]) for name in needed]
    if needed[0] == "low" and not (values[0] < values[-1] and values == sorted(values)):
        raise WorkFailed("VARIABLES_INVALID", f"{variable['name']}: {' < '.join(needed)} does not hold")
    if values[-1] < 0 and needed[-1] in {"std", "mean"}:
        raise WorkFailed("VARIABLES_INVALID", f"{variable['name']}: {needed[-1]} must not be negative")
    drawn: Array = _DRAW[kind](source, values, runs)
    return drawn


def _pert(source: np.random.Generator, values: list[float], runs: int) -> Array:
    low, mode, high = values
    width = high - low
    drawn: Array = low + width * source.beta(1 + 4 * (mode - low) / width, 1 + 4 * (high - mode) / width, runs)
    return drawn


def _lognormal(source: np.random.Generator, values: list[float], runs: int) -> Array:
    import numpy as np

    mean, std = values
    if mean <= 0:
        raise WorkFailed("VARIABLES_INVALID", "the mean of a lognormal variable must be positive")
    variance = np.log1p((std / mean) ** 2)
    return source.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), runs)


def _poisson(source: np.random.Generator, values: list[float], runs: int) -> Array:
    if values[0] > 1e9:  # noqa: PLR2004  # where numpy's sampler is still sound
        raise WorkFailed("VARIABLES_INVALID", "the mean of a poisson variable must not exceed 1e9")
    return source.poisson(values[0], runs).astype(float)


_NEEDED = {
    "normal": ("mean", "std"),
    "lognormal": ("mean", "std"),
    "uniform": ("low", "high"),
    "triangular": ("low", "mode", "high"),
    "pert": ("low", "mode", "high"),
    "poisson": ("mean",),
}
_DRAW: dict[str, Callable[[Any, list[float], int], Any]] = {
    "normal": lambda source, values, runs: source.normal(*values, runs),
    "lognormal": _lognormal,
    "uniform": lambda source, values, runs: source.uniform(*values, runs),
    "triangular": lambda source, values, runs: source.triangular(*values, runs),
    "pert": _pert,
    "poisson": _poisson,
}


def _described(outcome: Array, drawn: Mapping[str, Array], target: float | None) -> dict[str, Any]:
    import numpy as np

    counts, edges = np.histogram(outcome, _bins(outcome))
    ranks = _ranks(outcome)
    found: dict[str, Any] = {
        "runs": len(outcome),
        "mean": rounded(float(outcome.mean())),
        "std": rounded(float(outcome.std(ddof=1))),
        "standard_error": rounded(float(outcome.std(ddof=1) / len(outcome) ** 0.5)),
        "percentiles": {
            f"p{percent}": rounded(float(value))
            for percent, value in zip(_PERCENTILES, np.percentile(outcome, _PERCENTILES), strict=True)
        },
        "histogram": [
            {"from": rounded(float(low)), "to": rounded(float(high)), "count": int(count)}
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ],
        "sensitivity": sorted(
            (
                {"variable": name, "rank_correlation": round(_correlation(ranks, _ranks(values)), 4)}
                for name, values in drawn.items()
            ),
            key=lambda each: -abs(float(str(each["rank_correlation"]))),
        ),
    }
    if target is not None:
        found["probability_above_target"] = round(float((outcome > float(target)).mean()), 6)
    return found


def _bins(outcome: Array) -> int:
    """Twenty, unless the values lie too close together for floats to part them."""
    low, high = float(outcome.min()), float(outcome.max())
    return _BINS if high - low > 1e-9 * max(abs(low), abs(high)) else 1


def _ranks(values: Array) -> Array:
    """Ranks, equal values sharing their mean rank (Spearman)."""
    import numpy as np

    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    shared: Array = (np.cumsum(count) - (count - 1) / 2)[place]
    return shared


def _correlation(one: Array, other: Array) -> float:
    a, b = one - one.mean(), other - other.mean()
    power = float((a @ a) * (b @ b))
    return float(a @ b) / power**0.5 if power > 0 else 0.0


_BOUND = {"type": "number", "minimum": -1e12, "maximum": 1e12}
_NAME = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,30}$", "description": "As the formula calls it."}

CAPABILITY = Capability(
    namespace="plumbline",
    capability="simulation",
    version="1.0.0",
    name="Monte Carlo simulation",
    description="Simulates a formula over uncertain quantities: risk of costs, dates, returns.",
    tags=("simulation", "risk", "statistics"),
    actions=(
        Action(
            id="monte-carlo",
            name="Monte Carlo",
            description="Draw the variables, evaluate the formula each time; tell percentiles, histogram, drivers.",
            price="0.40",
            work=simulate,
            tier="silver",
            rpm=20,
            p95_ms=2_000,
            input_schema=schemas.record(
                {
                    "formula": schemas.text(
                        f"Over the variables: + - * / ** < <= > >= and {', '.join(expressions.FUNCTIONS)}.",
                        expressions.MOST_CHARACTERS,
                    ),
                    "variables": schemas.array(
                        "What is uncertain.",
                        schemas.record(
                            {
                                "name": _NAME,
                                "distribution": schemas.choice("How it is distributed.", *_NEEDED),
                                "mean": {**_BOUND, "description": "Of normal, lognormal and poisson."},
                                "std": {**_BOUND, "description": "Of normal and lognormal."},
                                "low": {**_BOUND, "description": "Of uniform, triangular and pert."},
                                "mode": {**_BOUND, "description": "The likeliest value, of triangular and pert."},
                                "high": {**_BOUND, "description": "Of uniform, triangular and pert."},
                            },
                            optional=("mean", "std", "low", "mode", "high"),
                        ),
                        12,
                        1,
                    ),
                    "runs": schemas.whole("How often.", 1_000, _MOST_RUNS, default=50_000),
                    "seed": schemas.whole("The same seed gives the same answer.", 0, 2**31, default=1),
                    "target": schemas.number("Tell how likely the result passes this."),
                },
                optional=("runs", "seed", "target"),
            ),
            output_schema=schemas.record(
                {
                    "runs": {"type": "integer"},
                    "mean": {"type": ["number", "null"]},
                    "std": {"type": ["number", "null"]},
                    "standard_error": {"type": ["number", "null"]},
                    "percentiles": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
                    "histogram": {
                        "type": "array",
                        "items": schemas.record(
                            {
                                "from": {"type": ["number", "null"]},
                                "to": {"type": ["number", "null"]},
                                "count": {"type": "integer"},
                            }
                        ),
                    },
                    "sensitivity": {
                        "type": "array",
                        "description": "Spearman's rank correlation of each variable with the result.",
                        "items": schemas.record(
                            {"variable": {"type": "string"}, "rank_correlation": schemas.number("Spearman.", -1, 1)}
                        ),
                    },
                    "probability_above_target": schemas.number("Share of the runs.", 0, 1),
                },
                optional=("probability_above_target",),
            ),
            examples=(
                {
                    "input": {
                        "formula": "design + build * (1 + overrun) + where(delays > 2, 15, 0)",
                        "variables": [
                            {"name": "design", "distribution": "pert", "low": 20, "mode": 28, "high": 50},
                            {"name": "build", "distribution": "normal", "mean": 120, "std": 12},
                            {"name": "overrun", "distribution": "triangular", "low": 0, "mode": 0.1, "high": 0.5},
                            {"name": "delays", "distribution": "poisson", "mean": 1.4},
                        ],
                        "runs": 20000,
                        "target": 190,
                    }
                },
            ),
        ),
    ),
)
