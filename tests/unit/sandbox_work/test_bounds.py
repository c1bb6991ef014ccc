"""Hostile and largest inputs: every one ends soon, in work or in a refusal that charges nothing."""

import base64
import io
import itertools
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest

from jecp_mcp.sandbox import work
from tests.steps import steps

SCHEMAS = {
    (f"{manifest['namespace']}/{manifest['capability']}{version}", action["id"]): action["input_schema"]
    for manifest in work.manifests()
    for action in manifest["actions"]
    for version in ("", f"@{manifest['version']}")
} | {(each["id"], action["id"]): action["input_schema"] for each in work.builtins() for action in each["actions"]}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def noise(width: int, height: int) -> str:
    from PIL import Image

    out = io.BytesIO()
    coarse = (width // 6, height // 6)
    dots = Image.frombytes("RGB", coarse, random.Random(1).randbytes(3 * coarse[0] * coarse[1]))
    dots.resize((width, height)).save(out, "JPEG", quality=60)
    return b64(out.getvalue())


def plain(width: int, height: int) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGBA", (width, height), (9, 99, 200, 100)).save(out, "PNG")
    return b64(out.getvalue())


def refused(capability: str, action: str, given: dict[str, Any]) -> str:
    """The code of the refusal, by the schema or by the work."""
    if not jsonschema_rs.validator_for(SCHEMAS[capability, action]).is_valid(given):
        return "INPUT_SCHEMA_VIOLATION"
    with pytest.raises(work.WorkFailed) as failed:
        work.run(capability, action, given)
    assert failed.value.message
    return failed.value.code


def wide_csv(columns: int, rows: int, cell: Callable[[int, int], str]) -> str:
    head = ",".join(f"c{column}" for column in range(columns))
    return "\n".join([head, *(",".join(cell(row, column) for column in range(columns)) for row in range(rows))])


@pytest.mark.parametrize("version", ["@1.4.0", "@2.0.0", ""])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(version: str) -> None:
    given = {"image": b64(png(30_000, 30_000, bytes(1_000_000))), "size": 16}
    # Pillow warns of bombs; the Hub runs with warnings as they come.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert refused(f"inkwell/thumbnail{version}", "make", given) == "TOO_LARGE"
    assert refused(f"inkwell/thumbnail{version}", "make", given) == "TOO_LARGE"


def test_a_bomb_of_seventeen_megapixels_that_pillow_would_open_is_refused() -> None:
    assert refused("inkwell/thumbnail", "make", {"image": plain(4_200, 4_100), "size": 16}) == "TOO_LARGE"


ENDLESS = ("." * 200_000, '."' * 100_000, "\n \t" * 66_000, "a" * 200_000, "\u3002" * 200_000, "! " * 100_000)


@pytest.mark.parametrize("text", ENDLESS, ids=lambda text: repr(text[:3]))
def test_text_that_once_took_minutes_is_counted(text: str) -> None:
    counted = work.run("text-stats", "count", {"text": text})
    assert counted.output["characters"] == len(text)


def test_a_broken_image_of_any_kind_is_unreadable_and_never_an_accident() -> None:
    from PIL import Image

    chance = random.Random(7)
    codes = set()
    for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        out = io.BytesIO()
        Image.linear_gradient("L").convert("RGB").resize((40, 30)).save(out, name)
        whole = out.getvalue()
        for _ in range(60):
            broken = bytearray(whole)
            for _ in range(chance.randint(1, 6)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            broken = broken[: chance.randint(4, len(broken))]
            try:
                work.run("inkwell/thumbnail", "make", {"image": b64(bytes(broken)), "size": 16})
            except work.WorkFailed as failed:
                codes.add(failed.code)
    assert codes <= {"IMAGE_UNREADABLE", "TOO_LARGE"}
    assert "IMAGE_UNREADABLE" in codes


@pytest.mark.parametrize("data", ["not base64!", "AAA", "é", "data:image/png;base64,"])
def test_what_is_no_base64_is_refused_as_such(data: str) -> None:
    assert refused("inkwell/thumbnail", "make", {"image": data, "size": 16}) == "BASE64_INVALID"


@pytest.mark.parametrize("kind", ["tiff", "eps", "svg"])
def test_formats_that_are_not_offered_are_not_opened(kind: str) -> None:
    data = {"tiff": b"II*\0" + bytes(64), "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n", "svg": b"<svg/>"}[kind]
    assert refused("inkwell/thumbnail", "make", {"image": b64(data), "size": 16}) == "IMAGE_UNREADABLE"


def test_a_csv_of_a_million_columns_is_refused() -> None:
    million = ",".join("a" * 1_000_000)
    assert refused("plumbline/csv", "profile", {"csv": f"{million}\n{million}"}) == "INPUT_SCHEMA_VIOLATION"
    # As many as the schema lets through, in a head line alone.
    wide = {"csv": ",".join("a" * 740_000) + "\n"}
    assert refused("plumbline/csv", "profile", wide) == "TOO_LARGE"
    assert steps(lambda: refused("plumbline/csv", "profile", wide)) < 1_000


@pytest.mark.parametrize(
    ("csv", "code"),
    [
        ("a,b\n1,2,3\n", "CSV_INVALID"),
        ("a,b\n", "CSV_INVALID"),
        ("\n\n\n", "CSV_INVALID"),
        ('a,b\n"open,2\n', "CSV_INVALID"),
        ('a\n"' + "x" * 200_000 + '"\n', "CSV_INVALID"),
        ("a\n" + "1\n" * 50_001, "TOO_LARGE"),
    ],
)
def test_what_is_no_table_is_refused(csv: str, code: str) -> None:
    assert refused("plumbline/csv", "profile", {"csv": csv}) == code
    assert refused("plumbline/report", "compile", {"csv": csv}) == code


@pytest.mark.parametrize(
    "csv",
    [
        "a\0b,c\n1,2\n\0,\0\0\n",
        "a,b\n1e308,1e308\n1.7e308,-1.7e308\n1e308,9\n",
        "a\n" + "9" * 400 + "\n",
        "a,a,,\n1,2,3,4\n",
        "a,b\n1e999,x\n",
        "a\nNA\n",
        "\ufeffa;b\r\n1;2\r\n",
    ],
)
def test_an_odd_table_is_described_in_json_and_on_paper(csv: str) -> None:
    output = next(
        action["output_schema"]
        for manifest in work.manifests()
        for action in manifest["actions"]
        if manifest["capability"] == "csv" and action["id"] == "profile"
    )
    jsonschema_rs.validator_for(output).validate(work.run("plumbline/csv", "profile", {"csv": csv}).output)
    assert work.run("plumbline/report", "compile", {"csv": csv}).artifact


MARKDOWN = ["[", "![", "*a ", "`a", "``a`", "> ", "- a\n", "<a", "word ", "|a|b|\n|-|-|\n", "[a](<b", "~~a", "# h\n"]
WORST: dict[str, Callable[[], tuple[str, str, dict[str, Any]]]] = (
    {
        "text-stats": lambda: ("text-stats", "count", {"text": "Ab. " * 50_000}),
        "text-stats-one-word": lambda: ("text-stats", "count", {"text": "a" * 200_000}),
        "text-stats-dots": lambda: ("text-stats", "count", {"text": "." * 200_000}),
        "text-stats-blank-lines": lambda: ("text-stats", "count", {"text": "\n \t" * 66_000}),
        "qr": lambda: ("qr-code", "encode", {"text": "é" * 600, "error_correction": "L", "scale": 20, "border": 16}),
        "invoice": lambda: ("inkwell/invoice", "render", large_invoice()),
        "thumbnail-in": lambda: ("inkwell/thumbnail", "make", {"image": noise(3_900, 3_900), "size": 512}),
        "thumbnail-out": lambda: ("inkwell/thumbnail", "make", {"image": noise(16, 16), "size": 512}),
        "thumbnail-thin": lambda: ("inkwell/thumbnail", "make", {"image": plain(1, 15_000), "size": 512}),
        "csv-pairs": lambda: (
            "plumbline/csv",
            "profile",
            {"csv": wide_csv(10, 29_999, lambda row, column: str(row * column % 97))},
        ),
        "csv-numbers": lambda: (
            "plumbline/csv",
            "profile",
            {"csv": wide_csv(200, 1_499, lambda row, column: str(row * column % 97))},
        ),
        "csv-text": lambda: (
            "plumbline/csv",
            "profile",
            {"csv": wide_csv(4, 49_999, lambda row, column: f"v{row * column % 9_999}")},
        ),
        "csv-commas": lambda: (
            "plumbline/csv",
            "profile",
            {"csv": "a;b\n" + "1,234,567;" + "1,234,56x\n" + "1,234,567;9\n" * 40_000},
        ),
        "group-by": lambda: (
            "plumbline/csv",
            "group-by",
            {
                "csv": wide_csv(2, 49_999, lambda row, column: str(row % (4_999 if column else 99))),
                "by": ["c1"],
                "aggregates": [{"column": "c0", "function": each} for each in ("std", "median", "sum", "mean", "max")]
                * 2,
            },
        ),
        "report": lambda: (
            "plumbline/report",
            "compile",
            {"csv": wide_csv(40, 6_000, lambda row, column: str(row * column % 997))},
        ),
        "report-text": lambda: (
            "plumbline/report",
            "compile",
            {"csv": wide_csv(40, 600, lambda row, column: f"Überlänge {row} " * 2)},
        ),
        "forecast": lambda: (
            "plumbline/forecast",
            "project",
            {"values": [(place % 24) + place * 0.01 for place in range(2_000)], "horizon": 200},
        ),
        "abstract": lambda: ("inkwell/abstract", "extract", {"text": "Ab cd. " * 14_000, "sentences": 20}),
        "abstract-words": lambda: ("inkwell/abstract", "extract", {"text": sentences_of(1_199), "sentences": 20}),
        "concordance": lambda: (
            "lectern/concordance",
            "keyword-in-context",
            {"text": "a b " * 250_000, "keyword": "a b a c"},
        ),
        "concordance-blank": lambda: (
            "lectern/concordance",
            "keyword-in-context",
            {"text": " " * 1_000_000, "keyword": ". ."},
        ),
        "concordance-run": lambda: (
            "lectern/concordance",
            "keyword-in-context",
            {"text": "a" * 1_000_000, "keyword": "a" * 99 + "b"},
        ),
        "concordance-spaces": lambda: (
            "lectern/concordance",
            "keyword-in-context",
            {"text": ("a" + " " * 999) * 1_000, "keyword": "a b"},
        ),
        "keywords": lambda: ("lectern/keywords", "extract", {"text": "!a" * 10_000}),
    }
    | {
        f"{action}-{place}": lambda action=action, unit=unit: (  # type: ignore[misc]
            "inkwell/convert",
            action,
            {"markdown": (unit * 100_000)[: SCHEMAS["inkwell/convert", action]["properties"]["markdown"]["maxLength"]]},
        )
        for action, (place, unit) in itertools.product(
            ("markdown-to-html", "markdown-to-docx", "markdown-to-pdf"), enumerate(MARKDOWN)
        )
    }
)


def sentences_of(count: int) -> str:
    chance = random.Random(3)
    return " ".join(f"{' '.join(f'w{chance.randrange(4_000)}' for _ in range(12))}.".capitalize() for _ in range(count))


def large_invoice() -> dict[str, Any]:
    example: dict[str, Any] = work.manifests()[0]["actions"][0]["examples"][0]["input"]
    item = {"description": ("Größe " * 50)[:300], "quantity": 999_999.125, "unit_price": 9_999_999.99}
    return {**example, "items": [item] * 150, "notes": "note " * 400}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_the_largest_inputs_end_in_work_or_in_a_refusal(name: str) -> None:
    capability, action, given = WORST[name]()
    jsonschema_rs.validator_for(SCHEMAS[capability, action]).validate(given)
    try:
        work.run(capability, action, given)
    except work.WorkFailed as failed:
        assert failed.code in {"TOO_COMPLEX", "TOO_LARGE", "TEXT_EMPTY"}  # noqa: PT017  # either way it must end
