"""A connection beside the one that writes batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from jecp_mcp.mandate.postgres.connection_errors import ConnectionLost

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.connection import Connection

_T = TypeVar("_T")


class SharedConnection:
    """A connection for what needs no transaction of its own; one thread at a time, opened anew once if it was lost."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open = open_connection
        self._mutex = threading.Lock()
        self._connection: Connection | None = None

    def use(self, using: Callable[[Connection], _T]) -> _T:
        """What `using` makes of the connection.

        Raises:
            LedgerError: the server cannot be used.
            ValueError: what is there is no ledger.
        """
        with self._mutex:
            while True:
                new = self._connection is None
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return using(self._connection)
                except ConnectionLost:
                    self._drop()
                    if new:
                        raise

    def break_off(self) -> None:
        """Make whoever waits for the server see a broken connection. From any thread."""
        connection = self._connection
        if connection is not None:
            connection.break_off()

    def close(self) -> None:
        """Let go of it."""
        with self._mutex:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
