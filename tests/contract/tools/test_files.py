"""``jecp_file``: bought files in pieces, to whoever bought them and nobody else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL, Principal
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.own import wallet

from .shop import Script, Shop, charged, lost, opened

pytestmark = pytest.mark.anyio

ME, OTHER = Caller(LOCAL), Caller(Principal("someone else"))
TOOL = "docs_invoice_render"
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 300
TABLE = "Größe,Straße\n☃,\U0001f600\n".encode() * 3_000
DAY = 86_400_000


def wrapped(data: bytes, content_type: str) -> dict[str, Any]:
    return {"artifact": {"content_type": content_type, "data_base64": base64.b64encode(data).decode()}}


def selling(output: Any) -> Script:
    def script(request: StoredRequest, _replay: bool) -> Outcome:
        return charged(request, output)

    return script


async def bought(shop: Shop, caller: Caller = ME, n: int = 1) -> dict[str, Any]:
    return dict((await shop.dispatcher.call(TOOL, {"n": n}, caller)).structured or {})


async def asked(shop: Shop, caller: Caller = ME, **arguments: Any) -> dict[str, Any]:
    result = await shop.dispatcher.call("jecp_file", arguments, caller)
    return dict(result.structured or {})


async def pieces(shop: Shop, **arguments: Any) -> list[dict[str, Any]]:
    found = [await asked(shop, **{"offset": 0, **arguments})]
    while "next_offset" in found[-1]:
        found.append(await asked(shop, **{**arguments, "offset": found[-1]["next_offset"]}))
    return found


def data_of(piece: dict[str, Any]) -> bytes:
    return piece["text"].encode() if "text" in piece else base64.b64decode(piece["base64"])


@pytest.mark.parametrize(
    ("data", "content_type", "kind"),
    [
        (PDF, "application/pdf", "base64"),
        (TABLE, "text/csv", "text"),
        (b'"' * 50_000, "text/plain", "text"),
        pytest.param(b"{}", "application/json", "text", marks=pytest.mark.slow),
        (b"\xff" + TABLE, "text/csv", "base64"),
        pytest.param(b"bell \x07" * 9_000, "text/plain", "base64", marks=pytest.mark.slow),
        pytest.param(b"%PDF-" + bytes(23_995), "application/pdf", "base64", marks=pytest.mark.slow),
    ],
    ids=["pdf", "table", "quotes", "json", "no-text", "hidden", "one-piece"],
)
async def test_the_pieces_are_the_file_and_each_fits_a_result(
    tmp_path: Path, data: bytes, content_type: str, kind: str
) -> None:
    async with opened(tmp_path, selling(wrapped(data, content_type))) as shop:
        (file,) = (await bought(shop))["files"]
        found = await pieces(shop, uri=file["uri"])
        by_call = await pieces(shop, call_id="call_0001")
    assert b"".join(map(data_of, found)) == data
    assert by_call == found
    assert kind in found[0]
    for one in found:
        assert len(data_of(one)) <= 24_000
        assert len(json.dumps(one, ensure_ascii=False)) <= 32 * 1024
        described = {key: file[key] for key in ("uri", "content_type", "size_bytes", "path", "kept_until")}
        assert {key: one[key] for key in described} == described
    assert [one["offset"] for one in found[1:]] == [one["next_offset"] for one in found[:-1]]
    assert (file["size_bytes"], file["kept_until"]) == (len(data), "2026-12-21T10:00:00.000Z")


@pytest.mark.parametrize(
    ("data", "content_type", "kind"),
    [(PDF, "application/pdf", None), (b"\xff" + TABLE, "text/csv", None), (TABLE, "text/csv", "text")],
)
async def test_what_is_no_text_is_given_only_from_an_offset_that_is_asked_for(
    tmp_path: Path, data: bytes, content_type: str, kind: str | None
) -> None:
    async with opened(tmp_path, selling(wrapped(data, content_type))) as shop:
        (file,) = (await bought(shop))["files"]
        for named in ({"uri": file["uri"]}, {"call_id": "call_0001"}):
            found = await asked(shop, **named)
            assert {"text", "base64", "offset"} & set(found) == ({kind, "offset"} if kind else set())
            assert found["path"] == file["path"]
            assert ("hint" in found) is (kind is None)
            assert (await asked(shop, **named, offset=0))["offset"] == 0


async def test_nobody_has_a_file_of_anothers_by_any_way(tmp_path: Path) -> None:
    async with opened(tmp_path, selling(wrapped(PDF, "application/pdf"))) as shop:
        (mine,), (theirs,) = [(await bought(shop, one))["files"] for one in (ME, OTHER)]
        assert mine["uri"] != theirs["uri"]
        for caller, uri, call_id in ((ME, theirs["uri"], "call_0002"), (OTHER, mine["uri"], "call_0001")):
            assert (await asked(shop, caller, uri=uri))["error"]["code"] == "ARTIFACT_NOT_FOUND"
            assert (await asked(shop, caller, call_id=call_id))["error"]["code"] == "CALL_NOT_FOUND"
        for caller, uri in ((ME, mine["uri"]), (OTHER, theirs["uri"])):
            assert (await asked(shop, caller, uri=uri))["size_bytes"] == len(PDF)
            *_, listed = (await shop.dispatcher.resources.page(None, caller)).entries
            assert listed.uri == uri
            assert await shop.dispatcher.resources.complete("jecp://artifact/{id}", "", caller) == [uri[-32:]]


async def test_a_call_with_several_files_gives_their_list_and_each_by_its_uri(tmp_path: Path) -> None:
    output = {"pdf": base64.b64encode(PDF).decode(), "zip": base64.b64encode(b"PK\x03\x04" + bytes(60)).decode()}
    async with opened(tmp_path, selling(output)) as shop:
        files = (await bought(shop))["files"]
        listed = await asked(shop, call_id="call_0001")
        found = [b"".join([data_of(one) for one in await pieces(shop, uri=file["uri"])]) for file in files]
    assert [one["uri"] for one in listed["files"]] == [one["uri"] for one in files]
    assert found == [PDF, b"PK\x03\x04" + bytes(60)]


async def test_a_file_that_was_swept_is_had_again_by_its_call(tmp_path: Path) -> None:
    keep = ArtifactSettings(keep_days=2)
    async with opened(tmp_path, selling(wrapped(PDF, "application/pdf")), artifacts=keep) as shop:
        (file,) = (await bought(shop))["files"]
        shop.clock.at = UnixMs(shop.clock.at + 3 * DAY)
        shop.store.put(b"x", "text/plain", "sweeps", None, LOCAL)
        assert (await asked(shop, uri=file["uri"]))["error"]["code"] == "ARTIFACT_NOT_FOUND"
        again = await asked(shop, call_id="call_0001")
    assert again["uri"] == file["uri"]
    assert again["kept_until"] == "2026-11-26T10:00:00.000Z"


async def test_an_output_too_long_to_be_sent_twice_is_read_whole_in_pieces(tmp_path: Path) -> None:
    output = {"rows": list(range(10_000)), "words": "Größe"}
    async with opened(tmp_path, selling(output)) as shop:
        summary = (await bought(shop))["output_summary"]
        found = await pieces(shop, uri=summary["uri"])
        by_call = await pieces(shop, call_id="call_0001")
    assert json.loads(b"".join(map(data_of, found))) == output
    assert by_call == found


async def test_a_call_that_is_not_over_has_no_file_yet(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda *_: lost()) as shop:
        await bought(shop)
        found = await asked(shop, call_id="call_0001")
    assert (found["error"]["code"], found["next_action"]["tool"]) == ("ARTIFACT_NOT_FOUND", "jecp_status")


async def test_the_path_is_told_only_where_the_disk_is_shared(tmp_path: Path) -> None:
    async with opened(tmp_path, selling(wrapped(PDF, "application/pdf")), shared_disk=False) as shop:
        (file,) = (await bought(shop))["files"]
        assert "path" not in file
        assert "path" not in await asked(shop, uri=file["uri"])


async def test_a_replay_links_to_the_file_and_says_that_nothing_was_bought_again(tmp_path: Path) -> None:
    async with opened(tmp_path, selling(wrapped(PDF, "application/pdf"))) as shop:
        first = await bought(shop)
        again = await shop.dispatcher.call("jecp_status", {"call_id": "call_0001"}, ME)
    assert again.structured is not None
    assert again.structured["files"] == first["files"]
    then = {"note": "Bought earlier, not bought again.", "asked": {"n": "1"}, "listed_usdc": "0.05"}
    assert again.structured["receipt"] == first["receipt"] | then
    assert [type(one).__name__ for one in again.blocks] == ["Text", "Link"]


async def test_an_answer_is_shown_though_what_is_left_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a ledger that fails nor one that takes too long keeps a paid answer back."""

    async def broken(*_: Any, **__: Any) -> Any:
        raise LedgerUnavailable("the disk is gone")

    async def stuck(*_: Any, **__: Any) -> Any:
        await anyio.sleep_forever()

    monkeypatch.setattr(wallet, "_PATIENCE_SECONDS", 0.01)
    async with opened(tmp_path) as shop:
        for n, readings in enumerate((broken, stuck)):
            monkeypatch.setattr(shop.calls._ledger, "readings", readings)
            found = await bought(shop, n=n)
            assert found["output"] == {"done": True}
            assert "remaining_usdc" not in found["receipt"]


async def test_a_receipt_says_what_the_limits_that_apply_leave(tmp_path: Path) -> None:
    limits = [{"match": "docs/*", "total_usdc": "0.12"}, {"match": "media/*", "total_usdc": "0.01"}]
    async with opened(tmp_path, mandate={"daily_usdc": "2.00", "limits": limits}) as shop:
        left = [(await bought(shop, n=n))["receipt"]["remaining_usdc"] for n in range(2)]
    assert left == ["0.07", "0.02"]
