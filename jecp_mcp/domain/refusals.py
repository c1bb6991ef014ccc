"""Why a call was not completed. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jecp_mcp.jsontext import JSONObject, nothing

RefusalSource = Literal["payee", "bridge"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that was not completed, in the payee's words or, where there were none, in ours.

    Attributes:
        code: the canonical code (aliases folded); unknown codes pass through as they are.
        http_status: the status it came with; None when no HTTP answer arrived.
        retry_after_seconds: from the header or the body, whole seconds.
        source: ``payee`` when the payee said it, ``bridge`` when we concluded it.
    """

    code: str
    message: str
    http_status: int | None = None
    details: JSONObject = field(default_factory=nothing)
    next_action: JSONObject | None = None
    payment: JSONObject | None = None
    documentation_url: str | None = None
    retry_after_seconds: int | None = None
    id: str | None = None
    source: RefusalSource = "payee"
    raw: JSONObject = field(default_factory=nothing, repr=False)
