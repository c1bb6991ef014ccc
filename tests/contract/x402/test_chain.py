"""The chain: its books are exact, each authorization is used once, and its nodes answer as nodes do."""

from __future__ import annotations

from itertools import pairwise

import pytest

from jecp_mcp.sandbox.paid_http.chain.accounts import MERCHANT, SUPPLY, TREASURY
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import keccak256
from jecp_mcp.wire.x402.typed_data import domain_separator
from tests.x402_sandbox import ChainHandle, PaidHttp, Payer

PATH = "/offers/v2"
TOKEN = SANDBOX_ASSET.address


def word(text: str) -> str:
    return f"{text.removeprefix('0x'):0>64}"


def topic(event: str) -> str:
    return f"0x{keccak256(event.encode()).hex()}"


def call(chain: ChainHandle, function: str, *words: str, block: object = "latest", node: int = 1) -> str:
    data = f"0x{keccak256(function.encode())[:4].hex()}{''.join(map(word, words))}"
    return chain.ask("eth_call", {"to": TOKEN, "data": data}, block, node=node)


def text_of(answer: str) -> str:
    data = bytes.fromhex(answer[2:])
    return data[64 : 64 + int.from_bytes(data[32:64], "big")].decode()


def test_the_token_says_what_it_is(shop: PaidHttp) -> None:
    chain = shop.chain
    assert int(chain.ask("eth_chainId"), 16) == SANDBOX_ASSET.chain_id
    assert text_of(call(chain, "name()")) == SANDBOX_ASSET.name
    assert text_of(call(chain, "version()")) == SANDBOX_ASSET.version
    assert text_of(call(chain, "symbol()")) == SANDBOX_ASSET.symbol
    assert int(call(chain, "decimals()"), 16) == SANDBOX_ASSET.decimals
    assert int(call(chain, "totalSupply()"), 16) == SUPPLY
    assert call(chain, "DOMAIN_SEPARATOR()") == f"0x{domain_separator(SANDBOX_ASSET).hex()}"
    assert chain.ask("eth_getCode", TOKEN, "latest") != "0x"
    assert chain.ask("eth_getCode", TREASURY, "latest") == "0x"
    assert chain.ask("eth_call", {"to": TREASURY, "data": "0x"}, "latest") == "0x"
    assert call(chain, "mint(address)", TREASURY)["code"] == 3


def test_money_is_never_made_or_lost(shop: PaidHttp) -> None:
    payers = [shop.payer() for _ in range(3)]
    for payer in payers:
        payer.buy(PATH)
        payer.buy("/offers/v1")
    books = shop.chain.books()
    assert int(books["total"]) == SUPPLY
    holders = {each["to"] for each in books["transfers"]} | {TREASURY}
    assert sum(int(call(shop.chain, "balanceOf(address)", holder), 16) for holder in holders) == SUPPLY
    assert len({(each["from"], each["nonce"]) for each in books["transfers"] if each["nonce"]}) == len(
        shop.chain.transfers()
    )


def test_a_transfer_is_found_by_its_events_and_its_receipt(shop: PaidHttp, payer: Payer) -> None:
    bought = payer.buy(PATH)
    nonce = f"0x{bought.payment.authorization.nonce.hex()}"
    used = topic("AuthorizationUsed(address,bytes32)")
    asked = {
        "address": TOKEN,
        "topics": [used, f"0x{word(payer.address)}", nonce],
        "fromBlock": "0x0",
        "toBlock": "latest",
    }
    refused = shop.chain.ask("eth_getLogs", asked)
    assert "10000 blocks" in refused["message"]
    head = int(shop.chain.ask("eth_blockNumber"), 16)
    (log,) = shop.chain.ask("eth_getLogs", {**asked, "fromBlock": hex(head - 500)})
    receipt = shop.chain.ask("eth_getTransactionReceipt", log["transactionHash"])
    assert bought.receipt is not None
    assert receipt["transactionHash"] == bought.receipt.transaction
    assert (receipt["status"], receipt["blockHash"]) == ("0x1", log["blockHash"])
    transfer = receipt["logs"][1]
    assert transfer["topics"] == [
        topic("Transfer(address,address,uint256)"), f"0x{word(payer.address)}", f"0x{word(MERCHANT)}",
    ]  # fmt: skip
    assert int(transfer["data"], 16) == 1_000
    block = {"blockHash": log["blockHash"]}
    assert len(shop.chain.ask("eth_getLogs", block)) == 2
    assert len(shop.chain.ask("eth_getLogs", {**block, "topics": [[used, topic("Other()")], None]})) == 1
    assert shop.chain.ask("eth_getLogs", {**block, "address": [TREASURY]}) == []
    assert shop.chain.ask("eth_getTransactionReceipt", "0x" + "ab" * 32) is None


