"""Built-in ``json-diff``: differences of JSON documents as JSON Patch (RFC 6902), and their application."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from jecp_mcp.sandbox.work import schemas
from jecp_mcp.sandbox.work.forms import Action, Capability, Input, Work, WorkFailed

_MOST_VALUES = 50_000
_MOST_DEPTH = 64
_MOST_OPERATIONS = 1_000
_MOST_CHANGES = 20_000
_MOST_POINTER = 2_000


def compare(given: Input) -> Work:
    """The patch that turns `before` into `after`."""
    before, after = given["before"], given["after"]
    _bounded(before, "before")
    _bounded(after, "after")
    patch = list(_changes(before, after))
    return Work({"equal": not patch, "changes": len(patch), "patch": patch})


def apply(given: Input) -> Work:
    """Apply a patch, all or nothing."""
    document = given["document"]
    budget = _bounded(document, "document")
    _bounded(given["patch"], "patch")
    document = copy.deepcopy(document)
    for index, operation in enumerate(given["patch"]):
        try:
            document, written = _applied(document, operation)
        except (KeyError, IndexError, ValueError) as exc:
            reason = exc.args[0] if exc.args else ""
            raise WorkFailed(
                "PATCH_FAILED", f"/patch/{index} ({operation['op']} {operation['path']}): {reason}"
            ) from exc
        budget += written
        if budget > _MOST_VALUES:
            raise WorkFailed("TOO_LARGE", f"the patched document passes {_MOST_VALUES} values")
    _bounded(document, "the patched document")
    return Work({"document": document})


def _bounded(document: Any, name: str) -> int:
    """How many values a document has; recursion below relies on the depth found here."""
    count, pending = 0, [(document, 1)]
    while pending:
        value, depth = pending.pop()
        count += 1
        if count > _MOST_VALUES:
            raise WorkFailed("TOO_LARGE", f"{name} has more than {_MOST_VALUES} values")
        if depth > _MOST_DEPTH:
            raise WorkFailed("TOO_DEEP", f"{name} is nested deeper than {_MOST_DEPTH} levels")
        if isinstance(value, dict):
            pending.extend((each, depth + 1) for each in value.values())
        elif isinstance(value, list):
            pending.extend((each, depth + 1) for each in value)
    return count


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON values: ``true`` is not ``1``, ``1`` is ``1.0`` (RFC 6902 §4.6)."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float | Decimal) and isinstance(other, float | Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    return bool(one == other)


def _step(path: str, key: str | int) -> str:
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _changes(before: Any, after: Any) -> Iterator[dict[str, Any]]:
    pending: list[tuple[str, Any, Any]] = [("", before, after)]
    count = 0
    while pending:
        path, old, new = pending.pop()
        if isinstance(old, dict) and isinstance(new, dict):
            found = _object_changes(path, old, new, pending)
        elif isinstance(old, list) and isinstance(new, list):
            found = _array_changes(path, old, new, pending)
        else:
            found = iter(() if _same(old, new) else ({"op": "replace", "path": path, "value": new},))
        for change in found:
            count += 1
            if count > _MOST_CHANGES or len(change["path"]) > _MOST_POINTER:
                raise WorkFailed("TOO_DIFFERENT", "the documents differ in too many or too long places")
            yield change


def _object_changes(
    path: str, old: dict[str, Any], new: dict[str, Any], pending: list[tuple[str, Any, Any]]
) -> Iterator[dict[str, Any]]:
    for key, value in old.items():
        if key not in new:
            yield {"op": "remove", "path": _step(path, key)}
        else:
            pending.append((_step(path, key), value, new[key]))
    for key, value in new.items():
        if key not in old:
            yield {"op": "add", "path": _step(path, key), "value": value}


def _array_changes(
    path: str, old: list[Any], new: list[Any], pending: list[tuple[str, Any, Any]]
) -> Iterator[dict[str, Any]]:
    """Compare what lies between the common head and the common tail, place by place.

    Insertions and removals come before any change inside an item that is still to come, so that every index is
    that of the array as it stands when its operation's turn comes.
    """
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if not _same(old[i], new[i])), shorter)
    tail = next((i for i in range(shorter - head) if not _same(old[-1 - i], new[-1 - i])), shorter - head)
    between = shorter - head - tail
    for index in range(len(old) - tail - 1, head + between - 1, -1):
        yield {"op": "remove", "path": _step(path, index)}
    for index in range(head + between, len(new) - tail):
        yield {"op": "add", "path": _step(path, index), "value": new[index]}
    pending.extend((_step(path, index), old[index], new[index]) for index in range(head, head + between))


def _keys(pointer: str) -> list[str]:
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise ValueError("a JSON pointer starts with '/'")
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer[1:].split("/")]


def _position(items: list[Any], key: str, end: bool) -> int:
    if end and key == "-":
        return len(items)
    if not (key.isascii() and key.isdigit()) or (len(key) > 1 and key[0] == "0"):
        raise ValueError(f"{key[:40]!r} is not an array index")
    index = int(key[:12])
    if index > len(items) - (not end):
        raise ValueError("the index is past the end of the array")
    return index


def _child(parent: Any, key: str) -> Any:
    if isinstance(parent, dict):
        if key not in parent:
            raise KeyError(f"there is no member {key[:80]!r}")
        return parent[key]
    if isinstance(parent, list):
        return parent[_position(parent, key, end=False)]
    raise KeyError("the path leads through a value that is neither an object nor an array")


def _at(document: Any, pointer: str) -> Any:
    for key in _keys(pointer):
        document = _child(document, key)
    return document


def _put(document: Any, pointer: str, value: Any, replace: bool) -> Any:
    keys = _keys(pointer)
    if not keys:
        return value
    parent = _at_keys(document, keys[:-1])
    key = keys[-1]
    if replace:
        _child(parent, key)
    if isinstance(parent, dict):
        parent[key] = value
    elif isinstance(parent, list):
        if replace:
            parent[_position(parent, key, end=False)] = value
        else:
            parent.insert(_position(parent, key, end=True), value)
    else:
        raise KeyError("the path's parent is neither an object nor an array")
    return document


def _at_keys(document: Any, keys: list[str]) -> Any:
    for key in keys:
        document = _child(document, key)
    return document


def _taken(document: Any, pointer: str) -> Any:
    keys = _keys(pointer)
    if not keys:
        raise ValueError("the whole document cannot be removed")
    parent = _at_keys(document, keys[:-1])
    value = _child(parent, keys[-1])
    if isinstance(parent, dict):
        del parent[keys[-1]]
    else:
        del parent[_position(parent, keys[-1], end=False)]
    return value


def _applied(document: Any, operation: dict[str, Any]) -> tuple[Any, int]:
    """The document after one operation, and how many values the operation wrote."""
    op, path = operation["op"], operation["path"]
    if op == "remove":
        _taken(document, path)
        return document, 0
    if op == "test":
        if not _same(_at(document, path), _value(operation)):
            raise ValueError("the value there is a different one")
        return document, 0
    if op == "move":
        source = _source(operation)
        if path.startswith(f"{source}/"):
            raise ValueError("a value cannot move into itself")
        return _put(document, path, _taken(document, source), replace=False), 0
    value = _at(document, _source(operation)) if op == "copy" else _value(operation)
    size = _bounded(value, "a written value")
    return _put(document, path, copy.deepcopy(value), replace=op == "replace"), size


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise ValueError("the operation has no value")
    return operation["value"]


def _source(operation: dict[str, Any]) -> str:
    if "from" not in operation:
        raise ValueError("the operation has no from")
    return str(operation["from"])


_POINTER = {"type": "string", "maxLength": _MOST_POINTER, "description": "A JSON pointer (RFC 6901)."}
_OPERATION = {
    "type": "object",
    "properties": {
        "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
        "path": _POINTER,
        "from": _POINTER,
        "value": {"description": "Any JSON value."},
    },
    "required": ["op", "path"],
}

CAPABILITY = Capability(
    namespace="",
    capability="json-diff",
    version="1.0.0",
    name="JSON diff",
    description="Compares JSON documents and applies JSON Patch (RFC 6902).",
    tags=("json", "diff", "patch"),
    actions=(
        Action(
            id="compare",
            name="Compare",
            description="List what differs between two JSON documents, as a JSON Patch that turns one into the other.",
            price="0.001",
            work=compare,
            input_schema=schemas.record(
                {
                    "before": {"description": "Any JSON document of at most 50000 values and 64 levels."},
                    "after": {"description": "The other one, within the same bounds."},
                }
            ),
            output_schema=schemas.record(
                {
                    "equal": {"type": "boolean"},
                    "changes": {"type": "integer", "minimum": 0},
                    "patch": {"type": "array", "items": _OPERATION},
                }
            ),
            examples=(
                {
                    "input": {
                        "before": {"title": "Draft", "tags": ["a", "b"], "pages": 3},
                        "after": {"title": "Final", "tags": ["a", "c", "b"], "pages": 3},
                    }
                },
            ),
            p95_ms=100,
        ),
        Action(
            id="apply",
            name="Apply",
            description="Apply a JSON Patch to a document: all operations or none.",
            price="0.001",
            work=apply,
            input_schema=schemas.record(
                {
                    "document": {"description": "Any JSON document of at most 50000 values and 64 levels."},
                    "patch": schemas.array("The operations, in order.", _OPERATION, _MOST_OPERATIONS),
                }
            ),
            output_schema=schemas.record({"document": {"description": "The document after the patch."}}),
            examples=(
                {
                    "input": {
                        "document": {"stock": {"nails": 40}},
                        "patch": [
                            {"op": "test", "path": "/stock/nails", "value": 40},
                            {"op": "replace", "path": "/stock/nails", "value": 35},
                            {"op": "add", "path": "/stock/screws", "value": 12},
                        ],
                    }
                },
            ),
            p95_ms=100,
        ),
    ),
)
