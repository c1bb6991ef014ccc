"""Every place where a stranger's text leaves the process. Whoever opens another one adds it here.

Each is a function from a hostile text to what left. `ONE_LINE` are those where a line must not be begun by a stranger.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import click

from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.cli import ledger, main, rich_output
from jecp_mcp.cli.csv_output import CsvRows
from jecp_mcp.cli.output_filter import OneMessage, VisibleText
from jecp_mcp.cli.saved_files import save
from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.domain.offers import Deprecation, Offer, Price
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.pages import ReaderTime
from jecp_mcp.server import approvals, approvals_html, mcp_json
from jecp_mcp.settings import ArtifactSettings, ToolSettings
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.error_results import error_result
from jecp_mcp.tools.own import wallet
from jecp_mcp.tools.own.browse import description
from jecp_mcp.tools.own.refunds import _refund_json
from jecp_mcp.tools.publishing.cleaning import title_of
from jecp_mcp.tools.publishing.descriptions import describe
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.publishing.output_schemas import purchase_output
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry, _publish
from jecp_mcp.tools.results import Results
from jecp_mcp.wire.jecp import ids
from jecp_mcp.wire.jecp.account import Refund
from jecp_mcp.wire.jecp.catalog import parse_page
from tests.unit.tools_results.scene import HUB, FixedClock, context, refused

LINKS = LinkPolicy(HUB)


@contextmanager
def a_terminal() -> Any:
    """Standard output and error as the command line has them, into one buffer."""
    screen = io.BytesIO()
    stream = VisibleText(screen, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)
    with patch.object(sys, "stdout", stream), patch.object(sys, "stderr", stream):
        yield lambda: screen.getvalue().decode()


def seen(act: Callable[[], object]) -> str:
    with a_terminal() as screen:
        act()
        return str(screen())


def printed(text: str) -> str:
    return seen(lambda: print(f"Approved: {text}", file=sys.stderr))


def printed_json(text: str) -> str:
    shown = seen(lambda: print(json.dumps({"id": text}, ensure_ascii=False)))
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert json.loads(shown) == {"id": text}, "what was JSON is the same JSON"
    return shown


def echoed(text: str) -> str:
    return seen(lambda: click.echo(f"  action: {text}", err=True))


def in_colour(text: str) -> str:
    return seen(lambda: rich_output.say(text, "green"))


def in_a_table(text: str) -> str:
    return seen(lambda: rich_output.show(rich_output.Listing("Ledger", [("tool", "left")], [(text,)])))


def in_records(text: str) -> str:
    with patch.object(rich_output, "_PIPE_WIDTH", 40):
        columns: list[rich_output.Column] = [("call", "left"), ("tool", "left"), ("what it does", "prose")]
        return seen(lambda: rich_output.show(rich_output.Listing("Ledger", columns, [(text, text * 4, text * 9)])))


def in_facts(text: str) -> str:
    return seen(lambda: rich_output.show(rich_output.Facts({"Hub": text})))


def in_the_ledger(text: str) -> str:
    given: Any = type("Given", (), {"ledger": Path("ledger.sqlite")})
    call = {
        "created_at": "2026-11-26T00:00:00Z",
        "tool": text,
        "state": "settled",
        "held_usdc": "0.00",
        "answer": "kept",
    }
    call |= {"charged_usdc": "0.05", "amount_unreadable": False, "transaction_id": text, "call_id": "c"}
    return seen(lambda: ledger._print([call], given))


def as_an_error(text: str) -> str:
    return seen(lambda: main._say(text))


def as_a_traceback(text: str) -> str:
    return seen(lambda: sys.excepthook(ValueError, ValueError(text), None))


def logged(text: str) -> str:
    def log() -> None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneMessage("jecp-mcp %(levelname)s %(name)s: %(message)s"))
        raised = (ValueError, ValueError(text), None)
        record = logging.LogRecord("mcp", logging.WARNING, "f", 1, "Invalid Host header: %s", (text,), raised)
        handler.emit(record)

    return seen(log)


def in_csv(text: str) -> str:
    out = io.StringIO()
    CsvRows(out).write(["c_1", text, text])
    return out.getvalue()


def on_the_page(text: str) -> str:
    fields = ("at_most_usdc", "for", "because", "action", "payee", "arguments", "principal", "code")
    at = dict.fromkeys(("asked_at", "expires_at"), "2026-11-27T12:00:00.000Z")
    shown = {**dict.fromkeys(fields, text), **at, "exact": True, "state": "granted"}
    time = ReaderTime.here(0)
    page = approvals_html.listing(
        [shown], approvals_html.Session("token", time), approvals_html.answer_sentence(shown, time)
    )
    return bytes(approvals._page(page).body).decode()


def action_of(text: str) -> Offer:
    return Offer(
        "docs/pdf", "make", "docs", Price(MicroUSDC(1), None, text), "1.0.0", text, text, text, text, (text,),
        {"type": "object", "title": text, "description": text, "properties": {"a": {"default": text, "examples": [text]}}},
        {"properties": {text: {"enum": [text]}}}, ({"input": {text: text}},), side_effects={text: True}, deprecation=Deprecation("deprecated", text, text),
    )  # fmt: skip


def as_a_tool(text: str) -> str:
    made: Any = _publish("docs_pdf_make", action_of(text), None, None, None)
    action = action_of(text)
    said = [action, replace(action, output_schema=action.input_schema)]
    cards = [replace(made.card, output_schema=purchase_output(one)) for one in said]
    return _json([*map(mcp_json.tool, cards), describe(action), title_of(action)])


def as_a_description(text: str) -> str:
    made: Any = _publish("docs_pdf_make", action_of(text), None, None, None)
    return _json(description(made, ToolRegistry(ToolSettings()), allowed={}, most=ZERO))


def as_an_output(text: str) -> str:
    answer = Answer("c", {text: [text]}, Billing(), provider=text, notices=(Notice("news", text),))
    end = CallEnd(Charge.YES, "c", answer=answer, amount=MicroUSDC(5), reference=text)
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder), ArtifactSettings(), FixedClock())
        result = anyio.run(Results(store, ArtifactSettings(), LINKS).render, end, Caller(LOCAL))
    return _json(mcp_json.result(result))


def as_a_refusal(text: str) -> str:
    refusal = Refusal("X", text, details={text: [text]}, raw={"type": text, text: text}, documentation_url=text)
    return _json(mcp_json.result(error_result(refused(refusal), context())))


def as_a_status(text: str) -> str:
    row: Any = dict.fromkeys(CallRow.__dataclass_fields__)
    row |= {
        "call_id": "c",
        "tool": "t",
        "state": State.SETTLED,
        "created_at": 0,
        "charged": ZERO,
        "held": ZERO,
        "quoted": ZERO,
    }
    return _json(wallet.call_summary(CallRow(**(row | {"refunded": ZERO, "reference": text, "answered": True}))))


def as_a_refund(text: str) -> str:
    return _json(_refund_json(Refund(text, text, text, None, None, text, text, text, text, text, {}), LINKS))


def as_an_id(text: str) -> str:
    page = parse_page(json.dumps({"capabilities": [{"id": text, "actions": [{"id": text}]}]}).encode())
    return _json([*map(list, page.quarantined), ids.reference(text), ids.label(text)])


def as_a_file_name(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder) / "kept", ArtifactSettings(), FixedClock())
        stored = store.put(b"x", text, text, None, LOCAL)
        (Path(folder) / "to").mkdir()
        saved, _ = save([(text, text, b"")], Path(folder) / "to")
        assert [one.parent.name for one in saved] == ["to"]
        return _json([stored.name, stored.path.name, *(one.name for one in saved)])


def _json(value: Any) -> str:
    """As a reader has it, whose JSON parser undoes every escape."""
    texts: list[str] = []

    def collect(one: Any) -> None:
        if isinstance(one, dict):
            for key, item in one.items():
                collect(key)
                collect(item)
        elif isinstance(one, list | tuple):
            for item in one:
                collect(item)
        elif isinstance(one, str):
            texts.append(one)
            if one[:1] in {"{", "["}:
                try:
                    collect(json.loads(one))
                except ValueError:
                    return

    collect(value)
    return " ".join(texts)


PRINTING = (
    printed,
    printed_json,
    echoed,
    in_colour,
    in_a_table,
    in_records,
    in_facts,
    in_the_ledger,
    as_an_error,
    as_a_traceback,
    logged,
)
ONE_LINE = (in_a_table, in_records, in_facts, in_the_ledger, as_an_error, in_csv)
TO_MODELS = (as_a_tool, as_a_description, as_an_output, as_a_refusal, as_a_status, as_a_refund, as_an_id)
PLACES = (*PRINTING, in_csv, on_the_page, *TO_MODELS, as_a_file_name)
