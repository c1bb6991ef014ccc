"""Server-sent events and what JECP says in them (JECP 01-protocol §4.2 and §4.3, HTML standard §9.2.6). Pure: no I/O.

`EventSplitter` turns bytes into events whatever the chunking; `CallStream` turns the events of either dialect into
normal forms and ends with exactly one of `Completed`, `Failed` and `Cancelled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.masking import Mask
from jecp_mcp.wire.jecp.envelope import MAX_ANSWER_BYTES, answer_of, without_output
from jecp_mcp.wire.jecp.errors import parse_refusal

CONNECTION_ENDED = "the connection ended before the Hub said how the call ended"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. `name` is ``message`` when the stream gave none."""

    name: str
    data: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The Hub took the call."""

    raw: JSONObject


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the output, text or any JSON value."""

    delta: Any
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Metered:
    """What a metered call has used so far."""

    tokens: int | None
    elapsed_ms: int | None
    raw: JSONObject


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the call is. `progress` is a share of 1 (or of 100: the Hub's scale), None when it gave none."""

    state: str | None
    step: str | None
    progress: Decimal | int | None
    raw: JSONObject


@dataclass(frozen=True, slots=True)
class Completed:
    """The call ended well."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The call ended in a refusal."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The call was cut short; nothing is proven about its charge.

    Attributes:
        reason: the Hub's reason, or ours.
        said: False when the connection just ended.
        raw: the Hub's event, which may hold ``billing``.
    """

    reason: str
    said: bool = True
    raw: JSONObject = field(default_factory=dict)


StreamEvent = Opened | Delta | Metered | Progressed | Completed | Failed | Cancelled
Ending = Completed | Failed | Cancelled


class EventSplitter:
    """Bytes in, events out, by the event-stream grammar; CR, LF and CRLF end a line.

    A stream past its bounds gives the events before that point first and raises `WireError` from then on, so the
    events are the same however the bytes were cut.
    """

    def __init__(self, *, max_event_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._max = max_event_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""
        self._after_cr = False
        self._started = False
        self._fault: str | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and give the events they complete.

        Raises:
            WireError: a line or an event is longer than the bound.
        """
        events: list[Event] = []
        if self._fault is None and chunk:
            self._take(chunk, events)
        if self._fault is not None and not events:
            raise WireError(self._fault)
        return events

    @property
    def unfinished(self) -> tuple[str, int]:
        """The name of the event that is being received, and how much of its data has come, in bytes."""
        begun = len(self._line) if self._line.startswith(b"data") else 0
        return self._name.decode("utf-8", "replace"), self._size + begun

    @property
    def fault(self) -> str | None:
        """Why the stream can give no more events, if it cannot."""
        return self._fault

    def _take(self, chunk: bytes, events: list[Event]) -> None:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        # bytes.splitlines ends lines at CR, LF and CRLF only: the event stream's own rule.
        for piece in chunk.splitlines(keepends=True):
            text = piece.rstrip(b"\r\n") if piece[-1:] in (b"\r", b"\n") else piece
            if len(self._line) + len(text) + self._size > self._max:
                self._fault = f"an event of the stream is longer than {self._max} bytes"
                return
            self._line += text
            if text is not piece:
                line = bytes(self._line)
                self._line.clear()
                self._end_line(line, events)

    def _end_line(self, line: bytes, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            # The line end that joins data lines counts, so that empty lines cannot pile up for nothing.
            self._size += len(value) + 1
        elif field == b"event":
            self._name = value[:256]

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            name = self._name.decode("utf-8", "replace") or "message"
            events.append(Event(name, b"\n".join(self._data).decode("utf-8", "replace")))
        self._data, self._size, self._name = [], 0, b""


class CallStream:
    """The events of one streamed call, in either dialect, as normal forms. What follows the ending is ignored.

    Args:
        call_id: whose events these must be, where they say; those of another call break the protocol.
        max_event_bytes: the longest event, and the longest output in pieces.
        mask: what to take out of all that is read.
    """

    def __init__(
        self, call_id: str | None = None, *, max_event_bytes: int = MAX_ANSWER_BYTES, mask: Mask | None = None
    ) -> None:
        self._expected = call_id
        self._mask = mask
        self._known = 0
        self._max = max_event_bytes
        self._splitter = EventSplitter(max_event_bytes=max_event_bytes)
        self._deltas: list[Any] = []
        self._delta_size = 0
        self._result: JSONObject | None = None
        self._call_id: str | None = None
        self._ending: Ending | None = None
        self._fault: WireError | None = None

    @property
    def ending(self) -> Ending | None:
        """How the call ended, once it has."""
        return self._ending

    @property
    def heard(self) -> tuple[int, int]:
        """What changes with everything that is said of the call, and not with what only keeps the connection alive."""
        name, size = self._splitter.unfinished
        return self._known, size if name in _EVENTS else 0

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """Take the next bytes and give what they say.

        Raises:
            WireError: the stream breaks the protocol; what it said before is given first.
        """
        if self._ending is not None:
            return []
        found: list[StreamEvent] = []
        if self._fault is None:
            try:
                for event in self._splitter.feed(chunk):
                    said = self._read(event)
                    if said is not None:
                        found.append(said)
                    if isinstance(said, Ending):
                        self._ending = said
                        return found
                if self._splitter.fault is not None:
                    self._fault = WireError(self._splitter.fault)
            except WireError as exc:
                self._fault = exc
        if self._fault is not None and not found:
            raise self._fault
        return found

    def end(self) -> Ending:
        """The connection is over: how the call ended, `Cancelled` when the Hub never said."""
        if self._ending is None:
            reason = CONNECTION_ENDED if self._fault is None else f"the stream broke the protocol: {self._fault}"
            self._ending = Cancelled(reason, said=False)
        return self._ending

    def _read(self, event: Event) -> StreamEvent | None:
        if event.name not in _EVENTS:
            return None
        self._known += 1
        data, whole = jsontext.loads_outline(event.data, max_bytes=self._max, mask=self._mask)
        if not isinstance(data, dict):
            raise WireError(f"the stream's {event.name[:40]!r} event carries no JSON object")
        if not whole:
            data = without_output(data)
        said = _text(data.get("id"))
        if event.name == "open":
            self._call_id = said = said or _text(data.get("request_id"))
        if said is not None and self._expected not in (None, said):
            raise WireError(f"its {event.name!r} event is for another call")
        return self._normal_form(event, data)

    def _normal_form(self, event: Event, data: JSONObject) -> StreamEvent | None:  # noqa: PLR0911  # one return per event of the protocol
        match event.name:
            case "open":
                return Opened(data)
            case "chunk":
                return self._chunk(data, len(event.data))
            case "meter":
                return Metered(_whole(data.get("tokens")), _whole(data.get("elapsed_ms")), data)
            case "status" | "progress":
                return Progressed(
                    _text(data.get("state")), _text(data.get("step")), _number(data.get("progress")), data
                )
            case "result":
                self._result = data
                return None
            case "cancelled":
                said = _text(data.get("reason")) or _text(data.get("code"))
                return Cancelled(said or "the Hub cancelled the call", raw=data)
            case "error":
                return Failed(parse_refusal(data, status=None))
            case _:
                return self._ended(data)

    def _chunk(self, data: JSONObject, size: int) -> Delta:
        self._delta_size += size
        if self._delta_size > self._max:
            raise WireError(f"the streamed output is longer than {self._max} bytes")
        delta = data.get("delta")
        self._deltas.append(delta)
        return Delta(delta, _whole(data.get("index")))

    def _ended(self, data: JSONObject) -> Completed | Failed:
        """``completed`` (JECP 01-protocol §4.3), or ``done`` after its ``result`` (JECP 01-protocol §4.2)."""
        if data.get("status") == "failed" or (data.get("status") is None and "error" in data):
            return Failed(parse_refusal({"jecp": None, **data, "status": "failed"}, status=None))
        envelope: dict[str, Any] = dict(data)
        if "id" not in envelope and self._call_id is not None:
            envelope["id"] = self._call_id
        if "result" not in envelope:
            if self._result is not None:
                envelope["result"] = self._result.get("output", self._result)
            else:
                envelope["result"] = self._joined()
            # What stands there now is the output itself, never a wrapper with an ``output`` inside.
            envelope["status"] = "success"
        return Completed(answer_of(envelope))

    def _joined(self) -> Any:
        if all(isinstance(delta, str) for delta in self._deltas):
            # What is whole in no piece may be in all of them together.
            return self._masked("".join(self._deltas))
        return list(self._deltas)

    def _masked(self, text: str) -> str:
        return text if self._mask is None else self._mask.text(text)


_EVENTS = frozenset(
    {"open", "chunk", "meter", "status", "progress", "result", "done", "completed", "error", "cancelled"}
)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> Decimal | int | None:
    return value if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Whether the response is an event stream rather than plain JSON, as a pre-flight failure is."""
    return any(
        key.lower() == "content-type" and value.partition(";")[0].strip().lower() == "text/event-stream"
        for key, value in headers.items()
    )
