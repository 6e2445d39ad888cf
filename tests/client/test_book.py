"""Books from ITCH messages: every type, every contradiction, and a plain model beside them."""

import random

import pytest

from appliance.client.book import Books, FeedError
from appliance.layout.codec import decode, encode
from appliance.layout.wire_itch import ITCH
from tests.client.market import day
from tests.layout.vectors import VECTORS

HEAD = {"stock_locate": 7, "timestamp": 1}


def itch(letter, **fields):
    return encode("itch", "out", letter, HEAD | fields)


def directory(locate=7, stock="ACME"):
    given = {field.name: "" if field.type == "alpha" else 0 for field in ITCH["R"].fields[1:]}
    return encode("itch", "out", "R", given | {"stock_locate": locate, "stock": stock})


def add(ref, side, shares, price, stock="ACME", **more):
    letter = "F" if "attribution" in more else "A"
    return itch(letter, order_reference_number=ref, buy_sell_indicator=side, shares=shares,
                price=price, stock=stock, **more)


def execute(ref, shares, match=1):
    return itch("E", order_reference_number=ref, executed_shares=shares, match_number=match)


def priced(ref, shares, match, price, printable):
    return itch("C", order_reference_number=ref, executed_shares=shares, match_number=match,
                printable=printable, execution_price=price)


def cancel(ref, shares):
    return itch("X", order_reference_number=ref, cancelled_shares=shares)


def replace(ref, new, shares, price):
    return itch("U", order_reference_number=ref, new_order_reference_number=new, shares=shares,
                price=price)


def delete(ref):
    return itch("D", order_reference_number=ref)


@pytest.fixture
def books():
    made = Books()
    for message in (directory(), add(1, "B", 100, 5000), add(2, "S", 50, 5100, attribution="MMK1"),
                    add(3, "B", 10, 4900)):
        made.apply(message)
    return made


def top(books, name="ACME"):
    book = books.by_name[name]
    return [(price, book.levels[side].get(price, 0))
            for side in (0, 1) for price in [book.best(side)]]


@pytest.mark.parametrize(("message", "best"), [
    (add(9, "B", 5, 5050), [(5050, 5), (5100, 50)]),
    (add(9, "B", 5, 5000), [(5000, 105), (5100, 50)]),
    (add(9, "S", 5, 5050, attribution="MMK1"), [(5000, 100), (5050, 5)]),
    (execute(1, 40), [(5000, 60), (5100, 50)]),
    (execute(1, 100), [(4900, 10), (5100, 50)]),
    (priced(2, 50, 1, 5050, "Y"), [(5000, 100), (0, 0)]),
    (cancel(1, 99), [(5000, 1), (5100, 50)]),
    (cancel(1, 100), [(4900, 10), (5100, 50)]),
    (delete(1), [(4900, 10), (5100, 50)]),
    (replace(1, 9, 7, 5010), [(5010, 7), (5100, 50)]),
    (replace(2, 9, 7, 5200), [(5000, 100), (5200, 7)]),
    (replace(1, 9, 7, 4900), [(4900, 17), (5100, 50)]),
])
def test_what_each_message_does_to_the_best_prices(books, message, best):
    books.apply(message)
    assert (top(books), books.crossed_cnt) == (best, 0)


def test_trades_volume_and_last_price(books):
    book = books.by_name["ACME"]
    trade = itch("P", order_reference_number=0, buy_sell_indicator="B", shares=75, stock="ACME",
                 price=5060, match_number=4)
    cross = itch("Q", shares=1000, stock="ACME", cross_price=5070, match_number=5, cross_type="O")
    told = []
    for message in (execute(1, 40, match=1), priced(1, 10, 2, 4950, "Y"),
                    priced(1, 5, 3, 4960, "N"), trade, cross,
                    itch("Q", shares=0, stock="ACME", cross_price=0, match_number=6,
                         cross_type="C"),
                    itch("B", match_number=4), itch("B", match_number=4),
                    itch("B", match_number=3)):
        books.apply(message)
        told.append((book.volume, book.trade_cnt, book.last_price))
    assert told == [(40, 1, 5000), (50, 2, 4950), (50, 2, 4950), (125, 3, 5060), (1125, 4, 5070),
                    (1125, 4, 5070), (1050, 4, 5070), (1050, 4, 5070), (1050, 4, 5070)]
    assert (books.trade_cnt, books.broken_cnt, top(books)[0]) == (4, 3, (5000, 45))


