"""The two dialects a Hub is spoken to in: the reference Hub's, and the specification's. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DialectName = Literal["reference", "spec"]
Endpoint = Literal["invoke", "jecp"]
"""The path a call came by, under ``/v1/``."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to answer a request: the dialect, the endpoint it came by, and the Hub's own origin for its links."""

    name: DialectName
    endpoint: Endpoint = "invoke"
    origin: str = ""

    @property
    def variant(self) -> str:
        """``spec``, ``invoke`` or ``jecp``: the reference Hub speaks differently at its two endpoints."""
        return "spec" if self.name == "spec" else self.endpoint

    def path(self, name: str) -> str:
        """Where this dialect keeps an account endpoint: ``register`` or ``topup``."""
        return f"{self.origin}/api/{'agent' if self.name == 'spec' else 'agents'}/{name}"
