"""How the Hub refuses a provider. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from jecp_mcp.sandbox.error_answers import Refused


class ProviderRefused(Refused):
    """A provider's request that the Hub turns down: its codes are the same in both dialects."""

    exact = True


def invalid_manifest(faults: Iterable[tuple[str, str]]) -> ProviderRefused:
    """The refusal of a manifest that breaks the rules, each place by its JSON pointer (RFC 6901)."""
    errors = [{"instance_path": place, "reason": reason} for place, reason in faults]
    first = errors[0]
    return ProviderRefused(
        "INVALID_MANIFEST",
        f"The manifest is not valid: {first['instance_path'] or '/'}: {first['reason']}. Nothing was published.",
        details={"errors": errors},
    )
