import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.policy import PROHIBITIONS, Permit, Policy, authorise, bound, forbids, objections
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import ZERO, MicroUSDC, parse_usdc
from jecp_mcp.settings import MandateSettings
from tests.rails import MOST

ACTION = Offer(capability="docs/pdf", action="make", payee="docs", price=Price(MicroUSDC(5_000)))
NOW = UnixMs(1_800_000_000_000)


def decide(price: str | None = "0.005", *, exact: bool = True, now: int = NOW, **settings: object) -> Permit | Refusal:
    policy = Policy.from_settings(MandateSettings.model_validate(settings))
    kind = QuoteKind.UNKNOWN if price is None else QuoteKind.EXACT if exact else QuoteKind.FROM
    quote = Quote(ZERO if price is None else parse_usdc(price), kind, "docs", "hub agent")
    asked, at = (policy, ACTION, "docs_pdf_make", quote), UnixMs(now)
    decision = authorise(*asked, now=at, principal="local", session="s1", most_per_call=MOST)
    # What is shown of an offer before anybody buys it is what is decided then.
    against = objections(*asked, now=at, most_per_call=MOST)
    if isinstance(decision, Permit):
        assert (against, bound(*asked, MOST)) == ((), decision.hold)
    else:
        assert against[0] == decision
    forbidden = [one for one in against if one.code in PROHIBITIONS]
    assert forbids(policy, ACTION, "docs_pdf_make", at) == (forbidden[0] if forbidden else None)
    assert policy.permits(ACTION, "docs_pdf_make") is all(one.code != "DENIED_BY_POLICY" for one in against)
    return decision


def refusal(decision: Permit | Refusal, code: str) -> Refusal:
    assert isinstance(decision, Refusal)
    assert decision.code == code
    assert decision.source == "bridge"
    assert "Nothing was charged." in decision.message
    for coaxing in ("raise", "increase", "higher limit", "change the limit"):
        assert coaxing not in decision.message.lower()
    return decision


def permit(decision: Permit | Refusal) -> Permit:
    assert isinstance(decision, Permit)
    return decision


def test_an_exact_price_within_the_defaults_is_held_as_it_is() -> None:
    assert permit(decide("0.005")).hold == 5_000


def test_a_price_at_the_per_call_cap_is_allowed_and_one_micro_above_is_not() -> None:
    assert permit(decide("0.25")).hold == 250_000
    refused = refusal(decide("0.250001"), "PER_CALL_LIMIT")
    assert (refused.details["price"], refused.details["limit"]) == ("0.250001", "0.25")
    assert refused.message == (
        "The price of 0.250001 USDC is above the limit of 0.25 USDC for one call (per_call_usdc). Nothing was charged."
    )


@pytest.mark.parametrize("pattern", ["docs/*", "docs/pdf", "docs/pdf:make", "docs_pdf_*", "*:make", "*"])
def test_deny_wins_over_allow_on_the_action_the_capability_and_the_tool(pattern: str) -> None:
    assert permit(decide(allow=[pattern]))
    refusal(decide(allow=["*"], deny=[pattern]), "DENIED_BY_POLICY")


@pytest.mark.parametrize("pattern", ["doc", "docs", "doc/*", "docs/pdf:mak", "other/*"])
def test_what_no_allow_pattern_fits_is_denied(pattern: str) -> None:
    refusal(decide(allow=[pattern]), "DENIED_BY_POLICY")


def test_an_empty_allow_list_allows_nothing() -> None:
    refusal(decide(allow=[]), "DENIED_BY_POLICY")


def test_a_mandate_ends_at_its_expiry_and_not_a_millisecond_earlier() -> None:
    ends = "2027-01-15T08:00:00Z"
    assert permit(decide(expires_at=ends, now=NOW - 1))
    refusal(decide(expires_at=ends, now=NOW), "MANDATE_EXPIRED")


def test_an_unknown_price_is_refused_unless_the_operator_names_an_amount_to_hold() -> None:
    refusal(decide(None, exact=False), "PRICE_UNKNOWN")
    assert permit(decide(None, exact=False, unknown_price="0.10")).hold == 100_000


def test_an_unknown_price_never_holds_more_than_the_per_call_cap() -> None:
    assert permit(decide(None, exact=False, unknown_price="0.90")).hold == 250_000


def test_a_metered_price_holds_the_tightest_per_call_cap_that_applies() -> None:
    limits = [{"match": "docs/*", "per_call_usdc": "0.04"}, {"match": "docs/pdf:make", "per_call_usdc": "0.03"}]
    assert permit(decide("0.001", exact=False, limits=limits)).hold == 30_000
    assert permit(decide("0.001", exact=False, limits=[{"match": "else/*", "per_call_usdc": "0.01"}])).hold == 250_000


def test_a_metered_base_above_the_cap_is_refused() -> None:
    refusal(decide("0.26", exact=False), "PER_CALL_LIMIT")


def test_a_patterns_per_call_cap_binds_where_it_is_tighter_and_is_named() -> None:
    refused = refusal(decide("0.05", limits=[{"match": "docs/*", "per_call_usdc": "0.04"}]), "PER_CALL_LIMIT")
    assert refused.details["cap"] == "limits[docs/*].per_call_usdc"


