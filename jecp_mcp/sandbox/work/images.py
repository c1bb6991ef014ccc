"""Provider ``inkwell``: image operations on PNG, JPEG, WebP, GIF and BMP."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import schemas
from jecp_mcp.sandbox.work.encoding import decoded
from jecp_mcp.sandbox.work.forms import Action, Capability, Ending, Input, Work, WorkFailed

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_BASE64 = 4_000_000
_MOST_BYTES = 3_000_000
_MOST_PIXELS = 16_000_000
_MOST_SIDE = 2_048
_MOST_CONVERTED = 3_000
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def opened(given: Input) -> tuple[Image, str]:
    """The image, decoded and turned upright, and its format.

    Raises:
        WorkFailed: ``BASE64_INVALID``, ``TOO_LARGE``, ``IMAGE_UNREADABLE``.
    """
    from PIL import Image, ImageOps

    data = decoded(given["image"], "image", _MOST_BYTES)
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        # The header is read, the pixels are not: a bomb is refused before it is unpacked.
        if image.width * image.height > _MOST_PIXELS:
            raise WorkFailed("TOO_LARGE", f"the image is {image.width} x {image.height}, more than 16 megapixels")
        name = image.format or ""
        image.load()
        return ImageOps.exif_transpose(image), name
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise WorkFailed("TOO_LARGE", "the image has more than 16 megapixels") from exc
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError) as exc:
        # Pillow's readers raise all of these on broken files.
        raise WorkFailed("IMAGE_UNREADABLE", "this is no readable PNG, JPEG, WebP, GIF or BMP image") from exc


def _plain(image: Image) -> Image:
    """In RGBA where anything is transparent, else in RGB."""
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _png(image: Image) -> Work:
    out = io.BytesIO()
    image.save(out, "PNG")
    return Work(artifact=("image/png", out.getvalue()))


def resize(given: Input) -> Work:
    """Scale to a box."""
    from PIL import Image, ImageOps

    width, height = given.get("width"), given.get("height")
    if width is None and height is None:
        raise WorkFailed("SIZE_MISSING", "give a width, a height or both")
    image = _plain(opened(given)[0])
    fit = given.get("fit", "contain")
    if width is None or height is None:
        scale = width / image.width if width is not None else (height or 1) / image.height
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        if max(size) > _MOST_SIDE:
            raise WorkFailed("TOO_LARGE", f"the result would be {size[0]} x {size[1]}, more than {_MOST_SIDE} a side")
        return _png(image.resize(size, Image.Resampling.LANCZOS))
    box = (width, height)
    if fit == "stretch":
        return _png(image.resize(box, Image.Resampling.LANCZOS))
    if fit == "cover":
        return _png(ImageOps.fit(image, box, Image.Resampling.LANCZOS))
    scale = min(width / image.width, height / image.height)
    within = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return _png(image.resize(within, Image.Resampling.LANCZOS))


def transcode(given: Input) -> Work:
    """Write in another format."""
    image = _plain(opened(given)[0])
    if max(image.size) > _MOST_CONVERTED:
        raise WorkFailed("TOO_LARGE", f"the image is larger than {_MOST_CONVERTED} a side; resize it first")
    out = io.BytesIO()
    if given["format"] == "jpeg":
        if image.mode == "RGBA":
            image = _on_white(image)
        image.save(out, "JPEG", quality=given.get("quality", 85))
    elif given["format"] == "webp":
        image.save(out, "WEBP", quality=given.get("quality", 85), method=1)
    else:
        image.save(out, "PNG")
    return Work(artifact=(f"image/{given['format']}", out.getvalue()))


def _on_white(image: Image) -> Image:
    from PIL import Image as Pictures

    page = Pictures.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def inspect(given: Input) -> Work:
    """Say what an image is."""
    from PIL import Image, ImageStat

    image, name = opened(given)
    plain = image.convert("RGB")
    plain.thumbnail((256, 256), Image.Resampling.BOX)
    red, green, blue = ImageStat.Stat(plain).mean
    return Work(
        {
            "format": name.lower(),
            "width": image.width,
            "height": image.height,
            "mode": image.mode,
            "transparent": image.has_transparency_data,
            "average_colour": _hex((round(red), round(green), round(blue))),
            "brightness": round((0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255, 4),
            "dominant_colours": _dominant(plain),
        }
    )


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _dominant(image: Image) -> list[dict[str, Any]]:
    few = image.quantize(5).convert("RGB")
    total = few.width * few.height
    counted = sorted(few.getcolors(total) or (), key=lambda each: (-each[0], each[1]))
    return [
        {"colour": _hex((colour[0], colour[1], colour[2])), "share": round(count / total, 4)}
        for count, colour in counted
        if isinstance(colour, tuple)
    ]


def fitted(given: Input) -> Work:
    """Fit into a square."""
    image = _plain(opened(given)[0])
    image.thumbnail((given["size"], given["size"]))
    return _png(image)


def cropped(given: Input) -> Work:
    """Fit into a square, or fill it."""
    from PIL import Image, ImageOps

    side = (given["size"], given["size"])
    image = _plain(opened(given)[0])
    if given.get("crop", True):
        return _png(ImageOps.fit(image, side, Image.Resampling.LANCZOS))
    image.thumbnail(side)
    return _png(image)


_IMAGE = schemas.text(
    "The image in base64 (PNG, JPEG, WebP, GIF or BMP; at most 3 MB and 16 megapixels).",
    _MOST_BASE64,
    contentEncoding="base64",
)
_SUNSET = (
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAgAgMAAAApuhOPAAAACVBMVEX63FrixHgYPG508s7nAAAAPUlEQVR42mNcxYAATAwkcsKQ"
    "ON8YEhCcBww/cOhpYPhHsj0NDEw4ZBQYOBAcLoYFSMpWEe0fxlBKwoC2HACMBAg+fhXsiwAAAABJRU5ErkJggg=="
)
_SQUARE = schemas.whole("The longest side of the result, in pixels.", 16, 512)

CAPABILITY = Capability(
    namespace="inkwell",
    capability="image",
    version="1.2.0",
    name="Image operations",
    description="Resizes, converts and inspects images.",
    tags=("image", "png", "jpeg", "webp"),
    actions=(
        Action(
            id="resize",
            name="Resize",
            description="Scale an image to a width, a height, or a box it fits, covers or is stretched to. PNG out.",
            price="0.004",
            work=resize,
            input_schema={
                **schemas.record(
                    {
                        "image": _IMAGE,
                        "width": schemas.whole("Pixels.", 1, _MOST_SIDE),
                        "height": schemas.whole("Pixels.", 1, _MOST_SIDE),
                        "fit": schemas.choice(
                            "How to fill a box given by both sides.", "contain", "cover", "stretch", default="contain"
                        ),
                    },
                    optional=("width", "height", "fit"),
                ),
                "anyOf": [{"required": ["width"]}, {"required": ["height"]}],
            },
            output_schema=schemas.artifact("image/png"),
            examples=({"input": {"image": _SUNSET, "width": 120}},),
        ),
        Action(
            id="convert",
            name="Convert",
            description="Write an image as PNG, JPEG or WebP. Transparent parts become white in JPEG.",
            price="0.003",
            work=transcode,
            input_schema=schemas.record(
                {
                    "image": _IMAGE,
                    "format": schemas.choice(
                        f"The format wanted, for images of up to {_MOST_CONVERTED} pixels a side.",
                        "png",
                        "jpeg",
                        "webp",
                    ),
                    "quality": schemas.whole("For JPEG and WebP.", 1, 95, default=85),
                },
                optional=("quality",),
            ),
            output_schema=schemas.artifact("image/png", "image/jpeg", "image/webp"),
            examples=({"input": {"image": _SUNSET, "format": "webp", "quality": 70}},),
        ),
        Action(
            id="inspect",
            name="Inspect",
            description="Tell an image's format, size, mode, average and dominant colours.",
            price="0.001",
            work=inspect,
            input_schema=schemas.record({"image": _IMAGE}),
            output_schema=schemas.record(
                {
                    "format": schemas.choice("File format.", *(name.lower() for name in _FORMATS)),
                    "width": {"type": "integer", "minimum": 1},
                    "height": {"type": "integer", "minimum": 1},
                    "mode": {"type": "string", "description": "The pixel format, such as RGB or P."},
                    "transparent": {"type": "boolean"},
                    "average_colour": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
                    "brightness": schemas.number("Relative luminance of the average, black 0 to white 1.", 0, 1),
                    "dominant_colours": schemas.array(
                        "Most frequent first.",
                        schemas.record({"colour": {"type": "string"}, "share": schemas.number("Of all pixels.", 0, 1)}),
                        5,
                    ),
                }
            ),
            examples=({"input": {"image": _SUNSET}},),
        ),
    ),
)

THUMBNAIL_1 = Capability(
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
            work=fitted,
            input_schema=schemas.record({"image": _IMAGE, "size": _SQUARE}),
            output_schema=schemas.artifact("image/png"),
            examples=({"input": {"image": _SUNSET, "size": 24}},),
        ),
    ),
)

THUMBNAIL = Capability(
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
            work=cropped,
            input_schema=schemas.record(
                {"image": _IMAGE, "size": _SQUARE, "crop": schemas.flag("Fill the square and crop the rest.", True)},
                optional=("crop",),
            ),
            output_schema=schemas.artifact("image/png"),
            examples=({"input": {"image": _SUNSET, "size": 24, "crop": False}},),
        ),
    ),
)