@pytest.mark.parametrize(("message", "words"), [
    (add(1, "S", 5, 5100), "order reference 1 was added twice"),
    (add(9, "B", 0, 5000), "added with 0 shares"),
    (add(9, "?", 1, 5000), "side b'?'"),
    (add(9, "B", 1, 5000, stock="OTHER"), "stock locate 7 is ACME"),
    (encode("itch", "out", "A", dict(decode("itch", "out", add(9, "B", 1, 5000)),
                                     stock_locate=8)), "stock locate 8 was never announced"),
    (execute(9, 1), "order reference 9 is not in the book"),
    (execute(1, 101), "order reference 1 has 100 shares, 101 were taken off"),
    (priced(1, 101, 1, 5000, "Y"), "101 were taken off"),
    (cancel(2, 51), "order reference 2 has 50 shares"),
    (delete(9), "order reference 9 is not in the book"),
    (encode("itch", "out", "D", stock_locate=8, timestamp=1, order_reference_number=1),
     "is of stock locate 7, the message names 8"),
    (replace(9, 10, 5, 5000), "order reference 9 is not in the book"),
    (replace(1, 2, 5, 5000), "order reference 2 was added twice"),
    (replace(1, 9, 0, 5000), "added with 0 shares"),
    (directory(7, "OTHER"), "stock locate 7 is given to OTHER"),
    (directory(8, "ACME"), "stock locate 8 is given to ACME"),
    (delete(1)[:-1], "message D has 19 bytes, 18 came"),
    (b"A", "message A has 36 bytes, 1 came"),
])
def test_a_contradiction_is_told_in_a_sentence_and_changes_nothing(books, message, words):
    before = top(books), {ref: order[2:] for ref, order in books.orders.items()}
    with pytest.raises(FeedError, match="^[a-z].* ") as raised:
        books.apply(message)
    assert words in str(raised.value)
    assert before == (top(books), {ref: order[2:] for ref, order in books.orders.items()})
    assert books.message_cnt == 5 and books.by_name["ACME"] is books.by_locate[7]


def test_a_crossed_book_is_counted_after_each_message_until_it_is_none(books):
    counts = []
    for message in (add(8, "B", 5, 5100), add(9, "B", 5, 5200), delete(9), delete(8),
                    replace(3, 10, 10, 6000), execute(10, 10), add(11, "S", 5, 5001)):
        books.apply(message)
        counts.append(books.crossed_cnt)
    assert counts == [1, 2, 3, 3, 4, 4, 4]


def test_types_that_touch_no_book_and_unknown_types_are_skipped(books):
    before = top(books), len(books.orders)
    quiet = [VECTORS[name].raw for name in VECTORS
             if name.startswith("I") and chr(VECTORS[name].raw[0]) in "YLVWKJhINO"]
    assert len({raw[0] for raw in quiet}) == 10
    for message in (*quiet, b"z" + bytes(30), b"z", b"\xff", b""):
        books.apply(message)
    assert (top(books), len(books.orders)) == before
    assert books.message_cnt == 4 + len(quiet) + 4


def test_every_type_of_the_protocol_is_taken_or_skipped_on_purpose():
    """The published vectors in order: symbols, states, orders and trades of one stock."""
    books = Books()
    for name in VECTORS:
        if name.startswith("I"):
            try:
                books.apply(VECTORS[name].raw)
            except FeedError as error:          # the vectors replace an order that was used up
                assert "is not in the book" in str(error)
    assert {chr(VECTORS[n].raw[0]) for n in VECTORS if n.startswith("I")} == set(ITCH)
    book = books.by_name["EXAMPLE"]
    assert book.state and books.events and book.volume > 0


def test_a_repeated_directory_keeps_the_book_and_states_are_followed(books):
    books.apply(directory())
    books.apply(itch("H", stock="ACME", trading_state="T", reserved="", reason=""))
    assert top(books) == [(5000, 100), (5100, 50)] and books.by_name["ACME"].state == "T"
    books.apply(itch("H", stock="ACME", trading_state="H", reserved="", reason="T1"))
    assert books.by_name["ACME"].state == "H"


def test_depth_is_best_first(books):
    for message in (add(8, "S", 5, 5300), add(9, "S", 7, 5200)):
        books.apply(message)
    book = books.by_name["ACME"]
    assert book.depth(0, 5) == [(5000, 100), (4900, 10)]
    assert book.depth(1, 2) == [(5100, 50), (5200, 7)]


