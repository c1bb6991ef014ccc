"""What a merchant says that its request needs, and what of it a request lacks. Pure: no I/O.

Merchants describe their input in version 1's ``outputSchema.input`` or in the extension ``bazaar``. It is a stranger's
word: bounded here, cleaned where it is shown, and never a reason to fetch anything. No ``$ref`` is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.rails.paid_http.request import MAX_BODY, PaidRequest
from jecp_mcp.wire.x402.challenge import Challenge, PaymentOption

MERCHANT: Final = "merchant_challenge"
EXTERNAL: Final = "external_metadata"
_AUTHORITY: Final[Mapping[str, str]] = {MERCHANT: "authoritative", EXTERNAL: "advisory"}

_MOST_FIELDS: Final = 24
_NAME: Final = 100
_TEXT: Final = 200
_EXAMPLE: Final = 2_000
_MOST_ENUM: Final = 12
_LEFT_IN_PATH: Final = re.compile(r"\{([A-Za-z0-9_.-]{1,64})\}|(?<=/):([A-Za-z_][A-Za-z0-9_]{0,63})(?=/|$)", re.ASCII)
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_LOCATIONS: Final[Mapping[str, str]] = {"body": "body_fields", "query": "query_params", "path": "path_params"}


def read_hints(challenge: Challenge, option: PaymentOption) -> dict[str, Any]:
    """What a merchant says of its input; empty where it says nothing that can be read."""
    found: dict[str, Any] = {}
    described = _text(option.raw.get("description")) or _text(challenge.resource.get("description"))
    if described:
        found["description"] = described
    for candidate in (option.extra.get("outputSchema"), option.raw.get("outputSchema")):
        given = _member(candidate, "input")
        if given:
            return found | _of_input(given)
    return found | _of_bazaar(_member(challenge.extensions, "bazaar"))


def with_known(hints: JSONObject, known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The hints with what somebody else says of the same request; where both name a field, the merchant's counts.

    Args:
        known: each with ``in`` (body, query or path), ``name``, and where known ``type``, ``required``,
            ``description``.
    """
    merged = dict(hints)
    for one in known[:_MOST_FIELDS]:
        place = _LOCATIONS.get(str(one.get("in", "body")))
        field = _field(str(one.get("name", "")), one, EXTERNAL, required=one.get("required") is True)
        if place is None or field is None:
            continue
        there = list(merged.get(place, ()))
        if all(other["name"].lower() != field["name"].lower() for other in there):
            merged[place] = [*there, field]
    return merged


def find_issues(request: PaidRequest, hints: JSONObject) -> list[dict[str, Any]]:
    """What a request lacks by what is known of it; each once."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for issue in (*_in_path(request, hints), *_in_query(request, hints), *_in_body(request, hints)):
        found.setdefault((issue["location"], issue["field"], issue["code"]), issue)
    return list(found.values())


def _of_input(given: JSONObject) -> dict[str, Any]:
    """Version 1's description of an input."""
    found: dict[str, Any] = {}
    body_type = _text(given.get("bodyType"))
    if body_type:
        found["body_type"] = body_type
    for name, place in (("bodyFields", "body_fields"), ("body", "body_fields"), ("queryParams", "query_params")):
        fields = _fields(given.get(name), required=frozenset())
        if fields and place not in found:
            found[place] = fields
    return found


def _of_bazaar(bazaar: JSONObject) -> dict[str, Any]:
    """The extension's example of an input, with the schema of it."""
    example = _member(bazaar.get("info"), "input")
    schema = _member(_member(_member(bazaar.get("schema"), "properties"), "input"), "properties")
    found: dict[str, Any] = {}
    body_type = _text(_member(schema, "bodyType").get("const")) or _text(example.get("bodyType"))
    if body_type:
        found["body_type"] = body_type
    if isinstance(example.get("body"), Mapping):
        try:
            text = jsontext.dumps(example["body"]).decode()
        except WireError:
            text = ""
        if 0 < len(text) <= _EXAMPLE:
            found["body_example"] = text
    body = _of_schema(_member(schema, "body")) or _of_example(example.get("body"), required=False)
    query = _of_schema(_member(schema, "queryParams")) or _of_example(example.get("queryParams"), required=True)
    return found | ({"body_fields": body} if body else {}) | ({"query_params": query} if query else {})


def _of_schema(schema: JSONObject) -> list[dict[str, Any]]:
    needed = schema.get("required")
    required = frozenset(one for one in needed if isinstance(one, str)) if isinstance(needed, list) else frozenset()
    return _fields(schema.get("properties"), required=required)


