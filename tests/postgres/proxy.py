"""A line to the server that is as slow as a test says, and breaks where it says.

It breaks at a COMMIT, before the server has it or after it has done it, or when so many bytes went to the server.
"""

import contextlib
import socket
import tempfile
import threading
import time
from urllib.parse import urlsplit

BEFORE, AFTER = "before", "after"
_SLICE = 16 * 1024
"""How much of one connection passes before another one's turn, where the line is slow."""


class Proxy:
    """Passes everything on, on a socket of its own, until it is told to break off at the next COMMIT."""

    def __init__(self, url: str) -> None:
        self._target = f"{urlsplit(url).query.removeprefix('host=')}/.s.PGSQL.5432"
        self._database = urlsplit(url).path
        self._folder = tempfile.TemporaryDirectory(prefix="jecp-line-", dir="/tmp")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder.name}/.s.PGSQL.5432")
        self._listener.listen()
        self._break: str | None = None
        self._open = True
        self._lines: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [self._started(self._accept)]
        self.broke = threading.Event()
        self.carried = 0
        """How many bytes went to the server."""
        self._most: int | None = None
        self._pace: float | None = None
        self._turn = {"up": threading.Lock(), "down": threading.Lock()}

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self._database}?host={self._folder.name}"

    def break_at_commit(self, when: str, *, then_open: bool = True) -> None:
        """Break every line at the next COMMIT; `then_open` says whether new ones are let through."""
        self.broke.clear()
        self._then_open = then_open
        self._break = when

    def break_after(self, most: int) -> None:
        """Break every line when so many more bytes went to the server, and let none through."""
        self.broke.clear()
        self._most = self.carried + most

    def throttle(self, bytes_per_second: float | None) -> None:
        """Let all lines together carry so much each way; None lets everything through at once."""
        self._pace = bytes_per_second

    def open(self) -> None:
        """Let new lines through."""
        self._open = True

    def shut(self) -> None:
        """Let no line through, and break those there are."""
        self._open = False
        self._cut()

    def close(self) -> None:
        self.shut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        self._listener.close()
        self._folder.cleanup()

    def _started(self, target: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._lines.append((client, server))
            self._threads.append(self._started(self._pump_up, client, server))

    def _pump_up(self, client: socket.socket, server: socket.socket) -> None:
        deaf = threading.Event()
        down = self._started(self._pump_down, client, server, deaf)
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20 if self._pace is None else _SLICE):
                self._wait("up", len(data))
                self.carried += len(data)
                if self._most is not None and self.carried > self._most:
                    self._most = None
                    self.shut()
                    self.broke.set()
                if self._break is not None and b"COMMIT\0" in data:
                    when, self._break, self._open = self._break, None, self._then_open
                    if when == BEFORE:
                        self._end(client, server)
                        self.broke.set()
                        break
                    deaf.set()
                server.sendall(data)
        if not deaf.is_set():
            self._end(client, server)
        down.join()
        client.close()
        server.close()

    def _pump_down(self, client: socket.socket, server: socket.socket, deaf: threading.Event) -> None:
        heard = b""
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20 if self._pace is None else _SLICE):
                self._wait("down", len(data))
                if not deaf.is_set():
                    client.sendall(data)
                    continue
                heard += data
                if b"COMMIT\0" in heard:
                    break
        self._end(client, server)
        if deaf.is_set():
            self.broke.set()

    def _wait(self, way: str, size: int) -> None:
        """Stand in the queue for the line, as bytes do."""
        pace = self._pace
        if pace is not None:
            with self._turn[way]:
                time.sleep(size / pace)

    def _cut(self) -> None:
        for line in self._lines:
            self._end(*line)

    @staticmethod
    def _end(*line: socket.socket) -> None:
        for one in line:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
