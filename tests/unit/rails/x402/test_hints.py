from typing import Any

import pytest

from jecp_mcp.rails.paid_http.hints import find_issues, read_hints, with_known
from jecp_mcp.rails.paid_http.request import PaidRequest, read_request
from jecp_mcp.wire.x402.challenge import Challenge, PaymentOption, read_challenge
from tests.unit.wire.x402.messages import v1_body, v1_challenge, v1_option, v2_challenge, v2_headers, v2_option

JSON = {"content-type": "application/json"}
BODY = {
    "topic": {"type": "string", "description": "what it is about", "required": True},
    "depth": {"type": "string", "enum": ["short", "long"]},
    "pages": "integer",
}


def of_v1(given: Any) -> dict[str, Any]:
    found = read_challenge(
        JSON, v1_body(v1_challenge(v1_option(outputSchema={"input": given}, description="a report")))
    )
    assert isinstance(found, Challenge)
    assert isinstance(found.options[0], PaymentOption)
    return read_hints(found, found.options[0])


def of_bazaar(info: Any, schema: Any = None) -> dict[str, Any]:
    extension = {"info": {"input": info}, "schema": {"properties": {"input": {"properties": schema or {}}}}}
    found = read_challenge(v2_headers(v2_challenge(v2_option(), extensions={"bazaar": extension})), b"")
    assert isinstance(found, Challenge)
    assert isinstance(found.options[0], PaymentOption)
    return read_hints(found, found.options[0])


def request(body: str | None = None, url: str = "https://api.example.com/report", **headers: str) -> PaidRequest:
    given = {"url": url, "method": "POST", "headers": headers or ({"content-type": "application/json"} if body else {})}
    return read_request(given | ({} if body is None else {"body": body}))


def codes(found: PaidRequest, hints: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["location"], one["field"], one["code"]) for one in find_issues(found, hints)]


HINTS = of_v1(
    {
        "type": "http",
        "method": "POST",
        "bodyType": "json",
        "bodyFields": BODY,
        "queryParams": {"lang": {"required": True}},
    }
)
ASKED = "https://api.example.com/report?lang=en"


def test_version_1_describes_its_input() -> None:
    assert (HINTS["description"], HINTS["body_type"]) == ("a report", "json")
    assert [(one["name"], one.get("type"), one.get("required", False)) for one in HINTS["body_fields"]] == [
        ("topic", "string", True),
        ("depth", "string", False),
        ("pages", "integer", False),
    ]
    assert HINTS["body_fields"][0]["attribution"] == {"source": "merchant_challenge", "authority": "authoritative"}


def test_bazaar_describes_it_by_a_schema_or_else_by_an_example() -> None:
    schema = {
        "bodyType": {"const": "json"},
        "body": {
            "type": "object",
            "properties": {"topic": {"type": "string"}, "n": {"type": "number"}},
            "required": ["topic"],
        },
    }
    found = of_bazaar({"body": {"topic": "tea"}, "queryParams": {"city": "Rome"}}, schema)
    assert [(one["name"], one.get("required", False)) for one in found["body_fields"]] == [
        ("topic", True),
        ("n", False),
    ]
    assert [(one["name"], one["required"]) for one in found["query_params"]] == [("city", True)]
    assert found["body_example"] == '{"topic":"tea"}'
    example = of_bazaar({"body": {"a": 1, "b": True, "c": [], "d": {}, "e": "x", "f": 1.5}})
    assert [one["type"] for one in example["body_fields"]] == [
        "integer",
        "boolean",
        "array",
        "object",
        "string",
        "number",
    ]


@pytest.mark.parametrize(
    "given",
    [None, [], "x", 7, {}, {"body": 7}, {"bodyFields": ["x"]}, {"queryParams": {"$ref": "http://169.254.169.254/"}}],
)
def test_what_cannot_be_read_says_little_and_fetches_nothing(given: Any) -> None:
    assert isinstance(of_v1(given), dict)
    assert isinstance(of_bazaar(given, given), dict)


def test_a_good_request_lacks_nothing() -> None:
    assert codes(request('{"topic":"tea","depth":"long","pages":3}', ASKED), HINTS) == []


@pytest.mark.parametrize(
    ("made", "issues"),
    [
        (request('{"depth":"long"}', ASKED), [("body", "topic", "missing_required_field")]),
        (request(None, ASKED), [("body", "topic", "missing_required_field")]),
        (request("{", ASKED), [("body", "", "malformed_candidate_value")]),
        (request('{"topic":7}', ASKED), [("body", "topic", "malformed_candidate_value")]),
        (request('{"topic":"t","depth":"deep"}', ASKED), [("body", "depth", "malformed_candidate_value")]),
        (request('{"topic":"t","pages":true}', ASKED), [("body", "pages", "malformed_candidate_value")]),
        (request('{"topic":"t","pages":1.5}', ASKED), [("body", "pages", "malformed_candidate_value")]),
        (request('["topic"]', ASKED), [("body", "", "request_shape_conflicts_with_hint")]),
        (request('{"topic":"t"}', ASKED, **{"content-type": "text/plain"}), [("headers", "content-type", "unsupported_content_type")]),
        (request('{"topic":"t"}'), [("query", "lang", "missing_required_query_param")]),
        (request('{"topic":"t"}', "https://api.example.com/{id}?lang=en"), [("path", "id", "missing_required_path_param")]),
        (request('{"topic":"t"}', "https://api.example.com/v1/:id/x?lang=en"), [("path", "id", "missing_required_path_param")]),
    ],
)  # fmt: skip
def test_what_a_request_lacks_is_named(made: PaidRequest, issues: list[tuple[str, str, str]]) -> None:
    assert codes(made, HINTS) == issues


def test_what_somebody_else_knows_is_added_and_never_overrules_the_merchant() -> None:
    known = [
        {"in": "body", "name": "TOPIC", "type": "integer"},
        {"name": "tone", "type": "string", "required": True},
        {"in": "query", "name": "city", "required": True},
        {"in": "nowhere", "name": "x"},
        {"in": "path", "name": ""},
    ]
    merged = with_known(HINTS, known)
    assert [one["name"] for one in merged["body_fields"]] == ["topic", "depth", "pages", "tone"]
    assert merged["body_fields"][-1]["attribution"] == {"source": "external_metadata", "authority": "advisory"}
    found = find_issues(request('{"topic":"t"}', ASKED), merged)
    assert {(one["field"], one["source"]) for one in found} == {
        ("tone", "external_metadata"),
        ("city", "external_metadata"),
    }
    assert [one["name"] for one in HINTS["body_fields"]] == ["topic", "depth", "pages"], (
        "the merchant's own are untouched"
    )


def test_a_flood_of_fields_is_bounded() -> None:
    found = of_v1({"bodyFields": {f"f{n}": {"type": "string", "description": "d" * 500} for n in range(99)}})
    assert len(found["body_fields"]) == 24
    assert all(len(one["description"]) <= 200 for one in found["body_fields"])
