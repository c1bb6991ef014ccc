from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.mandate.caps import CapSet, matches, meter_key, meters_for, standing_meters, tightest_per_call
from jecp_mcp.mandate.naming import Naming, names_of
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import Meter
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import MandateSettings

ACTION = Offer(capability="docs/pdf", action="make", payee="docs", price=Price(MicroUSDC(5_000)))
ALL = {
    "session_usdc": "1",
    "hourly_usdc": "2",
    "daily_usdc": "3",
    "monthly_usdc": "4",
    "total_usdc": "5",
}


def meters(principal: str = "local", session: str = "s1", **settings: object) -> tuple[Meter, ...]:
    policy = Policy.from_settings(MandateSettings.model_validate(settings))
    return meters_for(policy.caps, names_of(ACTION, "docs_pdf_make"), principal, session)


def test_every_window_the_operator_set_has_a_meter_and_no_other() -> None:
    assert {meter.window: meter.limit for meter in meters(**ALL)} == {
        Window.SESSION: 1_000_000,
        Window.HOUR: 2_000_000,
        Window.DAY: 3_000_000,
        Window.MONTH: 4_000_000,
        Window.TOTAL: 5_000_000,
    }
    assert [meter.window for meter in meters()] == [Window.DAY]


def test_a_changed_limit_keeps_the_meters_key() -> None:
    before, after = meters(**ALL), meters(**dict.fromkeys(ALL, "9"))
    assert [meter.key for meter in before] == [meter.key for meter in after]


def test_only_the_session_window_knows_the_session() -> None:
    one, other = meters(session="s1", **ALL), meters(session="s2", **ALL)
    differing = {a.window for a, b in zip(one, other, strict=True) if a.key != b.key}
    assert differing == {Window.SESSION}


def test_principals_share_no_meter() -> None:
    assert not {meter.key for meter in meters("ann", **ALL)} & {meter.key for meter in meters("bob", **ALL)}


def test_a_pattern_adds_its_own_meters_where_it_fits() -> None:
    found = meters(limits=[{"match": "docs/*", "hourly_usdc": "0.5"}, {"match": "else/*", "hourly_usdc": "0.1"}])
    assert [meter.label for meter in found] == ["daily_usdc", "limits[docs/*].hourly_usdc"]


def test_one_pattern_written_twice_is_one_meter_with_the_lower_limit() -> None:
    found = meters(limits=[{"match": "docs/*", "hourly_usdc": "0.5"}, {"match": "docs/*", "hourly_usdc": "0.2"}])
    assert [meter.limit for meter in found] == [2_000_000, 200_000]


def test_the_standing_meters_are_those_of_every_cap_whatever_is_bought() -> None:
    settings = MandateSettings.model_validate({"limits": [{"match": "else/*", "hourly_usdc": "0.5"}]})
    found = standing_meters(Policy.from_settings(settings), principal="local", session="s1")
    assert [meter.label for meter in found] == ["daily_usdc", "limits[else/*].hourly_usdc"]


def test_a_cap_of_zero_is_a_cap() -> None:
    assert CapSet.from_settings(MandateSettings(daily_usdc="0")).windows == ((Window.DAY, 0),)


@given(
    st.tuples(st.sampled_from(Window), st.text(), st.none() | st.text(), st.text()),
    st.tuples(st.sampled_from(Window), st.text(), st.none() | st.text(), st.text()),
)
def test_no_two_caps_share_a_key(
    one: tuple[Window, str, str | None, str], other: tuple[Window, str, str | None, str]
) -> None:
    def identity(cap: tuple[Window, str, str | None, str]) -> tuple[object, ...]:
        return cap if cap[0] is Window.SESSION else cap[:3]

    assert (meter_key(*one) == meter_key(*other)) == (identity(one) == identity(other))


def test_a_star_crosses_slashes_and_colons_and_case_counts() -> None:
    assert matches("d*e", ("docs/pdf:make",))
    assert not matches("D*e", ("docs/pdf:make",))


def test_of_equal_per_call_caps_the_general_one_is_named() -> None:
    settings = {"per_call_usdc": "0.05", "limits": [{"match": "docs/*", "per_call_usdc": "0.05"}]}
    policy = Policy.from_settings(MandateSettings.model_validate(settings))
    cap = tightest_per_call(policy.caps, names_of(ACTION, "docs_pdf_make"))
    assert cap is not None
    assert (cap.limit, cap.label) == (50_000, "per_call_usdc")


def test_of_two_limits_on_one_meter_the_lower_binds_whichever_comes_first() -> None:
    for first, second in (("0.2", "0.3"), ("0.3", "0.2")):
        limits = [{"match": "docs/*", "hourly_usdc": first}, {"match": "docs/*", "hourly_usdc": second}]
        assert [one.limit for one in meters(limits=limits) if one.pattern] == [200_000]


def test_a_meters_key_is_the_same_in_every_version_of_the_program() -> None:
    """The ledger finds what was counted by it: another spelling would give every limit a fresh start."""
    assert meter_key(Window.DAY, "local", None, "s1") == '["day","local",null]'
    assert meter_key(Window.SESSION, "Zoë", "docs/*", "s1") == '["session","Zoë","docs/*","s1"]'


def test_what_is_sold_at_a_source_with_a_name_is_matched_with_and_without_it() -> None:
    assert names_of(replace(ACTION, source_name="eu"), "eu__docs_pdf_make") == (
        "eu::docs/pdf:make",
        "eu::docs/pdf",
        "docs/pdf:make",
        "docs/pdf",
        "eu__docs_pdf_make",
        "docs_pdf_make",
    )


def test_every_cap_and_the_policy_go_by_what_things_are_called_now() -> None:
    naming = Naming(sources=(("https://hub.example", "eu"),))
    settings = MandateSettings.model_validate({"limits": [{"match": "docs/*", "daily_usdc": "1"}]})
    policy = Policy.from_settings(settings, naming)
    assert [policy.naming, *(cap.naming for cap in policy.caps)] == [naming] * 3
