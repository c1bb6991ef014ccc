"""A payment link is opened by the host where it can, in both eras; the Hub makes it once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitResult

from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import build_server
from tests.contract.tools.shop import Account, opened

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["legacy", "2026-07-28"])]

LINK = "https://checkout.stripe.com/c/pay/cs_1"


async def topped_up(path: Path, era: str, action: Any, account: Account) -> tuple[dict[str, Any], list[Any]]:
    asked: list[Any] = []

    async def person(_context: Any, params: Any) -> ElicitResult:
        asked.append(params)
        return ElicitResult(action=action)

    callback = None if action is None else person
    async with opened(path, account=account) as shop:
        server = build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10))
        async with Client(server, mode=era, elicitation_callback=callback) as client:
            result = await client.call_tool("jecp_topup", {"amount_usd": 5})
    return dict(result.structured_content or {}), asked


@pytest.mark.parametrize(
    ("action", "kind"),
    [("accept", "await_payment"), ("decline", "stop"), ("cancel", "open_url"), (None, "open_url")],
)
async def test_the_person_decides_whether_the_page_opens(tmp_path: Path, era: str, action: Any, kind: str) -> None:
    account = Account()
    said, asked = await topped_up(tmp_path, era, action, account)
    assert said["next_action"]["type"] == kind
    assert (said["next_action"]["actor"], said["next_action"]["url"]) == ("human", LINK)
    assert account.topups == [5]
    assert [(one.url, "5 USD" in one.message) for one in asked] == ([] if action is None else [(LINK, True)])


async def test_a_link_to_a_strange_place_is_never_opened(tmp_path: Path, era: str) -> None:
    said, asked = await topped_up(tmp_path, era, "accept", Account(checkout="https://evil.example/pay"))
    assert said["error"]["code"] == "HUB_MISBEHAVED"
    assert not asked
