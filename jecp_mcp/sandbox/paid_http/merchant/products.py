"""What the merchant sells: work of the sandbox's, asked for by a query or a JSON body."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.work import WorkFailed
from jecp_mcp.sandbox.work.abstract import CAPABILITY as ABSTRACT_WORK
from jecp_mcp.sandbox.work.capability import Action, Capability
from jecp_mcp.sandbox.work.convert import CAPABILITY as CONVERT_WORK
from jecp_mcp.sandbox.work.json_schema import Schema
from jecp_mcp.sandbox.work.qrcode import CAPABILITY as QR_CODE_WORK
from jecp_mcp.sandbox.work.textstats import CAPABILITY as STATISTICS_WORK
from jecp_mcp.wire.json_schemas import schema_validator

MOST_BODY_BYTES = 256 * 1024
JSON = "application/json"


class NotSold(Exception):
    """What was asked for cannot be done; nobody pays for it.

    Attributes:
        status: HTTP's.
        error: for the buyer.
    """

    def __init__(self, status: int, error: str) -> None:
        self.status, self.error = status, error
        super().__init__(error)


@dataclass(frozen=True)
class Product:
    """One thing for sale.

    Attributes:
        action: the work.
        media_type: of what is delivered.
        method: ``GET``, its input being the query, or ``POST``, its input being a JSON body.
        default: the input where the query is empty.
    """

    action: Action
    media_type: str
    method: str
    default: Mapping[str, Any] | None = None

    @property
    def description(self) -> str:
        """What it is."""
        return self.action.description

    @property
    def input_schema(self) -> Schema:
        """What may be asked for."""
        return self.action.input_schema

    @cached_property
    def _validator(self) -> Any:
        return schema_validator(self.input_schema)

    def read(self, query: Iterable[tuple[str, str]], content_type: str, body: bytes) -> dict[str, Any]:
        """The input that a request asks for.

        Raises:
            NotSold: it asks for nothing that can be done.
        """
        asked = self._read_query(query) if self.method == "GET" else _read_body(content_type, body)
        if not self._validator.is_valid(asked):
            first = next(iter(self._validator.iter_errors(asked)))
            where = "/".join(str(part) for part in first.instance_path)
            raise NotSold(400, f"{where or 'the input'}: {first.message[:300]}")
        return asked

    def _read_query(self, query: Iterable[tuple[str, str]]) -> dict[str, Any]:
        asked: dict[str, Any] = dict(query)
        if not asked and self.default is not None:
            return dict(self.default)
        for name, schema in self.input_schema["properties"].items():
            if schema["type"] == "integer" and asked.get(name, "").isdecimal():
                asked[name] = int(asked[name])
        return asked

    async def make(self, asked: Mapping[str, Any]) -> tuple[str, bytes]:
        """Do the work: the media type and the bytes delivered.

        Raises:
            NotSold: it cannot be done on this input.
        """
        try:
            work = await asyncio.to_thread(self.action.run, asked)
        except WorkFailed as exc:
            raise NotSold(422, exc.message) from exc
        return (JSON, jsontext.dumps(work.output)) if work.artifact is None else work.artifact


def _read_body(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise NotSold(415, f"the body must be {JSON}")
    try:
        asked = jsontext.plain(jsontext.loads(body, max_bytes=MOST_BODY_BYTES))
    except WireError as exc:
        raise NotSold(400, str(exc)) from exc
    if not isinstance(asked, dict):
        raise NotSold(400, "the body is no JSON object")
    return asked


def _action(capability: Capability, name: str) -> Action:
    return next(action for action in capability.actions if action.id == name)


ABSTRACT = Product(_action(ABSTRACT_WORK, "extract"), JSON, "POST")
QR_CODE = Product(_action(QR_CODE_WORK, "encode"), "image/png", "GET")
PDF = Product(_action(CONVERT_WORK, "markdown-to-pdf"), "application/pdf", "POST")
STATISTICS = Product(_action(STATISTICS_WORK, "count"), JSON, "GET", default={"text": "One text, counted."})
