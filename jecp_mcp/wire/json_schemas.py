"""JSON Schemas of strangers, and where a value breaks one. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import jsonschema_rs

from jecp_mcp import jsontext
from jecp_mcp.wire.schema_references import check_references

_VIOLATIONS_SHOWN: Final = 20


def schema_validator(schema: Any) -> Any:
    """A validator that reads no other document, runs patterns in linear time and repeats nobody's input.

    Raises:
        ValueError: it is no JSON Schema, or its references multiply beyond measure.
    """
    plain = jsontext.plain(schema)
    check_references(plain)
    return jsonschema_rs.validator_for(
        plain,
        pattern_options=jsonschema_rs.RegexOptions(),
        retriever=_no_documents,
        mask="the value",
    )


def violations(validator: Any, value: Any) -> list[dict[str, str]]:
    """Where `value`, of plain JSON values, breaks a schema, by JSON pointer (RFC 6901); at most twenty places."""
    if validator.is_valid(value):
        return []
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


def pointer(path: Iterable[str | int]) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _no_documents(uri: str) -> Any:
    raise ValueError(f"schemas may not refer to other documents: {uri[:100]}")
