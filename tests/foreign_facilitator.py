"""PyPI's x402 as facilitator over HTTP, on the sandbox's chain: it checks payments by its own code and brings them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from typing import Any

from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from tests.lacking import lacking
from tests.served import served
from tests.x402_sandbox import PaidHttp


def require() -> None:
    """Skip the test where the extra is not installed, unless it must be."""
    if any(find_spec(name) is None for name in ("x402", "x402conf", "eth_account")):
        lacking("the extra 'judges' is not installed", "REQUIRE_JUDGES")


class SandboxChain:
    """What x402's facilitator asks of a chain, asked of the sandbox's node."""

    def __init__(self, shop: PaidHttp) -> None:
        self._shop, self._chain = shop, shop.chain

    def get_addresses(self) -> list[str]:
        return ["0x94943c204FF0A19c2C0BcF8378AaF75d11214f1B"]

    def get_chain_id(self) -> int:
        return int(self._chain.ask("eth_chainId"), 16)

    def get_code(self, address: str) -> bytes:
        return bytes.fromhex(self._chain.ask("eth_getCode", address, "latest")[2:])

    def get_balance(self, address: str, _token: str) -> int:
        return self._call(f"0x70a08231{address[2:].lower():0>64}")

    def verify_typed_data(
        self, address: str, domain: Any, types: dict[str, Any], primary: str, message: dict[str, Any], signature: bytes
    ) -> bool:
        from eth_account import Account
        from eth_account.messages import encode_typed_data

        assert primary == "TransferWithAuthorization"
        fields = {name: [{"name": each.name, "type": each.type} for each in found] for name, found in types.items()}
        named = {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.verifying_contract,
        }
        signed = encode_typed_data(domain_data=named, message_types=fields, message_data=message)
        try:
            return Account.recover_message(signed, signature=signature).lower() == address.lower()
        except Exception:  # noqa: BLE001  # whatever a library says of bytes that are no signature
            return False

    def read_contract(self, _address: str, _abi: Any, function: str, *args: Any) -> Any:
        assert function == "transferWithAuthorization", function
        used = self._call(f"0xe94a0102{args[0][2:].lower():0>64}{args[5].hex()}")
        if used or self.get_balance(args[0], "") < args[2]:
            raise RuntimeError("execution reverted")

    def write_contract(self, address: str, _abi: Any, function: str, *args: Any, **_suffix: Any) -> str:
        """Bring a transfer, which the sandbox's own facilitator relays: its nodes take no transactions."""
        assert function == "transferWithAuthorization", function
        sender, to, value, after, before, nonce, v, r, s = args
        terms = {
            "scheme": "exact",
            "network": SANDBOX_ASSET.network,
            "amount": str(value),
            "asset": address,
            "payTo": to,
            "maxTimeoutSeconds": 300,
            "extra": {"name": SANDBOX_ASSET.name, "version": SANDBOX_ASSET.version},
        }
        authorization = {
            "from": sender,
            "to": to,
            "value": str(value),
            "validAfter": str(after),
            "validBefore": str(before),
            "nonce": f"0x{nonce.hex()}",
        }
        signature = f"0x{(r + s + bytes([v])).hex()}"
        payment = {
            "x402Version": 2,
            "accepted": terms,
            "payload": {"signature": signature, "authorization": authorization},
        }
        body = {"x402Version": 2, "paymentPayload": payment, "paymentRequirements": terms}
        settled = self._shop.http.post(f"{self._shop.where['facilitator']}/settle", json=body).raise_for_status().json()
        if not settled["success"]:
            raise RuntimeError(f"execution reverted: {settled['errorReason']}")
        return str(settled["transaction"])

    def wait_for_transaction_receipt(self, tx_hash: str) -> Any:
        from x402.mechanisms.evm.types import TransactionReceipt

        found = self._chain.ask("eth_getTransactionReceipt", tx_hash)
        return TransactionReceipt(
            status=int(found["status"], 16),
            block_number=int(found["blockNumber"], 16),
            tx_hash=tx_hash,
            logs=found["logs"],
        )

    def _call(self, data: str) -> int:
        return int(self._chain.ask("eth_call", {"to": SANDBOX_ASSET.address, "data": data}, "latest"), 16)


@contextmanager
def serving_facilitator(shop: PaidHttp) -> Iterator[str]:
    """Serve it until the block ends; gives its URL."""
    require()
    from x402 import x402FacilitatorSync
    from x402.mechanisms.evm.exact import register_exact_evm_facilitator
    from x402.schemas import PaymentPayload, PaymentRequirements

    facilitator = x402FacilitatorSync()
    register_exact_evm_facilitator(facilitator, SandboxChain(shop), [SANDBOX_ASSET.network])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/supported"
            self._answer(facilitator.get_supported())

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            work = {"/verify": facilitator.verify, "/settle": facilitator.settle}[self.path]
            payment = PaymentPayload.model_validate(asked["paymentPayload"])
            self._answer(work(payment, PaymentRequirements.model_validate(asked["paymentRequirements"])))

        def _answer(self, found: Any) -> None:
            data = found.model_dump_json(by_alias=True, exclude_none=True).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as url:
        yield url
