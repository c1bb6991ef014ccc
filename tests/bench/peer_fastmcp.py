"""FastMCP's OpenAPI provider over stdio: ``python peer_fastmcp.py DOCUMENT [search]``.

With ``search`` it publishes its BM25 search in place of the operations.

The client it is given makes each operation's request the purchase of that action. FastMCP asks its client to build
every request, so nothing is built or sent twice.
"""

import json
import sys
from pathlib import Path
from typing import Any

import httpx2
from fastmcp import FastMCP
from fastmcp.server.transforms.search import BM25SearchTransform
from peer_purchase import Buyer


class BuyingClient(httpx2.AsyncClient):
    """An HTTP client that posts purchases."""

    def __init__(self, buyer: Buyer) -> None:
        super().__init__(base_url=buyer.hub, timeout=30)
        self._buyer = buyer

    def build_request(self, method: str, url: Any, *, content: bytes, **_: Any) -> httpx2.Request:
        bought = self._buyer.purchase(httpx2.URL(url).path, json.loads(content))
        return super().build_request(method, bought.url, headers=bought.headers, content=bought.body)


if __name__ == "__main__":
    document = json.loads(Path(sys.argv[1]).read_bytes())
    client = BuyingClient(Buyer.from_environment())
    server = FastMCP.from_openapi(document, client=client)
    if sys.argv[2:] == ["search"]:
        server.add_transform(BM25SearchTransform())
    server.run("stdio", show_banner=False)
