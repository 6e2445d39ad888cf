"""A day's evening of the CME as commands of the compiled book, and its trades as the judge.

The file tells every order, change and cancel, and for each trade the resting orders that were hit.
They become commands as the data folder's `es_fills.py` says: an aggressor is an immediate-or-cancel
order whose trades are compared, with their orders and quantities, with the fills of the file. Where
they differ the book is put back and the real fills are applied, so one difference does not cause
the next. What the public file hides and the venue knew is in `Plain` or its heirs (`cme_hidden`).
"""

import io
from typing import NamedTuple

import numpy as np
import pytest

from appliance.hot import state
from appliance.hot.book import apply
from appliance.layout.record import (
    CANCEL, COMMAND, ENTER, EVENT, PREVENTED, REFRESHED, REPLACE, RESERVE, SMP_OFF, SMP_OLDEST,
    TRADE,
)
from tests.shared_data import shared_file

TICK = 250_000_000                   # 0.25 index points in the file's units of 1e-9
FIRST_TICKS = 4_808 * 4              # the ladder begins inside the day's range: much lies far
BUY, SELL = 0, 1
SIDES = {"B": BUY, "A": SELL}
IMMEDIATE = 3
LAST = 128                           # record.flags: the last record of its event


class Row(NamedTuple):
    """One record: action A C M F T, side B A N, price in ticks; `last` ends an event."""
    action: str
    side: str
    order: int
    price: int
    size: int
    last: bool


def read_rows() -> list:
    """Every Row of the file."""
    path = shared_file("data/esh4-20231225.mbo.dbn.zst")
    databento = pytest.importorskip("databento_dbn", reason="databento-dbn is not installed")
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
    decoder = databento.DBNDecoder()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())) as unpacked:
        decoder.write(unpacked.read())
    rows = []
    for record in decoder.decode():
        if hasattr(record, "order_id"):
            action, side = (str(value).split(".")[-1][0] for value in (record.action, record.side))
            rows.append(Row(action, side, record.order_id, record.price // TICK, record.size,
                            bool(int(record.flags) & LAST)))
    return rows


class Plain:
    """What the venue knew and the file does not tell: here nothing."""

    def floor(self, order, at):
        """Shares that an iceberg shows at a time, 0 for any other order; before rows[at]."""
        return 0

    def reserve(self, order, at, shown):
        """Shares that it holds back when it shows `shown`."""
        return 0

    def account(self, order):
        """Account of an order for self-match prevention, 0 nobody's."""
        return 0


