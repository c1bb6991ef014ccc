"""Whatever a Hub calls an agent id or a key, it is refused at once or read back by every later start."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.settings import Settings, find_credentials, store_credentials
from jecp_mcp.wire.jecp.account import Registration, parse_registration
from jecp_mcp.wire.jecp.hub_answer import HubAnswer

AGENT = "acme_ag_0123456789abcdef"
HUB = "https://jecp.dev"
KEYS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=600),
    st.sampled_from(
        ["${JECP_API_KEY}", "$KEY", "<your key>", "%KEY%", "x" * 513, "abc", "a b c d", "acme_ak_0123456789abcdef"]
    ),
)
AGENTS = st.one_of(st.just(AGENT), st.just("acme_ag_" + "a" * 600), st.text(max_size=20))


def answer(agent_id: str, api_key: str) -> bytes:
    return json.dumps({"agent_id": agent_id, "api_key": api_key}).encode()


@settings(deadline=None)
@given(AGENTS, KEYS)
@example(AGENT, "${JECP_API_KEY}")
@example(AGENT, "with a blank")
@example(AGENT, "abc")
@example(AGENT, "x" * 513)
@example("acme_ag_" + "a" * 600, "acme_ak_0123456789abcdef")
def test_no_account_that_a_hub_made_stops_the_next_start(agent_id: str, api_key: str) -> None:
    try:
        made = parse_registration(HubAnswer(answer(agent_id, api_key), 201))
    except WireError:
        return
    assert isinstance(made, Registration)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        store_credentials(state, HUB, made.agent_id, SecretStr(made.api_key))
        found = find_credentials(Settings(), {}, state, state)
    assert found is not None
    assert (found.agent_id, found.api_key.get_secret_value()) == (agent_id, api_key)


def test_a_key_of_a_usual_hub_is_taken() -> None:
    assert isinstance(parse_registration(HubAnswer(answer(AGENT, "jdb_ak_0123456789abcdef"), 201)), Registration)


@settings(deadline=None)
@given(KEYS)
def test_what_cannot_be_read_back_is_not_stored(api_key: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        try:
            store_credentials(state, HUB, AGENT, SecretStr(api_key))
        except SettingsError:
            assert not list(state.iterdir())
        else:
            assert find_credentials(Settings(), {}, state, state) is not None


@pytest.mark.parametrize("key", ["${KEY}", "a b c", "é" * 8])
def test_a_hostile_key_is_not_repeated(key: str) -> None:
    with pytest.raises(WireError) as caught:
        parse_registration(HubAnswer(answer(AGENT, key), 201))
    assert key not in str(caught.value)