def test_blocks_follow_one_another_by_number_hash_and_time(shop: PaidHttp, payer: Payer) -> None:
    bought = payer.buy(PATH)
    shop.chain.advance(60)
    head = shop.chain.ask("eth_getBlockByNumber", "latest", False)
    number = int(head["number"], 16)
    blocks = [shop.chain.ask("eth_getBlockByNumber", hex(each), False) for each in range(number - 40, number + 1)]
    for before, block in pairwise(blocks):
        assert block["parentHash"] == before["hash"]
        assert int(before["timestamp"], 16) <= int(block["timestamp"], 16)
        assert shop.chain.ask("eth_getBlockByHash", block["hash"], False) == block
    assert bought.receipt is not None
    assert [bought.receipt.transaction] in [block["transactions"] for block in blocks]
    for tag, behind in (("safe", 16), ("finalized", 32)):
        before = int(shop.chain.ask("eth_blockNumber"), 16)
        tagged = int(shop.chain.ask("eth_getBlockByNumber", tag, False)["number"], 16)
        assert before - behind <= tagged <= int(shop.chain.ask("eth_blockNumber"), 16) - behind
    assert int(shop.chain.ask("eth_getBlockByNumber", "earliest", False)["number"], 16) == 0
    assert shop.chain.ask("eth_getBlockByNumber", hex(number + 10_000), False) is None


def test_the_past_is_asked_for_at_its_block(shop: PaidHttp, payer: Payer) -> None:
    before = shop.chain.ask("eth_getBlockByNumber", "latest", False)
    bought = payer.buy(PATH)
    after = shop.chain.ask("eth_getBlockByNumber", "latest", False)
    for reference, used in ((before, False), (after, True)):
        assert payer.used(bought.payment, block={"blockHash": reference["hash"]}) is used
        assert payer.used(bought.payment, block=reference["number"]) is used
        assert payer.used(bought.payment, block={"blockNumber": reference["number"]}) is used
        held = int(call(shop.chain, "balanceOf(address)", payer.address, block=reference["number"]), 16)
        assert held == 25_000_000 - 1_000 * used


