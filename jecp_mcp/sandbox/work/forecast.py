"""Provider ``plumbline``: forecasts by exponential smoothing in state space form.

The models are ETS(A,N,N), (A,A,N), (A,Ad,N) and the same three with additive seasons, after Hyndman, Koehler, Ord and
Snyder, *Forecasting with Exponential Smoothing* (2008): the error correction form of chapter 2, AICc for choosing
(§7.2) and the variances of table 6.1 for the prediction intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import schemas
from jecp_mcp.sandbox.work.forms import Action, Capability, Input, Work, WorkFailed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

_LEAST, _MOST = 8, 2_000
_LONGEST_SEASON = 60
_ROUNDS = 3
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Start:
    """The states before the first value: level, slope, and a season's indices (one 0 when there is no season)."""

    level: float
    slope: float
    season: Array


@dataclass(frozen=True, slots=True)
class Fit:
    """A model fitted to the scaled series."""

    trend: str
    season_length: int
    alpha: float
    beta: float
    gamma: float
    phi: float
    aicc: float
    sigma: float
    mean: Array
    errors: Array


def forecast(given: Input) -> Work:
    """Choose a model, fit it, continue the series."""
    import numpy as np

    raw = np.array([float(value) for value in given["values"]])
    centre, spread = float(raw.mean()), float(raw.std())
    if spread <= _TINY * max(1.0, abs(centre)):
        spread = 1.0
    series = (raw - centre) / spread
    horizon, level = given["horizon"], float(given.get("level", 0.95))
    asked = given.get("season_length")
    if asked is not None and asked > 1 and len(raw) < 2 * asked + 2:
        raise WorkFailed("SERIES_TOO_SHORT", f"a season of {asked} needs at least {2 * asked + 2} values")
    season = detected(series) if asked is None else asked
    trends = ("none", "additive", "damped") if given.get("trend", "auto") == "auto" else (given["trend"],)
    seasons = {1, season} if asked is None else {season}
    fits = [fitted(series, trend, length, horizon) for length in sorted(seasons) for trend in trends]
    best = min(fits, key=lambda fit: fit.aicc)
    reach = NormalDist().inv_cdf(0.5 + level / 2) * deviations(best, horizon)
    steps = [
        {"step": step, "value": _number(mid), "lower": _number(mid - half), "upper": _number(mid + half)}
        for step, (mid, half) in enumerate(zip(best.mean * spread + centre, reach * spread, strict=True), 1)
    ]
    return Work({"forecast": steps, "level": level, "model": _told(best), "fit": _quality(best, raw, spread)})


def _number(value: float) -> float:
    return float(f"{value:.9g}")


def _told(fit: Fit) -> dict[str, Any]:
    letters = {"none": "N", "additive": "A", "damped": "Ad"}
    return {
        "name": f"ETS(A,{letters[fit.trend]},{'A' if fit.season_length > 1 else 'N'})",
        "trend": fit.trend,
        "season_length": fit.season_length,
        "alpha": round(fit.alpha, 4),
        "beta": round(fit.beta, 4),
        "gamma": round(fit.gamma, 4),
        "phi": round(fit.phi, 4),
        "aicc": _number(fit.aicc),
    }


def _quality(fit: Fit, raw: Array, spread: float) -> dict[str, Any]:
    import numpy as np

    mae = float(np.abs(fit.errors).mean()) * spread
    lag = fit.season_length
    naive = float(np.abs(raw[lag:] - raw[:-lag]).mean())
    return {
        "observations": len(raw),
        "sigma": _number(fit.sigma * spread),
        "mean_absolute_error": _number(mae),
        "mean_absolute_scaled_error": _number(mae / naive) if naive > _TINY else None,
    }


