"""Books built from ITCH messages, as a subscriber keeps them (book rules of wire-spec 3).

Reconstruction only: nothing is matched here. After every message that touches a book, that book is
checked: one whose best buy price reaches its best sell price is counted as crossed.
"""

import hashlib
import struct
from heapq import heapify, heappop, heappush

from ..layout.wire_itch import ITCH

_ADD = struct.Struct(">xHxx6xQcI8sI")
_TAKEN = struct.Struct(">xHxx6xQIQ")
_PRICED = struct.Struct(">xHxx6xQIQcI")
_CANCEL = struct.Struct(">xHxx6xQI")
_DELETE = struct.Struct(">xHxx6xQ")
_REPLACE = struct.Struct(">xHxx6xQQII")
_TRADE = struct.Struct(">xHxx6x8xcI8sIQ")
_CROSS = struct.Struct(">xHxx6xQ8sIQ")
_BROKEN = struct.Struct(">xHxx6xQ")
_SIZES = {ord(letter): message.size for letter, message in ITCH.items()}
_SIDES = {b"B": 0, b"S": 1}


class FeedError(RuntimeError):
    """The feed contradicts itself or a message is cut short; the text says how."""


class SymbolBook:
    """The book of one symbol. Sides: 0 buy, 1 sell. Prices x 10,000 (price4), quantities shares.

    levels: per side {price: shares}. state: last trading state (`T` trading), "" before any.
    volume: shares traded (E, printable C, P, Q, less broken ones); trade_cnt: those trades;
    last_price: of the last of them.
    """

    __slots__ = ("name", "locate", "levels", "heaps", "state", "volume", "trade_cnt", "last_price",
                 "stock")

    def __init__(self, stock: bytes, locate: int):
        self.stock, self.locate, self.state = stock, locate, ""
        self.name = stock.decode("latin-1").rstrip()
        self.levels, self.heaps = ({}, {}), ([], [])
        self.volume = self.trade_cnt = self.last_price = 0

    def best(self, side: int) -> int:
        """Best price of the side; 0 when it is empty."""
        heap, levels = self.heaps[side], self.levels[side]
        while heap:
            price = heap[0] if side else -heap[0]
            if price in levels:
                return price
            heappop(heap)
        return 0

    def depth(self, side: int, count: int) -> list:
        """The best `count` levels as (price, shares), best first."""
        return sorted(self.levels[side].items(), reverse=not side)[:count]

    def add(self, side, price, shares):
        """Shares more at a price."""
        levels = self.levels[side]
        if price in levels:
            levels[price] += shares
            return
        levels[price] = shares
        heap = self.heaps[side]
        heappush(heap, price if side else -price)
        if len(heap) > 2 * len(levels) + 64:    # prices that went while others were better
            heap[:] = levels if side else [-each for each in levels]
            heapify(heap)

    def take(self, side, price, shares):
        """Shares less at a price that has at least as many."""
        levels = self.levels[side]
        left = levels[price] - shares
        if left:
            levels[price] = left
        else:
            del levels[price]


