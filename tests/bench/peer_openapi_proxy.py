"""mcp-openapi-proxy over stdio, as its command starts it; its settings come from the environment.

It has no place for a client of one's own, so each request it has made is turned into the purchase where `requests`
would send it.
"""

import json
from typing import Any

from mcp_openapi_proxy import main
from peer_purchase import Buyer
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter


def buy_with(buyer: Buyer) -> None:
    """Make every request of the process a purchase by `buyer`."""
    send = HTTPAdapter.send

    def buy(self: HTTPAdapter, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        bought = buyer.purchase(request.path_url, json.loads(request.body or b"{}"))
        request.url, request.body = bought.url, bought.body
        request.headers.update({**bought.headers, "Content-Length": str(len(bought.body))})
        return send(self, request, *args, **options)

    HTTPAdapter.send = buy  # type: ignore[method-assign]


if __name__ == "__main__":
    buy_with(Buyer.from_environment())
    main()