def test_no_mandate_holds_more_than_the_protocol_can_carry() -> None:
    assert permit(decide("0.01", exact=False, per_call_usdc="5000")).hold == MOST
    assert refusal(decide("1000.000001", per_call_usdc="5000"), "PER_CALL_LIMIT").details["limit"] == "1000.00"


def test_only_an_amount_above_the_threshold_needs_approval() -> None:
    policy = Policy.from_settings(MandateSettings(approve_above_usdc="0.10"))
    assert not policy.needs_approval(MicroUSDC(100_000))
    assert policy.needs_approval(MicroUSDC(100_001))
    assert not Policy.from_settings(MandateSettings()).needs_approval(MOST)


def test_a_metered_call_is_held_at_what_it_may_cost_which_is_what_a_person_approves() -> None:
    assert permit(decide("0.001", exact=False, per_call_usdc="0.10")).hold == 100_000


def test_a_free_call_holds_nothing_and_is_still_metered() -> None:
    allowed = permit(decide("0"))
    assert allowed.hold == 0
    assert [meter.window for meter in allowed.meters] == [Window.DAY]


def test_a_refusal_tells_programs_what_it_was_about() -> None:
    assert refusal(decide(allow=[]), "DENIED_BY_POLICY").details == {"action": "docs/pdf:make"}
    assert refusal(decide(None), "PRICE_UNKNOWN").details == {"action": "docs/pdf:make"}
    ended = refusal(decide(expires_at="2027-01-01T00:00:00Z"), "MANDATE_EXPIRED")
    assert ended.details == {"expired_at": "2027-01-01T00:00:00.000Z"}


def test_a_cap_of_exactly_what_a_mandate_carries_keeps_its_own_name() -> None:
    refused = refusal(decide("1000.000001", per_call_usdc="1000"), "PER_CALL_LIMIT")
    assert refused.details["cap"] == "per_call_usdc"
    above = refusal(decide("1000.000001", per_call_usdc="1000.000001"), "PER_CALL_LIMIT")
    assert above.details["cap"] == "the protocol's bound on a mandate"


@pytest.mark.parametrize(
    ("threshold", "kind", "amount", "lower"),
    [
        ("0.05", QuoteKind.FROM, 50_000, 50_000),
        ("0.05", QuoteKind.MAX, 1, 50_000),
        ("0.05", QuoteKind.FROM, 50_001, None),
        ("0.05", QuoteKind.EXACT, 1, None),
        ("0", QuoteKind.FROM, 0, None),
        (None, QuoteKind.FROM, 1, None),
    ],
)
def test_a_lower_maximum_needs_nobodys_approval_where_the_price_is_not_exact_and_begins_below(
    threshold: str | None, kind: QuoteKind, amount: int, lower: int | None
) -> None:
    policy = Policy.from_settings(MandateSettings.model_validate({"approve_above_usdc": threshold}))
    quote = Quote(MicroUSDC(amount), kind, "docs", "hub agent")
    assert policy.without_approval(quote) == lower


@pytest.mark.parametrize(
    ("price", "kind"),
    [
        (Price(None), QuoteKind.UNKNOWN),
        (Price(MicroUSDC(1)), QuoteKind.EXACT),
        (Price(MicroUSDC(1), metered=True), QuoteKind.FROM),
        (Price(MicroUSDC(1), bounded=True), QuoteKind.MAX),
    ],
)
def test_what_is_listed_says_of_which_kind_its_price_is(price: Price, kind: QuoteKind) -> None:
    assert price.kind is kind


def test_every_reason_is_told_and_what_forbids_it_at_any_price_comes_first() -> None:
    policy = Policy.from_settings(
        MandateSettings.model_validate({"allow": [], "expires_at": "2027-01-01T00:00:00Z", "per_call_usdc": "0.01"})
    )
    said = objections(
        policy, ACTION, "t", Quote(MicroUSDC(10_001), QuoteKind.FROM, "docs", "a"), now=NOW, most_per_call=MOST
    )
    assert said == (
        Refusal(
            "DENIED_BY_POLICY",
            "The operator's mandate does not allow docs/pdf:make to be bought. Nothing was charged.",
            details={"action": "docs/pdf:make"}, source="bridge",
        ),
        Refusal(
            "MANDATE_EXPIRED",
            "The operator's mandate ended at 2027-01-01T00:00:00.000Z. Nothing was charged.",
            details={"expired_at": "2027-01-01T00:00:00.000Z"}, source="bridge",
        ),
        Refusal(
            "PER_CALL_LIMIT",
            "The price of 0.010001 USDC is above the limit of 0.01 USDC for one call (per_call_usdc). A call may come "
            "to less, but is sold only where that much is allowed. Nothing was charged.",
            details={"price": "0.010001", "limit": "0.01", "cap": "per_call_usdc"}, source="bridge",
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("allow", "deny", "first", "named"),
    [
        (["*"], [], True, False), (["*::*"], [], False, True), (["*", "*::*"], [], True, True),
        (["*", "*::*"], ["docs/*"], False, False), (["docs/*"], [], False, False), ([], [], False, False),
    ],
)  # fmt: skip
def test_a_source_is_not_looked_at_where_all_of_it_is_allowed_and_nothing_denied(
    allow: list[str], deny: list[str], first: bool, named: bool
) -> None:
    policy = Policy.from_settings(MandateSettings.model_validate({"allow": allow, "deny": deny}))
    assert policy.allows_all_like("docs/pdf:make") is first
    assert policy.allows_all_like("eu::docs/pdf:make") is named
