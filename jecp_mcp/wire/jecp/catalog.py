"""The Hub's catalog, in both dialects, as `Offer` records (JECP 04-manifest §5, JECP 05-discovery §6). Pure: no I/O.

One bad entry is set aside with its reason and never spoils the page. What has no place in `Offer` stays in its
``extra``: the action's own fields at the top, the capability's under ``"capability"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.domain.offers import Deprecation, Offer, Price
from jecp_mcp.domain.versions import valid_version, version_order
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.jsontext import NOTHING, JSONObject
from jecp_mcp.money import MicroUSDC, parse_price
from jecp_mcp.wire.jecp.ids import label, split_capability, valid_action
from jecp_mcp.wire.jecp.tiers import TIERS

MAX_PAGE_BYTES = 32 * 1024 * 1024
MAX_ACTIONS_PER_CAPABILITY = 500
MAX_CAPABILITIES_PER_PAGE = 20_000
"""The most a page lists; asked for are a few hundred, but a Hub may know no pages."""
MAX_ACTIONS_PER_PAGE = 50_000


class PricingModel(StrEnum):
    """How an action is charged (JECP 04-manifest §5)."""

    FLAT = "flat"
    PER_CALL = "per_call"
    PER_TOKEN = "per_token"  # noqa: S105  # a pricing model, not a password
    PER_CHUNK = "per_chunk"
    PER_SECOND = "per_second"
    TIERED = "tiered"


_EXACT = frozenset({PricingModel.FLAT, PricingModel.PER_CALL})
_MODELS: Mapping[str, PricingModel] = MappingProxyType({model.value: model for model in PricingModel})
_PRICE_KEYS = frozenset({"base", "currency", "model", "payment_methods"})


@dataclass(frozen=True, slots=True)
class CatalogPage:
    """One page of a catalog.

    Attributes:
        actions: what can be bought, in the Hub's order, each `Offer.key` once. A Hub that repeats its built-ins on
            every page repeats their keys; merging pages by key is right.
        quarantined: what was set aside: its id as far as it had one, and why.
        total: how many capabilities the Hub says it has in all.
    """

    actions: tuple[Offer, ...]
    quarantined: tuple[tuple[str, str], ...] = ()
    next_cursor: str | None = None
    has_more: bool = False
    total: int | None = None


def parse_page(body: bytes, *, source: str = "", max_bytes: int = MAX_PAGE_BYTES) -> CatalogPage:
    """Read one page of ``GET /v1/capabilities``, or the single capability of ``GET /v1/capabilities/{id}``.

    Args:
        source: what the offers name as theirs: the Hub's origin.
        max_bytes: how long the page may be.

    Raises:
        WireError: it is no JSON object with capabilities.
    """
    page = jsontext.loads_forgiving(body, max_bytes=max_bytes)
    if not isinstance(page, dict):
        raise WireError("the catalog is not a JSON object")
    listed, others = page.get("capabilities"), page.get("third_party_capabilities")
    if listed is None and others is None:
        single = page.get("capability", page)
        if not (isinstance(single, dict) and ("actions" in single or "manifest" in single)):
            raise WireError("the catalog lists no capabilities")
        listed = [single]
    if not isinstance(listed, (list, type(None))) or not isinstance(others, (list, type(None))):
        raise WireError("the catalog's capabilities are not a list")
    entries = (*(listed or ()), *(others or ()))
    if len(entries) > MAX_CAPABILITIES_PER_PAGE:
        raise WireError(f"the page lists more than {MAX_CAPABILITIES_PER_PAGE} capabilities")
    found: dict[str, Offer] = {}
    bad: list[tuple[str, str]] = []
    for entry in entries:
        _read_capability(entry, source, found, bad)
        if len(found) + len(bad) > MAX_ACTIONS_PER_PAGE:
            raise WireError(f"the page lists more than {MAX_ACTIONS_PER_PAGE} actions")
    cursor = page.get("next_cursor")
    cursor = cursor if isinstance(cursor, str) and cursor else None
    more = page.get("has_more")
    return CatalogPage(
        actions=tuple(found.values()),
        quarantined=tuple(bad),
        next_cursor=cursor,
        has_more=more if isinstance(more, bool) else cursor is not None,
        total=_whole(page.get("total")),
    )


def _read_capability(entry: object, source: str, found: dict[str, Offer], bad: list[tuple[str, str]]) -> None:
    if not isinstance(entry, dict):
        bad.append(("", "the entry is not an object"))
        return
    name = entry.get("id")
    known_as = label(name) if isinstance(name, str) else ""
    manifest = entry.get("manifest")
    try:
        shared = _Shared(entry, manifest if isinstance(manifest, dict) else NOTHING)
    except WireError as exc:
        bad.append((known_as, str(exc)))
        return
    seen: set[str] = set()
    for item in shared.actions:
        action_id = item.get("id") if isinstance(item, dict) else None
        if not (isinstance(item, dict) and valid_action(action_id)):
            bad.append((f"{known_as}:{label(action_id)}", "the action has no valid id"))
            continue
        if action_id in seen:
            bad.append((f"{known_as}:{action_id}", "the capability lists this action twice"))
            continue
        seen.add(str(action_id))
        _keep(shared.action(str(action_id), dict(item), source), found)


def _keep(action: Offer, found: dict[str, Offer]) -> None:
    """Of several versions of one action keep one that is not past its sunset, and of those the highest."""
    other = found.get(action.key)
    if other is None or _preference(action) > _preference(other):
        found[action.key] = action


def _preference(action: Offer) -> tuple[bool, tuple[tuple[int, ...], str]]:
    gone = action.deprecation is not None and action.deprecation.status == "sunset"
    return (not gone, version_order(action.version))


class _Shared:
    """What a capability's actions have in common. A plain class: it lives for one entry, and imports must be quick."""

    def __init__(self, entry: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
        """Read a capability entry; what its manifest says goes first.

        Raises:
            WireError: it has no valid id or no list of actions.
        """
        rest: dict[str, Any] = dict(entry)
        rest.pop("manifest", None)
        own_actions = rest.pop("actions", None)
        rest.update(manifest)
        actions = rest.pop("actions", None) if "actions" in manifest else own_actions
        if not isinstance(actions, list):
            raise WireError("the capability has no list of actions")
        if len(actions) > MAX_ACTIONS_PER_CAPABILITY:
            raise WireError(f"the capability has more than {MAX_ACTIONS_PER_CAPABILITY} actions")
        written = rest.pop("id", None)
        if written is None and isinstance(manifest.get("namespace"), str):
            written = f"{manifest['namespace']}/{manifest.get('capability')}"
        if not isinstance(written, str):
            raise WireError("the capability has no id")
        wanted = split_capability(written)
        for part in ("namespace", "capability"):
            rest.pop(part, None)
        self.actions = actions
        self.capability = wanted.capability
        self.namespace = wanted.namespace
        self.version = rest.pop("version") if valid_version(rest.get("version")) else wanted.version
        self.name: str = _pop(rest, "name", str) or ""
        self.description: str = _pop(rest, "description", str) or ""
        self.tags = _pop_texts(rest, "tags")
        self.tier = _tier(_pop(rest, "trust_tier_required", str))
        self.deprecation = _deprecation(_pop(rest, "deprecation", dict))
        self.total_calls = _pop_whole(rest, "total_calls")
        self.pricing = _pricing_defaults(rest)
        self.rest: JSONObject = rest or NOTHING

    def action(self, action_id: str, rest: dict[str, Any], source: str) -> Offer:
        """Read one action, consuming what is understood from `rest`; the remainder is kept."""
        del rest["id"]
        price = _price(rest, self.pricing)
        sla = rest.get("sla")
        tier = _tier(_pop(rest, "trust_tier_required", str)) or self.tier or TIERS[0]
        examples = _pop(rest, "examples", list)
        return Offer(
            capability=self.capability,
            action=action_id,
            payee=self.namespace,
            price=price,
            version=self.version,
            title=_pop(rest, "name", str) or "",
            description=_pop(rest, "description", str) or "",
            capability_name=self.name,
            capability_description=self.description,
            tags=self.tags,
            input_schema=_pop(rest, "input_schema", dict) or NOTHING,
            output_schema=_pop(rest, "output_schema", dict) or NOTHING,
            examples=tuple(examples or ()),
            streaming=rest.pop("streaming") is True if isinstance(rest.get("streaming"), bool) else False,
            tier=tier,
            tier_rank=TIERS.index(tier),
            timeout_ms=_whole(sla.get("timeout_ms")) if isinstance(sla, dict) else None,
            side_effects=_pop(rest, "side_effects", dict) or NOTHING,
            deprecation=_deprecation(_pop(rest, "deprecation", dict)) or self.deprecation,
            total_calls=self.total_calls,
            extra=_extra(rest, self.rest),
            source=source,
        )


def _extra(own: dict[str, Any], shared: JSONObject) -> JSONObject:
    if shared:
        own["capability"] = shared
    return own or NOTHING


def _price(rest: dict[str, Any], defaults: Mapping[str, Any]) -> Price:
    """Read an action's price: ``price_usdc``, or the manifest's ``pricing``."""
    listed = rest.pop("price_usdc", None)
    pricing = rest.pop("pricing", None)
    if not isinstance(pricing, dict):
        pricing = defaults
    if "payment_methods" in pricing:
        rest.setdefault("payment_methods", pricing["payment_methods"])
    named = pricing.get("model", "per_call")
    model = _MODELS.get(named) if isinstance(named, str) else None
    rates = {key: value for key, value in pricing.items() if key not in _PRICE_KEYS}
    amount: MicroUSDC | None = None
    problem = None
    written = pricing.get("base") if listed is None else listed
    if written is None:
        problem = "the catalog shows no price"
    else:
        try:
            amount = parse_price(written, _currency(pricing) if listed is None else "USDC")
        except MoneyError as exc:
            problem = str(exc)
    if model is None and problem is None:
        problem = f"the pricing model {str(named)[:40]!r} is unknown"
    return Price(amount, None if model is None else model.value, problem, rates or NOTHING, metered=model not in _EXACT)


def _currency(pricing: Mapping[str, Any]) -> object:
    """The manifest's currency; its ``both`` means USD and USDC."""
    said = pricing.get("currency", "USD")
    return "USD" if said == "both" else said


def _pricing_defaults(rest: dict[str, Any]) -> Mapping[str, Any]:
    """A capability-wide ``pricing`` with a base price holds for its actions; a mere range stays where it is."""
    pricing = rest.get("pricing")
    return rest.pop("pricing") if isinstance(pricing, dict) and "base" in pricing else NOTHING


def _deprecation(raw: object) -> Deprecation | None:
    if not isinstance(raw, dict):
        return None
    status = raw.get("status")
    if not isinstance(status, str) or status == "active":
        return None
    sunset, successor = raw.get("sunset_at"), raw.get("successor_version", raw.get("successor"))
    return Deprecation(
        status, sunset if isinstance(sunset, str) else None, successor if isinstance(successor, str) else None
    )


def _tier(text: str | None) -> str | None:
    """A tier this version does not know counts as the highest: better too modest than refused by the Hub."""
    if not text:
        return None
    return text.lower() if text.lower() in TIERS else TIERS[-1]


def _pop(rest: dict[str, Any], key: str, kind: type) -> Any:
    """Take a field of the right kind; one of another kind stays in `rest`, so it is not lost."""
    return rest.pop(key) if isinstance(rest.get(key), kind) else None


def _pop_whole(rest: dict[str, Any], key: str) -> int | None:
    value = _whole(rest.get(key))
    if value is not None:
        del rest[key]
    return value


def _pop_texts(rest: dict[str, Any], key: str) -> tuple[str, ...]:
    found = _texts(rest.get(key))
    if found:
        del rest[key]
    return found


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return ()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
