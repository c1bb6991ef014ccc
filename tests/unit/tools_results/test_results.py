"""What the model sees of a paid answer, with a real artifact store."""

from __future__ import annotations

import base64
import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.domain.purchases import LOCAL
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
ME = Caller(LOCAL)
DESKTOP, CLAUDE, CODEX, CODE, INSPECTOR, NAMELESS, TERMINAL = (
    Caller(LOCAL, client=name)
    for name in (
        "claude-ai",
        "claude-code",
        "codex-mcp-client",
        "Visual Studio Code",
        "inspector-client",
        "mcp",
        "jecp-mcp-call",
    )
)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


def results_in(directory: Path, *, shared: bool = False, **settings: int) -> Results:
    chosen = ArtifactSettings(**settings)
    store = ArtifactStore(directory / "artifacts", chosen, FixedClock(), shared_disk=shared)
    return Results(store, chosen, LinkPolicy(HUB))


def kept(results: Results, uri: str) -> bytes:
    return results._store.read(results._store.owned(uri, LOCAL))


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
    """The lines of the text: the receipt, files and notices, the output."""
    assert [type(block) for block in result.blocks].count(Text) == 1
    assert isinstance(result.blocks[0], Text)
    return result.blocks[0].text.split("\n")


def output(result: ToolResult) -> Any:
    """The output, which is the same in text and structured content."""
    assert result.structured is not None
    assert json.loads(texts(result)[-1]) == result.structured["output"]
    return result.structured["output"]


async def test_the_last_line_is_the_output_as_json_and_equal_to_the_structured_content(tmp_path: Path) -> None:
    bought = {"rows": 3, "mean": Decimal("1.50"), "big": 2**70, "ok": None, "words": "snow ☃"}
    result = await results_in(tmp_path).render(paid(bought), ME)
    assert output(result) == {"rows": 3, "mean": 1.5, "big": str(2**70), "ok": None, "words": "snow ☃"}
    assert not result.is_error


@pytest.mark.parametrize("bought", [[1, 2], "text", 7, None, True, Decimal("0.1"), {"receipt": {"charged": "no"}}])
async def test_an_output_of_any_kind_stands_beside_the_receipt_and_never_in_its_place(
    tmp_path: Path, bought: Any
) -> None:
    result = await results_in(tmp_path).render(paid(bought), ME)
    assert set(result.structured) == {"receipt", "output"}
    assert result.structured["receipt"]["charged"] == "yes"
    assert output(result) == (0.1 if isinstance(bought, Decimal) else bought)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, f"Paid 0.05 USDC to docs; balance 0.43 USDC. Call {CALL_ID}."),
        (
            {"amount": MicroUSDC(900_000_000)},
            (
                "Paid. docs says that it took 900.00 USDC where at most 0.05 USDC was allowed, which the operator must check "
                f"(tx tx_9); balance 0.43 USDC. Call {CALL_ID}."
            ),
        ),
        (
            {"amount": MicroUSDC(900_000_000), "stored": True},
            (
                "Paid. docs says that it took 900.00 USDC where at most 0.05 USDC was allowed, which the operator must check "
                f"(tx tx_9). Call {CALL_ID}."
            ),
        ),
        ({"stored": True}, f"Bought earlier, not bought again: paid 0.05 USDC to docs (tx tx_9). Call {CALL_ID}."),
        (
            {"refunded": MicroUSDC(50_000), "balance_after": None},
            f"Paid 0.05 USDC to docs. All of it came back, and counts as spent no more. Call {CALL_ID}.",
        ),
        (
            {"refunded": MicroUSDC(20_000), "stored": True},
            (
                "Bought earlier, not bought again: paid 0.05 USDC to docs (tx tx_9). 0.02 USDC of it came back, and counts "
                f"as spent no more. Call {CALL_ID}."
            ),
        ),
        (
            {"charge": Charge.NO, "amount": MicroUSDC(0), "reference": None, "balance_after": None},
            f"Free: docs charged nothing. Call {CALL_ID}.",
        ),
        (
            {"charge": Charge.UNKNOWN, "held": MicroUSDC(50_000), "balance_after": None},
            f"Whether docs was paid is not known; 0.05 USDC stays held. Call {CALL_ID}.",
        ),
    ],
)
async def test_the_first_line_is_the_receipt(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    result = await results_in(tmp_path).render(paid({"a": 1}, **changes), ME)
    assert texts(result) == [line, '{"a":1}']
    assert result.notes == (line,)


async def test_what_came_back_is_told_to_programs_too(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"a": 1}, refunded=MicroUSDC(20_000)), ME)
    assert result.structured["receipt"]["refunded_usdc"] == result.meta["jecp-mcp/billing"]["refunded_usdc"] == "0.02"


