"""What a transaction of the test chain is, and how one that was mined is kept. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from jecp_mcp.sandbox.paid_http.chain.accounts import TREASURY
from jecp_mcp.wire.x402.payment import Authorization


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that somebody signed (EIP-3009), or with no nonce one out of the treasury.

    Attributes:
        sender: whose money it is; lower-case hexadecimal, as `to`.
        value: in millionths.
        nonce: 32 bytes, hexadecimal with ``0x``, lower case; empty out of the treasury.
        valid_after: the Unix second after which it may be mined.
        valid_before: the Unix second before which.
    """

    sender: str
    to: str
    value: int
    nonce: str = ""
    valid_after: int = 0
    valid_before: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What the token uses once: the payer and its nonce."""
        return self.sender, self.nonce


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transfer on its way into a block."""

    hash: str
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction in the block of its own that it got.

    Attributes:
        number: the block's.
        time: the block's, Unix seconds.
        succeeded: False when the token refused it there; it moved nothing then.
    """

    transaction: Transaction
    number: int
    time: int
    succeeded: bool = True


def signed(authorization: Authorization) -> Transfer:
    """The transfer that an authorization allows."""
    return Transfer(
        authorization.sender,
        authorization.to,
        authorization.value,
        f"0x{authorization.nonce.hex()}",
        authorization.valid_after,
        authorization.valid_before,
    )


def grant(to: str, value: int, count: int) -> Transaction:
    """Money out of the treasury; `count` tells two equal ones apart."""
    return hashed(Transfer(TREASURY, to.lower(), value), str(count))


def hashed(transfer: Transfer, salt: str) -> Transaction:
    """A transaction with a hash of its own."""
    text = f"{transfer.sender}|{transfer.to}|{transfer.value}|{transfer.nonce}|{transfer.valid_before}|{salt}"
    return Transaction(f"0x{sha256(text.encode()).hexdigest()}", transfer)
