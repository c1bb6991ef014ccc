"""The Hub's signature, worked out by openssl and by Node from the secret that the provider was given."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.contract.providers.conftest import House, Seller
from tests.lacking import lacking

pytestmark = pytest.mark.slow

_NODE = """
const { createHmac } = require("node:crypto");
const [secret, timestamp] = process.argv.slice(1);
const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
  const mac = createHmac("sha256", Buffer.from(secret, "base64"));
  mac.update(timestamp + ".").update(Buffer.concat(chunks));
  process.stdout.write("v1=" + mac.digest("base64"));
});
"""


def openssl(secret: str, timestamp: str, body: bytes) -> str:
    if shutil.which("openssl") is None:
        lacking("openssl is not installed", "REQUIRE_FOREIGN_CLIENTS")
    key = base64.b64decode(secret).hex()
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key}", "-binary"]
    done = subprocess.run(command, input=timestamp.encode() + b"." + body, capture_output=True, check=True)
    return "v1=" + base64.b64encode(done.stdout).decode()


def node(secret: str, timestamp: str, body: bytes) -> str:
    if shutil.which("node") is None:
        lacking("node is not installed", "REQUIRE_FOREIGN_CLIENTS")
    done = subprocess.run(["node", "-e", _NODE, secret, timestamp], input=body, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.parametrize("foreign", [openssl, node])
def test_a_forwarded_call_carries_the_signature_that_others_work_out(
    place: House, seller: Seller, foreign: Callable[[str, str, bytes], str]
) -> None:
    seller.sell()
    place.buyer().buy(f"{seller.namespace}/words", input={"text": "ein Wörtchen 𝄞"}).raise_for_status()
    [(headers, body)] = seller.endpoint.calls
    expected = foreign(seller.registered["hmac_secret"], headers["x-jecp-timestamp"], body)
    assert headers["x-jecp-signature"] == expected