async def test_an_amount_beyond_what_was_allowed_is_the_payees_word_to_programs_too(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"a": 1}, amount=MicroUSDC(900_000_000)), ME)
    billing = result.meta["jecp-mcp/billing"]
    assert (billing["amount_usdc"], billing["allowed_usdc"]) == ("900.00", "0.05")
    assert "The operator must check it." in billing["warning"]
    assert "at most 0.05 USDC was allowed" in result.structured["receipt"]["warning"]


async def test_billing_for_programs_is_in_meta(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"a": 1}), ME)
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
    result = await results_in(tmp_path).render(paid(wrapped(data, said)), INSPECTOR)
    block = result.blocks[1]
    assert (type(block), block.mime_type) == (kind, media_type)
    assert result.structured["output"]["artifact"]["content_type"] == media_type
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
    result = await results.render(paid(wrapped(data, content_type)), INSPECTOR)
    block = result.blocks[1]
    assert isinstance(block, kind)
    assert base64.b64decode(block.data) == data
    described = result.structured["output"]["artifact"]
    assert (described["content_type"], described["size_bytes"]) == (content_type, len(data))
    assert block.data not in "".join(texts(result))
    assert kept(results, described["uri"]) == data


async def test_a_file_in_a_named_field_is_taken_out_and_what_stands_beside_it_stays(tmp_path: Path) -> None:
    bought = {"pdf": base64.b64encode(PDF).decode(), "pages": 1, "png": base64.b64encode(PNG).decode()}
    result = await results_in(tmp_path).render(paid(bought), INSPECTOR)
    assert [type(block) for block in result.blocks[1:3]] == [Embedded, Image]
    assert result.structured["output"]["pages"] == 1
    assert result.structured["output"]["pdf"]["content_type"] == "application/pdf"


async def test_a_file_over_the_inline_limit_is_stored_behind_a_link(tmp_path: Path) -> None:
    results = results_in(tmp_path, inline_max_bytes=100)
    result = await results.render(paid(wrapped(PDF, "application/pdf")), INSPECTOR)
    link = result.blocks[1]
    assert isinstance(link, Link)
    assert (link.size, link.mime_type, link.uri) == (
        len(PDF),
        "application/pdf",
        result.structured["output"]["artifact"]["uri"],
    )
    assert kept(results, link.uri) == PDF


@pytest.mark.parametrize("size", [100_000, 400_000, 690_000, 900_000, 5_000_000])
@pytest.mark.parametrize("filler", ["x", '"', "\\", "☃", "\n"])
async def test_no_result_outgrows_a_frame_whatever_its_output(tmp_path: Path, size: int, filler: str) -> None:
    for client in (ME,) if size > 1_000_000 else (ME, CLAUDE):
        result = await results_in(tmp_path).render(paid({"text": filler * size}), client)
        assert frame(result) < 1_048_576
        assert texts(result)[0].startswith("Paid 0.05 USDC")
        assert result.structured["receipt"]["call_id"] == CALL_ID


async def test_a_large_file_beside_a_large_output_still_fits_a_frame(tmp_path: Path) -> None:
    bought = {"text": "x" * 300_000, "png": base64.b64encode(PNG + bytes(600_000)).decode()}
    result = await results_in(tmp_path, inline_max_bytes=700_000).render(paid(bought), ME)
    assert frame(result) < 1_048_576


async def test_an_output_too_long_for_a_message_is_kept_whole_and_previewed_on_both_sides(tmp_path: Path) -> None:
    results, bought = results_in(tmp_path), {"rows": list(range(300_000))}
    for client in (ME, CLAUDE):
        result = await results.render(paid(bought), client)
        summary = result.structured["output_summary"]
        assert json.loads(texts(result)[-1]) == {"output_summary": summary}
        assert json.loads(kept(results, summary["uri"])) == bought
        assert summary["preview"].startswith('{"rows":[0,1,2')
        assert summary["read_with"] == "jecp_file"
        assert len("".join(texts(result))) < 5_000


