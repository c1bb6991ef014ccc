"""What is found beside the HTTP transports: at ``/``, what this server is; elsewhere, that nothing is there.

Nothing here shows more than the tools do, nor does anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from jecp_mcp import __version__, pages

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

_TRANSPORTS: Final = {"http": "Streamable HTTP", "sse": "HTTP+SSE"}


@dataclass(frozen=True, slots=True)
class FrontPage:
    """What this server is.

    Attributes:
        transport: ``http`` or ``sse``.
        mcp: the address for MCP clients.
        hub: where is bought.
        approvals: the page on which a person answers.
    """

    transport: str
    mcp: str
    hub: str
    approvals: str

    def routes(self) -> list[Route]:
        """What to serve beside the transport."""
        from starlette.routing import Route

        return [Route("/", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """The page for a browser, the same as JSON for everybody else."""
        from starlette.responses import HTMLResponse, JSONResponse

        if pages.wants_html(request.headers.get("accept")):
            return HTMLResponse(self._html(), headers=pages.headers())
        return JSONResponse(self._facts(), headers={"Cache-Control": "no-store"})

    def _facts(self) -> Mapping[str, str]:
        return {
            "name": "jecp-mcp",
            "version": __version__,
            "transport": _TRANSPORTS[self.transport],
            "mcp": self.mcp,
            "hub": self.hub,
            "approvals": self.approvals,
        }

    def _html(self) -> str:
        kind = {"type": "sse"} if self.transport == "sse" else {}
        snippet = json.dumps({"mcpServers": {"jecp": {**kind, "url": self.mcp}}}, indent=2)
        about = pages.facts(
            {
                "MCP endpoint": f"<code>{escape(self.mcp)}</code>",
                "Transport": _TRANSPORTS[self.transport],
                "Buys from": f"<code>{escape(self.hub)}</code>",
                "Version": escape(__version__),
            }
        )
        content = (
            "<h1>jecp-mcp</h1><p>An MCP server. It lets an agent buy from a Hub, within the limits that its operator "
            f"set.</p><section><h2>This server</h2>{about}</section>"
            "<section><h2>Connect a host</h2><p>Put this into the configuration of a host on this machine.</p>"
            f'<pre class="copy">{escape(snippet)}</pre></section>'
            "<section><h2>Approvals</h2><p>Calls that need a person wait there for an answer. It opens with the PIN "
            'that the server wrote to its output.</p><div class="ways"><a class="button" href="/approvals">'
            "See what waits</a></div></section>"
        )
        return pages.document("jecp-mcp", content)


def explain_http_errors(app: Starlette) -> None:
    """Let `app` answer what it has no answer for with a page in a browser, and with plain text elsewhere."""
    from starlette.exceptions import HTTPException

    def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return error_response(request.headers.get("accept"), error.status_code, error.detail, error.headers)

    app.add_exception_handler(HTTPException, explain)


def error_response(accept: str | None, status: int, words: str, headers: Mapping[str, str] | None = None) -> Response:
    """An HTTP error: a page for whoever prefers one, plain text for everybody else."""
    from starlette.responses import HTMLResponse, PlainTextResponse

    if not pages.wants_html(accept):
        return PlainTextResponse(words, status, headers)
    page = pages.error_document(
        f"{status}: {words}", [_MEANING.get(status, "Nothing was changed, nothing was bought.")]
    )
    return HTMLResponse(page, status, {**(headers or {}), **pages.headers()})


_MEANING: Final = {
    403: "This server answers requests from this machine and from the web sites that its operator let in. Open the "
    "address in a new tab, without a proxy in between.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    406: "This address is for MCP clients, and a browser is none. The front page says what this server is, and what to "
    "put into a host's configuration.",
    503: "Try again in a moment.",
}
"""What an HTTP status means here, for a person."""
