"""Sessions on a running appliance: throttles, graces, drop copies, and what outlives a crash."""

import time

import pytest

from appliance.client.dropcopy import DropCopy, DropCopyError
from appliance.client.session import LoginError
from appliance.layout.codec import decode
from tests.end_to_end.place import PRICE, SYMBOL, trade, wait_for
from tests.end_to_end.session_kit import COPY, COPY_PASSWORD, Limited, poll
from tests.end_to_end.test_tcp import Stock
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]
LOW = PRICE - 5_000
TOO_FAST = 0x0029


def codes(answers):
    return [each.get("reason", each.letter) if each.letter == "J" else each.letter
            for each in answers if each.letter in "AJ"]


def test_an_account_over_its_rate_is_refused_then_cut_off_and_comes_again(warm, tmp_path):
    limits = {0: dict(orders_per_second=20, orders_burst=5, throttle_refusals=10,
                      cancel_on_disconnect="true", disconnect_grace_ms=60_000)}
    with Limited(tmp_path / "journal", limits) as place:
        fast, other = place.login(0), place.login(2)
        numbers = [fast.enter("B", 1, SYMBOL, LOW) for _ in range(8)]
        answers = poll(fast, 0.5)
        assert codes(answers)[:5] == ["A"] * 5 and codes(answers).count(TOO_FAST) >= 1
        fast.cancel(numbers[0])
        assert any(each.letter == "C" for each in poll(fast, 0.5))      # never throttled
        for _ in range(300):
            fast.enter("B", 1, SYMBOL, LOW)
        deadline = time.monotonic() + 20
        while not fast.expelled:
            poll(fast, 0.05)
            assert time.monotonic() < deadline
        assert "ACC0" in place.alarm("throttle-disconnect")
        place.live_orders(0)                                            # at once, no grace
        assert wait_for(other, other.enter("B", 1, SYMBOL, LOW), "A")
        again = place.login(0, requested=1)
        letters = codes(poll(again, 1.0))
        assert letters.count("A") >= 5 and letters.count(TOO_FAST) >= 10
        again.resume()
        assert wait_for(again, again.enter("B", 1, SYMBOL, LOW), "A")
        counters = place.until(lambda content: content["partitions"][0]["counters"])
        assert counters["throttle_disconnects"] == 1 and counters["throttled"] >= 10
        assert place.stop() == 0, place.house.words()


def test_a_grace_goes_on_over_a_crash_and_a_login_within_it_keeps_the_orders(warm, tmp_path):
    limits = {idx: dict(cancel_on_disconnect="true", disconnect_grace_ms=grace)
              for idx, grace in ((0, 4_000), (1, 3_600_000))}
    with Limited(tmp_path / "journal", limits,
                 orders={"silence_ms": 1500, "heartbeat_ms": 300}) as place:
        one, two, keeper = place.login(0), place.login(1), place.login(2)
        for session in (one, two, keeper):
            wait_for(session, session.enter("B", 1, SYMBOL, LOW), "A")
        graces = place.until(lambda content: content["partitions"][0]["counters"]["graces"] >= 2
                             and content["partitions"][0]["counters"], 30.0)
        assert graces["graces_over"] == 0
        place.live_orders(3)                        # ACC2's stays for ever, theirs for a while
        place.kill("matcher@0")
        place.live_orders(2, 30.0)                  # the first grace is over, the second is not
        back = place.login(1)
        place.until(lambda content: content["partitions"][0]["counters"]["graces_over"] == 1)
        poll(back, 0.5)
        back.resume()
        assert [order.open_qty for order in back.orders.values()] == [1]
        back.logout()                               # that does not wait
        place.live_orders(1)
        assert place.stop() == 0, place.house.words()


@pytest.mark.parametrize("level", ["process", "disk"])
def test_a_drop_copy_has_the_whole_firm_and_goes_on_over_every_restart(warm, tmp_path, level):
    with Limited(tmp_path / "journal", {}, level) as place:
        people = [place.login(idx) for idx in range(3)]
        trade(people[0], people[1])
        trade(people[2], people[0])
        read = {}

        def copy(number=1, session=""):
            with place.scene.market():
                return DropCopy(place.partition(), COPY, COPY_PASSWORD, number=number,
                                session=session)

        def follow(reader, count):
            deadline = time.monotonic() + 20
            while len(read) < count:
                for number, account, record in reader.poll(0.1):
                    assert read.setdefault(number, (account, record)) == (account, record)
                assert time.monotonic() < deadline, (len(read), count)

        with copy() as reader:
            follow(reader, 8)                       # S of both, A and E of three orders
            session = reader.session
        assert [account for account, _ in read.values()].count("ACC2") == 0
        assert {account for account, _ in read.values()} == {"ACC0", "ACC1"}
        stock = Stock(place, 0, place.partition().order_port, password=COPY_PASSWORD,
                      name=COPY)
        heard = [decode("ouch", "out", stock.next()) for _ in range(len(read))]
        assert heard == [record for _, record in read.values()]
        stock.logout()
        place.kill("recovery@0")
        with copy(1, session) as reader:
            before = dict(read)
            follow(reader, len(before))
            more = len(before) + 4
            trade(people[0], people[1])
            follow(reader, more)
        place.kill("matcher@0")
        with copy(len(read) + 1, session) as reader:
            trade(people[1], people[0])
            follow(reader, more + 4)
        place.kill_all()
        known = dict(read)
        read.clear()
        with copy(1, session) as reader:
            follow(reader, len(known))
        assert read == known                        # every number has the content that it had
        with place.scene.market():
            wrong = DropCopy(place.partition(), COPY, "wrong")
        with wrong, pytest.raises(DropCopyError, match="refused: reason A"):
            wrong.poll(10.0)
        assert place.stop() == 0, place.house.words()


def test_account_query_tokens_and_the_days_stream_outlive_every_crash(warm, tmp_path):
    with Limited(tmp_path / "journal", {}) as place:
        buyer, seller = place.login(0), place.login(1)
        trade(buyer, seller)
        numbers = [buyer.enter("B", 1, SYMBOL, LOW) for _ in range(20)]
        wait_for(buyer, numbers[-1], "A")
        token, heard = buyer.token, buyer.expected
        for crash in (lambda: place.kill("matcher@0"), place.kill_all):
            crash()
            answers = []
            with place.scene.market():
                back = place.session(0, answers=answers.append)
            back.login(1, timeout=20.0)
            back.resume()
            assert back.user_ref == numbers[-1]             # the next one is free
            assert len(answers) >= heard - 1 and answers[0].letter == "S"
            last = back.enter("B", 1, SYMBOL, LOW)
            assert wait_for(back, last, "A")
            numbers.append(last)
            heard = back.expected
            other = place.session(0, token=token)
            with pytest.raises(LoginError, match="refused: reason S"):
                other.login(timeout=20.0)                   # used before today
            back.query()
            token = back.token
        assert place.stop() == 0, place.house.words()
