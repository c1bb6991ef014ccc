"""Small JSON Schema (2020-12) pieces that the actions' schemas are made of. Pure: no I/O."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
STRING: Schema = {"type": "string"}


def text(description: str, most: int, least: int = 1, **more: Any) -> Schema:
    """A string of `least` to `most` characters."""
    return {"type": "string", "minLength": least, "maxLength": most, "description": description, **more}


def choice(description: str, *options: str, **more: Any) -> Schema:
    """One of some words."""
    return {"type": "string", "enum": list(options), "description": description, **more}


def whole(description: str, least: int, most: int, **more: Any) -> Schema:
    """An integer in a range."""
    return {"type": "integer", "minimum": least, "maximum": most, "description": description, **more}


def number(description: str, least: float, most: float, **more: Any) -> Schema:
    """A number in a range."""
    return {"type": "number", "minimum": least, "maximum": most, "description": description, **more}


def flag(description: str, default: bool) -> Schema:
    """A boolean that may be left out."""
    return {"type": "boolean", "default": default, "description": description}


def array(description: str, items: Schema, most: int, least: int = 1, **more: Any) -> Schema:
    """A list of `least` to `most` items."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most, "description": description, **more}


def list_of(items: Schema) -> Schema:
    """A list of any length, for outputs."""
    return {"type": "array", "items": items}


def record(*optional: str, **properties: Schema) -> Schema:
    """An object with exactly these properties; those named first, and those with a default, may be left out."""
    required = [name for name, schema in properties.items() if name not in optional and "default" not in schema]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def artifact(content_type: str) -> Schema:
    """The wrapper a Hub puts round binary output (JECP 01-protocol §3.5 has the base64, not the wrapper)."""
    properties = {
        "content_type": {"const": content_type},
        "size_bytes": {"type": "integer", "minimum": 1},
        "inline": {"type": "boolean"},
        "data_base64": {"type": "string", "contentEncoding": "base64"},
    }
    wrapper = {"type": "object", "properties": properties, "required": ["content_type"]}
    return {"type": "object", "properties": {"artifact": wrapper}}
