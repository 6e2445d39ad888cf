"""Twenty late joiners under load: snapshot and feed from there on are the book of the whole day."""

import random
import socket
import threading
import time

import pytest

from appliance.client.book import Books
from appliance.stages import soup
from tests.end_to_end.place import PRICE, SYMBOL, Place
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]
JOINS, PATIENCE_S = 20, 60.0


class Trader(threading.Thread):
    """A participant who enters, replaces and cancels at random until he is stopped."""

    def __init__(self, session, seed):
        super().__init__()
        self.session, self.random, self.stopping = session, random.Random(seed), False

    def run(self):
        draw, session = self.random, self.session
        while not self.stopping:
            for _ in range(8):
                price = PRICE + 100 * draw.randint(-15, 15)
                number = session.enter(draw.choice("BS"), draw.randint(1, 50), SYMBOL, price,
                                       display=draw.choice("YYAN"))
                if draw.random() < 0.6:
                    session.cancel(number - draw.randrange(min(60, number)))
                elif draw.random() < 0.3:
                    session.replace(number - draw.randrange(min(9, number)), 7, price - 100)
            session.poll(0.002)


def join(place, port, draw):
    """(books of the snapshot, number to go on with) over a plain socket."""
    name, secret = place.person(2)
    with place.scene.market():
        sock = socket.create_connection((place.partition().ip, port), PATIENCE_S)
    books, data, numbers = Books(), b"", []
    with sock:
        sock.sendall(soup.packet("L", name.encode().ljust(6) + secret.encode().ljust(10)
                                 + b" " * 10 + b"1".rjust(20)))
        while not numbers:
            data += sock.recv(draw.randint(1, 5000))
            while len(data) > 2 and len(data) >= 2 + (size := data[0] << 8 | data[1]):
                letter, message, data = data[2:3], data[3:2 + size], data[2 + size:]
                if letter == b"S" and message[:1] == b"G":
                    numbers.append(int(message[1:]))
                elif letter == b"S":
                    books.apply(message)
    return books, numbers[0]


def orders_of(books):
    return [(ref, row[0].name, *row[1:]) for ref, row in books.orders.items()]


@pytest.mark.parametrize("mode", ["native", "socket"])
def test_twenty_late_joiners_have_the_book_of_the_whole_day(mode, warm):
    draw, heard, joined = random.Random(20), {}, []
    with Place(mode, {}) as place:
        feed = place.feed(on_message=heard.setdefault)
        port = place.row["glimpse_port"]
        traders = [Trader(place.login(n), n) for n in range(2)]
        for each in traders:
            each.start()
        try:
            for _ in range(JOINS):
                until = time.monotonic() + draw.uniform(0.2, 0.6)
                while time.monotonic() < until:
                    feed.poll(0.01)
                joined.append(join(place, port, draw))
        finally:
            for each in traders:
                each.stopping = True
                each.join()
        last = int(place.regions()("feed_log")[0]["next_seq"])
        deadline = time.monotonic() + PATIENCE_S
        while not feed.books.orders or max(heard) < last - 1 or feed.missing():
            feed.poll(0.05)
            assert time.monotonic() < deadline, (max(heard, default=0), last, feed.statistics())
        assert len({number for _, number in joined}) > JOINS // 2 and feed.books.trade_cnt > 100
        for books, number in joined:
            for seq in range(number, max(heard) + 1):
                books.apply(heard[seq])
            assert orders_of(books) == orders_of(feed.books)
            assert books.by_name[SYMBOL].levels == feed.books.by_name[SYMBOL].levels
        print(f"{mode}: {last} messages, {len(feed.books.orders)} orders at the end, joins at "
              f"{[number for _, number in joined]}")
