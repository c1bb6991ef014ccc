"""Built-in ``digest``: cryptographic digests."""

from __future__ import annotations

import hashlib

from jecp_mcp.sandbox.work import schemas
from jecp_mcp.sandbox.work.encoding import decoded
from jecp_mcp.sandbox.work.forms import Action, Capability, Input, Work, WorkFailed

_MOST = 1_000_000
_ALGORITHMS = {"sha256": "sha256", "sha512": "sha512", "sha3-256": "sha3_256", "blake2b": "blake2b"}


def compute(given: Input) -> Work:
    """Digest a text (as UTF-8) or base64 bytes."""
    if given.get("encoding", "text") == "base64":
        data = decoded(given["data"], "data", _MOST)
    else:
        try:
            data = given["data"].encode()
        except UnicodeEncodeError as exc:
            raise WorkFailed("TEXT_INVALID", "the text holds a lone surrogate, which UTF-8 cannot express") from exc
    algorithm = given.get("algorithm", "sha256")
    return Work(
        {
            "algorithm": algorithm,
            "hex": hashlib.new(_ALGORITHMS[algorithm], data).hexdigest(),
            "size_bytes": len(data),
        }
    )


CAPABILITY = Capability(
    namespace="",
    capability="digest",
    version="1.0.0",
    name="Digest",
    description="SHA-2, SHA-3 and BLAKE2 digests of text or bytes.",
    tags=("hash", "checksum"),
    actions=(
        Action(
            id="compute",
            name="Compute",
            description="Compute the digest of a text (as UTF-8) or of base64-encoded bytes.",
            price="0.0005",
            work=compute,
            input_schema=schemas.record(
                {
                    "data": schemas.text("The text, or the bytes in base64.", _MOST, 0),
                    "encoding": schemas.choice("What `data` is.", "text", "base64", default="text"),
                    "algorithm": schemas.choice("Which digest.", *_ALGORITHMS, default="sha256"),
                },
                optional=("encoding", "algorithm"),
            ),
            output_schema=schemas.record(
                {
                    "algorithm": schemas.choice("Which digest.", *_ALGORITHMS),
                    "hex": {"type": "string", "pattern": "^[0-9a-f]+$"},
                    "size_bytes": {"type": "integer", "minimum": 0},
                }
            ),
            examples=(
                {"input": {"data": "abc"}},
                {"input": {"data": "AAEC", "encoding": "base64", "algorithm": "blake2b"}},
            ),
            p95_ms=50,
        ),
    ),
)
