"""A stock client over TCP: Nasdaq's own Python package, unmodified, on a running appliance.

It logs in, enters orders, reads its executions and a snapshot; the account is the same over UDP.
"""

import asyncio
import os
import signal
import time

import pytest
from nasdaq_protocols import soup
from nasdaq_protocols.common import EndOfQueue

from appliance.client.book import Books
from appliance.layout import shared
from appliance.layout.codec import decode, encode
from tests.end_to_end.place import PRICE, SYMBOL, Place, wait_for
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]
PATIENCE_S = 60.0


class Stock:
    """A nasdaq-protocols session in an event loop of its own."""

    def __init__(self, place, account, port, sequence=1, session="", password=None,
                 name=""):
        """name: of who has no account."""
        self.place, self.loop = place, asyncio.new_event_loop()
        self.session = None
        owner, secret = place.person(account)
        login = name or owner, password or secret
        try:
            with place.scene.market():
                self.session = self.run(soup.connect_async(
                    (place.partition().ip, port), *login, session, sequence))
        except BaseException:
            self.close()
            raise

    def run(self, step):
        return self.loop.run_until_complete(asyncio.wait_for(step, PATIENCE_S))

    def enter(self, reference, side, quantity, price):
        """Enter Order, a day order."""
        self.session.send_unseq_data(encode("ouch", "in", "O", {
            "user_ref_num": reference, "side": side, "quantity": quantity, "symbol": SYMBOL,
            "price": price, "time_in_force": "0", "display": "Y", "capacity": "P",
            "intermarket_sweep": "N", "cross_type": "N", "cl_ord_id": f"CL{reference}",
            "tags": {}}))

    def next(self):
        """The bytes of its next sequenced message; None when the session is over."""
        while True:
            try:
                message = self.run(self.session.receive_msg())
            except EndOfQueue:
                return None
            if isinstance(message, soup.SequencedData):
                return message.data

    def until(self, letter):
        """Its answers up to the first of that kind."""
        found = []
        while not found or found[-1].letter != letter:
            found.append(decode("ouch", "out", self.next()))
        return found

    def logout(self):
        """Logout Request, and the end."""
        async def leave():
            self.session.logout()
            while not self.session.is_closed():
                await asyncio.sleep(0.01)

        self.run(leave())
        self.close()

    def close(self):
        """Ends what the package has running, and with it the connection."""
        async def clear():
            if self.session is not None:
                await self.session.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.loop.run_until_complete(clear())
        self.loop.close()


@pytest.fixture(params=["native", "socket"])
def place(request, warm):
    with Place(request.param, {"heartbeat_ms": 200}) as made:
        yield made


def snapshot(place, account=2):
    """(books, number to go on with) as a stock client gets them."""
    client = Stock(place, account, place.house.status["partitions"][0]["glimpse_port"])
    books = Books()
    while (message := client.next())[:1] != b"G":
        books.apply(message)
    client.logout()
    return books, int(message[1:])


def test_a_stock_client_trades_and_a_late_joiner_has_the_book(place):
    port, heard = place.partition().order_port, {}
    feed = place.feed(on_message=heard.setdefault)
    stock, other = Stock(place, 0, port), place.login(1)
    assert [each.letter for each in stock.until("S")] == ["S"]
    stock.enter(1, "S", 100, PRICE)
    assert stock.until("A")[-1].user_ref_num == 1
    other.wait(other.enter("B", 30, SYMBOL, PRICE))
    execution = stock.until("E")[-1]
    assert (execution.user_ref_num, execution.quantity, execution.price) == (1, 30, PRICE)
    for step in range(2, 30):
        stock.enter(step, "BS"[step % 2], 10 + step, PRICE + (100 if step % 2 else -100) * step)
    assert [each.user_ref_num for _ in range(28) for each in stock.until("A")] \
        == list(range(2, 30))

    books, next_seq = snapshot(place)
    assert books.orders and books.by_name[SYMBOL].levels[1][PRICE] == 70
    other.wait(other.enter("B", 70, SYMBOL, PRICE))
    assert stock.until("E")[-1].quantity == 70
    deadline = time.monotonic() + PATIENCE_S
    while feed.books.trade_cnt < 2:
        feed.poll(0.05)
        assert time.monotonic() < deadline
    for number in range(next_seq, max(heard) + 1):
        books.apply(heard[number])
    assert [(ref, *row[1:]) for ref, row in books.orders.items()] \
        == [(ref, *row[1:]) for ref, row in feed.books.orders.items()]

    answers = []
    same = place.session(0, answers=answers.append)
    same.login(1, timeout=PATIENCE_S)                       # over UDP: the newer login takes over
    same.user_ref = 29
    wait_for(same, same.enter("B", 5, SYMBOL, PRICE - 5000), "A")
    letters = [each.letter for each in answers]
    assert letters[:3] == ["S", "A", "E"] and letters.count("A") == 30
    assert stock.next() is None
    stock.close()
    back = Stock(place, 0, port, sequence=len(answers) + 1)
    back.enter(31, "B", 7, PRICE - 5000)
    assert back.until("A")[-1].user_ref_num == 31
    counts = place.until(lambda content: (row := content["partitions"][0]["recovery"])
                         and row.get("orders_taken_over") and row)
    assert counts["orders_taken_over"] == 1 and counts["glimpse_logins"] == 1

    place.house.end_day()
    assert decode("ouch", "out", [*iter(back.next, None)][-1]).event_code == "E"
    back.close()
    assert place.stop() == 0, place.house.words()


def test_what_is_refused_and_a_recovery_that_dies(place):
    port = place.partition().order_port
    with pytest.raises(ConnectionRefusedError):
        Stock(place, 0, port, password="wrong")
    with pytest.raises(ConnectionRefusedError):
        Stock(place, 0, place.house.status["partitions"][0]["glimpse_port"], password="wrong")
    stock = Stock(place, 0, port)
    stock.until("S")
    stock.enter(1, "S", 100, PRICE)
    stock.until("A")
    before, _ = snapshot(place)
    old = place.pid("recovery@0")
    os.kill(old, signal.SIGKILL)
    place.until(lambda content: any(row["name"] == "recovery@0" and row["pid"] != old
                                    and row["ready_s"] for row in content["processes"]), PATIENCE_S)
    sessions = place.regions()("sessions")
    deadline = time.monotonic() + PATIENCE_S
    while sessions[0]["state"] != shared.SESSION_ENDED:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stock.close()
    again = Stock(place, 0, port, sequence=3)
    again.enter(2, "S", 100, PRICE + 100)
    assert again.until("A")[-1].user_ref_num == 2
    after, _ = snapshot(place)
    assert list(after.orders)[:1] == list(before.orders) and len(after.orders) == 2
    again.logout()
    assert place.stop() == 0, place.house.words()
