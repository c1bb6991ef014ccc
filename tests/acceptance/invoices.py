"""A purchase that a person must approve: the sandbox's invoice, of all its actions one that costs a little more."""

from __future__ import annotations

from typing import Any, Final

from mcp import Client

from tests.acceptance.roads import SandboxHub, output_of

INVOICE: Final = "inkwell_invoice_render"
PRICE: Final = "0.05"
ASKING: Final = {"mandate__approve_above_usdc": "0.01"}


async def invoice(client: Client, **changed: Any) -> dict[str, Any]:
    """Arguments that the tool takes: its own example, with what is `changed`."""
    described = output_of(await client.call_tool("jecp_describe", {"tool": INVOICE}))
    return {**described["examples"][0]["input"], **changed}


def paid(hub: SandboxHub) -> int:
    """How many purchases are in the Hub's books."""
    return len(hub.books()["transactions"])
