"""A small book to send commands to, its slow and obvious twin, and random command streams.

`Desk` applies commands one by one and gives back events as tuples. `Model` does the same with plain
lists and dicts. An event is (kind, side, reason, flags, order, resting, qty, price, left, number).
The one event of a plain order that is booked whole comes as the two that it stands for.
"""

import numpy as np

from appliance.hot import state
from appliance.hot.book import apply
from appliance.layout import record as r
from tests.hot.book_validate import far_of, validate

BUY, SELL = 0, 1
DAY, IMMEDIATE = 0, 3
WINDOW, WINDOW_END = 1000, 1000 + 4096          # ladder prices are WINDOW .. WINDOW_END - 1
MARKET_BUY, MARKET_SELL = 2147483647, 0
DEAD, REST_DEAD, BOOKED = r.ORDER_DEAD, r.RESTING_DEAD, r.WAS_BOOKED


def command(kind, **fields):
    """One COMMAND record; fields that are not given are 0."""
    made = np.zeros(1, r.COMMAND.dtype)[0]
    made["kind"] = kind
    for name, value in fields.items():
        made[name] = value
    return made


def enter(order, side, qty, price, **more):
    if price in ("market",):
        more["flags"] = more.get("flags", 0) | r.MARKET
        more.setdefault("tif", IMMEDIATE)
        price = MARKET_SELL if side else MARKET_BUY
    return command(r.ENTER, order=order, side=side, qty=qty, price_ticks=price, **more)


def cancel(target, qty=0, **more):
    return command(r.CANCEL, target=target, qty=qty, **more)


def replace(target, order, side, qty, price, **more):
    return command(r.REPLACE, target=target, order=order, side=side, qty=qty, price_ticks=price,
                   **more)


def modify(target, qty):
    return command(r.MODIFY, target=target, qty=qty)


def as_tuples(events):
    """Each EVENT as a tuple; ACCEPTED with WAS_BOOKED as ACCEPTED and BOOKED."""
    given = []
    for event in events:
        row = tuple(int(event[name]) for name in ("kind", "side", "reason", "flags", "order",
                    "resting", "qty", "price_ticks", "left", "number"))
        if row[0] == r.ACCEPTED and row[3] & BOOKED:
            kind, side, _, _, order, _, qty, price, shown, number = row
            given += [(kind, side, 0, 0, order, 0, qty, 0, 0, number),
                      (r.BOOKED, side, 0, 0, order, 0, shown, price, 0, 0)]
        else:
            given.append(row)
    return given


class Desk:
    """An empty book of two symbols with windows of 1000..5095 ticks, validated at each command."""

    def __init__(self, far_cap=64, far_levels=256, pages=16, checked=True, room=None):
        sizes = state.Sizes(symbols=2, accounts=4, pages=pages, lg_ladder=12, far_cap=far_cap,
                            far_levels=far_levels, chunks=2, feed_bytes=1 << 12,
                            feed_messages=1 << 8, journal=1 << 8, link_depth=16)
        core = state.build(sizes)
        self.book, self.events, self.checked = core.book, core.burst.events[:room], checked
        self.book.symbols["window_ticks"] = WINDOW
        self.engine, self.pauses = self.book.engine[0], 0
        self.engine["follow_after"] = 0

    def send(self, *commands):
        """The events of these commands, applied one at a time."""
        given = []
        for one in commands:
            batch = np.array([one], r.COMMAND.dtype)
            while True:
                event_cnt = apply(self.book, batch, 0, 1, self.events, 0)
                given += as_tuples(self.events[:event_cnt])
                if self.checked:
                    validate(self.book)
                if self.engine["unfinished"] == 0:
                    break
                self.pauses += 1
        return given

    def kinds(self, *commands):
        """(kind, order, qty) of each event."""
        return [(event[0], event[4], event[6]) for event in self.send(*commands)]

    def best(self, side, symbol=0):
        return int(self.book.sides[symbol * 2 + side]["best_ticks"])

    def queue(self, side, price, symbol=0):
        """Handles at a price, oldest first, as the links say."""
        return [order for order, _ in levels_of(self.book, symbol * 2 + side).get(price, [])]


def levels_of(book, owner):
    """price -> [(handle, open quantity)] of one side, read through bitmap and far blocks alike."""
    lg_ladder = int(book.engine[0]["lg_ladder"])
    window = int(book.symbols[owner >> 1]["window_ticks"])
    found = {}
    row = book.levels[owner << lg_ladder:(owner + 1) << lg_ladder]
    heads = [(window + int(place), int(row[place]["head"])) for place in np.nonzero(row["head"])[0]]
    heads += [(price, int(book.far_levels[slot]["head"])) for price, slot in far_of(book, owner)]
    for price, head in heads:
        found[price] = []
        while head:
            found[price].append((head, int(book.orders[head]["qty"])))
            head = int(book.orders[head]["next"])
    return found


def _make_special(generator, fields, side, price):
    """Makes the order one of the rarer types; its price."""
    flags, tif = fields.get("flags", 0), fields.get("tif", 0)
    style = generator.randrange(6)
    if style == 0:
        fields.update(flags=flags | r.HIDDEN)
    elif style in (1, 2) and tif == 0:
        fields.update(flags=flags | r.RESERVE, min_qty=generator.choice((1, 3, 10, 40)))
    elif style == 3 and tif == 0:
        fields.update(flags=flags | r.HIDDEN, min_qty=generator.choice((2, 10, 25, 100)))
    elif style == 4:
        fields.update(tif=tif or 6)
    elif style == 5:
        close = generator.choice((0, r.ON_CLOSE))
        fields.update(flags=r.AUCTION | close | (r.MARKET if flags & r.MARKET else 0), min_qty=0)
    return price


def random_commands(generator, count, window_edges, first_order=256, special=0):
    """`count` commands over both symbols around these prices, targets mostly live or once live.

    special: how many of ten orders are hidden, reserve, good till time or for a cross.
    """
    order, made = first_order, []
    for _ in range(count):
        kind = generator.choices((r.ENTER, r.CANCEL, r.REPLACE, r.MODIFY), (55, 20, 15, 10))[0]
        side, symbol = generator.randrange(2), generator.randrange(2)
        price = generator.choice(window_edges) + generator.randrange(-4, 5)
        modes = (0, 0, 0, 1, 2, 3) if special else (0, 0, 0, 1, 2)
        fields = {"smp": generator.choice(modes), "account": generator.randrange(4)}
        if kind in (r.ENTER, r.REPLACE):
            style = generator.randrange(10)
            if style == 0:
                fields.update(tif=IMMEDIATE, flags=r.MARKET)
                price = MARKET_SELL if side else MARKET_BUY
            elif style == 1:
                fields.update(tif=IMMEDIATE, min_qty=generator.choice((0, 10, 400)))
            elif style == 2:
                fields.update(flags=r.POST_ONLY)
            if special and generator.randrange(10) < special:
                price = _make_special(generator, fields, side, price)
        qty = generator.choice((1, 5, 10, 20, 100, 300))
        target = 0
        if kind != r.ENTER:
            target = generator.randrange(max(first_order, order - 60), order + 1)
        if kind == r.ENTER:
            made.append(enter(order, side, qty, price, symbol=symbol, **fields))
            order += 1
        elif kind == r.REPLACE:
            made.append(replace(target, order, side, qty, price, symbol=symbol, **fields))
            order += 1
        elif kind == r.CANCEL:
            made.append(cancel(target, generator.choice((0, 0, 3, 12)),
                               tif=generator.choice((0, 90))))
        else:
            made.append(modify(target, generator.choice((0, 4, 10, 50, 400))))
    return made
