"""The last filter before a person's terminal: nothing that is printed, logged or raised commands it or hides in it.

Whatever text reached us, and however it got into a message, is written to standard output and error with its controls
and invisible characters written out (`jecp_mcp.invisible.escape`). The protocol over stdio has its own descriptor.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Final, TextIO, cast

from jecp_mcp.invisible import escape
from jecp_mcp.tools.question_log import QUESTIONS

_SERVER_FORM: Final = "jecp-mcp %(levelname)s %(name)s: %(message)s"
_PERSON_FORM: Final = "jecp-mcp: %(message)s"
_LONGEST: Final = 4_000
"""The most characters of one message of the log; a header that a stranger sends may have a hundred thousand."""


def _visible(text: str) -> str:
    if text.isascii():
        return escape(text)
    from jecp_mcp.calls import display

    return display.visible(text, escape)


class VisibleText(io.TextIOWrapper):
    """A stream of text that writes out what would not be seen."""

    def write(self, text: str, /) -> int:
        """Write `text`, made visible."""
        super().write(_visible(text))
        return len(text)

    def write_as_it_is(self, text: str) -> int:
        """Write text that is already visible, with colours of our own."""
        return super().write(text)


class _Coloured(io.TextIOBase):
    """The same stream for one who has made everything visible and adds colours."""

    def __init__(self, stream: VisibleText) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property in io.TextIOWrapper too
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        return self._stream.write_as_it_is(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


class OneMessage(logging.Formatter):
    """A message on one line, bounded; what follows it is set in, so that it begins no line like one of ours."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line."""
        line = escape(super().formatMessage(record), one_line=True)
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

    def formatException(self, ei: logging._SysExcInfoType) -> str:  # noqa: N802 - logging's name
        """The traceback."""
        return "\n".join(f"    {line}" for line in super().formatException(ei).split("\n"))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        """The stack, where one was asked for."""
        return "\n".join(f"    {line}" for line in stack_info.split("\n"))


def install_output_filter() -> None:
    """Put the filter before standard output, standard error and the log. Once, before anything is written."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, VisibleText):
            stream.flush()
            guarded = VisibleText(
                stream.buffer,
                encoding=stream.encoding,
                # What a code page has no sign for is escaped; it must not end a command half way.
                errors="backslashreplace",
                newline="\n",
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, guarded)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneMessage(_PERSON_FORM))
    handler.addFilter(_told_anyway)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _told_anyway(record: logging.LogRecord) -> bool:
    """Drop, of what a command logs, the question that its error tells as well, with how it is answered."""
    return record.name != QUESTIONS


def log_as_server() -> None:
    """Have the log say what each line is about and how bad it is, with the questions that a host's user may not see."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, OneMessage):
            handler.setFormatter(OneMessage(_SERVER_FORM))
            handler.removeFilter(_told_anyway)


def colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours, and nobody asked for none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def colour_stream(stream: TextIO) -> TextIO:
    """`stream` for a console that filters what it is given and adds colours, which the filter would write out."""
    return cast("TextIO", _Coloured(stream)) if isinstance(stream, VisibleText) else stream
