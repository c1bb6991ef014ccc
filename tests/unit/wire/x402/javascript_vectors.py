"""Payments as npm's viem and ethers sign them, written down in ``signatures_javascript.json``.

``python -m tests.unit.wire.x402.javascript_vectors`` has both sign anew, where npm is, and writes the file.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

from jecp_mcp.wire.x402.assets import ASSETS, SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import ORDER, PrivateKey
from tests.acceptance.foreign.installed import node_folder

FILE = Path(__file__).with_name("signatures_javascript.json")
HOW = "viem 2.57.20 and ethers 6.17.0 on Node 22, by sign.mjs; the payments are drawn with a fixed seed"
PAYMENTS = 24
VALUES = (0, 1, 10_000, 2**63, 2**64, 2**128, 2**256 - 1)


def payments() -> list[dict[str, Any]]:
    """What is signed: every known token, any key, and amounts and times at the ends of what can be written."""
    dice, assets = random.Random(712), (*ASSETS, SANDBOX_ASSET)
    made = []
    for number in range(PAYMENTS):
        asset = assets[number % len(assets)]
        key = dice.choice([1, ORDER - 1, dice.randrange(1, ORDER)]) if number % 4 == 0 else dice.randrange(1, ORDER)
        domain = {"name": asset.name, "version": asset.version, "chainId": asset.chain_id}
        message = {
            "from": PrivateKey(key.to_bytes(32, "big")).address,
            "to": f"0x{dice.randrange(1 << 160):040x}",
            "value": str(dice.choice([*VALUES, dice.randrange(1 << 40)])),
            "validAfter": str(dice.choice([0, dice.randrange(1 << 33), 2**256 - 1])),
            "validBefore": str(dice.choice([0, dice.randrange(1 << 33), 2**256 - 1])),
            "nonce": f"0x{dice.randbytes(32).hex()}",
        }
        made.append(
            {"key": f"0x{key:064x}", "domain": domain | {"verifyingContract": asset.address}, "message": message}
        )
    return made


def signed() -> list[dict[str, Any]]:
    """What both make of them; the calling test is skipped where npm is not."""
    folder = node_folder(Path(__file__).with_name("sign.mjs"))
    node = str(folder / "node_modules" / ".bin" / "node")
    asked = json.dumps(payments())
    ran = subprocess.run(
        [node, "sign.mjs"], cwd=folder, input=asked, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return [one | answer for one, answer in zip(payments(), found, strict=True)]


if __name__ == "__main__":
    FILE.write_text(json.dumps({"how": HOW, "signed": signed()}, indent=1) + "\n", encoding="utf-8")
