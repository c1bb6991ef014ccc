"""Provider ``inkwell``: thumbnails of PNG, JPEG, WebP, GIF and BMP images."""

from __future__ import annotations

import binascii
import io
import re
import struct
from typing import TYPE_CHECKING

from jecp_mcp.sandbox.work import json_schema
from jecp_mcp.sandbox.work.capability import (
    Action,
    Capability,
    Ending,
    Input,
    Work,
    WorkFailed,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_BASE64 = 4_000_000
_MOST_BYTES = 3_000_000
_MOST_PIXELS = 16_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_DATA_URL = re.compile(r"data:[\w.+/-]{1,100}(?:;[\w=.-]{1,60}){0,4};base64,", re.ASCII)


def _decoded(data: str) -> bytes:
    """The bytes of standard base64 text; white space inside and a ``data:`` URL's head are allowed."""
    head = _DATA_URL.match(data)
    body = "".join(data[head.end() if head else 0 :].split())
    try:
        found = binascii.a2b_base64(body.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise WorkFailed("BASE64_INVALID", "image is not valid base64") from exc
    if not found:
        raise WorkFailed("BASE64_INVALID", "image is empty")
    if len(found) > _MOST_BYTES:
        raise WorkFailed("TOO_LARGE", f"image has {len(found)} bytes, at most {_MOST_BYTES} are allowed")
    return found


def _opened(given: Input) -> Image:
    """The image, decoded, turned upright, in RGBA where anything is transparent, else in RGB."""
    from PIL import Image, ImageOps

    data = _decoded(given["image"])
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        # The header is read, the pixels are not: a bomb is refused before it is unpacked.
        if image.width * image.height > _MOST_PIXELS:
            raise WorkFailed("TOO_LARGE", f"the image is {image.width} x {image.height}, more than 16 megapixels")
        image.load()
        upright = ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise WorkFailed("TOO_LARGE", "the image has more than 16 megapixels") from exc
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError) as exc:
        # Pillow's readers raise all of these on broken files.
        raise WorkFailed("IMAGE_UNREADABLE", "this is no readable PNG, JPEG, WebP, GIF or BMP image") from exc
    return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def make(given: Input) -> Work:
    """Fit into a square, or fill it."""
    from PIL import Image, ImageOps

    side = (given["size"], given["size"])
    image = _opened(given)
    if given.get("crop", True):
        image = ImageOps.fit(image, side, Image.Resampling.LANCZOS)
    else:
        image.thumbnail(side)
    out = io.BytesIO()
    image.save(out, "PNG")
    return Work(artifact=("image/png", out.getvalue()))


def _make_1(given: Input) -> Work:
    return make({**given, "crop": False})


_INPUT = {
    "image": json_schema.text(
        "The image in base64 (PNG, JPEG, WebP, GIF or BMP; at most 3 MB and 16 megapixels).",
        _MOST_BASE64,
        contentEncoding="base64",
    ),
    "size": json_schema.whole("The longest side of the result, in pixels.", 16, 512),
}
_SUNSET = (
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAgAgMAAAApuhOPAAAACVBMVEX63FrixHgYPG508s7nAAAAPUlEQVR42mNcxYAATAwkcsKQ"
    "ON8YEhCcBww/cOhpYPhHsj0NDEw4ZBQYOBAcLoYFSMpWEe0fxlBKwoC2HACMBAg+fhXsiwAAAABJRU5ErkJggg=="
)

CAPABILITY_1 = Capability(
    namespace="inkwell",
    capability="thumbnail",
    version="1.4.0",
    name="Thumbnail",
    description="Makes thumbnails. Replaced by 2.0.0, which can crop.",
    tags=("image", "png"),
    ending=Ending("deprecated", 21, "2.0.0"),
    actions=(
        Action(
            id="make",
            name="Make",
            description="Shrink an image into a square, keeping its proportions. PNG out.",
            price="0.003",
            work=_make_1,
            input_schema=json_schema.record(_INPUT),
            output_schema=json_schema.artifact("image/png"),
            examples=({"input": {"image": _SUNSET, "size": 24}},),
        ),
    ),
)

CAPABILITY = Capability(
    namespace="inkwell",
    capability="thumbnail",
    version="2.0.0",
    name="Thumbnail",
    description="Makes thumbnails that fit into a square or fill it.",
    tags=("image", "png"),
    actions=(
        Action(
            id="make",
            name="Make",
            description="Shrink an image into a square, or crop it to fill the square. PNG out.",
            price="0.0025",
            work=make,
            input_schema=json_schema.record(
                {**_INPUT, "crop": json_schema.flag("Fill the square and crop the rest.", True)}, optional=("crop",)
            ),
            output_schema=json_schema.artifact("image/png"),
            examples=({"input": {"image": _SUNSET, "size": 24, "crop": False}},),
        ),
    ),
)
