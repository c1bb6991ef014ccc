"""Which kind of host a client is, and what each kind takes."""

import pytest

from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.publishing.host_profiles import PROFILES, STRICT, Dialect, name_lengths, profile_for
from jecp_mcp.tools.schemas.references import with_types


@pytest.mark.parametrize(
    ("said", "profile"),
    [
        ("claude-ai", "claude"),
        ("claude-code", "claude"),
        ("cursor-vscode", "cursor"),
        ("Cursor", "cursor"),
        ("Visual Studio Code", "vscode"),
        ("Visual Studio Code - Insiders", "vscode"),
        ("windsurf-client", "windsurf"),
        ("gemini-cli-mcp-client", "gemini"),
        ("mcp", "strict"),
        ("not claude", "strict"),
        ("", "strict"),
        (None, "strict"),
    ],
)
def test_a_client_is_what_it_says_it_is_and_else_the_strictest(said: str | None, profile: str) -> None:
    assert profile_for(ToolSettings(), said).name == profile


@pytest.mark.parametrize("name", PROFILES)
def test_the_operators_choice_counts_whatever_the_client_says(name: str) -> None:
    assert profile_for(ToolSettings(host_profile=name), "claude-ai").name == name


def test_beside_a_reference_stands_the_type_of_what_it_leads_to() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/b"}, "n": {"type": "integer"}, "c": {"$ref": "#/$defs/open"}},
        "$defs": {"b": {"$ref": "#/$defs/c"}, "c": {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}},
                  "open": {"minLength": 1}},
    }  # fmt: skip
    made = with_types(schema)
    assert made["properties"] == {
        "a": {"$ref": "#/$defs/b", "type": "object"}, "n": {"type": "integer"}, "c": {"$ref": "#/$defs/open"},
    }  # fmt: skip
    assert made["$defs"]["c"]["properties"]["a"]["type"] == "object"
    assert schema["properties"]["a"] == {"$ref": "#/$defs/b"}
    assert with_types(made) is made
    assert PROFILES["claude"].dialect is Dialect.TYPED


@pytest.mark.parametrize("server", ["jecp", "j", "a-wallet-for-everybody", "x" * 32])
def test_what_is_strict_fits_every_host(server: str) -> None:
    for one in PROFILES.values():
        length = one.name_length(server)
        assert length in name_lengths(ToolSettings(server_name=server))
        assert STRICT.name_length(server) <= length
        assert 24 < length <= 128
        assert one.around is None or length + one.around + len(server) <= one.total
        assert one.most_tools is None or (STRICT.most_tools or 0) <= one.most_tools


@pytest.mark.parametrize("bad", ["", "x" * 33, "a b", "jécp", "a\n"])
def test_a_servers_name_is_one_that_hosts_take(bad: str) -> None:
    with pytest.raises(ValueError, match="server_name"):
        ToolSettings(server_name=bad)
