"""Provider ``inkwell``: thumbnails of PNG, JPEG, WebP, GIF and BMP images."""

from __future__ import annotations

import binascii
import io
import re
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from jecp_mcp.sandbox.work.capability import Action, Capability, Deprecation, Input, Work, WorkFailed
from jecp_mcp.sandbox.work.json_schema import artifact, flag, record, text, whole

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_PIXELS = 16_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_DATA_URL = re.compile(r"data:[\w.+/-]{1,100}(?:;[\w=.-]{1,60}){0,4};base64,", re.ASCII)


def _read(data: str) -> Image:
    """The image in base64 text or a ``data:`` URL, turned upright; in RGBA where it is transparent, else in RGB."""
    from PIL import Image, ImageOps

    head = _DATA_URL.match(data)
    try:
        found = binascii.a2b_base64("".join(data[head.end() if head else 0 :].split()), strict_mode=True)
    except ValueError as exc:
        raise WorkFailed("BASE64_INVALID", "image is not valid base64") from exc
    if not found:
        raise WorkFailed("BASE64_INVALID", "image is empty")
    try:
        image = Image.open(io.BytesIO(found), formats=_FORMATS)
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
    image = _read(given["image"])
    if given.get("crop", True):
        image = ImageOps.fit(image, side, Image.Resampling.LANCZOS)
    else:
        image.thumbnail(side)
    out = io.BytesIO()
    image.save(out, "PNG")
    return Work(artifact=("image/png", out.getvalue()))


def _make_1(given: Input) -> Work:
    return make({**given, "crop": False})


_IMAGE = text(
    "The image in base64 (PNG, JPEG, WebP, GIF or BMP; at most 3 MB and 16 megapixels).",
    4_000_000,
    contentEncoding="base64",
)
_SIZE = whole("The longest side of the result, in pixels.", 16, 512)
_SUNSET = (
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAgAgMAAAApuhOPAAAACVBMVEX63FrixHgYPG508s7nAAAAPUlEQVR42mNcxYAATAwkcsKQ"
    "ON8YEhCcBww/cOhpYPhHsj0NDEw4ZBQYOBAcLoYFSMpWEe0fxlBKwoC2HACMBAg+fhXsiwAAAABJRU5ErkJggg=="
)
_MAKE = Action(
    id="make",
    name="Make a thumbnail",
    description="Shrink an image into a square, or crop it to fill the square. PNG out.",
    price="0.0025",
    work=make,
    input_schema=record(image=_IMAGE, size=_SIZE, crop=flag("Fill the square and crop the rest.", True)),
    output_schema=artifact("image/png"),
    example={"image": _SUNSET, "size": 24, "crop": False},
)
_MAKE_1 = replace(
    _MAKE,
    description="Shrink an image into a square, keeping its proportions. PNG out.",
    price="0.003",
    work=_make_1,
    input_schema=record(image=_IMAGE, size=_SIZE),
    example={"image": _SUNSET, "size": 24},
)

CAPABILITY = Capability(
    id="inkwell/thumbnail",
    version="2.0.0",
    name="Thumbnail",
    description="Makes thumbnails that fit into a square or fill it.",
    tags=("image", "png"),
    actions=(_MAKE,),
)
CAPABILITY_1 = replace(
    CAPABILITY,
    version="1.4.0",
    description="Makes thumbnails. Replaced by 2.0.0, which can crop.",
    actions=(_MAKE_1,),
    deprecation=Deprecation("deprecated", 21, "2.0.0"),
)
