"""A 402flow control plane over HTTP: a token for the bootstrap key, decisions, receipts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import anyio

from jecp_mcp.clock import Clock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import BeforeSending, ExchangeFailed, HttpAnswer
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.masking import Mask, masked
from jecp_mcp.rails.flow402.refusals import no_token, refused_request
from jecp_mcp.settings.flow402 import Flow402Settings
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.flow402.problem import read_problem
from jecp_mcp.wire.flow402.receipt import Receipt, read_receipt_answer
from jecp_mcp.wire.flow402.tokens import RuntimeToken, read_token
from jecp_mcp.wire.flow402.values import (
    DECISIONS_PATH,
    MAX_BODY,
    RECEIPTS_PATH,
    SDK_VERSION,
    TOKENS_PATH,
    VERSION_HEADER,
)

UNAUTHORIZED: Final = 401
_OK: Final = range(200, 300)
_REFRESH_MS: Final = 30_000
"""How long before its end a token is exchanged for the next one."""
_SECONDS: Final = 20.0
"""How long a token or a receipt may take."""
_MOST_ESCAPED: Final = 6
"""How many bytes of JSON one byte of a text may take, as ``\\u0001``."""


def longest_decision(answer_bytes: int) -> int:
    """The longest decision that is read, in bytes, with a merchant's answer of `answer_bytes` in it."""
    return _MOST_ESCAPED * answer_bytes + MAX_BODY


class NoToken(Exception):
    """The control plane gave no token; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.message)


class NoReceipt(Exception):
    """The control plane gave no receipt."""


class ControlPlane:
    """One control plane, asked with one bootstrap key."""

    def __init__(self, gate: HttpGate, settings: Flow402Settings, key: str, clock: Clock) -> None:
        """Ask through `gate`; nothing is asked yet."""
        self._gate = gate
        self._settings = settings
        self._key = key
        self._clock = clock
        self._token: RuntimeToken | None = None
        self._exchange = anyio.Lock()

    async def token(self, stale: str | None = None) -> str:
        """A token that is good for a while. One exchange serves all who wait for it.

        Args:
            stale: one that was refused, which is not given again.

        Raises:
            NoToken: there is none to be had.
        """
        async with self._exchange:
            found = self._token
            late = found is None or found.expires_at - _REFRESH_MS <= self._clock.now()
            if found is None or late or found.token == stale:
                self._token = None
                found = self._token = await self._exchanged()
            return found.token

    async def decide(self, body: bytes, token: str, before_sending: BeforeSending) -> HttpAnswer:
        """Ask for a decision, once.

        Raises:
            ExchangeFailed: no whole answer came.
        """
        return await self._gate.exchange(
            "POST",
            self._place(DECISIONS_PATH),
            headers={**self._headers(token), "Content-Type": "application/json"},
            body=body,
            timeout=self._settings.timeout_seconds,
            max_bytes=longest_decision(self._settings.max_response_bytes),
            before_sending=before_sending,
        )

    async def receipt(self, receipt_id: str) -> Receipt:
        """A receipt as it stands.

        Raises:
            NoReceipt: it cannot be had now; `NoToken` likewise.
        """
        token = await self.token()
        heard = await self._asked_receipt(receipt_id, token)
        if heard.status == UNAUTHORIZED:
            heard = await self._asked_receipt(receipt_id, await self.token(stale=token))
        masks = self.masks(None if self._token is None else self._token.token)
        if heard.status not in _OK:
            said = read_problem(heard.status, heard.body)
            raise NoReceipt(f"status {heard.status}" + (f", {masked(said, masks)}" if said else ""))
        try:
            found = read_receipt_answer(heard.body, masks)
        except WireError as exc:
            raise NoReceipt(str(exc)) from exc
        if found.receipt_id != receipt_id:
            raise NoReceipt("another one came")
        return found

    def masks(self, token: str | None = None) -> tuple[Mask, ...]:
        """Take out of what comes back whatever was sent and is secret."""
        return tuple(Mask(one) for one in (self._key, token) if one is not None)

    async def _asked_receipt(self, receipt_id: str, token: str) -> HttpAnswer:
        place = self._place(f"{RECEIPTS_PATH}{receipt_id}")
        try:
            return await self._gate.exchange(
                "GET", place, headers=self._headers(token), timeout=_SECONDS, max_bytes=MAX_BODY
            )
        except ExchangeFailed as exc:
            raise NoReceipt(exc.reason) from exc

    async def _exchanged(self) -> RuntimeToken:
        try:
            heard = await self._gate.exchange(
                "POST", self._place(TOKENS_PATH), headers=self._headers(self._key), timeout=_SECONDS, max_bytes=MAX_BODY
            )
        except ExchangeFailed as exc:
            raise NoToken(no_token(exc.reason)) from exc
        if heard.status not in _OK:
            said = read_problem(heard.status, heard.body)
            if said is None:
                raise NoToken(no_token(f"it answered with status {heard.status}"))
            raise NoToken(refused_request(heard.status, masked(said, self.masks())))
        try:
            return read_token(heard.body)
        except WireError as exc:
            raise NoToken(no_token(f"its answer cannot be read ({exc})")) from exc

    def _place(self, path: str) -> Place:
        return read_place(f"{self._settings.base_url}{path}")

    def _headers(self, bearer: str) -> Mapping[str, str]:
        return {
            "Authorization": f"Bearer {bearer}",
            VERSION_HEADER: SDK_VERSION,
            "Cache-Control": "no-store",
        }
