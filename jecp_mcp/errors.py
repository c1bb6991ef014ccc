"""Every exception this package raises on purpose.

::

    JecpMcpError
    ├── MoneyError            an amount that is not exact, not positive or not in USDC
    ├── SettingsError         a setting that is wrong, with its source, key and reason
    ├── ExtraMissing          packages that are needed for this are not installed
    ├── WireError             bytes from a Hub that are not what the protocol says
    ├── PayeeError            a payee could not be reached, or refused something that is not a paid call
    ├── LedgerError
    │   ├── LedgerUnavailable the ledger cannot be written now (full disk, read-only, locked)
    │   │   └── ClockWentBack the clock is well behind the ledger's last change
    │   ├── TooManyWait       no room for what is to be agreed beside what waits already
    │   │   └── TooManyQuestions as many questions of one principal wait for a person as may
    │   └── LedgerDamaged     the ledger file is not what was written
    ├── HeldBack              a request whose first byte must not leave now
    ├── PinsUnusable          what was seen of the catalog before cannot be read or written
    ├── PackageDamaged        a data file of this package is missing or broken
    └── ToolFault             a request to one of our own tools that cannot be met

A refused paid call is not an exception: it is a value (`jecp_mcp.domain.refusals.Refusal`).
"""

from __future__ import annotations

from collections.abc import Mapping


class JecpMcpError(Exception):
    """The root of the tree."""


class MoneyError(JecpMcpError, ValueError):
    """An amount of money that cannot be taken as it is."""


class TooMuchMoney(MoneyError):
    """An amount beyond every bound: it cannot be counted, and is certainly no less than the bound."""


class SettingsError(JecpMcpError):
    """A wrong setting.

    Attributes:
        source: the file, environment variable or option it came from.
        key: the dotted key, such as ``mandate.per_call_usdc``.
        reason: what is wrong with it, for a person.
    """

    def __init__(self, source: str, key: str, reason: str) -> None:
        self.source, self.key, self.reason = source, key, reason
        super().__init__(f"{source}: {key}: {reason}" if key else f"{source}: {reason}")


class ExtraMissing(JecpMcpError):
    """Packages of an extra are not installed; the message names them and the command that installs them.

    Attributes:
        extra: its name.
    """

    def __init__(self, extra: str, message: str) -> None:
        self.extra = extra
        super().__init__(message)


class WireError(JecpMcpError):
    """Bytes from a Hub that break the protocol; the message says how, never quoting secrets."""


class PayeeError(JecpMcpError):
    """Something that moves no money was asked of a payee, and failed.

    Attributes:
        code: the payee's code, or one of ours (``HUB_UNREACHABLE``, ``HUB_MISBEHAVED``).
    """

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")


class LedgerError(JecpMcpError):
    """The ledger cannot do what was asked.

    Attributes:
        cause: what is wrong, for any reader.
        mend: what its operator can do about it; for people only, for a model might do it in their place.
    """

    def __init__(self, cause: str, mend: str = "") -> None:
        self.cause, self.mend = cause, mend
        super().__init__(f"{cause}; {mend}" if mend else cause)


class LedgerUnavailable(LedgerError):
    """The ledger cannot be written now. Nothing was reserved, so nothing may be sent."""


class ClockWentBack(LedgerUnavailable):
    """The clock is well behind the ledger's last change, so what has left a rolling window is not known.

    Attributes:
        shown: what the ledger's clock shows, in milliseconds since the epoch; None where that is not told.
    """

    shown: int | None = None


class TooManyWait(LedgerError):
    """There is no room for a prepared call or question beside those that wait; the message says what makes room."""


class TooManyQuestions(TooManyWait):
    """As many questions of one principal wait for a person as may. This one was not written."""


class LedgerDamaged(LedgerError):
    """The ledger file is not what was written. Paid calls stop until an operator mends it."""


class HeldBack(JecpMcpError):
    """Raised by whoever is asked right before the first byte of a request: it must not leave now."""


class PinsUnusable(JecpMcpError):
    """What was seen of the catalog before cannot be read, or not be written. What it would have allowed stays held."""


class PackageDamaged(JecpMcpError):
    """A data file that this package is shipped with is missing or broken. Installing the package again mends it."""


class PaidNotShown(JecpMcpError):
    """A call is paid, and its answer could not be shown or saved. The ledger keeps the answer for the same call."""


class ToolFault(JecpMcpError):
    """A request to one of the bridge's own tools that cannot be met; carries a code for the model.

    Attributes:
        retry_after_seconds: when the same request may be met; None where waiting changes nothing.
        details: what else is known of it, by name.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after_seconds: int | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        self.code, self.message, self.retry_after_seconds = code, message, retry_after_seconds
        self.details: Mapping[str, str] = details or {}
        super().__init__(message)
