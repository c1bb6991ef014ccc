import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.settings.merchants import allows, check_merchant, overlap, read_place


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://api.example.com", "https://api.example.com", "/"),
        ("https://API.Example.com:443/V1/x?a=1&b=%20", "https://api.example.com", "/V1/x"),
        ("https://api.example.com:8443/", "https://api.example.com:8443", "/"),
        ("http://127.0.0.1:8403/report", "http://127.0.0.1:8403", "/report"),
        ("https://xn--bcher-kva.example/..x/.y./z", "https://xn--bcher-kva.example", "/..x/.y./z"),
    ],
)
def test_an_address_is_taken_apart(url: str, origin: str, path: str) -> None:
    found = read_place(url)
    assert (found.origin, found.path) == (origin, path)
    assert found.url == origin + path + (f"?{url.partition('?')[2]}" if "?" in url else "")
    assert read_place(found.url) == found


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com/x",
        "ftp://api.example.com/",
        "https:///x",
        "https://user@api.example.com/",
        "https://user:password@api.example.com/",
        "https://@api.example.com/",
        "https://api.example.com@evil.example/",
        "https://api.example.com/#x",
        "https://api.example.com/#",
        "https://api.example.com:x/",
        "https://api.example.com:99999/",
        "https://api.example.com./",
        "https://-a.example/",
        "https://a..example/",
        "https://bücher.example/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://api.example.com\\@evil.example/",
        "https://api.example.com/a/../b",
        "https://api.example.com/v1/%2e%2e/admin",
        "https://api.example.com/v1/.%2E/admin",
        "https://api.example.com/v1%2f..%2fadmin",
        "https://api.example.com/v1\\admin",
        "https://api.example.com/v1%5cadmin",
        "https://api.example.com/.",
        "https://api.example.com/ x",
        "https://api.example.com/\nHost: x",
        "https://api.example.com/" + "x" * 2_048,
    ],
)
def test_an_address_that_others_may_read_otherwise_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        read_place(url)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://API.example.com/", "https://api.example.com"),
        ("https://api.example.com:443/v1/", "https://api.example.com/v1/"),
        (" https://*.example.org/v1 ", "https://*.example.org/v1"),
        ("http://127.0.0.1:8403", "http://127.0.0.1:8403"),
    ],
)
def test_a_merchant_is_normalised(written: str, kept: str) -> None:
    assert check_merchant(written) == kept
    assert check_merchant(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "https://*",
        "https://*.com",
        "https://*.*.example.org",
        "https://api.*.example.org",
        "https://api*.example.org",
        "https://*example.org",
        "http://api.example.com",
        "http://*.example.com",
        "https://api.example.com?x=1",
        "https://user@api.example.com",
        "api.example.com",
    ],
)
def test_a_merchant_that_would_stand_for_too_much_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        check_merchant(text)


@pytest.mark.parametrize(
    ("merchant", "url", "allowed"),
    [
        ("https://api.example.com", "https://api.example.com/any/thing?x", True),
        ("https://api.example.com", "https://api.example.com:8443/", False),
        ("https://api.example.com", "https://api.example.com.evil.example/", False),
        ("https://api.example.com", "https://xapi.example.com/", False),
        ("https://api.example.com/v1", "https://api.example.com/v1", True),
        ("https://api.example.com/v1", "https://api.example.com/v1/x", True),
        ("https://api.example.com/v1", "https://api.example.com/v10", False),
        ("https://api.example.com/v1", "https://api.example.com/V1", False),
        ("https://api.example.com/v1/", "https://api.example.com/v1", False),
        ("https://api.example.com/v1/", "https://api.example.com/v1/x", True),
        ("https://*.example.org", "https://a.b.example.org/", True),
        ("https://*.example.org", "https://example.org/", False),
        ("https://*.example.org", "https://evilexample.org/", False),
        ("https://*.example.org/v1/", "https://a.example.org/v2/", False),
        ("http://127.0.0.1:8403", "http://127.0.0.1:8403/x", True),
        ("http://127.0.0.1:8403", "http://localhost:8403/x", False),
        ("http://127.0.0.1:8403", "https://127.0.0.1:8403/x", False),
    ],
)
def test_an_address_belongs_to_a_merchant_or_not(merchant: str, url: str, allowed: bool) -> None:
    assert allows(check_merchant(merchant), read_place(url)) is allowed


@given(st.text(st.sampled_from("ahtps:/.@#?%2eE5cCfF0[]*\\ -_1x"), max_size=40))
def test_whatever_is_taken_reads_the_same_again(text: str) -> None:
    try:
        found = read_place(f"https://{text}")
    except ValueError:
        return
    assert read_place(found.url) == found
    assert found.url.startswith(f"{found.origin}/")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("https://api.example.com", "https://api.example.com", True),
        ("https://api.example.com/v1", "https://api.example.com/v2", True),
        ("https://*.example.com", "https://api.example.com", True),
        ("https://*.example.com", "https://*.api.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://api.example.com", "https://api.example.com:8443", False),
        ("https://*.example.com", "https://*.example.org", False),
    ],
)
def test_two_merchants_have_a_host_in_common_or_not(one: str, other: str, both: bool) -> None:
    assert overlap(check_merchant(one), check_merchant(other)) is both
    assert overlap(check_merchant(other), check_merchant(one)) is both


@pytest.mark.parametrize(
    "url", ["https://agent.example", "https://agent.example:8443/a/jobs", "http://127.0.0.1:8403/a/"]
)
@pytest.mark.parametrize("part", ["job_0123456789", "job_0123456789/ack"])
def test_what_stands_below_a_place_is_the_place_of_its_own_address(url: str, part: str) -> None:
    assert read_place(url).below(part) == read_place(f"{url.rstrip('/')}/{part}")