def detected(series: Array) -> int:
    """The season's length: the strongest peak of the autocorrelation once the trend is taken out; 1 for none."""
    import numpy as np

    n = len(series)
    flat = series - np.polyval(np.polyfit(np.arange(n), series, 1), np.arange(n))
    power = float(flat @ flat)
    longest = min(_LONGEST_SEASON, (n - 2) // 2)
    if power < _TINY or longest < 2:  # noqa: PLR2004  # the shortest season
        return 1
    acf = np.array([float(flat[lag:] @ flat[: n - lag]) / power for lag in range(longest + 2)])
    peaks = [lag for lag in range(2, longest + 1) if acf[lag] > acf[lag - 1] and acf[lag] >= acf[lag + 1]]
    best = max(peaks, key=lambda lag: acf[lag], default=1)
    return best if best > 1 and acf[best] > max(0.2, 1.96 / math.sqrt(n)) else 1


def _start(series: Array, trend: str, season: int) -> Start:
    import numpy as np

    cycles = min(len(series) // season, 4) if season > 1 else 0
    head = series[: cycles * season] if season > 1 else series[: max(10, min(len(series), 24))]
    at = np.arange(len(head))
    slope, base = np.polyfit(at, head, 1)
    if trend == "none":
        slope, base = 0.0, float(head.mean())
    if season == 1:
        return Start(float(base - slope), float(slope), np.zeros(1))
    rest = (head - (base + slope * at)).reshape(cycles, season).mean(0)
    return Start(float(base - slope), float(slope), rest - rest.mean())


def _smoothed(
    series: Array, start: Start, season: int, parameters: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """Run the recursions for many sets of parameters side by side: errors by time, and the last states."""
    import numpy as np

    alpha, beta, gamma, phi = parameters
    level = np.full_like(alpha, start.level)
    slope = np.full_like(alpha, start.slope)
    seasons = np.repeat(start.season[:, None], len(alpha), axis=1)
    errors = np.empty((len(series), len(alpha)))
    for t, value in enumerate(series):
        ahead = level + phi * slope
        error = value - ahead - seasons[t % season]
        level = ahead + alpha * error
        slope = phi * slope + beta * error
        seasons[t % season] += gamma * error
        errors[t] = error
    return errors, level, slope, seasons


def _grid(trend: str, season: int, around: tuple[float, ...] | None, width: float) -> tuple[Array, ...]:
    """Sets of parameters to try: coarse at first, then ever closer around the best so far, all admissible."""
    import numpy as np

    def axis(place: int, coarse: tuple[float, ...], low: float, high: float) -> Array:
        if around is None:
            return np.array(coarse)
        return np.unique(np.clip(around[place] + width * np.linspace(-1, 1, 5), low, high))

    alphas = axis(0, (0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9), 0.001, 0.999)
    # As shares of alpha and of 1 - alpha, so that every combination is admissible.
    betas = axis(1, (0.01, 0.1, 0.3, 0.6), 0.0001, 0.999) if trend != "none" else np.zeros(1)
    gammas = axis(2, (0.01, 0.1, 0.3, 0.6), 0.0001, 0.999) if season > 1 else np.zeros(1)
    phis = axis(3, (0.82, 0.9, 0.96), 0.8, 0.98) if trend == "damped" else np.ones(1)
    return tuple(each.ravel() for each in np.meshgrid(alphas, betas, gammas, phis, indexing="ij"))


def fitted(series: Array, trend: str, season: int, horizon: int) -> Fit:
    """Least squares over the parameters, the starting states given by the series' head."""
    import numpy as np

    start = _start(series, trend, season)
    around, width, best = None, 0.12, math.inf
    for _ in range(_ROUNDS):
        alpha, beta, gamma, phi = _grid(trend, season, around, width)
        errors, *_states = _smoothed(series, start, season, (alpha, alpha * beta, (1 - alpha) * gamma, phi))
        sums = (errors**2).sum(0)
        place = int(np.argmin(sums))
        if sums[place] < best:
            best = float(sums[place])
            around = tuple(float(axis[place]) for axis in (alpha, beta, gamma, phi))
        width /= 3
    assert around is not None
    one = around[0], around[0] * around[1], (1 - around[0]) * around[2], around[3]
    errors, level, slope, seasons = _smoothed(series, start, season, tuple(np.array([p]) for p in one))  # type: ignore[arg-type]
    n, free = len(series), _free(trend, season)
    aicc = (
        n * math.log(max(best, _TINY) / n)
        + 2 * free
        + (2 * free * (free + 1) / (n - free - 1) if n > free + 1 else math.inf)
    )
    ahead = np.arange(1, horizon + 1)
    run = _damping(one[3], horizon) if trend != "none" else np.zeros(horizon)
    mean = level[0] + run * slope[0] + seasons[(n + ahead - 1) % season, 0]
    freedom = max(1, n - (free - 1 if free < n else 0))
    return Fit(trend, season, *one, aicc, math.sqrt(best / freedom), mean, errors[:, 0])


def _free(trend: str, season: int) -> int:
    return 3 + {"none": 0, "additive": 2, "damped": 3}[trend] + (season if season > 1 else 0)


def _damping(phi: float, horizon: int) -> Array:
    """The sum phi + phi^2 + … + phi^h for each h."""
    import numpy as np

    return np.cumsum(phi ** np.arange(1, horizon + 1))


def deviations(fit: Fit, horizon: int) -> Array:
    """The standard deviation of the forecast error at each step (table 6.1 of the book, class 1)."""
    import numpy as np

    steps = np.arange(1, horizon)
    run = _damping(fit.phi, horizon)[:-1] if fit.trend != "none" else np.zeros(horizon - 1)
    seasonal = fit.gamma * (steps % fit.season_length == 0) if fit.season_length > 1 else 0.0
    weights = fit.alpha + fit.beta * run + seasonal
    return fit.sigma * np.sqrt(np.concatenate(([1.0], 1.0 + np.cumsum(weights**2))))


_VISITORS = [
    112,
    118,
    132,
    129,
    121,
    135,
    148,
    148,
    136,
    119,
    104,
    118,
    115,
    126,
    141,
    135,
    125,
    149,
    170,
    170,
    158,
    133,
]
_VISITORS += [114, 140, 145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166]

CAPABILITY = Capability(
    namespace="plumbline",
    capability="forecast",
    version="1.2.0",
    name="Time series forecast",
    description="Forecasts a regular time series by exponential smoothing, with prediction intervals.",
    tags=("forecast", "time-series", "statistics"),
    actions=(
        Action(
            id="project",
            name="Project",
            description="Continue a series by the best of six exponential smoothing models; seasons are found.",
            price="0.25",
            work=forecast,
            p95_ms=1_800,
            input_schema=schemas.record(
                {
                    "values": schemas.array(
                        "The series at equal intervals, oldest first.",
                        {"type": "number", "minimum": -1e15, "maximum": 1e15},
                        _MOST,
                        _LEAST,
                    ),
                    "horizon": schemas.whole("How many steps ahead.", 1, 200),
                    "season_length": schemas.whole(
                        f"Steps in a season; 1 for none. Found (up to {_LONGEST_SEASON}) unless given.",
                        1,
                        366,
                    ),
                    "trend": schemas.choice("Which trend.", "auto", "none", "additive", "damped", default="auto"),
                    "level": schemas.number("Probability that the interval covers.", 0.5, 0.995, default=0.95),
                },
                optional=("season_length", "trend", "level"),
            ),
            output_schema=schemas.record(
                {
                    "forecast": {
                        "type": "array",
                        "minItems": 1,
                        "items": schemas.record(
                            {
                                "step": {"type": "integer", "minimum": 1},
                                "value": {"type": "number"},
                                "lower": {"type": "number"},
                                "upper": {"type": "number"},
                            }
                        ),
                    },
                    "level": {"type": "number"},
                    "model": schemas.record(
                        {
                            "name": {"type": "string"},
                            "trend": schemas.choice("Its trend.", "none", "additive", "damped"),
                            "season_length": {"type": "integer", "minimum": 1},
                            **{name: {"type": "number"} for name in ("alpha", "beta", "gamma", "phi", "aicc")},
                        }
                    ),
                    "fit": schemas.record(
                        {
                            "observations": {"type": "integer"},
                            "sigma": {"type": "number", "minimum": 0},
                            "mean_absolute_error": {"type": "number", "minimum": 0},
                            "mean_absolute_scaled_error": {
                                "type": ["number", "null"],
                                "description": "Below 1: better than repeating the last season.",
                            },
                        }
                    ),
                }
            ),
            examples=({"input": {"values": _VISITORS, "horizon": 12, "level": 0.9}},),
        ),
    ),
)