@pytest.mark.parametrize("client", [ME, NAMELESS, DESKTOP, CODEX, CLAUDE, CODE])
@pytest.mark.parametrize("length", [32 * 1024 - len('{"text":""}'), 32 * 1024])
async def test_up_to_32_kb_both_say_the_same_and_beyond_the_one_that_is_read_is_whole(
    tmp_path: Path, client: Caller, length: int
) -> None:
    results, bought = results_in(tmp_path), {"text": "x" * length}
    result = await results.render(paid(bought), client)
    if length < 32 * 1024:
        assert output(result) == bought
        return
    whole, other = result.structured, json.loads(texts(result)[-1])
    if client in (ME, NAMELESS, DESKTOP):
        whole, other = {"output": other}, result.structured
    assert whole["output"] == bought
    summary = other["output_summary"]
    assert json.loads(kept(results, summary["uri"])) == bought
    assert len(json.dumps(other)) < 4_000
    assert texts(result)[0].startswith("Paid 0.05 USDC")
    assert result.structured["receipt"]["call_id"] == CALL_ID


async def test_an_output_that_cannot_be_kept_is_whole_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("no directory")
    bought = {"text": "x" * 40_000}
    result = await results_in(tmp_path).render(paid(bought), ME)
    assert output(result) == bought
    assert "jecp_file with this call_id tries again" in texts(result)[1]


async def test_a_terminal_is_shown_the_whole_output_however_long(tmp_path: Path) -> None:
    bought = {"rows": list(range(300_000))}
    result = await results_in(tmp_path).render(paid(bought), TERMINAL)
    assert result.structured["output"] == bought


@pytest.mark.parametrize("client", [ME, NAMELESS, DESKTOP, CODEX, CLAUDE, CODE])
async def test_after_a_cut_at_10_kb_receipt_and_files_are_still_there(tmp_path: Path, client: Caller) -> None:
    bought = {"pages": "x" * 200_000, **wrapped(PDF, "application/pdf")}
    result = await results_in(tmp_path).render(paid(bought), client, remaining=MicroUSDC(1_950_000))
    as_text = "\n".join(texts(result))[:10_000]
    as_json = json.dumps(result.structured)[:10_000]
    for cut in (as_text, as_json):
        assert CALL_ID in cut
        assert "0.05" in cut
        assert "1.95" in cut
        assert "jecp_file" in cut
        assert "jecp://artifact/" in cut


@pytest.mark.parametrize(
    ("client", "blocks"),
    [(ME, [Link]), (NAMELESS, []), (DESKTOP, [Link]), (CLAUDE, [Link]), (CODE, [Embedded]), (INSPECTOR, [Embedded])],
    ids=lambda value: getattr(value, "client", None),
)
async def test_a_file_is_in_the_result_only_where_it_stays_out_of_the_prompt(
    tmp_path: Path, client: Caller, blocks: list[type]
) -> None:
    data = PDF + bytes(18_000)
    result = await results_in(tmp_path).render(paid(wrapped(data, "application/pdf")), client)
    assert [type(block) for block in result.blocks[1:]] == blocks
    assert base64.b64encode(data).decode() not in json.dumps([texts(result), result.structured])
    sound = await results_in(tmp_path).render(paid(wrapped(WAV, "audio/wav")), client)
    assert (Audio in map(type, sound.blocks)) is (blocks == [Embedded])


@pytest.mark.parametrize("client", [ME, NAMELESS, DESKTOP, CODEX, CLAUDE, CODE])
async def test_an_image_stays_an_image_also_where_structured_content_would_hide_it(
    tmp_path: Path, client: Caller
) -> None:
    result = await results_in(tmp_path).render(paid(wrapped(PNG, "image/png")), client)
    assert [type(block) for block in result.blocks[1:]] == [Image]
    assert (result.structured is None) is (client in (CODEX, CLAUDE))
    assert texts(result)[0].startswith("Paid 0.05 USDC")


@pytest.mark.parametrize("client", [ME, CLAUDE, INSPECTOR])
@pytest.mark.parametrize("data", [PNG, PDF], ids=["png", "pdf"])
async def test_what_was_delivered_is_not_sent_again_its_link_is(tmp_path: Path, client: Caller, data: bytes) -> None:
    results, bought = results_in(tmp_path), wrapped(data, "image/png" if data is PNG else "application/pdf")
    never = await results.render(paid(bought, stored=True), client)
    again = await results.render(paid(bought, stored=True, delivered=True), client)
    assert (Image in map(type, never.blocks)) is (data is PNG)
    assert [type(block) for block in again.blocks[1:]] == [Link]
    assert again.structured["receipt"]["note"] == "Bought earlier, not bought again."
    assert again.blocks[1].uri == again.structured["files"][0]["uri"]
    assert again.blocks[1].uri in texts(again)[1]


