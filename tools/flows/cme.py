"""CME E-mini S&P 500 (ESH4), two hours order by order with every real fill, as OUCH commands.

A enters, C takes off, M reduces in place or, moved or grown, replaces; T is an immediate-or-cancel
order of the aggressor's side. The converter follows the appliance's book (`cme_book`):

- An order that would cross is held back until it no longer does: the book before the open is
  crossed. The opening auction (a T of no side) has its fills applied as cancels and reductions.
- Where price and time explain the real fills of a T, the order goes out whole. Where they do not
  (icebergs, self-match prevention at the venue), it goes out only as far as they do, and the other
  real fills are applied as cancels: the book stays the real one. Such a trade counts as missed.

`Flow.fills` holds the real hits of every continuous trade, to be compared with what is executed.
"""

from pathlib import Path

import numpy as np

from . import commands as c
from .cme_book import Mirror

TICK = 2_500                 # a quarter of a point
SCALE = 100_000              # prices of the data are in 1e-9, ours in 1e-4
SNAPSHOT = 32                # flag of records that only repeat the book of the day before
_ROWS = np.dtype([("time_ns", "i8"), ("order", "u8"), ("price", "i8"), ("size", "i8"),
                  ("action", "U1"), ("side", "U1"), ("snapshot", "?")])


def records(path):
    """The order records of the file, in order, as an array (prices still in 1e-9)."""
    try:
        import databento_dbn
        import zstandard
    except ImportError as missing:
        raise c.SourceError(f"the cme source needs {missing.name}; install it with: "
                            "pip install databento-dbn zstandard") from missing
    decoder = databento_dbn.DBNDecoder()
    try:
        with open(path, "rb") as file:
            decoder.write(zstandard.ZstdDecompressor().stream_reader(file).read())
        decoded = decoder.decode()
    except (zstandard.ZstdError, databento_dbn.DBNError) as trouble:
        raise c.SourceError(f"{path} is not a zstd-compressed DBN file: {trouble}") from trouble
    return np.array([(r.ts_recv, r.order_id, r.price, r.size, str(r.action).rsplit(".", 1)[-1][0],
                      str(r.side).rsplit(".", 1)[-1][0], int(r.flags) & SNAPSHOT != 0)
                     for r in decoded if hasattr(r, "order_id")], _ROWS)


def _times(rows):
    """Arrival times, never falling; the day before's book arrives with the first live record."""
    times = rows["time_ns"].copy()
    live = times[~rows["snapshot"]]
    if len(live):
        times[rows["snapshot"]] = live[0]
    return np.maximum.accumulate(times)


def _convert(rows, times, accounts, seed):
    """Runs the rows through a Mirror. Returns it with the fills as tuples of FILL's fields."""
    mirror, fills, trade = Mirror(), [], 0
    actions, sides = rows["action"].tolist(), rows["side"].tolist()
    orders, sizes = rows["order"].tolist(), rows["size"].tolist()
    prices, when = (rows["price"] // SCALE).tolist(), times.tolist()
    owners, at = c.account_of(rows["order"], accounts, seed).tolist(), 0
    while at < len(rows):
        row, at = at, at + 1
        action, order = actions[row], orders[row]
        mirror.now(when[row], owners[row])
        if action == "A" or (action == "M" and order not in mirror):
            mirror.cancel(order)
            mirror.enter(order, sides[row], prices[row], sizes[row])
        elif action == "M":
            mirror.modify(order, prices[row], sizes[row])
        elif action == "C":
            mirror.reduce(order, sizes[row])
        elif action == "T":
            begin = at
            while at < len(rows) and actions[at] == "F":
                at += 1
            hits = list(zip(orders[begin:at], prices[begin:at], sizes[begin:at], strict=True))
            rest = hits
            if sides[row] != "N":
                theirs = [hit for hit, side in zip(hits, sides[begin:at], strict=True)
                          if side != sides[row]]
                makers = [mirror.maker(hit[0]) for hit in theirs]
                sent, alike, whole = mirror.aggress(sides[row], prices[row], sizes[row], theirs)
                fills += [(trade, sent, maker, price, size, whole) for maker, (_, price, size)
                          in zip(makers, theirs, strict=True)] or [(trade, sent, -1, 0, 0, whole)]
                own = [hit for hit, side in zip(hits, sides[begin:at], strict=True)
                       if side == sides[row]]
                rest, trade = theirs[alike:] + own, trade + 1
            for name, _, size in rest:
                mirror.reduce(name, size)
        mirror.release()
    return mirror, fills


def load(accounts: int, seed: int, path, limit: int | None = None) -> c.Flow:
    """The file as a Flow with the real fills beside it."""
    if not path:
        raise c.SourceError("the cme source needs --data FILE.mbo.dbn.zst")
    rows = records(Path(path))
    rows = rows[np.isin(rows["action"], list("AMCTF"))]
    if (rows["price"] % SCALE).any() or not len(rows):
        raise c.SourceError(f"{path}: no order records, or a price finer than 0.0001")
    mirror, fills = _convert(rows, _times(rows), accounts, seed)
    fills = np.array(fills, c.FILL)
    first = rows["price"][rows["action"] == "T"][:1] // SCALE
    symbol = {"name": "ESH4", "tick_size": TICK, "lot_size": 1,
              "reference_price": int(first[0] if len(first) else rows["price"][0] // SCALE)}
    trades, at = np.unique(fills["trade"], return_index=True)
    notes = {"records": len(rows), "records_snapshot": int(rows["snapshot"].sum()),
             "trades": len(trades), "trades_sent_whole": int(fills["whole"][at].sum()),
             "orders_held_back": mirror.held_ever, "orders_held_back_at_once": mirror.held_most,
             "orders_never_sent": len(mirror.held)}
    return c.cut(c.Flow(mirror.array(), [symbol], smp=("off",), notes=notes, fills=fills,
                        data=f"CME ESH4 order by order, {Path(path).name}"), limit)
