"""A purchase that a person must approve: the sandbox's invoice, of all its actions one that costs a little more."""

from __future__ import annotations

from typing import Any, Final

from tests.acceptance.roads import SandboxHub

INVOICE: Final = "inkwell_invoice_render"
PRICE: Final = "0.05"
ASKING: Final = {"mandate__approve_above_usdc": "0.01"}


def invoice(**changed: Any) -> dict[str, Any]:
    """Arguments that the tool takes, with what is `changed`."""
    item = {"description": "Oak shelf, oiled", "quantity": 3, "unit_price": 249.5}
    parties = {"seller": {"name": "Atelier Brøndum ApS"}, "buyer": {"name": "Müller & Söhne GmbH"}}
    return {"number": "INV-2041", "issued": "2026-11-21", "currency": "EUR", **parties, "items": [item], **changed}


def paid(hub: SandboxHub) -> int:
    """How many purchases are in the Hub's books."""
    return len(hub.books()["transactions"])
