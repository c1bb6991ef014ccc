"""Documents and images: what is delivered holds what was asked for."""

import base64
import io
from typing import Any

import pytest

from jecp_mcp.sandbox import work

INVOICE: dict[str, Any] = {
    "number": "2041",
    "issued": "2026-11-21",
    "currency": "EUR",
    "seller": {"name": "Søren Ærø"},
    "buyer": {"name": "Ελληνικά & Кириллица"},
    "items": [{"description": "Nägel \u2014 5 μm", "quantity": 3, "unit_price": 0.335}],
}


def artifact(capability: str, action: str, given: dict[str, Any]) -> bytes:
    found = work.run(capability, action, given).artifact
    assert found is not None
    return found[1]


def pdf_text(data: bytes) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def picture(size: tuple[int, int], colour: Any, mode: str = "RGB", form: str = "PNG") -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, form)
    return base64.b64encode(out.getvalue()).decode()


def opened(data: bytes) -> Any:
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_an_invoice_shows_its_parties_lines_and_sums_in_three_scripts() -> None:
    text = pdf_text(artifact("inkwell/invoice", "render", {**INVOICE, "tax_percent": 19}))
    for expected in ("Søren Ærø", "Ελληνικά & Кириллица", "Nägel \u2014 5 μm", "€1.01", "Tax 19 %", "€0.19", "€1.20"):
        assert expected in text
    # Thirty days after issue.
    assert "Due 2026-12-21" in text


@pytest.mark.parametrize(
    ("change", "total"),
    [
        ({"items": [{"description": "a", "quantity": 1, "unit_price": 100}], "discount_percent": 10}, "€90.00"),
        (
            {
                "items": [
                    {"description": "a", "quantity": 1, "unit_price": 100, "tax_percent": 7},
                    {"description": "b", "quantity": 2, "unit_price": 50},
                ],
                "tax_percent": 19,
            },
            "€226.00",
        ),
        ({"items": [{"description": "a", "quantity": 3, "unit_price": 1999}], "currency": "JPY"}, "¥5,997"),
        ({"items": [{"description": "a", "quantity": 2, "unit_price": 1.2345}], "currency": "KWD"}, "2.469 KWD"),
        ({"items": [{"description": "a", "quantity": 1, "unit_price": 0.1}] * 3}, "€0.30"),
        ({"items": [{"description": "refund", "quantity": 1, "unit_price": -4}]}, "-€4.00"),
    ],
)
def test_an_invoice_adds_up_in_decimals(change: dict[str, Any], total: str) -> None:
    text = pdf_text(artifact("inkwell/invoice", "render", {**INVOICE, **change}))
    assert text.splitlines()[-1] == f"Total {total}"


def test_a_long_invoice_breaks_into_pages_and_loses_no_line() -> None:
    items = [{"description": f"item{place:03d}", "quantity": 1, "unit_price": 1} for place in range(150)]
    text = pdf_text(artifact("inkwell/invoice", "render", {**INVOICE, "items": items}))
    assert all(item["description"] in text for item in items)
    assert text.count("Description") > 1
    assert "€150.00" in text


@pytest.mark.parametrize("name", ["日本商事", "شركة", "नमस्ते", "🙂"])
def test_what_the_font_cannot_draw_is_refused_and_named(name: str) -> None:
    with pytest.raises(work.WorkFailed) as failed:
        work.run("inkwell/invoice", "render", {**INVOICE, "buyer": {"name": name}})
    assert failed.value.code == "CHARACTERS_UNSUPPORTED"
    assert f"U+{ord(name[0]):04X}" in failed.value.message or f"U+{max(map(ord, name)):04X}" in failed.value.message


def test_odd_spaces_and_decomposed_letters_are_drawn_plainly() -> None:
    text = pdf_text(artifact("inkwell/invoice", "render", {**INVOICE, "buyer": {"name": "Ame\u0301lie\u00a0\u200bB"}}))
    assert "Amélie B" in text


@pytest.mark.parametrize("dates", [{"issued": "2026-02-30"}, {"due": "2026-13-01"}, {"due": "2026-11-20"}])
def test_an_impossible_date_is_refused(dates: dict[str, str]) -> None:
    with pytest.raises(work.WorkFailed) as failed:
        work.run("inkwell/invoice", "render", {**INVOICE, **dates})
    assert failed.value.code == "DATES_INVALID"


MARKDOWN = (
    "# Title\n\nSome **bold** and *slanted* and `code` and [a link](https://example.org/x).\n\n"
    "3. three\n4. four\n\n- dot\n  - inner\n\n> quoted\n\n```\nx = 1\n```\n\n| h1 | h2 |\n|---|---|\n| c1 | c2 |\n\n---\n"
)


def test_html_keeps_the_structure_and_lets_nothing_run() -> None:
    source = (
        MARKDOWN + "\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) [y](data:text/html,z) ![i](vbscript:q)\n"
    )
    output = work.run("inkwell/convert", "markdown-to-html", {"markdown": source, "full_page": True}).output
    html = output["html"]
    for expected in (
        "<h1>Title</h1>",
        "<strong>bold</strong>",
        '<ol start="3">',
        "<td>c2</td>",
        "<title>Title</title>",
    ):
        assert expected in html
    assert "<script" not in html
    assert 'href="https://example.org/x"' in html
    assert html.count("href=") == 1
    assert "src=" not in html
    assert output["headings"] == [{"level": 1, "text": "Title"}]