class Books:
    """All books of a feed. `apply` takes its ITCH messages one by one, in order.

    by_name, by_locate: the SymbolBooks. orders: {order reference: [book, side, price, shares]} of
    what is in the books. events: letters of the System Events. message_cnt: messages seen;
    trade_cnt, broken_cnt: trades and Broken Trades of all books; crossed_cnt: messages after which
    the book they touched was crossed (a venue that matches continuously never shows one).
    """

    def __init__(self):
        self.by_locate, self.by_name, self.orders, self.trades = {}, {}, {}, {}
        self.message_cnt = self.trade_cnt = self.broken_cnt = self.crossed_cnt = 0
        self.events = []
        handlers = {"A": self._add, "F": self._add, "E": self._execute, "C": self._execute_priced,
                    "X": self._cancel, "D": self._delete, "U": self._replace,
                    "P": self._trade, "Q": self._cross, "B": self._broken,
                    "R": self._directory, "H": self._state, "S": self._event}
        self._handlers = {ord(letter): (_SIZES[ord(letter)], handler)
                          for letter, handler in handlers.items()}

    def apply(self, message: bytes) -> None:
        """One ITCH message; types that touch no book are counted and skipped.

        FeedError on a contradiction; that message has then changed nothing but `message_cnt`.
        """
        self.message_cnt += 1
        if not message:
            return
        known = self._handlers.get(message[0])
        if known is None:
            return
        if len(message) < known[0]:
            raise FeedError(f"message {chr(message[0])} has {known[0]} bytes, {len(message)} came")
        book = known[1](message)
        if book is not None and 0 < book.best(1) <= book.best(0):
            self.crossed_cnt += 1

    def digest(self) -> str:
        """A hash of every book: its orders in the sequence of their priority, levels, state. Equal
        for two consumers who are at the same message, however they got there."""
        found = hashlib.sha256()
        for ref, (book, side, price, shares) in self.orders.items():
            found.update(b"%d %d %d %d %d\n" % (book.locate, ref, side, price, shares))
        for locate, book in sorted(self.by_locate.items()):
            found.update(repr((locate, book.stock, book.state, *(
                sorted(levels.items()) for levels in book.levels))).encode())
        return found.hexdigest()

    def _book(self, locate):
        book = self.by_locate.get(locate)
        if book is None:
            raise FeedError(f"stock locate {locate} was never announced by a Stock Directory")
        return book

    def _order(self, ref, locate):
        order = self.orders.get(ref)
        if order is None:
            raise FeedError(f"order reference {ref} is not in the book")
        if order[0].locate != locate:
            raise FeedError(f"order reference {ref} is of stock locate {order[0].locate}, "
                            f"the message names {locate}")
        return order

    def _directory(self, message):
        locate, stock = message[1] << 8 | message[2], message[11:19]
        book = self.by_locate.get(locate) or SymbolBook(stock, locate)
        if book.stock != stock or self.by_name.get(book.name, book) is not book:
            raise FeedError(f"stock locate {locate} is given to {stock.decode('latin-1').rstrip()},"
                            " the locate or the symbol has another one already")
        self.by_locate[locate] = self.by_name[book.name] = book

    def _state(self, message):
        self._book(message[1] << 8 | message[2]).state = chr(message[19])

    def _event(self, message):
        self.events.append(chr(message[11]))

    def _new(self, ref, shares):
        if ref in self.orders:
            raise FeedError(f"order reference {ref} was added twice")
        if not shares:
            raise FeedError(f"order reference {ref} was added with 0 shares")

    def _add(self, message):
        locate, ref, letter, shares, stock, price = _ADD.unpack_from(message)
        book, side = self._book(locate), _SIDES.get(letter)
        self._new(ref, shares)
        if side is None or stock != book.stock:
            raise FeedError(f"order reference {ref} has side {letter!r} and stock {stock!r}; "
                            f"stock locate {locate} is {book.name}")
        self.orders[ref] = [book, side, price, shares]
        book.add(side, price, shares)
        return book

    def _shrink(self, ref, locate, shares):
        order = self._order(ref, locate)
        book, side, price, open_shares = order
        if shares > open_shares:
            raise FeedError(f"order reference {ref} has {open_shares} shares, "
                            f"{shares} were taken off")
        book.take(side, price, shares)
        if shares == open_shares:
            del self.orders[ref]
        else:
            order[3] = open_shares - shares
        return book, price

    def _traded(self, book, shares, price, match):
        if not shares:                          # a cross without orders
            return
        self.trades[match] = book, shares
        self.trade_cnt += 1
        book.trade_cnt += 1
        book.volume += shares
        book.last_price = price

    def _execute(self, message):
        locate, ref, shares, match = _TAKEN.unpack_from(message)
        book, price = self._shrink(ref, locate, shares)
        self._traded(book, shares, price, match)
        return book

    def _execute_priced(self, message):
        locate, ref, shares, match, printable, price = _PRICED.unpack_from(message)
        book = self._shrink(ref, locate, shares)[0]
        if printable == b"Y":                   # otherwise it is part of a later bulk print
            self._traded(book, shares, price, match)
        return book

    def _trade(self, message):
        locate, _, shares, _, price, match = _TRADE.unpack_from(message)
        self._traded(self._book(locate), shares, price, match)

    def _cross(self, message):
        locate, shares, _, price, match = _CROSS.unpack_from(message)
        self._traded(self._book(locate), shares, price, match)

    def _broken(self, message):
        book, shares = self.trades.pop(_BROKEN.unpack_from(message)[1], (None, 0))
        self.broken_cnt += 1
        if book is not None:
            book.volume -= shares

    def _cancel(self, message):
        locate, ref, shares = _CANCEL.unpack_from(message)
        return self._shrink(ref, locate, shares)[0]

    def _delete(self, message):
        locate, ref = _DELETE.unpack_from(message)
        book, side, price, shares = self._order(ref, locate)
        del self.orders[ref]
        book.take(side, price, shares)
        return book

    def _replace(self, message):
        locate, ref, new_ref, shares, price = _REPLACE.unpack_from(message)
        book, side, old_price, old_shares = self._order(ref, locate)
        self._new(new_ref, shares)
        del self.orders[ref]
        book.take(side, old_price, old_shares)
        self.orders[new_ref] = [book, side, price, shares]
        book.add(side, price, shares)
        return book
