"""Provider ``inkwell``: an invoice as PDF, its sums worked out in decimal arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import json_schema, pdf
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Input,
    Work,
    WorkFailed,
)

if TYPE_CHECKING:
    from fpdf import FPDF

_DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3, "JOD": 3}
_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹"}
_WIDTHS = (84, 22, 32, 36)
_MOST_ITEMS = 150


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the invoice with its amount, before tax."""

    description: str
    quantity: Decimal
    unit_price: Decimal
    tax_rate: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Sums:
    """The invoice's sums: tax is rounded once for each rate."""

    subtotal: Decimal
    discount: Decimal
    taxes: tuple[tuple[Decimal, Decimal], ...]
    total: Decimal


def _exact(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def lines_of(given: Input) -> tuple[Line, ...]:
    """The lines, each amount rounded half up to the currency's smallest unit."""
    cent = _cent(given["currency"])
    general = _exact(given.get("tax_percent", 0))
    return tuple(
        Line(
            item["description"],
            _exact(item["quantity"]),
            _exact(item["unit_price"]),
            _exact(item.get("tax_percent", general)),
            (_exact(item["quantity"]) * _exact(item["unit_price"])).quantize(cent, ROUND_HALF_UP),
        )
        for item in given["items"]
    )


def sums_of(given: Input, lines: tuple[Line, ...]) -> Sums:
    """Add up; the discount lowers each rate's taxable amount alike."""
    cent = _cent(given["currency"])
    subtotal = sum((line.amount for line in lines), Decimal(0))
    part = _exact(given.get("discount_percent", 0)) / 100
    discount = (subtotal * part).quantize(cent, ROUND_HALF_UP)
    taxable: dict[Decimal, Decimal] = {}
    for line in lines:
        taxable[line.tax_rate] = taxable.get(line.tax_rate, Decimal(0)) + line.amount
    taxes = tuple(
        (rate, (amount * (1 - part) * rate / 100).quantize(cent, ROUND_HALF_UP))
        for rate, amount in sorted(taxable.items())
        if rate
    )
    return Sums(subtotal, discount, taxes, subtotal - discount + sum((tax for _, tax in taxes), Decimal(0)))


def _cent(currency: str) -> Decimal:
    return Decimal(1).scaleb(-_DECIMALS.get(currency, 2))


def _money(amount: Decimal, currency: str) -> str:
    text = f"{amount:,.{_DECIMALS.get(currency, 2)}f}"
    sign = _SIGNS.get(currency)
    return f"{'-' if amount < 0 else ''}{sign}{text.lstrip('-')}" if sign else f"{text} {currency}"


def _number(value: Decimal) -> str:
    return f"{value:,f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"


def render(given: Input) -> Work:
    """Lay out the invoice."""
    issued = _date(given["issued"], "issued")
    due = _date(given["due"], "due") if "due" in given else issued + timedelta(days=30)
    if due < issued:
        raise WorkFailed("DATES_INVALID", "the invoice is due before it is issued")
    pdf.check(_texts(given))
    lines = lines_of(given)
    sums = sums_of(given, lines)
    with pdf.document(f"Invoice {given['number']}", given["seller"]["name"]) as page:
        pdf.bold(page, 24)
        page.cell(100, 12, "Invoice")
        pdf.plain(page, 10, pdf.GREY)
        dates = f"No. {pdf.clean(given['number'])}\nIssued {issued.isoformat()}\nDue {due.isoformat()}"
        page.multi_cell(0, 5, dates, align="R", new_x="LMARGIN", new_y="NEXT")
        page.ln(8)
        _parties(page, given["seller"], given["buyer"])
        _items(page, lines, given["currency"])
        _totals(page, sums, given)
        if given.get("notes"):
            page.ln(8)
            pdf.plain(page, 9, pdf.GREY)
            page.multi_cell(0, 5, pdf.clean(given["notes"]), new_x="LMARGIN", new_y="NEXT")
        return pdf.sold(page)


def _date(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise WorkFailed("DATES_INVALID", f"{name} is no day of the calendar") from exc


def _texts(given: Input) -> list[str]:
    found = [given["number"], given.get("notes", "")]
    for party in (given["seller"], given["buyer"]):
        found += [party["name"], party.get("address", ""), party.get("tax_id", "")]
    return found + [item["description"] for item in given["items"]]


def _parties(page: FPDF, *parties: Mapping[str, Any]) -> None:
    pdf.plain(page, 8, pdf.GREY)
    pdf.table(page, [("From", "To")], (90, 84), "LL", heading=False)
    pdf.bold(page, 11)
    pdf.table(page, [[party["name"] for party in parties]], (90, 84), "LL", heading=False)
    pdf.plain(page, 10)
    below = [
        "\n".join(f"{before}{party[key]}" for key, before in (("address", ""), ("tax_id", "Tax ID ")) if party.get(key))
        for party in parties
    ]
    pdf.table(page, [below], (90, 84), "LL", heading=False)
    page.ln(8)


def _items(page: FPDF, lines: tuple[Line, ...], currency: str) -> None:
    rows = [
        (line.description, _number(line.quantity), _money(line.unit_price, currency), _money(line.amount, currency))
        for line in lines
    ]
    pdf.table(page, [("Description", "Quantity", "Unit price", "Amount"), *rows], _WIDTHS, "LRRR")


def _totals(page: FPDF, sums: Sums, given: Input) -> None:
    currency = given["currency"]
    rows = [("Subtotal", sums.subtotal)]
    if sums.discount:
        rows.append((f"Discount {_number(_exact(given['discount_percent']))} %", -sums.discount))
    rows += [(f"Tax {_number(rate)} %", amount) for rate, amount in sums.taxes]
    if page.get_y() + 7 * len(rows) + 14 > page.page_break_trigger:
        page.add_page()
    page.ln(3)
    for label, amount in rows:
        pdf.plain(page, 10, pdf.GREY)
        page.cell(sum(_WIDTHS[:3]), 6.5, label, align="R")
        pdf.plain(page, 10)
        page.cell(_WIDTHS[3], 6.5, _money(amount, currency), align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.bold(page, 13)
    page.cell(sum(_WIDTHS[:3]), 9, "Total", align="R")
    page.cell(_WIDTHS[3], 9, _money(sums.total, currency), align="R", new_x="LMARGIN", new_y="NEXT")


def _party_schema(who: str) -> json_schema.Schema:
    return json_schema.record(
        {
            "name": json_schema.text("Name or company.", 120),
            "address": json_schema.text("Postal address; line breaks are kept.", 400),
            "tax_id": json_schema.text("VAT or other tax number.", 40),
        },
        optional=("address", "tax_id"),
        description=who,
    )


_DATE = r"^\d{4}-\d{2}-\d{2}$"
_PERCENT = {"type": "number", "minimum": 0, "maximum": 100}

CAPABILITY = Capability(
    namespace="inkwell",
    capability="invoice",
    version="2.1.0",
    name="Invoice",
    description="Lays out invoices as PDF: line items, discount, tax per rate and totals, in any currency.",
    tags=("invoice", "pdf", "billing"),
    actions=(
        Action(
            id="render",
            name="Render",
            description="Make an invoice PDF (A4). Sums, discount and taxes are worked out in decimal arithmetic.",
            price="0.05",
            work=render,
            p95_ms=1_500,
            input_schema=json_schema.record(
                {
                    "number": json_schema.text("The invoice's number.", 40),
                    "issued": json_schema.text("Date of issue, YYYY-MM-DD.", 10, 10, pattern=_DATE),
                    "due": json_schema.text("Date due; 30 days after issue unless given.", 10, 10, pattern=_DATE),
                    "currency": json_schema.text("ISO 4217 code, such as EUR.", 3, 3, pattern="^[A-Z]{3}$"),
                    "seller": _party_schema("Who is owed."),
                    "buyer": _party_schema("Who owes."),
                    "items": json_schema.array(
                        "What was delivered.",
                        json_schema.record(
                            {
                                "description": json_schema.text("What it is.", 300),
                                "quantity": json_schema.number("How many.", 0, 1_000_000),
                                "unit_price": json_schema.number("Price of one, before tax.", -10_000_000, 10_000_000),
                                "tax_percent": {**_PERCENT, "description": "Instead of the invoice's tax_percent."},
                            },
                            optional=("tax_percent",),
                        ),
                        _MOST_ITEMS,
                        1,
                    ),
                    "tax_percent": {**_PERCENT, "default": 0, "description": "Tax on every item without its own."},
                    "discount_percent": {**_PERCENT, "default": 0, "description": "Off the subtotal, before tax."},
                    "notes": json_schema.text("Printed below the totals, such as how to pay.", 2_000),
                },
                optional=("due", "tax_percent", "discount_percent", "notes"),
            ),
            output_schema=json_schema.artifact("application/pdf"),
            examples=(
                {
                    "input": {
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
                    }
                },
            ),
        ),
    ),
)
