"""Built-in ``unit-convert``: exact conversion between units of measure."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from jecp_mcp.sandbox.work import schemas
from jecp_mcp.sandbox.work.forms import Action, Capability, Input, Work, WorkFailed

_EXACT = Context(prec=34)

# Factor to the dimension's base unit: the SI and the international yard and pound (NIST SP 811, appendix B).
_FACTORS: dict[str, dict[str, str]] = {
    "length": {
        "m": "1", "km": "1000", "cm": "0.01", "mm": "0.001", "um": "0.000001", "nm": "1E-9", "in": "0.0254",
        "ft": "0.3048", "yd": "0.9144", "mi": "1609.344", "nmi": "1852",
    },
    "mass": {
        "kg": "1", "g": "0.001", "mg": "0.000001", "t": "1000", "lb": "0.45359237", "oz": "0.028349523125",
        "st": "6.35029318",
    },
    "time": {"s": "1", "ms": "0.001", "min": "60", "h": "3600", "d": "86400", "wk": "604800"},
    "area": {
        "m2": "1", "km2": "1000000", "cm2": "0.0001", "ha": "10000", "ft2": "0.09290304", "acre": "4046.8564224",
        "mi2": "2589988.110336",
    },
    "volume": {
        "l": "1", "ml": "0.001", "m3": "1000", "gal": "3.785411784", "qt": "0.946352946", "pt": "0.473176473",
        "cup": "0.2365882365", "floz": "0.0295735295625", "ukgal": "4.54609",
    },
    "speed": {
        "m/s": "1", "km/h": "0.27777777777777777777777777777777778", "mph": "0.44704",
        "kn": "0.51444444444444444444444444444444444",
    },
    "pressure": {
        "Pa": "1", "kPa": "1000", "bar": "100000", "atm": "101325", "psi": "6894.757293168361336722673445346890694",
    },
    "energy": {
        "J": "1", "kJ": "1000", "Wh": "3600", "kWh": "3600000", "cal": "4.184", "kcal": "4184", "BTU": "1055.05585262",
    },
    "data": {
        "B": "1", "kB": "1000", "MB": "1000000", "GB": "1000000000", "TB": "1000000000000", "KiB": "1024",
        "MiB": "1048576", "GiB": "1073741824", "TiB": "1099511627776", "bit": "0.125",
    },
}  # fmt: skip
_DIMENSION = {unit: dimension for dimension, units in _FACTORS.items() for unit in units}
_ABSOLUTE_ZERO = Decimal("-273.15")
_TEMPERATURES = ("C", "F", "K")


def convert(given: Input) -> Work:
    """Convert one value."""
    value = Decimal(str(given["value"]))
    source, target = given["from"], given["to"]
    if source in _TEMPERATURES and target in _TEMPERATURES:
        result, dimension = _temperature(value, source, target), "temperature"
    else:
        dimension = _DIMENSION.get(source, "temperature")
        if dimension != _DIMENSION.get(target, "temperature"):
            raise WorkFailed("UNITS_DIFFER", f"{source} measures {dimension}, {target} does not")
        factors = _FACTORS[dimension]
        result = _EXACT.divide(_EXACT.multiply(value, Decimal(factors[source])), Decimal(factors[target]))
    return Work({"value": float(result), "exact": _plain(result), "unit": target, "dimension": dimension})


def _plain(value: Decimal) -> str:
    text = f"{value.normalize(Context(prec=28)):f}"
    return "0" if text in {"-0", ""} else text


def _temperature(value: Decimal, source: str, target: str) -> Decimal:
    celsius = {"C": value, "K": value + _ABSOLUTE_ZERO, "F": (value - 32) * 5 / 9}[source]
    if celsius < _ABSOLUTE_ZERO:
        raise WorkFailed("BELOW_ABSOLUTE_ZERO", "nothing is that cold")
    return {"C": celsius, "K": celsius - _ABSOLUTE_ZERO, "F": celsius * 9 / 5 + 32}[target]


_NAMES = (*_DIMENSION, *_TEMPERATURES)
_UNIT: dict[str, Any] = {"type": "string", "enum": list(_NAMES)}

CAPABILITY = Capability(
    namespace="",
    capability="unit-convert",
    version="1.0.0",
    name="Unit conversion",
    description="Converts lengths, masses, times, areas, volumes, speeds, pressures, energies, data and temperatures.",
    tags=("units", "measures"),
    actions=(
        Action(
            id="convert",
            name="Convert",
            description="Convert a value from one unit to another of the same dimension, in decimal arithmetic.",
            price="0.0005",
            work=convert,
            input_schema=schemas.record(
                {
                    "value": schemas.number("What to convert.", -1e18, 1e18),
                    "from": {**_UNIT, "description": "Its unit. Gallons, quarts and pints are US, `ukgal` imperial."},
                    "to": {**_UNIT, "description": "The unit wanted."},
                }
            ),
            output_schema=schemas.record(
                {
                    "value": {"type": "number"},
                    "exact": {"type": "string", "description": "Decimal text, up to 28 significant digits."},
                    "unit": {"type": "string"},
                    "dimension": {"type": "string"},
                }
            ),
            examples=(
                {"input": {"value": 26.2, "from": "mi", "to": "km"}},
                {"input": {"value": 98.6, "from": "F", "to": "C"}},
            ),
            p95_ms=50,
        ),
    ),
)
