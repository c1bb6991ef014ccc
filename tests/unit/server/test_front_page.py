"""What is at the server's root, and what stands where nothing is: a page in a browser, data or plain text elsewhere."""

from __future__ import annotations

import json

import pytest
from starlette.requests import Request

from jecp_mcp.server.front_page import FrontPage, error_response

HERE = "http://127.0.0.1:8402"
BROWSER = "text/html,*/*;q=0.8"


@pytest.mark.anyio
@pytest.mark.parametrize(("transport", "name"), [("http", "Streamable HTTP"), ("sse", "HTTP+SSE")])
async def test_the_root_says_what_this_server_is(transport: str, name: str) -> None:
    front = FrontPage(transport, f"{HERE}/mcp", "https://hub.example", f"{HERE}/approvals")
    told = {}
    for accept in (BROWSER, "*/*"):
        scope = {"type": "http", "headers": [(b"accept", accept.encode())]}
        told[accept] = await front.show(Request(scope))
    page, facts = bytes(told[BROWSER].body).decode(), json.loads(bytes(told["*/*"].body))
    assert (facts["transport"], facts["mcp"], facts["hub"]) == (name, f"{HERE}/mcp", "https://hub.example")
    for text in (name, f"{HERE}/mcp", "https://hub.example", 'href="/approvals"'):
        assert text in page


def test_an_error_is_a_page_in_a_browser_only() -> None:
    page, plain = (error_response(accept, 404, "Not Found", {"connection": "close"}) for accept in (BROWSER, "*/*"))
    assert b"There is nothing at this address." in bytes(page.body)
    assert bytes(plain.body) == b"Not Found"
    assert {answer.status_code for answer in (page, plain)} == {404}
    assert {answer.headers["connection"] for answer in (page, plain)} == {"close"}