def test_an_authorization_expires_with_the_chains_time(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("late_settlement", PATH)
    bought = payer.buy(PATH)
    shop.chain.advance(301)
    (settled,) = shop.merchant.settle_kept()
    assert settled["errorReason"] == "invalid_exact_evm_payload_authorization_valid_before"
    assert not payer.used(bought.payment)


def test_what_waited_too_long_fails_in_its_block(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("settlement_pending", PATH)
    bought = payer.buy(PATH)
    shop.chain.advance(301)
    shop.chain.mine()
    assert bought.receipt is not None
    receipt = shop.chain.ask("eth_getTransactionReceipt", bought.receipt.transaction)
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert not payer.used(bought.payment)
    assert shop.chain.paid_by(payer.address) == []


@pytest.mark.parametrize("lose", [False, True])
def test_a_reorganisation_takes_blocks_and_their_hashes_away(shop: PaidHttp, payer: Payer, lose: bool) -> None:
    shop.chain.advance(1_000)  # whatever came before stays
    old = shop.chain.ask("eth_getBlockByNumber", "latest", False)
    bought = payer.buy(PATH)
    held = {"blockHash": shop.chain.ask("eth_getBlockByNumber", "latest", False)["hash"]}
    assert payer.used(bought.payment, block=held)
    shop.chain.reorganise(300, lose=lose)
    assert shop.chain.ask("eth_getBlockByHash", old["hash"], False) is None
    assert shop.chain.ask("eth_call", {"to": TOKEN, "data": "0x06fdde03"}, held)["message"] == "header not found"
    assert not payer.used(bought.payment)
    assert payer.balance() == 25_000_000
    shop.chain.mine()
    assert payer.used(bought.payment) is not lose
    assert int(shop.chain.books()["total"]) == SUPPLY


def test_a_node_can_be_behind_wrong_or_gone_while_the_other_is_right(shop: PaidHttp, payer: Payer) -> None:
    bought = payer.buy(PATH)
    shop.chain.node(2, lag_blocks=300)
    assert payer.used(bought.payment)
    assert not payer.used(bought.payment, node=2)
    ours, theirs = (shop.chain.ask("eth_getBlockByNumber", "latest", False, node=node) for node in (1, 2))
    assert int(theirs["timestamp"], 16) < int(ours["timestamp"], 16)
    assert shop.chain.ask("eth_getBlockByHash", ours["hash"], False, node=2) is None
    assert bought.receipt is not None
    assert shop.chain.ask("eth_getTransactionReceipt", bought.receipt.transaction, node=2) is None
    shop.chain.node(2, denies_use=True)
    assert not payer.used(bought.payment, node=2)
    assert shop.chain.ask("eth_getTransactionReceipt", bought.receipt.transaction, node=2) is None
    assert shop.chain.ask("eth_getLogs", {"blockHash": ours["hash"]}, node=2) == []
    shop.chain.node(2, chain_id=8_453)
    assert shop.chain.ask("eth_chainId", node=2) == hex(8_453)
    shop.chain.node(2, fails=True)
    assert shop.chain.ask("eth_chainId", node=2)["code"] == -32_000
    shop.chain.node(2)
    assert payer.used(bought.payment, node=2)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32_700),
        (b"[]", -32_600),
        (b"7", -32_600),
        (b'{"method":"eth_chainId","params":{},"id":1}', -32_600),
        (b'{"method":"eth_mint","id":1}', -32_601),
        (b'{"method":"eth_getBlockByNumber","params":["soon"],"id":1}', -32_602),
        (b'{"method":"eth_getBlockByNumber","params":["0x10000000000000000000"],"id":1}', -32_602),
        (b'{"method":"eth_getBlockByNumber","params":[],"id":1}', -32_602),
        (b'{"method":"eth_getBlockByHash","params":["0xhash"],"id":1}', None),
        (b'{"method":"eth_call","params":[{"to":"0x1","data":7},"0xffffffff"],"id":1}', -32_000),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_as_nodes_do(
    shop: PaidHttp, body: bytes, code: int | None
) -> None:
    headers = {"content-type": "application/json"}
    answer = shop.http.post(shop.rpc[0], content=body, headers=headers).raise_for_status().json()
    assert answer.get("error", {}).get("code") == code


def test_a_batch_is_answered_in_its_order(shop: PaidHttp) -> None:
    batch = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId"} for number in (7, 8)]
    assert [each["id"] for each in shop.http.post(shop.rpc[0], json=batch).json()] == [7, 8]
    assert shop.http.post(shop.rpc[0], json=batch * 60).json()["error"]["code"] == -32_600


def test_the_faucet_gives_to_each_address_once(shop: PaidHttp, payer: Payer) -> None:
    payer.buy(PATH)
    again = shop.http.post(shop.where["faucet"], json={"address": payer.address}).json()
    assert again == {"address": payer.address, "balance": str(25_000_000 - 1_000)}
    assert shop.http.post(shop.where["faucet"], json={"address": "0x12"}).status_code == 400
    assert shop.http.post(shop.where["faucet"], content=b"address=0x").status_code == 415


@pytest.mark.parametrize(
    "asked",
    [
        {"do": "mint"},
        {"do": "advance"},
        {"do": "advance", "seconds": -1},
        {"do": "node", "node": 3},
        {"do": "give", "address": "me", "value": 1},
        {"do": "give", "address": "0x" + "11" * 20, "value": 10**15},
    ],
)
def test_a_control_that_is_not_understood_changes_nothing(shop: PaidHttp, asked: dict) -> None:
    before = shop.chain.books()["transfers"]
    answer = shop.http.post(f"{shop.chain.url}/sandbox/chain", json=asked, headers={"x-sandbox-key": shop.control_key})
    assert answer.status_code == 400
    assert shop.chain.books()["transfers"] == before


CONTROLS = [
    ("merchant", "POST", "/sandbox/faults"),
    ("merchant", "DELETE", "/sandbox/faults"),
    ("merchant", "POST", "/sandbox/terms"),
    ("merchant", "POST", "/sandbox/kept/settle"),
    ("merchant", "GET", "/sandbox/visits"),
    ("chain", "POST", "/sandbox/chain"),
]


@pytest.mark.parametrize(("who", "method", "path"), CONTROLS)
@pytest.mark.parametrize("key", [None, "guess"])
def test_nobody_controls_it_without_the_key(shop: PaidHttp, who: str, method: str, path: str, key: str | None) -> None:
    headers = {} if key is None else {"x-sandbox-key": key}
    answer = shop.http.request(method, f"{shop.where[who]}{path}", headers=headers, json={})
    assert answer.status_code == 403


@pytest.mark.parametrize("who", ["merchant", "facilitator", "chain"])
def test_a_page_elsewhere_cannot_reach_it_under_its_own_name(shop: PaidHttp, who: str) -> None:
    assert shop.http.get(shop.where[who], headers={"host": "evil.example"}).status_code == 421