class Plain:
    """The same rules over decoded messages and one dict, sorted when asked."""

    def __init__(self):
        self.orders = {}

    def apply(self, message):
        fields = decode("itch", "out", message)
        ref, orders = fields.get("order_reference_number"), self.orders
        if fields.letter in "AF":
            orders[ref] = [fields.stock_locate, fields.buy_sell_indicator, fields.price,
                           fields.shares]
        elif fields.letter in "ECX":
            orders[ref][3] -= fields.get("executed_shares", 0) + fields.get("cancelled_shares", 0)
            if orders[ref][3] == 0:
                del orders[ref]
        elif fields.letter == "D":
            del orders[ref]
        elif fields.letter == "U":
            locate, side, _, _ = orders.pop(ref)
            orders[fields.new_order_reference_number] = [locate, side, fields.price, fields.shares]
        return fields.stock_locate

    def depth(self, locate, side):
        levels = {}
        for where, letter, price, shares in self.orders.values():
            if (where, letter) == (locate, "BS"[side]):
                levels[price] = levels.get(price, 0) + shares
        return sorted(levels.items(), reverse=not side)


@pytest.mark.parametrize("seed", range(4))
def test_a_real_flow_gives_the_book_of_a_plain_model(seed):
    """A venue's feed: the best prices after each message, whole depth now and then."""
    books, plain = Books(), Plain()
    for number, message in enumerate(day(seed, 2500).feed):
        books.apply(message)
        locate = plain.apply(message)
        if locate:
            sides = [plain.depth(locate, side) for side in (0, 1)]
            book = books.by_locate[locate]
            assert [book.best(0), book.best(1)] == [s[0][0] if s else 0 for s in sides], number
            if number % 100 == 0:
                assert [book.depth(side, 10**6) for side in (0, 1)] == sides
    assert books.crossed_cnt == 0
    assert books.trade_cnt == len(day(seed, 2500).trades) > 20
    assert {ref: order[3] for ref, order in books.orders.items()} == {
        ref: order[3] for ref, order in plain.orders.items()}


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_changes_even_a_crossed_one_keeps_the_best_prices(seed):
    """No venue would send this: prices at random, crossed most of the time."""
    rng, books, plain = random.Random(seed), Books(), Plain()
    books.apply(directory())
    crossed, ref = 0, 0
    for _ in range(3000):
        live = list(plain.orders)
        dice, hit = rng.random(), rng.choice(live) if live else 0
        ref += 1
        if dice < 0.4 or not hit:
            message = add(ref, rng.choice("BS"), rng.randint(1, 9), rng.randint(1, 30))
        elif dice < 0.55:
            message = delete(hit)
        elif dice < 0.7:
            message = replace(hit, ref, rng.randint(1, 9), rng.randint(1, 30))
        else:
            shares = rng.randint(1, plain.orders[hit][3])
            message = rng.choice([execute(hit, shares), cancel(hit, shares),
                                  priced(hit, shares, ref, 5, "Y")])
        books.apply(message)
        plain.apply(message)
        buy, sell = plain.depth(7, 0), plain.depth(7, 1)
        book = books.by_name["ACME"]
        assert (book.best(0), book.best(1)) == (buy[0][0] if buy else 0, sell[0][0] if sell else 0)
        crossed += bool(buy and sell and buy[0][0] >= sell[0][0])
        assert books.crossed_cnt == crossed
    assert crossed > 100


def test_prices_that_come_and_go_behind_the_best_leave_nothing_behind(books):
    for ref in range(100, 20_100):
        books.apply(add(ref, "B", 1, 1 + ref % 50))
        books.apply(delete(ref))
    assert len(books.by_name["ACME"].heaps[0]) < 200
    assert top(books) == [(5000, 100), (5100, 50)]


def test_itchfeed_reads_the_same_book_from_a_real_flow():
    """Levels kept from an independent decoder's fields equal ours at the end."""
    read = pytest.importorskip("itch.messages", reason="itchfeed is not installed").messages
    books, orders = Books(), {}
    for raw in day(1, 4000).feed:
        books.apply(raw)
        theirs, letter = read[raw[:1]](raw), raw[:1]
        ref = getattr(theirs, "order_reference_number", None)
        if letter in (b"A", b"F"):
            orders[ref] = [theirs.stock_locate, theirs.buy_sell_indicator, theirs.price,
                           theirs.shares]
        elif letter == b"U":
            orders[theirs.new_order_reference_number] = [*orders.pop(ref)[:2], theirs.price,
                                                         theirs.shares]
        elif letter == b"D":
            del orders[ref]
        elif letter in (b"E", b"X"):
            orders[ref][3] -= (theirs.executed_shares if letter == b"E"
                               else theirs.cancelled_shares)
    levels = {}
    for locate, side, price, shares in orders.values():
        levels[locate, side, price] = levels.get((locate, side, price), 0) + shares
    ours = {(locate, b"BS"[side:side + 1], price): shares
            for locate, book in books.by_locate.items() for side in (0, 1)
            for price, shares in book.levels[side].items()}
    assert ours == {key: shares for key, shares in levels.items() if shares} and len(ours) > 20
