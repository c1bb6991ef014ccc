"""AJP's signatures against messages that other programs signed, a second canonicaliser, and openssl."""

import base64
import json
import pickle
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.wire.ajp.canonical import canonical, double, legacy_form, unsigned
from jecp_mcp.wire.ajp.declaration import read_declaration, stands_at
from jecp_mcp.wire.ajp.signatures import (
    Coverage,
    PrivateKey,
    PublicKey,
    SharedSecret,
    coverage,
    new_private_key,
    seal,
)
from tests.lacking import lacking

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_bytes())
ALICE = PrivateKey(VECTORS["keys"]["alice"]["private_pkcs8_der_b64"])
MALLORY = PrivateKey(VECTORS["keys"]["mallory"]["private_pkcs8_der_b64"])


def wire(value: Any) -> Any:
    """As it comes off the wire."""
    return jsontext.loads(json.dumps(value), max_bytes=10**6)


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda one: one["name"])
def test_every_given_message_is_judged_as_it_must_be(vector: dict[str, Any]) -> None:
    body = wire(vector["body"])
    verifier = SharedSecret(vector["secret"]) if "secret" in vector else PublicKey(vector["public_key"])
    found = coverage(body, verifier, result="status" in body)
    assert (found in {Coverage.WHOLE, Coverage.SIX_MEMBERS}) == (vector["ours"] == "accept")
    assert (found is Coverage.LEGACY) == vector["npm"]["legacy_recognised"]
    if "rewritten" not in vector["name"]:
        form = legacy_form(body) if vector["form"] == "legacy" else canonical(unsigned(body))
        assert form.decode() == vector["canonical"]
    signer = (
        MALLORY
        if vector["name"] == "offer-wrong-key"
        else SharedSecret("correct horse")
        if "secret" in vector
        else ALICE
    )
    assert signer.sign(vector["canonical"].encode()) == vector["signature"]


def test_what_a_result_signature_covers_is_told() -> None:
    by_name = {one["name"]: wire(one["body"]) for one in VECTORS["messages"]}
    assert coverage(by_name["result-whole-body"], ALICE, result=True) is Coverage.WHOLE
    dearer = {**by_name["result-whole-body"], "usage": {"cost_usd": 999}}
    assert coverage(dearer, ALICE, result=True) is Coverage.WRONG
    six = by_name["result-6-fields"]
    with_cost = {**six, "ajp": "0.1", "usage": {"cost_usd": 999}}
    assert coverage(with_cost, ALICE, result=True) is Coverage.SIX_MEMBERS
    assert coverage(with_cost, ALICE) is Coverage.WRONG, "an offer is signed as a whole"
    top = {"job_id": "job_12345678", "status": "completed", "output": {"text": "done"}, "agent": {"provenance_id": "x"}}
    old = {**top, "signature": ALICE.sign(legacy_form(top)), "usage": {"cost_usd": 1}}
    assert coverage(old, ALICE, result=True) is Coverage.LEGACY
    for odd in (None, 7, "", "ed25519:", "ed25519:AAAA", "ed25519:" + "é" * 88, "sha256:" + "0" * 64):
        expected = Coverage.MISSING if odd is None else Coverage.WRONG
        assert coverage({**six, "signature": odd}, ALICE, result=True) is expected
        assert coverage({**six, "signature": odd}, SharedSecret("correct horse"), result=True) is expected


@pytest.mark.parametrize("vector", VECTORS["declarations"], ids=lambda one: one["name"])
def test_every_given_declaration_is_judged_as_it_must_be(vector: dict[str, Any]) -> None:
    raw = json.dumps(vector["declaration"]).encode()
    judged = vector["npm"]["npm_0_3_0"]
    declared = vector["declaration"]["provenance_id"]
    assert stands_at(declared, vector["retrieved_from"]) == (vector["npm"]["newest_location"] == "match")
    if not judged["valid"]:
        with pytest.raises(WireError, match=r"identity\.signature"):
            read_declaration(raw)
        return
    found = read_declaration(raw)
    assert (found.id, found.key.fingerprint, found.covers) == (declared, judged["fingerprint"], judged["coverage"])
    assert found.endpoint == "https://agent.example/ajp"


