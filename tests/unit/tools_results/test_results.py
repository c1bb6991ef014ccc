"""What the model sees of a paid answer, with a real artifact store."""

from __future__ import annotations

import base64
import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.results import FRAME, Results
from jecp_mcp.tools.types import (
    Audio,
    Embedded,
    Image,
    Link,
    Text,
    ToolResult,
)

from .scene import ACTION, CALL_ID, HUB, FixedClock

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PDF = b"%PDF-1.7\n" + bytes(range(256))
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


def results_in(directory: Path, **settings: int) -> Results:
    chosen = ArtifactSettings(**settings)
    return Results(ArtifactStore(directory / "artifacts", chosen, FixedClock()), chosen, LinkPolicy(HUB))


def paid(output: Any, *notices: Notice, **changes: Any) -> CallEnd:
    fields: dict[str, Any] = {
        "charge": Charge.YES,
        "call_id": CALL_ID,
        "offer": ACTION,
        "answer": Answer(CALL_ID, output, Billing(), notices=notices),
        "amount": MicroUSDC(50_000),
        "reserved": MicroUSDC(50_000),
        "reference": "tx_9",
        "balance_after": MicroUSDC(430_000),
    }
    return CallEnd(**(fields | changes))


def wrapped(data: bytes, content_type: str) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    said = {"content_type": content_type, "size_bytes": len(data), "inline": True, "data_base64": encoded}
    return {"artifact": said}


def frame(result: ToolResult) -> int:
    """The size of the result on the wire, with the names MCP adds."""
    blocks = [getattr(block, "text", None) or getattr(block, "data", "") for block in result.blocks]
    return len(json.dumps([blocks, result.structured, dict(result.meta)], ensure_ascii=False).encode())


def texts(result: ToolResult) -> list[str]:
    return [block.text for block in result.blocks if isinstance(block, Text)]


async def test_the_first_block_is_the_output_as_json_and_equal_to_the_structured_content(tmp_path: Path) -> None:
    output = {"rows": 3, "mean": Decimal("1.50"), "big": 2**70, "ok": None, "words": "snow ☃"}
    result = await results_in(tmp_path).render(paid(output))
    assert json.loads(texts(result)[0]) == result.structured
    assert result.structured == {"rows": 3, "mean": 1.5, "big": str(2**70), "ok": None, "words": "snow ☃"}
    assert not result.is_error


@pytest.mark.parametrize("output", [[1, 2], "text", 7, None, True, Decimal("0.1")])
async def test_an_output_that_is_no_object_is_wrapped_in_one(tmp_path: Path, output: Any) -> None:
    result = await results_in(tmp_path).render(paid(output))
    assert set(result.structured) == {"output"}
    assert json.loads(texts(result)[0]) == result.structured


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, f"Paid $0.05 to docs (tx tx_9); balance $0.43. Call {CALL_ID}."),
        (
            {"amount": MicroUSDC(900_000_000)},
            (
                "Paid. docs says that it took $900.00 where at most $0.05 was allowed, which the operator must check "
                f"(tx tx_9); balance $0.43. Call {CALL_ID}."
            ),
        ),
        (
            {"amount": MicroUSDC(900_000_000), "stored": True},
            (
                "Paid. docs says that it took $900.00 where at most $0.05 was allowed, which the operator must check "
                f"(tx tx_9); balance $0.43. Call {CALL_ID}."
            ),
        ),
        ({"stored": True}, f"Already paid $0.05 to docs (tx tx_9); not charged again; balance $0.43. Call {CALL_ID}."),
        (
            {"charge": Charge.NO, "amount": MicroUSDC(0), "reference": None, "balance_after": None},
            f"Free: docs charged nothing. Call {CALL_ID}.",
        ),
        (
            {"charge": Charge.UNKNOWN, "held": MicroUSDC(50_000), "balance_after": None},
            f"Whether docs was paid is not known; $0.05 stays held. Call {CALL_ID}.",
        ),
    ],
)
async def test_the_last_block_is_one_receipt_line(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    result = await results_in(tmp_path).render(paid({"a": 1}, **changes))
    assert texts(result)[-1] == line
    assert len(texts(result)) == 2


async def test_an_amount_beyond_what_was_allowed_is_the_payees_word_to_programs_too(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"a": 1}, amount=MicroUSDC(900_000_000)))
    billing = result.meta["jecp-mcp/billing"]
    assert (billing["amount_usdc"], billing["allowed_usdc"]) == ("900.00", "0.05")
    assert "The operator must check it." in billing["warning"]


