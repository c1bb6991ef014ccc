"""What the sandbox's agents do: they read a text, on this machine."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import anyio.to_thread

from jecp_mcp.ajp_server import Job, JobFailed, Work
from jecp_mcp.ajp_server.signals import Sleep
from jecp_mcp.ajp_server.work import Worker
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.sandbox.work import abstract, textstats
from jecp_mcp.sandbox.work.capability import WorkFailed

_LONGEST: Final = 100_000
_MOST_SENTENCES: Final = 20


def summarise(price: MicroUSDC) -> Worker:
    """Picks the sentences that hold a text's most frequent words, ``input.sentences`` of them, else three."""

    async def work(job: Job) -> Work:
        given = {"text": _text(job), "sentences": _sentences(job)}
        try:
            found = await anyio.to_thread.run_sync(partial(abstract.extract, given))
        except WorkFailed as exc:
            raise JobFailed(exc.message) from exc
        return Work(_shaped(job, found.output, found.output["summary"]), format_usdc(price))

    return work


def count(price: MicroUSDC) -> Worker:
    """Counts a text's characters, words, sentences and lines."""

    async def work(job: Job) -> Work:
        found = (await anyio.to_thread.run_sync(partial(textstats.count, {"text": _text(job)}))).output
        words = f"{found['words']} words in {found['sentences']} sentences."
        return Work(_shaped(job, found, words), format_usdc(price))

    return work


def late(work: Worker, seconds: float, sleep: Sleep) -> Worker:
    """The same work, but so many seconds later."""

    async def wait_and_work(job: Job) -> Work:
        await sleep(seconds)
        return await work(job)

    return wait_and_work


def _text(job: Job) -> str:
    """The text to read: ``input.text``, or the input where it is a text itself, or else the instruction."""
    given = job.input.get("text") if isinstance(job.input, Mapping) else job.input
    text = given if isinstance(given, str) and given.strip() else job.instruction
    if len(text) > _LONGEST:
        raise JobFailed(f"the text is longer than {_LONGEST} characters")
    return text


def _sentences(job: Job) -> int:
    asked = job.input.get("sentences", 3) if isinstance(job.input, Mapping) else 3
    if isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= _MOST_SENTENCES:
        raise JobFailed(f"input.sentences is a whole number from 1 to {_MOST_SENTENCES}")
    return asked


def _shaped(job: Job, output: Any, words: str) -> Any:
    """The result in the format that was asked for."""
    if job.output_format == "html":
        return f"<p>{html.escape(words)}</p>"
    return words if job.output_format in {"text", "markdown"} else output
