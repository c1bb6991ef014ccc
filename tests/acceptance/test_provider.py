"""What docs/provider.md says to write, as it stands there: registered, published, served, and bought by the bridge."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.roads import LEGACY, MODERN, Road, SandboxHub, connect, drained, error_of, output_of, sandbox
from tests.ports import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "provider.md"
ADDRESS = "127.0.0.1:8000"


SPELL = {
    "id": "spell",
    "description": "Spells out the words of a text.",
    "streaming": True,
    "pricing": {"base": "$0.01", "currency": "USD", "model": "per_chunk", "per_chunk_usdc": 0.002},
    "input_schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
    "output_schema": {"type": "object", "required": ["spelt"], "properties": {"spelt": {"type": "string"}}},
    "examples": [{"input": {"text": "one two"}, "output": {"spelt": "one two"}}],
}
DYING = """

async def dying(call: Call) -> AsyncIterator[str]:
    async for piece in spell(call):
        if "die" in call.input["text"] and isinstance(piece, Completed):
            os._exit(1)
        yield piece


provider._work["spell"] = dying
"""


@pytest.fixture(scope="module", params=["reference", "spec"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    data = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    with sandbox(data, "--loopback", "--dialect", request.param) as made:
        yield made.new_agent()


def written(folder: Path, address: str, namespace: str) -> None:
    """The document's files, at another address and namespace."""
    text = DOCUMENT.read_text(encoding="utf-8").replace(ADDRESS, address)
    serve, register, publish, pieces = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [manifest] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    made = json.loads(manifest.replace('"namespace": "words"', f'"namespace": "{namespace}"'))
    made["actions"].append(SPELL)
    assert (folder / "jecp.json").write_text(json.dumps(made))
    (folder / "words.py").write_text(serve + pieces + DYING)
    (folder / "register.py").write_text(register.replace('namespace="words"', f'namespace="{namespace}"'))
    (folder / "publish.py").write_text(publish)


def ran(folder: Path, program: str, hub: SandboxHub) -> str:
    done = subprocess.run(
        [sys.executable, program],
        cwd=folder,
        env={**os.environ, "JECP_BASE_URL": hub.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    """The document's provider, as it says to serve it."""
    command = [sys.executable, "-m", "uvicorn", "words:provider", "--port", str(port)]
    env = {**os.environ, "JECP_HMAC_SECRET": (folder / "hmac.secret").read_text()}
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            seen = []
            for line in process.stderr:
                seen.append(line)
                if "running on" in line:
                    break
            else:
                raise AssertionError("".join(seen))
            drained(process)
            yield
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_the_documented_provider_sells_and_streams_through_the_bridge_and_sees_its_share(
    hub: SandboxHub, era: str, tmp_path: Path
) -> None:
    port, namespace = free_port(), f"words-{era[:2]}"
    written(tmp_path, f"127.0.0.1:{port}", namespace)
    ran(tmp_path, "register.py", hub)
    heard: list[str | None] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        heard.append(message)

    with served(tmp_path, port):
        status, warning, *_, url = ran(tmp_path, "publish.py", hub).splitlines()
        assert (status, "example" in warning) == ("submitted", False)
        assert hub.http.post(url).status_code == 303
        async with connect(Road("stdio", era), hub, tmp_path / "state") as client:

            async def bought(action: str, text: str) -> Any:
                given = {"tool": f"{namespace}/words:{action}", "arguments": {"text": text}}
                return await client.call_tool("jecp_call", given, progress_callback=progress)

            assert output_of(await bought("count", "one two three")) == {"words": 3}
            streamed = await bought("spell", "one two three")
            assert output_of(streamed) == {"spelt": "one two three"}
            assert "used 3 chunks" in streamed.content[0].text
            assert [one for one in heard if one in {"ONE", "TWO", "THREE"}] == ["ONE", "TWO", "THREE"]
            # The provider dies in the midst, so that the plain answer cannot be had either.
            broken = error_of(await bought("spell", "die now"))
            assert broken["charged"] == "unknown"
            assert broken["error"]["details"]["partial_output"] == "DIE NOW"
    sold = [each for each in hub.books()["transactions"] if each["capability"] == f"{namespace}/words"]
    assert sorted((one["amount_usdc"], one["provider_share_usdc"]) for one in sold) == [
        ("0.006", "0.0051"),
        ("0.01", "0.0085"),
    ]
    key = (tmp_path / "provider.key").read_text()
    with httpx2.Client(base_url=hub.url, headers={"Authorization": f"Bearer {key}"}) as provider:
        stated = provider.get("/v1/providers/me/payouts").raise_for_status().json()
    assert (stated["earned_usdc"], stated["balance_usdc"]) == ("0.0136", "0.0136")
    assert json.loads((tmp_path / "jecp.json").read_text())["actions"][0]["pricing"]["base"] == "$0.01"
