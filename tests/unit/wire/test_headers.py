import pytest

from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.wire.jecp import headers

NOW = parse_iso("2026-11-21T09:30:00Z")


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_all_three_forms_of_an_http_date_are_read(text: str) -> None:
    assert headers.http_date(text) == parse_iso("1994-11-06T08:49:37Z")


@pytest.mark.parametrize("text", ["", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert headers.http_date(text) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("17", 17), (" 0 ", 0), ("999999999", 86_400), ("-1", None), ("1.5", None), ("soon", None), ("9" * 50, None),
        ("Sat, 21 Nov 2026 09:30:20 GMT", 20), ("Sat, 21 Nov 2026 09:00:00 GMT", 0), ("\u0661", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_from_now_in_either_form(value: str, seconds: int | None) -> None:
    assert headers.retry_after({"RETRY-AFTER": value}, NOW) == seconds


def test_a_retry_after_date_is_rounded_up_and_needs_a_clock() -> None:
    date = {"retry-after": "Sat, 21 Nov 2026 09:30:20 GMT"}
    assert headers.retry_after(date, UnixMs(NOW + 1)) == 20
    assert headers.retry_after(date) is None
    assert headers.retry_after({}) is None


def test_a_capability_on_its_way_out_says_when_and_what_follows() -> None:
    (notice,) = headers.notices(
        {
            "Deprecation": "true",
            "Sunset": "Mon, 21 Dec 2026 00:00:00 GMT",
            "Link": '</v1/capabilities/docs/pdf@2.0.0>; rel="successor-version", <https://x.example>; rel="help"',
        }
    )
    assert notice.kind == "deprecation"
    assert notice.at == "2026-12-21T00:00:00.000Z"
    assert notice.successor == "/v1/capabilities/docs/pdf@2.0.0"
    assert "2026-12-21" in notice.text


def test_an_old_road_is_told_from_an_old_capability() -> None:
    (notice,) = headers.notices({"deprecation": "true", "link": '<https://hub.example/docs>; rel="deprecation"'})
    assert notice.kind == "endpoint_deprecation"
    assert notice.successor is None


@pytest.mark.parametrize("given", [{}, {"deprecation": "false"}, {"link": '<x>; rel="successor-version"'}])
def test_nothing_is_noticed_where_nothing_is_deprecated(given: dict[str, str]) -> None:
    assert headers.notices(given) == ()


def test_a_sunset_that_is_no_date_is_kept_as_it_stands() -> None:
    (notice,) = headers.notices({"sunset": "next year"})
    assert notice.at == "next year"