def test_a_word_document_has_styles_numbers_and_a_table() -> None:
    from docx import Document

    document = Document(
        io.BytesIO(artifact("inkwell/convert", "markdown-to-docx", {"markdown": MARKDOWN, "title": "T"}))
    )
    styles = {paragraph.text: paragraph.style.name for paragraph in document.paragraphs if paragraph.style}
    assert styles["Title"] == "Heading 1"
    assert styles["3.\tthree"] == "Normal"
    assert styles["dot"] == "List Bullet"
    assert styles["quoted"] == "Quote"
    assert styles["x = 1"] == "No Spacing"
    assert [[cell.text for cell in row.cells] for row in document.tables[0].rows] == [["h1", "h2"], ["c1", "c2"]]
    bold = [run.text for paragraph in document.paragraphs for run in paragraph.runs if run.bold]
    assert bold == ["bold"]
    assert document.core_properties.title == "T"


def test_a_word_document_survives_characters_xml_forbids() -> None:
    assert artifact("inkwell/convert", "markdown-to-docx", {"markdown": "a\x01b \x0b \ufffe \ud800 c"})


def test_a_pdf_has_every_word_of_the_source() -> None:
    text = pdf_text(artifact("inkwell/convert", "markdown-to-pdf", {"markdown": MARKDOWN}))
    for expected in ("Title", "bold", "slanted", "code", "a link", "3.", "four", "inner", "quoted", "x = 1", "c2"):
        assert expected in text


def test_a_table_too_wide_for_a_page_is_refused() -> None:
    source = "|" + "a|" * 13 + "\n|" + "-|" * 13 + "\n"
    with pytest.raises(work.WorkFailed) as failed:
        work.run("inkwell/convert", "markdown-to-pdf", {"markdown": source})
    assert failed.value.code == "TOO_COMPLEX"


def test_an_upright_turn_in_the_exif_is_obeyed() -> None:
    from PIL import Image

    out = io.BytesIO()
    source = Image.new("RGB", (80, 40))
    exif = source.getexif()
    exif[0x0112] = 6
    source.save(out, "JPEG", exif=exif)
    given = {"image": base64.b64encode(out.getvalue()).decode(), "size": 32, "crop": False}
    assert opened(artifact("inkwell/thumbnail", "make", given)).size == (16, 32)


def test_a_thumbnail_keeps_its_picture_and_what_is_clear_in_it() -> None:
    given = {"image": picture((40, 30), (10, 120, 240, 0), "RGBA"), "size": 16}
    assert opened(artifact("inkwell/thumbnail", "make", given)).getpixel((9, 9))[3] == 0
    given = {"image": picture((40, 30), (10, 120, 240), form="BMP"), "size": 16}
    assert opened(artifact("inkwell/thumbnail", "make", given)).getpixel((9, 9)) == (10, 120, 240)


def test_a_hair_thin_image_keeps_at_least_one_pixel() -> None:
    given = {"image": picture((1, 5_000), 0), "size": 64, "crop": False}
    assert opened(artifact("inkwell/thumbnail", "make", given)).size == (1, 64)


def test_a_data_url_is_taken_as_an_image_too() -> None:
    given = {"image": f"data:image/png;base64,{picture((30, 30), 0)}", "size": 16}
    assert opened(artifact("inkwell/thumbnail", "make", given)).size == (16, 16)


def test_the_next_thumbnail_crops_where_the_old_one_fits() -> None:
    given = {"image": picture((100, 50), 0), "size": 32}
    assert opened(artifact("inkwell/thumbnail@1.4.0", "make", given)).size == (32, 16)
    assert opened(artifact("inkwell/thumbnail@2.0.0", "make", given)).size == (32, 32)


def test_a_qr_code_has_its_finder_patterns_and_its_quiet_zone() -> None:
    image = opened(artifact("qr-code", "encode", {"text": "HELLO", "scale": 1, "border": 4})).convert("1")
    width = image.width
    assert image.size == (29, 29)
    for x, y in ((4, 4), (width - 11, 4), (4, width - 11)):
        ring = [image.getpixel((x + step, y)) for step in range(7)]
        assert ring == [0] * 7
        assert image.getpixel((x + 1, y + 1)) == 255
    assert all(image.getpixel((x, 3)) == 255 for x in range(width))


def test_a_text_too_long_for_its_error_correction_is_refused() -> None:
    with pytest.raises(work.WorkFailed):
        work.run("qr-code", "encode", {"text": "é€" * 500, "error_correction": "H"})


def test_a_report_shows_every_column_and_the_strongest_correlation() -> None:
    rows = "\n".join(f"{x},{x * 2},{'a' if x % 2 else 'b'},2026-01-{x + 1:02d}" for x in range(28))
    text = pdf_text(artifact("plumbline/report", "compile", {"csv": f"x,double,kind,day\n{rows}\n", "title": "Größen"}))
    for expected in ("Größen", "28 rows, 4 columns", "double", "+1.000", "kind", "from 2026-01-01 to 2026-01-28"):
        assert expected in text
