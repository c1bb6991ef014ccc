"""JSON Schemas of strangers, and where a value breaks one. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs

from jecp_mcp import jsontext
from jecp_mcp.wire.schema_references import MOST_STEPS, check_references

_VIOLATIONS_SHOWN: Final = 20
_TOO_DEEP: Final = (
    "breaks the schema, and nests too deep for a schema that leads back to itself in many ways to say where"
)


@dataclass(frozen=True, slots=True)
class SchemaValidator:
    """A schema, ready to look at values.

    Attributes:
        growth: how many times over one more level of nesting may multiply what is told of a value that breaks it.
    """

    _compiled: Any
    growth: int

    def is_valid(self, value: Any) -> bool:
        """Whether a value keeps the schema. What a recursive one says of a part is found out once."""
        return bool(self._compiled.is_valid(value))

    def iter_errors(self, value: Any) -> Iterator[Any]:
        """Where a value breaks the schema. Takes long where `tells_all` says so."""
        errors: Iterator[Any] = self._compiled.iter_errors(value)
        return errors

    def tells_all(self, value: Any) -> bool:
        """Whether all that is wrong with a value can be told soon: each way to a part of it is gone by itself."""
        if self.growth == 1:
            return True
        most, level = MOST_STEPS, [value]
        while len(level) <= most:
            level = [part for one in level for part in _parts(one)]
            if not level:
                return True
            most //= self.growth
        return False


def schema_validator(schema: Any) -> SchemaValidator:
    """A validator that reads no other document, runs patterns in linear time and repeats nobody's input.

    Raises:
        ValueError: it is no JSON Schema, or its references multiply beyond measure.
    """
    plain = jsontext.plain(schema)
    growth = check_references(plain)
    compiled = jsonschema_rs.validator_for(
        plain,
        pattern_options=jsonschema_rs.RegexOptions(),
        retriever=_no_documents,
        mask="the value",
    )
    return SchemaValidator(compiled, growth)


def violations(validator: SchemaValidator, value: Any) -> list[dict[str, str]]:
    """Where `value`, of plain JSON values, breaks a schema, by JSON pointer (RFC 6901); at most twenty places."""
    if validator.is_valid(value):
        return []
    if not validator.tells_all(value):
        return [{"instance_path": "", "schema_path": "", "reason": _TOO_DEEP}]
    found = []
    for error in validator.iter_errors(value):
        found.append(
            {
                "instance_path": pointer(error.instance_path),
                "schema_path": pointer(error.schema_path),
                "reason": error.message[:500],
            }
        )
        if len(found) == _VIOLATIONS_SHOWN:
            break
    return found


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def pointer(path: Iterable[str | int]) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _no_documents(uri: str) -> Any:
    raise ValueError(f"schemas may not refer to other documents: {uri[:100]}")
