"""``jecp_file``: the bytes of a bought file, in pieces that a result holds and a model can read."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import anyio

from jecp_mcp import jsontext
from jecp_mcp.calls.ends import standing
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller
from jecp_mcp.errors import ToolFault
from jecp_mcp.tools.artifact_store import ArtifactStore, StoredArtifact
from jecp_mcp.tools.codes import ARTIFACT_NOT_FOUND, CALL_NOT_FOUND, INVALID_ARGUMENTS
from jecp_mcp.tools.publishing.links import unshowable
from jecp_mcp.tools.results import Results

PIECE: Final = 24_000
"""The most bytes in one piece; in base64 they are 32,000 characters."""

_TEXT: Final = 32_000
"""The most characters that a piece of text may take as JSON."""

_LONGEST_SIGN: Final = 4
"""How many bytes a character has at most in UTF-8."""


async def piece(
    calls: Calls, store: ArtifactStore, results: Results, arguments: Mapping[str, Any], caller: Caller
) -> dict[str, Any]:
    """A piece of one of the caller's files, with where the next one begins; of several files of a call, their list.

    What is no text is given only from an offset that was asked for: a model can do little with it, and reads thousands
    of tokens.

    Raises:
        ToolFault: there is no such file, the caller has no such call, or the arguments name neither.
        LedgerError: the books cannot be read.
    """
    uri, call_id, offset = arguments.get("uri"), arguments.get("call_id"), arguments.get("offset", 0)
    if uri is not None:
        kept = await anyio.to_thread.run_sync(store.owned, uri, caller.principal)
    elif call_id is not None:
        files = await _of_call(calls, results, call_id, caller)
        if len(files) > 1:
            return {"call_id": call_id, "files": [store.description(one) for one in files], "hint": "Give one's uri."}
        kept = files[0]
    else:
        raise ToolFault(
            INVALID_ARGUMENTS,
            "Neither the uri of a file nor the call_id of its call is given. Nothing was charged.",
        )
    if offset > kept.size:
        raise ToolFault(
            INVALID_ARGUMENTS,
            f"The file has {kept.size} bytes, and none from {offset} on. Nothing was charged.",
        )
    data = await anyio.to_thread.run_sync(partial(store.read, kept, offset, PIECE))
    shown, taken = _content(kept, data)
    made = store.description(kept)
    if "base64" in shown and "offset" not in arguments:
        where = "they lie at path" if "path" in made else "any reader of resources has them by uri"
        return made | {"hint": f"No text. Its bytes: {where}; an offset gives them here, in base64."}
    made |= {"offset": offset, **shown}
    if taken and offset + taken < kept.size:
        made["next_offset"] = offset + taken
    return made


async def _of_call(calls: Calls, results: Results, call_id: str, caller: Caller) -> tuple[StoredArtifact, ...]:
    """The files of a call, at least one; from its kept answer, so that one that was swept is there again."""
    row = await calls.reader(caller.principal).call(call_id)
    if row is None:
        raise ToolFault(CALL_NOT_FOUND, "No call has this id. Nothing was charged for asking.")
    end = standing(row)
    files = await results.files(end, caller) if end.answer is not None else ()
    if not files:
        raise ToolFault(
            ARTIFACT_NOT_FOUND,
            "This call brought no file, or its answer is no longer kept. Nothing was charged for asking.",
        )
    return files


def _content(kept: StoredArtifact, data: bytes) -> tuple[dict[str, str], int]:
    """A piece as text where it is text that shows everything it says, else as base64; and how many bytes it is."""
    if kept.mime_type.startswith("text/") or kept.mime_type == "application/json":
        # A character may be cut in two by the end of the piece.
        for cut in range(min(_LONGEST_SIGN, len(data) + 1)):
            part = data[: len(data) - cut]
            try:
                text = part.decode()
            except UnicodeDecodeError:
                continue
            if unshowable(text):
                break
            while len(jsontext.dumps(text)) > _TEXT:
                text = text[: len(text) // 2]
            return {"text": text}, len(text.encode())
    return {"base64": base64.b64encode(data).decode("ascii")}, len(data)