async def test_a_file_is_told_in_one_line_and_its_path_only_where_the_disk_is_shared(tmp_path: Path) -> None:
    bought = paid(wrapped(PDF + bytes(23_000), "application/pdf"))
    near = await results_in(tmp_path, shared=True).render(bought, ME)
    far = await results_in(tmp_path).render(bought, ME)
    (file,) = near.structured["files"]
    path, uri = tmp_path / "artifacts" / f"{file['uri'][-32:]}.pdf", file["uri"]
    assert path.read_bytes().startswith(PDF)
    how = "Read it free: jecp_file"
    assert texts(near)[1] == f"File: PDF, 23.3 kB, at {path}, kept until 2026-12-21. {how} with this call_id"
    assert texts(far)[1] == f'File: PDF, 23.3 kB, kept until 2026-12-21. {how} {{"uri":"{uri}"}}'
    assert file == {
        "uri": uri,
        "content_type": "application/pdf",
        "size_bytes": 23_265,
        "path": str(path),
        "kept_until": "2026-12-21T10:00:00.000Z",
        "read_with": "jecp_file",
    }
    assert str(tmp_path) not in json.dumps([texts(far), far.structured])


async def test_a_paid_answer_is_shown_when_the_disk_refuses_its_file(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("no directory")
    result = await results_in(tmp_path).render(paid(wrapped(PNG, "image/png")), ME)
    assert isinstance(result.blocks[1], Image)
    assert "uri" not in result.structured["output"]["artifact"]
    assert texts(result)[1].startswith("Notice: the file could not be stored")
    assert "jecp_file with this call_id tries again" in texts(result)[1]
    assert result.structured["notices"] == [texts(result)[1].removeprefix("Notice: ")]
    # No flood for want of a disk: the ledger has the file.
    assert len((await results_in(tmp_path).render(paid(wrapped(PDF, "application/pdf")), ME)).blocks) == 1


async def test_hidden_characters_leave_text_and_structured_content_alike(tmp_path: Path) -> None:
    bought = {"a": "x\ud800y\U000e0041z\u202e\x1b[31m\x08", "keep": "שלום\u200f می\u200cرود ❤\ufe0f\n\ttab"}
    result = await results_in(tmp_path).render(paid(bought), ME)
    assert output(result) == {"a": "xyz[31m", "keep": "שלום می\u200cرود ❤\ufe0f\n\ttab"}
    texts(result)[0].encode()


async def test_a_coming_sunset_is_one_line_between_output_and_receipt(tmp_path: Path) -> None:
    notice = Notice("deprecation", "Ends soon.\nSee https://evil.example/x", "2026-12-01T00:00:00Z")
    result = await results_in(tmp_path).render(paid({"a": 1}, notice), ME)
    assert texts(result)[1] == "Notice: Ends soon. See [link withheld]"


async def test_a_file_that_only_claims_to_be_base64_stays_what_it_is(tmp_path: Path) -> None:
    bought = {"artifact": {"content_type": "image/png", "data_base64": "not base64!", "inline": True}}
    result = await results_in(tmp_path).render(paid(bought), ME)
    assert output(result) == bought
    assert len(result.blocks) == 1
    assert len(texts(result)[0]) < FRAME


async def test_an_api_key_in_an_output_reaches_neither_text_nor_structured_content(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"echo": "jdb_ak_0123456789abcdefABCDEF"}), ME)
    assert output(result) == {"echo": "[key withheld]"}


async def test_an_output_that_is_no_json_says_so_and_keeps_its_receipt(tmp_path: Path) -> None:
    result = await results_in(tmp_path).render(paid({"x": float("nan")}), ME)
    assert set(output(result)) == {"output_unreadable"}
    assert texts(result)[0].startswith("Paid 0.05 USDC")


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
    bought = Watched({"a": content})
    await results_in(tmp_path).render(paid({"rows": [bought]}), ME)
    assert (threading.get_ident() not in bought.threads) is aside
    assert bought.threads