def _of_example(example: object, *, required: bool) -> list[dict[str, Any]]:
    if not isinstance(example, Mapping):
        return []
    made = (_field(name, {"type": _type_of(value)}, MERCHANT, required=required) for name, value in example.items())
    return [field for field in made if field is not None][:_MOST_FIELDS]


def _fields(given: object, *, required: frozenset[str]) -> list[dict[str, Any]]:
    if not isinstance(given, Mapping):
        return []
    made: list[dict[str, Any]] = []
    for name, about in list(given.items())[:_MOST_FIELDS]:
        said = about if isinstance(about, Mapping) else {"type": about}
        field = _field(name, said, MERCHANT, required=name in required or said.get("required") is True)
        if field is not None:
            made.append(field)
    return made


def _field(name: str, about: Mapping[str, Any], source: str, *, required: bool) -> dict[str, Any] | None:
    if not name or len(name) > _NAME:
        return None
    made: dict[str, Any] = {"name": name}
    for key in ("type", "description"):
        words = _text(about.get(key))
        if words:
            made[key] = words
    choices = about.get("enum")
    if isinstance(choices, list) and 0 < len(choices) <= _MOST_ENUM and all(isinstance(one, str) for one in choices):
        made["enum"] = [one[:_NAME] for one in choices]
    if required:
        made["required"] = True
    made["attribution"] = {"source": source, "authority": _AUTHORITY[source]}
    return made


def _in_path(request: PaidRequest, hints: JSONObject) -> Iterator[dict[str, Any]]:
    sources = {field["name"]: _source(field) for field in hints.get("path_params", ())}
    for left in _LEFT_IN_PATH.finditer(request.place.path):
        name = left[1] or left[2]
        fix = f"Put the value of {name} into the address in the place of {left[0]}."
        yield _issue("path", name, "missing_required_path_param", sources.get(name, MERCHANT), fix)


def _in_query(request: PaidRequest, hints: JSONObject) -> Iterator[dict[str, Any]]:
    given = {name for name, _ in parse_qsl(urlsplit(request.place.url).query, keep_blank_values=False)}
    for field in hints.get("query_params", ()):
        if field.get("required") and field["name"] not in given:
            fix = f"Add {field['name']}=… to the address."
            yield _issue("query", field["name"], "missing_required_query_param", _source(field), fix)


def _in_body(request: PaidRequest, hints: JSONObject) -> Iterator[dict[str, Any]]:
    fields = hints.get("body_fields", ())
    typed = str(hints.get("body_type", "json" if fields else "")).lower()
    if not fields or "json" not in typed or request.method in {"GET", "HEAD"}:
        return
    source = _source(fields[0])
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.body is not None and media_type != "application/json" and not media_type.endswith("+json"):
        yield _issue("headers", "content-type", "unsupported_content_type", source, "Set it to application/json.")
    if request.body is None:
        body: Any = {}
    else:
        try:
            body = jsontext.loads(request.body, max_bytes=4 * MAX_BODY)
        except WireError:
            yield _issue("body", "", "malformed_candidate_value", source, "Send a body that is JSON.")
            return
    if not isinstance(body, Mapping):
        yield _issue("body", "", "request_shape_conflicts_with_hint", source, "Send a JSON object.")
        return
    for field in fields:
        name = field["name"]
        if name not in body:
            if field.get("required"):
                yield _issue("body", name, "missing_required_field", _source(field), f"Add {name} to the body.")
        elif not _fits(body[name], field):
            wanted = f"one of {', '.join(field['enum'])}" if "enum" in field else f"a {field['type']}"
            yield _issue("body", name, "malformed_candidate_value", _source(field), f"Give {name} as {wanted}.")


def _fits(value: object, field: Mapping[str, Any]) -> bool:
    if "enum" in field:
        return value in field["enum"]
    wanted = field.get("type")
    if wanted in {"number", "integer"}:
        return _type_of(value) in {wanted, "integer"}
    kinds = _TYPES.get(str(wanted))
    return kinds is None or isinstance(value, kinds)


def _issue(location: str, field: str, code: str, source: str, fix: str) -> dict[str, Any]:
    return {
        "location": location,
        "field": field,
        "code": code,
        "source": source,
        "blocking": True,
        "severity": "error",
        "suggested_fix": fix,
    }


def _source(field: Mapping[str, Any]) -> str:
    return str(field["attribution"]["source"])


def _member(value: object, name: str) -> JSONObject:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str:
    return value[:_TEXT] if isinstance(value, str) else ""


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    for name, kinds in _TYPES.items():
        if isinstance(value, kinds):
            return name
    return "integer" if isinstance(value, int) else "number"
