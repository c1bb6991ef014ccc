"""How the merchant goes wrong when it is asked to: what the buyer sees, and what the chain knows."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.paid_http.merchant.faults import FaultQueue, FaultRefused
from jecp_mcp.wire.x402.challenge import read_challenge
from jecp_mcp.wire.x402.payment import payment_header
from jecp_mcp.wire.x402.settlement import read_settlement
from tests.x402_sandbox import PaidHttp, Payer

PATH = "/offers/v2"


@pytest.mark.parametrize(
    ("mode", "status", "settled"),
    [
        ("clean", 200, True),
        ("5xx_after_settle", 502, True),
        ("double_402", 402, True),
        ("declared_safe", 503, False),
        ("redirect", 302, False),
        ("settled_4xx", 400, True),
        ("late_settlement", 402, False),
        ("no_receipt", 200, True),
        ("empty", 200, True),
        ("unsettled", 200, False),
        ("false_receipt", 200, False),
        ("echo", 200, True),
    ],
)
def test_a_mode_settles_and_answers_as_it_says(
    shop: PaidHttp, payer: Payer, mode: str, status: int, settled: bool
) -> None:
    shop.merchant.fault(mode, PATH)
    bought = payer.buy(PATH)
    assert bought.answer.status_code == status
    assert payer.used(bought.payment) is settled
    said = bought.receipt is not None and bought.receipt.success
    assert said is (mode in {"clean", "settled_4xx", "false_receipt", "echo"})
    again = payer.buy(PATH)
    assert again.answer.status_code == 200, "a fault meets as many requests as it was asked for"


@pytest.mark.parametrize("mode", ["drop", "cut", "reconcile_unavailable"])
def test_an_answer_is_lost_after_the_payment_was_settled(shop: PaidHttp, payer: Payer, mode: str) -> None:
    shop.merchant.fault(mode, PATH)
    payment = payer.sign(payer.challenge(PATH))
    with pytest.raises(httpx2.RemoteProtocolError):
        payer.send(payment, PATH)
    assert payer.used(payment)
    again = payer.send(payment, PATH)
    assert again.status_code == (503 if mode == "reconcile_unavailable" else 402)
    shop.merchant.clear()
    assert payer.send(payment, PATH).status_code == 402
    assert shop.chain.paid_by(payer.address) == [1_000]


def test_a_drop_can_come_before_anything_was_settled(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("drop", PATH, settles=False)
    payment = payer.sign(payer.challenge(PATH))
    with pytest.raises(httpx2.RemoteProtocolError):
        payer.send(payment, PATH)
    assert not payer.used(payment)
    assert payer.send(payment, PATH).status_code == 200


def test_a_lost_answer_is_given_again_to_the_payment_it_belongs_to(shop: PaidHttp, payer: Payer) -> None:
    path = "/offers/identifier"
    payment = payer.sign(payer.challenge(path), identifier=f"lost-answer-{payer.address}")
    for mode in ("drop", "cut"):
        shop.merchant.fault(mode, path)
        with pytest.raises(httpx2.RemoteProtocolError):
            payer.send(payment, path)
    found = payer.send(payment, path)
    receipt = read_settlement(found.headers)
    assert (found.status_code, receipt is not None and receipt.success) == (200, True)
    assert shop.chain.paid_by(payer.address) == [1_000]


def test_silence_after_the_payment_ends_when_the_buyer_leaves(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("accept_then_timeout", PATH)
    payment = payer.sign(payer.challenge(PATH))
    with pytest.raises(httpx2.ReadTimeout):
        payer.send(payment, PATH, timeout=httpx2.Timeout(60, read=0.5))
    while not payer.used(payment):
        pass


def test_a_slow_answer_comes_late_or_when_it_is_released(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("slow_answer", PATH, seconds=0.01)
    assert payer.buy(PATH).answer.status_code == 200
    shop.merchant.fault("slow_answer", PATH, seconds=600)
    payment = payer.sign(payer.challenge(PATH))
    sent = threading.Event()

    def send() -> httpx2.Response:
        # On a connection of its own, so that what follows need not wait for it.
        name, value = payment_header(payment)
        with httpx2.Client(timeout=60) as http:
            sent.set()
            return http.get(f"{shop.url}{PATH}", headers={name: value})

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send)
        assert sent.wait(60)
        while not payer.used(payment):
            pass
        assert not answer.done()
        shop.merchant.clear()
        assert answer.result(60).status_code == 200


def test_one_identifier_is_sold_once_at_a_time(shop: PaidHttp, payer: Payer) -> None:
    path = "/offers/identifier"
    name = f"under-way-{payer.address}"
    shop.merchant.fault("slow_answer", path, seconds=600)
    first, second = (payer.sign(payer.challenge(path), identifier=name) for _ in range(2))
    header = dict([payment_header(first)])
    with ThreadPoolExecutor(1) as pool, httpx2.Client(timeout=60) as http:
        slow = pool.submit(http.get, f"{shop.url}{path}", headers=header)
        while not payer.used(first):
            pass
        early = payer.send(second, path)
        shop.merchant.clear()
        assert slow.result(60).status_code == 200
    # Its answer was kept as soon as it was settled: whoever comes with the identifier gets that one.
    assert early.status_code == 200
    assert not payer.used(second)


def test_a_pending_settlement_names_its_transaction_and_is_delivered_once_it_is_mined(
    shop: PaidHttp, payer: Payer
) -> None:
    shop.merchant.fault("settlement_pending", PATH)
    bought = payer.buy(PATH)
    again = payer.send(bought.payment, PATH)
    for answer in (bought.answer, again):
        receipt = read_settlement(answer.headers)
        assert receipt is not None
        assert (answer.status_code, receipt.pending) == (402, True)
        assert shop.chain.books()["waiting"] == [receipt.transaction]
    assert not payer.used(bought.payment)
    shop.chain.mine()
    assert payer.used(bought.payment)
    other = payer.send(bought.payment, f"{PATH}?text=other")
    assert read_challenge(other.headers, other.content).error == "invalid_exact_evm_nonce_already_used"
    found = payer.send(bought.payment, PATH)
    settled = read_settlement(found.headers)
    assert (found.status_code, settled is not None and settled.transaction) == (200, receipt.transaction)
    assert payer.send(bought.payment, PATH).status_code == 402
    assert shop.chain.paid_by(payer.address) == [1_000]


def test_a_pending_settlement_that_the_chain_dropped_can_be_sent_again(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("settlement_pending", PATH)
    bought = payer.buy(PATH)
    shop.chain.drop_waiting()
    assert not payer.used(bought.payment)
    assert payer.send(bought.payment, PATH).status_code == 200
    assert payer.used(bought.payment)


def test_a_refused_payment_can_be_settled_later_all_the_same(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("late_settlement", PATH)
    bought = payer.buy(PATH)
    assert bought.answer.status_code == 402
    (settled,) = shop.merchant.settle_kept()
    assert settled["success"] is True
    assert payer.used(bought.payment)
    assert shop.merchant.settle_kept() == []


@pytest.mark.parametrize(
    "status", [302, 307, *(pytest.param(other, marks=pytest.mark.slow) for other in (301, 303, 308))]
)
def test_redirects_come_before_or_after_payment(shop: PaidHttp, payer: Payer, status: int) -> None:
    shop.merchant.fault("redirect", PATH, status=status, location="http://127.0.0.1:1/elsewhere", unpaid=True)
    answer = payer.probe(PATH)
    assert (answer.status_code, answer.headers["location"]) == (status, "http://127.0.0.1:1/elsewhere")
    shop.merchant.fault("redirect", PATH, status=status, settles=True)
    bought = payer.buy(PATH)
    assert (bought.answer.status_code, bought.answer.headers["location"]) == (status, "/elsewhere")
    assert payer.used(bought.payment)


def test_a_receipt_can_be_unreadable(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("bad_receipt", PATH)
    bought = payer.buy(PATH)
    with pytest.raises(WireError):
        _ = bought.receipt
    assert payer.used(bought.payment)


def test_an_echo_holds_the_payment(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("echo", PATH)
    bought = payer.buy(PATH)
    value = payment_header(bought.payment)[1]
    assert bought.answer.json()["headers"]["payment-signature"] == value
    assert bought.answer.headers["x-echo-payment-signature"] == value


def test_any_answer_can_be_put_in_place_of_the_merchants(shop: PaidHttp, payer: Payer) -> None:
    shop.merchant.fault("answer", PATH, status=402, headers={"payment-required": "hostile"}, body="<b>pay</b>")
    answer = payer.probe(PATH)
    assert (answer.status_code, answer.headers["payment-required"], answer.text) == (402, "hostile", "<b>pay</b>")
    payment = payer.sign(payer.challenge(PATH))
    shop.merchant.fault("answer", PATH, status=418, unpaid=True)
    assert payer.send(payment, PATH).status_code == 200, "it waits for an unpaid request"
    assert payer.probe(PATH).status_code == 418


def test_what_came_is_remembered_as_it_came(shop: PaidHttp, payer: Payer) -> None:
    bought = payer.buy("/abstract", "POST", json={"text": "Rain."})
    probe, paid = shop.merchant.visits()[-2:]
    assert probe["body"] == paid["body"] == '{"text":"Rain."}'
    assert probe["method"] == paid["method"] == "POST"
    assert paid["headers"].pop("payment-signature") == payment_header(bought.payment)[1]
    assert probe["headers"] == paid["headers"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"mode": "explode"},
        {"mode": "drop", "route": "/nowhere"},
        {"mode": "drop", "times": 0},
        {"mode": "drop", "times": True},
        {"mode": "drop", "unpaid": True},
        {"mode": "slow_answer", "seconds": 1e9},
        {"mode": "redirect", "location": 7},
        {"mode": "answer", "headers": {"a": 1}},
    ],
)
def test_a_fault_that_is_not_understood_is_refused(shop: PaidHttp, asked: dict) -> None:
    answer = shop.http.post(f"{shop.url}/sandbox/faults", json=asked, headers={"x-sandbox-key": shop.control_key})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_only_so_many_faults_wait() -> None:
    queue = FaultQueue()
    assert [queue.add({"mode": "clean"}) for _ in range(1_000)][-1] == 1_000
    with pytest.raises(FaultRefused, match="too many faults wait"):
        queue.add({"mode": "clean"})


def test_a_buyer_who_leaves_in_the_middle_of_a_request_harms_nobody(shop: PaidHttp, payer: Payer) -> None:
    host, port = shop.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /abstract HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
    assert payer.buy(PATH).answer.status_code == 200


def test_a_challenge_names_the_reason_of_a_failed_settlement(shop: PaidHttp, payer: Payer) -> None:
    # The balance goes between two payments that were both good for themselves.
    whole = payer.balance()
    shop.merchant.change(PATH, amount=str(whole))
    try:
        first, second = (payer.sign(payer.challenge(PATH)) for _ in range(2))
        assert payer.send(first, PATH).status_code == 200
        refused = payer.send(second, PATH)
    finally:
        shop.merchant.change(PATH)
    assert refused.status_code == 402
    assert read_challenge(refused.headers, refused.content).error == "invalid_exact_evm_insufficient_balance"


@pytest.mark.parametrize("path", [PATH, "/offers/identifier"])
def test_a_payment_that_comes_many_times_at_once_is_settled_once(payer: Payer, path: str) -> None:
    payment = payer.sign(payer.challenge(path), identifier=f"at-once-{payer.address}" if path != PATH else "")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _number: payer.send(payment, path), range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    if path == PATH:
        assert statuses == [200] + [402] * 7
    else:
        assert statuses[0] == 200
        assert set(statuses) <= {200, 503}
        assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert payer.shop.chain.paid_by(payer.address) == [1_000]
