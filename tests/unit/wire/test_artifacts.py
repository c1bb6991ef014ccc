import base64
from typing import Any

import pytest

from jecp_mcp.wire.jecp.artifacts import Artifact, artifact_of

PDF = base64.b64encode(b"%PDF-1.7 and so on, long enough").decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()
WAV = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVEfmt " + b"\0" * 20).decode()


def test_the_reference_hubs_wrapper_is_an_artifact_with_its_counted_size() -> None:
    found = artifact_of(
        {"artifact": {"content_type": "application/pdf; x=y", "size_bytes": 99999, "inline": True, "data_base64": PDF}}
    )
    assert found == Artifact("application/pdf", 31, PDF, "artifact")
    assert found.decode() == base64.b64decode(PDF)


def test_a_wrapper_without_data_keeps_its_size_and_note() -> None:
    found = artifact_of(
        {"artifact": {"content_type": "video/mp4", "size_bytes": 50_000_000, "inline": False, "note": "too large"}}
    )
    assert found == Artifact("video/mp4", 50_000_000, None, "artifact", "too large")
    assert found.decode() == b""


@pytest.mark.parametrize(
    ("output", "content_type", "field"),
    [
        ({"pages": 1, "pdf": PDF}, "application/pdf", "pdf"), ({"image": PNG}, "image/png", "image"), ({"image_base64": PNG}, "image/png", "image_base64"),
        ({"audio": WAV}, "audio/wav", "audio"), ({"file": PDF}, "application/pdf", "file"),
    ],
)  # fmt: skip
def test_base64_in_a_named_field_is_an_artifact_when_its_bytes_agree(
    output: dict[str, Any], content_type: str, field: str
) -> None:
    found = artifact_of(output)
    assert found is not None
    assert (found.content_type, found.field, found.data_base64) == (content_type, field, output[field])


@pytest.mark.parametrize(
    "output",
    [
        None, "text", [PDF], {}, {"pdf": PNG}, {"pdf": "https://hub.example/invoice.pdf"}, {"image": "data:image/png"}, {"note": PDF},
        {"pdf": PDF[:-1]}, {"pdf": PDF + "\n"}, {"pdf": PDF + "\udc80"}, {"pdf": 7}, {"artifact": {}}, {"artifact": {"data_base64": "%%%"}},
    ],
)  # fmt: skip
def test_anything_else_is_no_artifact(output: Any) -> None:
    assert artifact_of(output) is None


@pytest.mark.parametrize("said", ["", "nonsense", "text/html\r\nX: y", 5])
def test_a_media_type_that_is_none_becomes_plain_octets(said: Any) -> None:
    found = artifact_of({"artifact": {"content_type": said, "data_base64": PDF}})
    assert found is not None
    assert found.content_type == "application/octet-stream"