async def test_billing_for_programs_is_in_meta(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"a": 1}))
    assert result.meta["jecp-mcp/billing"] == {
        "charged": "yes",
        "amount_usdc": "0.05",
        "payee": "docs",
        "call_id": CALL_ID,
        "transaction_id": "tx_9",
        "balance_usdc": "0.43",
    }


@pytest.mark.parametrize(
    ("data", "said", "media_type", "kind"),
    [
        (PNG, "image/jpeg", "image/png", Image),
        (WAV, "audio/x-wav", "audio/wav", Audio),
        (b"ID3\x04" + bytes(60), "audio/mp3", "audio/mpeg", Audio),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml", "image/svg+xml", Embedded),
        (b"<script>alert(1)</script>" * 4, "image/png", "application/octet-stream", Embedded),
        (b"ID3<script>alert(1)</script>", "audio/mpeg", "application/octet-stream", Embedded),
        (bytes(64), "image/gif", "application/octet-stream", Embedded),
        (bytes(64), "audio/made-up", "audio/made-up", Embedded),
        (PNG, "application/pdf", "application/pdf", Embedded),
    ],
    ids=str.split("jpeg-is-png wav mp3 svg page-as-png page-as-mp3 zeros-as-gif unknown-sound png-as-pdf"),
)
async def test_only_what_begins_as_an_image_or_a_sound_becomes_such_a_block(
    tmp_path: Path, data: bytes, said: str, media_type: str, kind: type
) -> None:
    result = await results_in(tmp_path).render(paid(wrapped(data, said)))
    block = result.blocks[1]
    assert (type(block), block.mime_type) == (kind, media_type)
    assert result.structured["artifact"]["content_type"] == media_type
    assert base64.b64decode(block.data) == data


@pytest.mark.parametrize(
    ("data", "content_type", "kind"),
    [
        (PNG, "image/png", Image),
        (WAV, "audio/wav", Audio),
        (PDF, "application/pdf", Embedded),
        (b"a,b\n1,2\n" * 4, "text/csv", Embedded),
    ],
)
async def test_a_file_becomes_the_block_of_its_kind_and_its_base64_comes_once(
    tmp_path: Path, data: bytes, content_type: str, kind: type
) -> None:
    results = results_in(tmp_path)
    result = await results.render(paid(wrapped(data, content_type)))
    block = result.blocks[1]
    assert isinstance(block, kind)
    assert base64.b64decode(block.data) == data
    described = result.structured["artifact"]
    assert (described["content_type"], described["size_bytes"]) == (content_type, len(data))
    assert block.data not in texts(result)[0]
    assert results._store.read(described["uri"]).data == data


async def test_a_file_in_a_named_field_is_taken_out_and_what_stands_beside_it_stays(tmp_path: Path) -> None:
    output = {"pdf": base64.b64encode(PDF).decode(), "pages": 1, "png": base64.b64encode(PNG).decode()}
    result = await results_in(tmp_path).render(paid(output))
    assert [type(block) for block in result.blocks[1:3]] == [Embedded, Image]
    assert result.structured["pages"] == 1
    assert result.structured["pdf"]["content_type"] == "application/pdf"


async def test_a_file_over_the_inline_limit_is_stored_behind_a_link(tmp_path: Path) -> None:
    results = results_in(tmp_path, inline_max_bytes=100)
    result = await results.render(paid(wrapped(PDF, "application/pdf")))
    link = result.blocks[1]
    assert isinstance(link, Link)
    assert (link.size, link.mime_type, link.uri) == (
        len(PDF),
        "application/pdf",
        result.structured["artifact"]["uri"],
    )
    assert results._store.read(link.uri).data == PDF


