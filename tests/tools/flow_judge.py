"""Reads an order pcap back with the plain codec, follows its orders, and matches them.

The book is price, then time, in a few lines that share nothing with the product.
"""

import heapq
import tomllib
from collections import Counter, defaultdict

from appliance.layout.codec import decode
from appliance.layout.datagram import parse_block, parse_mold
from tools import pcap
from tools.sender import payloads


def datagrams(path):
    """(time, source (ip, port), order port, Mold packet) of each packet of an order pcap."""
    capture = pcap.read(path)
    found = payloads(capture)
    assert (found.starts == capture.offsets + 42).all()
    for index, (time_ns, frame) in enumerate(capture):
        yield (time_ns, tuple(found.sources[index].tolist()), int(found.targets[index, 1]),
               parse_mold(frame[42:]))


def messages(path, partition=None):
    """(session, upstream number, OUCH record) in file order, of one partition or all; checks
    logins, tokens, order ports and numbers. One-partition files: session n is account n's."""
    told = tomllib.loads(path.with_suffix(".toml").read_text())
    sessions = told["flow"]["sessions"]
    tokens = {session["token"]: index for index, session in enumerate(sessions)}
    people = {person["name"]: person for person in told["accounts"]}
    base = int(told["flow"]["destination"].rpartition(":")[2])
    expected, logged_in, last_ns = Counter(), set(), 0
    for time_ns, source, order_port, packet in datagrams(path):
        assert time_ns >= last_ns
        last_ns, number = time_ns, tokens[packet.session]
        session = sessions[number]
        where = session.get("partition", 0)
        assert (source[1], order_port) == (session["port"], base + where)
        if packet.sequence == 0:
            (login,) = map(parse_block, packet.blocks)
            person = people[session["account"]]
            assert (login.letter, login.username, login.password) == (
                "L", person["name"], person["password"])
            assert (login.session, login.sequence) == ("", 1)
            assert number not in logged_in and not expected
            logged_in.add(number)
            continue
        assert number in logged_in and packet.sequence == expected[number] + 1
        for block in packet.blocks:
            expected[number] += 1
            outer = parse_block(block)
            assert outer.letter == "U"
            if partition in (None, where):
                yield number, expected[number], decode("ouch", "in", outer.payload)
    assert len(logged_in) == len(sessions) == len(tokens) == told["flow"]["logins"]


def follow(stream):
    """Tracks every order; fails when a cancel or replace names none. Returns counts by kind."""
    live, last, counts = set(), Counter(), Counter()
    for account, _, message in stream:
        counts[message.letter] += 1
        if message.letter in "OU":
            assert message.user_ref_num == last[account] + 1
            last[account] += 1
            if message.letter == "U":
                live.remove((account, message.orig_user_ref_num))
            live.add((account, message.user_ref_num))
        else:
            assert (account, message.user_ref_num) in live
            if message.quantity == 0:
                live.remove((account, message.user_ref_num))
    return counts


class Book:
    """Price, then time; no self-match prevention. `enter` returns [(resting order, price, qty)]."""

    def __init__(self):
        self.sides, self.orders, self.heaps = ({}, {}), {}, ([], [])

    def enter(self, order, side, price, qty, rests=True):
        """side: 0 buy, 1 sell."""
        hits, other = [], self.sides[1 - side]
        total = qty
        while qty and other:
            best = self._best(1 - side)
            if (best > price) if side == 0 else (best < price):
                break
            resting = next(iter(other[best]))
            filled = min(qty, self.orders[resting][2])
            hits.append((resting, best, filled))
            self._take(resting, filled)
            self.orders[resting][3] += filled
            qty -= filled
        if qty and rests:
            if price not in self.sides[side]:
                self.sides[side][price] = {}
                heapq.heappush(self.heaps[side], price if side else -price)
            self.sides[side][price][order] = True
            self.orders[order] = [side, price, qty, total - qty]
        return hits

    def _best(self, side):
        heap, sign = self.heaps[side], 1 if side else -1
        while sign * heap[0] not in self.sides[side]:
            heapq.heappop(heap)
        return sign * heap[0]

    def _take(self, order, qty):
        side, price, left, done = self.orders[order]
        if qty < left:
            self.orders[order][2] -= qty
            return
        del self.sides[side][price][order]
        if not self.sides[side][price]:
            del self.sides[side][price]
        self.orders[order] = [side, price, 0, done]

    def set_total(self, order, total):
        """Cancel down to an intended total."""
        if order in self.orders and self.orders[order][2]:
            _, _, left, done = self.orders[order]
            if total < left + done:
                self._take(order, left - max(0, total - done))

    def leave(self, order):
        """Takes a live order off; its (side, quantity executed), or None when it has none open."""
        if order not in self.orders or not self.orders[order][2]:
            return None
        side, _, left, done = self.orders[order]
        self._take(order, left)
        return side, done


def trades_of(stream):
    """The trades of a stream of messages by Book: (incoming, its hits) of each incoming order that
    hit something or was immediate-or-cancel; orders are (account, UserRefNum). A replace that
    would trade fails."""
    books, symbol_of, result = defaultdict(Book), {}, []
    for account, _, message in stream:
        if message.letter == "O":
            order, side = (account, message.user_ref_num), "BS".index(message.side)
            symbol_of[order] = message.symbol
            hits = books[message.symbol].enter(order, side, message.price, message.quantity,
                                               message.time_in_force == "0")
            if hits or message.time_in_force != "0":
                result.append((order, hits))
        elif message.letter == "U":
            old, new = ((account, number) for number in (message.orig_user_ref_num,
                                                         message.user_ref_num))
            symbol_of[new] = symbol_of[old]
            book = books[symbol_of[old]]
            side, done = book.leave(old)
            hits = book.enter(new, side, message.price, message.quantity - done)
            book.orders[new][3] = done
            assert not hits
        else:
            books[symbol_of[account, message.user_ref_num]].set_total(
                (account, message.user_ref_num), message.quantity)
    return result
