import pytest

from jecp_mcp.domain.versions import version_order
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp import ids


@pytest.mark.parametrize("good", ["abcd", "req_a3f2b1", "A-_9", "x" * 64])
@pytest.mark.requirement("WIRE-id-1")
def test_a_call_id_of_the_protocols_alphabet_and_length_is_valid(good: str) -> None:
    assert ids.valid_call_id(good)


@pytest.mark.parametrize("bad", ["abc", "x" * 65, "a b c d", "abcd\n", "äbcd", "", None, 1234])
def test_any_other_call_id_is_not(bad: object) -> None:
    assert not ids.valid_call_id(bad)


@pytest.mark.requirement("WIRE-3.4-1")
def test_a_capability_id_comes_apart_into_namespace_name_and_version() -> None:
    full = ids.split_capability("deepl/translate@1.2.3-rc.1")
    assert full == ("deepl", "translate", "1.2.3-rc.1")
    assert full.capability == "deepl/translate"
    builtin = ids.split_capability("document-pipeline")
    assert builtin == ("", "document-pipeline", None)
    assert builtin.capability == "document-pipeline"


@pytest.mark.parametrize(
    "bad", ["", "/x", "a/", "A/b", "a/b/c", "a_b", "a/b@", "a/b@1", "a/b@1.2.3@4.5.6", "a/b\n", "a" * 200]
)
@pytest.mark.requirement("WIRE-capability-1")
def test_what_is_no_capability_id_is_refused(bad: str) -> None:
    with pytest.raises(WireError):
        ids.split_capability(bad)


def test_ids_of_any_vendor_are_recognised_by_kind() -> None:
    agent, key = "acme_ag_0123456789abcdef", "jdb_ak_0123456789abcdefXYZ"
    assert ids.valid_agent_id(agent)
    assert not ids.valid_agent_id(key)
    assert not ids.valid_agent_id(None)
    assert not ids.valid_agent_id("acme_ag_short")
    assert not ids.valid_agent_id("toolongvendor_ag_0123456789abcdef")


def test_what_is_no_id_is_told_on_one_line_and_cut() -> None:
    assert ids.label("a\nb") == "a\\u000ab"
    assert ids.label("x" * 300) == "x" * 200


@pytest.mark.requirement("MANIFEST-7.1-1")
def test_versions_order_as_semantic_versions_do() -> None:
    ordered = [None, "nonsense", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0"]
    assert sorted({*ordered}, key=version_order) == ordered


def test_a_version_of_nothing_but_zeros_stands_above_what_is_no_version() -> None:
    ordered = [None, "Latest", "0.0.0-a", "0.0.0-b", "0.0.0", "0.0.1", "0.1.0"]
    keys = [version_order(version) for version in ordered]
    assert keys == sorted(set(keys))


def test_an_id_of_the_longest_length_is_valid_and_one_more_is_not() -> None:
    for valid in (ids.valid_capability, ids.valid_action):
        assert valid("a" * ids.MAX_ID_LENGTH)
        assert not valid("a" * (ids.MAX_ID_LENGTH + 1))


def test_a_refused_id_is_shown_by_its_beginning() -> None:
    with pytest.raises(WireError) as caught:
        ids.split_capability("X" * 500)
    assert str(caught.value) == f"'{'X' * 80}' is not a capability id"