@pytest.mark.parametrize("size", [100_000, 400_000, 690_000, 900_000, 5_000_000])
@pytest.mark.parametrize("filler", ["x", '"', "\\", "☃", "\n"])
async def test_no_result_outgrows_a_frame_whatever_its_output(tmp_path: Path, size: int, filler: str) -> None:
    result = await results_in(tmp_path).render(paid({"text": filler * size}))
    assert frame(result) < 1_048_576
    assert json.loads(texts(result)[0]) == result.structured


async def test_a_large_file_beside_a_large_output_still_fits_a_frame(tmp_path: Path) -> None:
    output = {"text": "x" * 300_000, "png": base64.b64encode(PNG + bytes(600_000)).decode()}
    result = await results_in(tmp_path, inline_max_bytes=700_000).render(paid(output))
    assert frame(result) < 1_048_576


async def test_an_output_too_long_is_kept_whole_behind_a_link_and_previewed(tmp_path: Path) -> None:
    results, output = results_in(tmp_path), {"rows": list(range(300_000))}
    result = await results.render(paid(output))
    kept = results._store.read(result.structured["output_too_large"]["uri"])
    assert json.loads(kept.data) == output
    assert result.structured["preview"].startswith('{"rows":[0,1,2')
    assert isinstance(result.blocks[1], Link)
    assert len(texts(result)[0]) < 5_000


async def test_a_paid_answer_is_shown_when_the_disk_refuses_its_file(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("no directory")
    result = await results_in(tmp_path).render(paid(wrapped(PNG, "image/png")))
    assert isinstance(result.blocks[1], Image)
    assert "uri" not in result.structured["artifact"]
    assert texts(result)[1].startswith("Notice: the file could not be stored")


async def test_hidden_characters_leave_text_and_structured_content_alike(tmp_path: Path) -> None:
    output = {"a": "x\ud800y\U000e0041z\u202e\x1b[31m\x08", "keep": "שלום\u200f می\u200cرود ❤\ufe0f\n\ttab"}
    result = await results_in(tmp_path).render(paid(output))
    assert result.structured == {"a": "xyz[31m", "keep": "שלום می\u200cرود ❤\ufe0f\n\ttab"}
    assert json.loads(texts(result)[0]) == result.structured
    texts(result)[0].encode()


async def test_a_coming_sunset_is_one_line_between_output_and_receipt(tmp_path: Path) -> None:
    notice = Notice("deprecation", "Ends soon.\nSee https://evil.example/x", "2026-12-01T00:00:00Z")
    result = await results_in(tmp_path).render(paid({"a": 1}, notice))
    assert texts(result)[1] == "Notice: Ends soon. See [link withheld]"


async def test_a_file_that_only_claims_to_be_base64_stays_what_it_is(tmp_path: Path) -> None:
    output = {"artifact": {"content_type": "image/png", "data_base64": "not base64!", "inline": True}}
    result = await results_in(tmp_path).render(paid(output))
    assert result.structured == output
    assert len(result.blocks) == 2
    assert len(texts(result)[0]) < FRAME


async def test_an_api_key_in_an_output_reaches_neither_text_nor_structured_content(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"echo": "jdb_ak_0123456789abcdefABCDEF"}))
    assert result.structured == {"echo": "[key withheld]"}
    assert json.loads(texts(result)[0]) == result.structured


async def test_an_output_that_is_no_json_says_so_and_keeps_its_receipt(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"x": float("nan")}))
    assert set(result.structured) == {"output_unreadable"}
    assert texts(result)[-1].startswith("Paid $0.05")


class Watched(dict[str, Any]):
    """An output that knows which threads have read it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.threads: set[int] = set()

    def items(self) -> Any:
        self.threads.add(threading.get_ident())
        return super().items()


@pytest.mark.parametrize(
    ("content", "aside"),
    [
        ("short", False),
        ("\u200d" * 70_000, True),
        ([""] * 70_000, True),
        ({f"k{at}" * 9: 1 for at in range(9_000)}, True),
    ],
    ids=["short", "a text", "a list", "an object"],
)
async def test_a_long_output_is_written_beside_everybodys_calls(tmp_path: Path, content: Any, *, aside: bool) -> None:
    output = Watched({"a": content})
    await results_in(tmp_path).render(paid({"rows": [output]}))
    assert (threading.get_ident() not in output.threads) is aside
    assert output.threads
