"""Real matching as judge: the CME's orders through the compiled book must give the CME's trades.

The file tells every order, change and cancel, and for each trade the resting orders that were hit.
They become commands as the data folder's `es_fills.py` says: an aggressor is an immediate-or-cancel
order whose trades are compared, with their orders and quantities, with the fills of the file. Where
they differ (icebergs, self-match prevention of that venue) the book is put back and the real fills
are applied, so one difference does not cause the next.
"""

import io

import numpy as np
import pytest

from appliance.hot import state
from appliance.hot.book import apply
from appliance.layout.record import CANCEL, COMMAND, ENTER, EVENT, REPLACE, TRADE
from tests.shared_data import shared_file

TRADES = 2_972
REPRODUCED = 2_817
TICK = 250_000_000                   # 0.25 index points in the file's units of 1e-9
FIRST_TICKS = 4_808 * 4              # the ladder begins inside the day's range: much lies far
BUY, SELL = 0, 1
IMMEDIATE = 3


def records():
    """(action, side, order id, price in ticks, size) of every record of the file."""
    path = shared_file("data/esh4-20231225.mbo.dbn.zst")
    databento = pytest.importorskip("databento_dbn", reason="databento-dbn is not installed")
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
    decoder = databento.DBNDecoder()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())) as unpacked:
        decoder.write(unpacked.read())
    for record in decoder.decode():
        if hasattr(record, "order_id"):
            action, side = (str(value).split(".")[-1][0] for value in (record.action, record.side))
            yield action, side, record.order_id, record.price // TICK, record.size


class CompiledBook:
    """The product's book under the file's order ids. Crossing orders wait in `held`."""

    def __init__(self):
        self.core = state.build(state.Sizes(
            symbols=1, accounts=1, pages=256, lg_ladder=12, far_cap=2048, far_levels=4096, chunks=2,
            feed_bytes=1 << 12, feed_messages=1 << 4, journal=1 << 4))
        self.book = self.core.book
        self.book.symbols[0]["window_ticks"] = FIRST_TICKS
        self.commands = np.zeros(1, COMMAND.dtype)
        self.events = np.zeros(len(self.core.burst.events), EVENT.dtype)
        self.handle, self.order, self.place = {}, {}, {}
        self.held = {}
        self.used = 0
        self.saved = [np.empty_like(array) for array in self.book]

    def command(self, kind, **fields):
        """The events of one command."""
        self.commands[0] = 0
        self.commands[0]["kind"] = kind
        for name, value in fields.items():
            self.commands[0][name] = value
        cnt = apply(self.book, self.commands, 0, 1, self.events, 0)
        assert self.book.engine[0]["fault"] == 0
        return self.events[:cnt]

    def new_handle(self, order):
        self.used += 1
        self.handle[order], self.order[self.used] = self.used, order
        return self.used

    def knows(self, order):
        return order in self.held or self.open(order) > 0

    def open(self, order):
        if order in self.held:
            return self.held[order][2]
        return int(self.book.orders[self.handle[order]]["qty"]) if order in self.handle else 0

    def crosses(self, side, price):
        """Would it trade now, or stand before an order of its price that is held?"""
        if side == BUY:
            met = price >= int(self.book.sides[SELL]["best_ticks"])
        else:
            met = price <= int(self.book.sides[BUY]["best_ticks"])
        return met or any((side, price) == held[:2] for held in self.held.values())

    def enter(self, order, side, price, size):
        if self.crosses(side, price):
            self.held[order] = [side, price, size]
            return
        self.place[order] = side, price
        self.command(ENTER, side=side, order=self.new_handle(order), qty=size, price_ticks=price)

    def release(self):
        """Enters the held orders that no longer cross, oldest first."""
        waiting, self.held = self.held, {}
        for order, (side, price, size) in waiting.items():
            self.enter(order, side, price, size)

    def take(self, order, size):
        """Takes `size` (at most what is open) off an order; the rest keeps its place."""
        open_qty = self.open(order)
        size = min(size, open_qty)
        if order in self.held:
            self.held[order][2] -= size
            if self.held[order][2] == 0:
                del self.held[order]
        elif size:
            handle = self.handle[order]
            total = int(self.book.totals[handle]) - size if size < open_qty else 0
            self.command(CANCEL, target=handle, qty=total)

    def change(self, order, price, size):
        """In place when the price stays and the size does not grow, else to the back."""
        side, was_price = self.held[order][:2] if order in self.held else self.place[order]
        open_qty = self.open(order)
        if price == was_price and size <= open_qty:
            self.take(order, open_qty - size)
        elif order in self.held or self.crosses(side, price):
            self.take(order, open_qty)
            self.enter(order, side, price, size)
        else:
            old = self.handle[order]
            executed = int(self.book.totals[old]) - open_qty
            self.place[order] = side, price
            self.command(REPLACE, target=old, order=self.new_handle(order), qty=executed + size,
                         price_ticks=price)

    def trade(self, side, price, size, expected):
        """Sends the aggressor; True, and the book stays, when it hit exactly `expected`."""
        for array, before in zip(self.book, self.saved):
            np.copyto(before, array)
        self.used += 1
        events = self.command(ENTER, side=side, order=self.used, qty=size, price_ticks=price,
                              tif=IMMEDIATE)
        hits = [(self.order[int(event["resting"])], int(event["price_ticks"]), int(event["qty"]))
                for event in events if event["kind"] == TRADE]
        if hits == expected:
            return True
        for array, before in zip(self.book, self.saved):
            np.copyto(array, before)
        return False


def replay():
    """(trades compared, trades reproduced, the book at the end)."""
    rows, book = list(records()), CompiledBook()
    letters = {"B": BUY, "A": SELL}
    compared = reproduced = at = 0
    while at < len(rows):
        action, letter, order, price, size = rows[at]
        at += 1
        known = book.knows(order)
        if action == "A" or (action == "M" and not known):
            book.take(order, book.open(order))
            book.enter(order, letters[letter], price, size)
        elif action == "M":
            book.change(order, price, size)
        elif action == "C" and known:
            book.take(order, size)
        elif action == "T":
            fills = []
            while at < len(rows) and rows[at][0] == "F":
                fills.append(rows[at])
                at += 1
            applied = []
            if letter != "N":                  # N is the opening auction: applied, not compared
                hits = [fill for fill in fills if fill[1] != letter]
                compared += 1
                if book.trade(letters[letter], price, size, [fill[2:] for fill in hits]):
                    reproduced += 1
                    applied = hits
            for fill in fills:
                if fill not in applied:
                    book.take(fill[2], fill[4])
        if book.held:
            book.release()
    return compared, reproduced, book


def test_cme_trades_are_reproduced_by_the_compiled_book():
    compared, reproduced, book = replay()
    assert compared == TRADES
    assert reproduced >= REPRODUCED, f"{reproduced} of {compared} trades reproduced exactly"
    bid, ask = (int(each) for each in book.book.sides["best_ticks"][:2])
    assert (bid, ask) == (4_810_000_000_000 // TICK, 4_810_250_000_000 // TICK)
    assert int(book.book.engine[0]["far_scans"]) > 1000