class CompiledBook:
    """The product's book under the file's order ids. Crossing orders wait in `held`."""

    def __init__(self, knowledge):
        self.core = state.build(state.Sizes(
            symbols=1, accounts=1, pages=256, lg_ladder=12, far_cap=2048, far_levels=4096, chunks=2,
            feed_bytes=1 << 12, feed_messages=1 << 4, journal=1 << 4))
        self.book = self.core.book
        self.book.symbols[0]["window_ticks"] = FIRST_TICKS
        self.commands = np.zeros(1, COMMAND.dtype)
        self.events = np.zeros(len(self.core.burst.events), EVENT.dtype)
        self.handle, self.order, self.place = {}, {}, {}
        self.held = {}
        self.used = self.at = 0
        self.knowledge = knowledge
        self.saved = [np.empty_like(array) for array in self.book]
        self.prevented = 0

    def command(self, kind, **fields):
        """The events of one command."""
        self.commands[0] = 0
        self.commands[0]["kind"] = kind
        for name, value in fields.items():
            self.commands[0][name] = value
        cnt = apply(self.book, self.commands, 0, 1, self.events, 0)
        engine = self.book.engine[0]
        assert engine["fault"] == 0 and engine["unfinished"] == 0
        return self.events[:cnt]

    def new_handle(self, order):
        self.used += 1
        self.handle[order], self.order[self.used] = self.used, order
        return self.used

    def knows(self, order):
        return order in self.held or self.shown(order) > 0

    def shown(self, order):
        """Shares that it shows, all of them for most orders."""
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
        more, floor = {}, self.knowledge.floor(order, self.at)
        if floor:
            more = {"flags": RESERVE, "min_qty": min(floor, size)}
            size += self.knowledge.reserve(order, self.at, size)
        self.command(ENTER, side=side, order=self.new_handle(order), qty=size, price_ticks=price,
                     account=self.knowledge.account(order), **more)

    def release(self):
        """Enters the held orders that no longer cross, oldest first."""
        waiting, self.held = self.held, {}
        for order, (side, price, size) in waiting.items():
            self.enter(order, side, price, size)

    def remove(self, order):
        """It leaves with all that it holds back."""
        if order in self.held:
            del self.held[order]
        elif self.shown(order):
            self.command(CANCEL, target=self.handle[order])

    def take(self, order, size):
        """Takes `size` (at most what is shown) off an order; the rest keeps its place."""
        shown = self.shown(order)
        size = min(size, shown)
        if size == shown or self.knowledge.floor(order, self.at):
            self.remove(order)
            if size < shown:
                self.enter(order, *self.place[order], shown - size)
        elif order in self.held:
            self.held[order][2] -= size
        elif size:
            handle = self.handle[order]
            self.command(CANCEL, target=handle, qty=int(self.book.orders[handle]["total"]) - size)

    def change(self, order, price, size):
        """In place when the price stays and the size does not grow, else to the back."""
        side, was_price = self.held[order][:2] if order in self.held else self.place[order]
        shown = self.shown(order)
        if price == was_price and size <= shown:
            if size < shown:
                self.take(order, shown - size)
        elif (order in self.held or self.crosses(side, price)
              or self.knowledge.floor(order, self.at)):
            self.remove(order)
            self.enter(order, side, price, size)
        else:
            old = self.handle[order]
            executed = int(self.book.orders[old]["total"]) - shown
            self.place[order] = side, price
            self.command(REPLACE, target=old, order=self.new_handle(order), qty=executed + size,
                         price_ticks=price, account=self.knowledge.account(order))

    def _copy(self, to, of):
        """All arrays, of those with a row an order only what is in use."""
        for target, source in zip(to, of):
            rows = self.used + 2 if len(source) == len(self.book.orders) else len(source)
            np.copyto(target[:rows], source[:rows])

    def trade(self, row, expected):
        """Sends the aggressor; (it hit exactly `expected`, what it hit). If so the book stays."""
        self.used += 1
        self._copy(self.saved, self.book)
        account = self.knowledge.account(row.order)
        events = self.command(ENTER, side=SIDES[row.side], order=self.used, qty=row.size,
                              price_ticks=row.price, tif=IMMEDIATE, account=account,
                              smp=SMP_OLDEST if account else SMP_OFF)
        hits = self.as_listed(events)
        if hits == expected:
            self.prevented += int(np.count_nonzero(events["kind"] == PREVENTED))
            return True, hits
        self._copy(self.book, self.saved)
        return False, hits

    def as_listed(self, events):
        """The trades as the file lists them: one fill an order, where it stands at the end.

        So a reserve order that shows more at the back comes behind those that did not.
        """
        listed, at_back = {}, {}
        for event in events:
            if event["kind"] == TRADE:
                order, qty = self.order[int(event["resting"])], int(event["qty"])
                mine = at_back if order in at_back else listed
                qty += mine[order][2] if order in mine else 0
                mine[order] = order, int(event["price_ticks"]), qty
            elif event["kind"] == REFRESHED:
                order = self.order[int(event["order"])]
                at_back[order] = (at_back if order in at_back else listed).pop(order)
        return [*listed.values(), *at_back.values()]


class Result(NamedTuple):
    """Trades compared and reproduced, (row, expected, hit) of each other one, the book at the end.
    """
    compared: int
    reproduced: int
    others: list
    book: CompiledBook


def replay(rows, knowledge) -> Result:
    """Sends the file through a new book."""
    book, others = CompiledBook(knowledge), []
    compared = reproduced = at = 0
    while at < len(rows):
        row, book.at = rows[at], at
        at += 1
        known = book.knows(row.order)
        if row.action == "A" or (row.action == "M" and not known):
            book.remove(row.order)
            book.enter(row.order, SIDES[row.side], row.price, row.size)
        elif row.action == "M":
            book.change(row.order, row.price, row.size)
        elif row.action == "C" and known:
            if row.size == book.shown(row.order):
                book.remove(row.order)
            else:
                book.take(row.order, row.size)
        elif row.action == "T":
            fills = []
            while at < len(rows) and rows[at].action == "F":
                fills.append(rows[at])
                at += 1
            applied = []
            if row.side != "N":                # N is the opening auction: applied, not compared
                hits = [fill for fill in fills if fill.side != row.side]
                expected = [fill[2:5] for fill in hits]
                compared += 1
                is_same, hit = book.trade(row, expected)
                if is_same:
                    reproduced += 1
                    applied = hits
                else:
                    others.append((compared, row, expected, hit))
            for fill in fills:
                if fill not in applied:
                    book.take(fill.order, fill.size)
        if book.held:
            book.release()
    return Result(compared, reproduced, others, book)