def random_json(dice: random.Random, depth: int = 4) -> Any:
    kind = dice.randrange(9 if depth else 7)
    if kind == 0:
        return dice.choice([None, True, False])
    if kind == 1:
        return dice.randint(-(2**53) + 1, 2**53 - 1)
    if kind in {2, 3}:
        return dice.choice(
            [dice.uniform(-1, 1), dice.uniform(-1, 1) * 10.0 ** dice.randint(-320, 307), 0.1, -0.0, 5e-324]
        )
    if kind < 7:
        return "".join(
            chr(dice.choice([dice.randrange(128), dice.randrange(0xD800), dice.randrange(0xE000, 0x10FFFF)]))
            for _ in range(dice.randrange(6))
        )
    if kind == 7:
        return [random_json(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {
        str(random_json(random.Random(dice.random()), 0)): random_json(dice, depth - 1)
        for _ in range(dice.randrange(5))
    }


@pytest.mark.slow
def test_two_canonicalisers_agree_on_what_came_off_the_wire() -> None:
    try:
        import jcs
    except ImportError:
        lacking("the package jcs is not installed", "REQUIRE_JUDGES")
    dice = random.Random(2_026)
    for _ in range(20_000):
        value = {"a": random_json(dice), "b": random_json(dice)}
        assert canonical(wire(value)) == jcs.canonicalize(value)


def test_what_has_no_canonical_form_is_refused_and_proves_nothing() -> None:
    deep: Any = 1
    for _ in range(32):
        deep = [deep]
    texts = ['{"a": 9007199254740993}', '{"a": -1152921504606846976}', '{"a": 1e999}']
    for value in (
        *(jsontext.loads(one, max_bytes=99) for one in texts),
        {"a": "\ud800"},
        {"\ud800": 1},
        {1: 2},
        {"a": {2}},
        {"a": deep},
    ):
        with pytest.raises(WireError, match=r"canonical|deeper"):
            canonical(value)
        assert coverage({**value, "signature": ALICE.sign(b"")}, ALICE) is Coverage.WRONG
    for number in (10**400, jsontext.loads("1e999", max_bytes=9)):
        with pytest.raises(WireError, match="beyond a double"):
            double(number)


@pytest.mark.parametrize("number", [1e20, -1e20, 2.0**53, 2.0**60, 1e21, 999999999999999868928.0])
def test_a_large_whole_number_is_signed_and_read_back_as_the_double_it_is(number: float) -> None:
    raw = seal({"a": [number]}, ALICE)
    body = jsontext.loads(raw, max_bytes=999)
    assert coverage(body, ALICE) is Coverage.WHOLE
    assert canonical(body) == raw
    assert float(body["a"][0]) == number


def test_an_old_signature_is_told_from_a_wrong_one_where_that_takes_no_long_time() -> None:
    for text, expected in (("x", Coverage.LEGACY), ("x" * 70_000, Coverage.WRONG)):
        message = {"job_id": "job_12345678", "task": {"instruction": text}, "text": text}
        assert coverage({**message, "signature": ALICE.sign(legacy_form(message))}, ALICE) is expected


def test_openssl_and_this_package_make_the_same_keys_and_signatures(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        lacking("openssl is not installed", "REQUIRE_OPENSSL")

    def run(*arguments: str) -> bytes:
        return subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=tmp_path).stdout

    text = new_private_key()
    (tmp_path / "ours.der").write_bytes(base64.b64decode(text))
    assert (
        base64.b64encode(run("pkey", "-inform", "DER", "-in", "ours.der", "-pubout", "-outform", "DER")).decode()
        == PrivateKey(text).public.text
    )
    run("genpkey", "-algorithm", "ed25519", "-outform", "DER", "-out", "theirs.der")
    theirs = PrivateKey(base64.b64encode((tmp_path / "theirs.der").read_bytes()).decode())
    (tmp_path / "data").write_bytes(canonical({"b": 1, "a": "ü"}))
    signed = run("pkeyutl", "-sign", "-rawin", "-inkey", "theirs.der", "-keyform", "DER", "-in", "data")
    assert theirs.sign(canonical({"a": "ü", "b": 1})) == "ed25519:" + base64.b64encode(signed).decode()


@pytest.mark.parametrize(
    "text", ["", "x", "é", "AAAA", VECTORS["keys"]["alice"]["public_spki_der_b64"], "MC4CAQAwBQYDK2VwBCIEIF4u"]
)
def test_what_is_no_private_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(WireError, match=r"^the private key is no Ed25519 key in base64 of its PKCS #8$"):
        PrivateKey(text)


@pytest.mark.parametrize(
    "text", ["", "é", "AAAA", VECTORS["keys"]["alice"]["private_pkcs8_der_b64"], "MCowBQYDK2VwAyEA" + "A" * 43 + "B"]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="public key"):
        PublicKey(text)


Y8 = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
PRIME = 2**255 - 19


@pytest.mark.parametrize("y", [0, 1, PRIME - 1, PRIME, PRIME + 1, Y8, PRIME - Y8, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_by_which_anybody_can_sign_is_refused(y: int, sign: int) -> None:
    raw = (y | sign << 255).to_bytes(32, "little")
    with pytest.raises(WireError, match="anybody can sign"):
        PublicKey(base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw).decode())


def test_keys_and_secrets_show_themselves_nowhere() -> None:
    secret = VECTORS["keys"]["alice"]["private_pkcs8_der_b64"]
    for one, hidden in ((ALICE, secret), (SharedSecret("correct horse"), "correct horse")):
        assert hidden not in repr(one)
        with pytest.raises(TypeError, match="not written"):
            pickle.dumps(one)
    with pytest.raises(WireError, match="8 characters"):
        SharedSecret("short")


def test_a_sealed_message_is_canonical_and_always_the_same() -> None:
    raw = seal({"b": [1.5, {"signature": "inner"}], "a": None, "signature": "replaced"}, ALICE)
    assert raw == seal({"a": None, "b": [1.5, {"signature": "inner"}]}, ALICE)
    body = jsontext.loads(raw, max_bytes=999)
    assert coverage(body, ALICE) is Coverage.WHOLE
    assert canonical(body) == raw
