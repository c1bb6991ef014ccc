"""Built-in ``qr-code``: a text as a QR code (ISO/IEC 18004), PNG."""

from __future__ import annotations

import io

from jecp_mcp.sandbox.work.capability import Action, Capability, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.json_schema import artifact, choice, record, text, whole


def encode(given: Input) -> Work:
    """Draw the code."""
    import segno

    try:
        code = segno.make_qr(given["text"], error=given.get("error_correction", "M"), boost_error=False)
    except (segno.DataOverflowError, UnicodeEncodeError) as exc:
        raise WorkFailed("TEXT_TOO_LONG", "the text does not fit a QR code at this error correction") from exc
    out = io.BytesIO()
    code.save(out, kind="png", scale=given.get("scale", 6), border=given.get("border", 4))
    return Work(artifact=("image/png", out.getvalue()))


CAPABILITY = Capability(
    id="qr-code",
    version="1.0.0",
    name="QR code",
    description="Turns a text or a link into a QR code image.",
    tags=("qr", "image", "png"),
    actions=(
        Action(
            id="encode",
            name="Make a QR code",
            description="Draw a text or a link as a QR code, PNG.",
            price="0.001",
            work=encode,
            input_schema=record(
                text=text("What the code says.", 1_000),
                error_correction=choice(
                    "How much may be damaged: L 7 %, M 15 %, Q 25 %, H 30 %.", "L", "M", "Q", "H", default="M"
                ),
                scale=whole("Pixels per module.", 1, 20, default=6),
                border=whole("Quiet zone, in modules; readers expect 4.", 0, 16, default=4),
            ),
            output_schema=artifact("image/png"),
            example={"text": "https://example.org/pay?ref=INV-2041", "scale": 8},
        ),
    ),
)
