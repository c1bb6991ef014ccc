"""Provider ``inkwell``: an invoice as PDF, its sums worked out in decimal arithmetic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from jecp_mcp.sandbox.work.blocks import heading, paragraph, table
from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.json_schema import Schema, array, artifact, number, record, text

_DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3, "JOD": 3}
_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹"}


def render(given: Input) -> Work:
    """Lay out the invoice."""
    from jecp_mcp.sandbox.work import pdf

    issued = _date(given["issued"], "issued")
    due = _date(given["due"], "due") if "due" in given else issued + timedelta(days=30)
    if due < issued:
        raise WorkFailed("DATES_INVALID", "the invoice is due before it is issued")
    parties, currency = (given["seller"], given["buyer"]), given["currency"]
    items = [
        (each["description"], _number(_exact(each["quantity"])), *_money(currency, _exact(each["unit_price"]), amount))
        for each, amount in zip(given["items"], _amounts(given), strict=True)
    ]
    *sums, (_, total) = [(label, *_money(currency, amount)) for label, amount in _sums(given)]
    blocks = [
        heading("Invoice", 1),
        paragraph(f"No. {given['number']}\nIssued {issued.isoformat()}\nDue {due.isoformat()}"),
        table(("From", "To"), *([party.get(key, "") for party in parties] for key in ("name", "address"))),
        table(("Description", "Quantity", "Unit price", "Amount"), *items, align="LRRR", widths=(84, 22, 32, 36)),
        table(*sums, align="RR", widths=(138, 36)),
        heading(f"Total {total}", 2, align="R"),
        paragraph(given.get("notes", "")),
    ]
    return pdf.lay_out(blocks, f"Invoice {given['number']}")


def _date(written: str, name: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError as exc:
        raise WorkFailed("DATES_INVALID", f"{name} is no day of the calendar") from exc


def _exact(value: float | Decimal) -> Decimal:
    return Decimal(str(value))


def _number(value: Decimal) -> str:
    return f"{value:,f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"


def _money(currency: str, *amounts: Decimal) -> Iterator[str]:
    sign = _SIGNS.get(currency)
    for amount in amounts:
        digits = f"{abs(amount):,.{_DECIMALS.get(currency, 2)}f}"
        yield ("-" if amount < 0 else "") + (f"{sign}{digits}" if sign else f"{digits} {currency}")


def _round(given: Input, amount: Decimal) -> Decimal:
    """To the currency's smallest unit, half up."""
    return amount.quantize(Decimal(1).scaleb(-_DECIMALS.get(given["currency"], 2)), ROUND_HALF_UP)


def _amounts(given: Input) -> list[Decimal]:
    return [_round(given, _exact(each["quantity"]) * _exact(each["unit_price"])) for each in given["items"]]


def _sums(given: Input) -> list[tuple[str, Decimal]]:
    """Subtotal, discount, taxes and total; tax is rounded once for each rate, the discount lowers each base alike."""
    bases: defaultdict[Decimal, Decimal] = defaultdict(Decimal)
    for each, amount in zip(given["items"], _amounts(given), strict=True):
        bases[_exact(each.get("tax_percent", given.get("tax_percent", 0)))] += amount
    subtotal, percent = sum(bases.values(), Decimal(0)), _exact(given.get("discount_percent", 0))
    rows = [(f"Discount {_number(percent)} %", -_round(given, subtotal * percent / 100))]
    for rate, base in sorted(bases.items()):
        rows.append((f"Tax {_number(rate)} %", _round(given, base * (100 - percent) * rate / 10_000)))
    total = sum((amount for _, amount in rows), subtotal)
    return [("Subtotal", subtotal), *((label, amount) for label, amount in rows if amount), ("Total", total)]


def _party(description: str) -> Schema:
    address = text("Postal address; line breaks are kept.", 400)
    return {**record("address", name=text("Name or company.", 120), address=address), "description": description}


_DATE = r"^\d{4}-\d{2}-\d{2}$"
_ITEM = record(
    "tax_percent",
    description=text("What it is.", 300),
    quantity=number("How many.", 0, 1_000_000),
    unit_price=number("Price of one, before tax.", -10_000_000, 10_000_000),
    tax_percent=number("Instead of the invoice's tax_percent.", 0, 100),
)

CAPABILITY = Capability(
    id="inkwell/invoice",
    version="2.1.0",
    name="Invoice",
    description="Lays out invoices as PDF: line items, discount, tax per rate and totals, in any currency.",
    tags=("invoice", "pdf", "billing"),
    actions=(
        Action(
            id="render",
            name="Make an invoice PDF",
            description="Make an invoice PDF (A4). Sums, discount and taxes are worked out in decimal arithmetic.",
            price="0.05",
            work=render,
            input_schema=record(
                "due",
                "notes",
                number=text("The invoice's number.", 40),
                issued=text("Date of issue, YYYY-MM-DD.", 10, 10, pattern=_DATE),
                due=text("Date due; 30 days after issue unless given.", 10, 10, pattern=_DATE),
                currency=text("ISO 4217 code, such as EUR.", 3, 3, pattern="^[A-Z]{3}$"),
                seller=_party("Who is owed."),
                buyer=_party("Who owes."),
                items=array("What was delivered.", _ITEM, 150),
                tax_percent=number("Tax on every item without its own.", 0, 100, default=0),
                discount_percent=number("Off the subtotal, before tax.", 0, 100, default=0),
                notes=text("Printed below the totals, such as how to pay.", 2_000),
            ),
            output_schema=artifact("application/pdf"),
            example={
                "number": "INV-2041",
                "issued": "2026-11-21",
                "currency": "EUR",
                "seller": {"name": "Atelier Brøndum ApS", "address": "Havnegade 12\n1058 København"},
                "buyer": {"name": "Müller & Söhne GmbH", "address": "Königstraße 5\n70173 Stuttgart"},
                "items": [
                    {"description": "Oak shelf, oiled", "quantity": 3, "unit_price": 249.5},
                    {"description": "Delivery", "quantity": 1, "unit_price": 80},
                ],
                "tax_percent": 19,
                "notes": "Please pay by bank transfer, quoting the invoice number.",
            },
        ),
    ),
)
