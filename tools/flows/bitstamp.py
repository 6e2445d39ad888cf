"""Bitstamp BTC/USD, half an hour of order-by-order events: the sample inside `ob-analytics`.

created enters an order, deleted cancels it, changed cancels it down to the new size. A price above
OUCH's highest goes out as it is (and is refused); price 0 goes out as a market order. Quantity 1 is
0.0001 BTC. The file is found without importing the package, whose dependencies are many.
"""

import csv
import gzip
import importlib.metadata
from pathlib import Path

import numpy as np

from . import commands as c

NAME = "ob_analytics/_sample_data/orders.csv.gz"
TICK = 100                   # 0.01 $ in price units of 0.0001
LOTS = 10_000                # lots a BTC


def sample() -> Path:
    """The sample's path. Raises SourceError when the package is not installed."""
    try:
        path = Path(importlib.metadata.distribution("ob-analytics").locate_file(NAME))
    except importlib.metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise c.SourceError("the Bitstamp sample is missing; install it with: "
                            "pip install --no-deps ob-analytics==0.1.0")
    return path


def _columns(path):
    """id, exchange time in ms, price in $, volume in BTC, action and direction as arrays."""
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.reader(file)
        head = next(rows)
        wanted = ("id", "exchange_timestamp", "price", "volume", "action", "direction")
        missing = [name for name in wanted if name not in head]
        if missing:
            raise c.SourceError(f"{path} has no column {', '.join(missing)}; it has {head}")
        columns = list(zip(*rows, strict=True))
    get = {name: columns[head.index(name)] for name in wanted}
    count = len(get["id"])
    return tuple([np.fromiter(map(number, get[name]), kind, count) for name, number, kind in (
        ("id", int, np.uint64), ("exchange_timestamp", int, np.int64),
        ("price", float, np.float64), ("volume", float, np.float64))]
        + [np.array(get[name]) for name in ("action", "direction")])


def _targets(ids, created):
    """For each row that is not a creation: the row of the latest creation of its id, or -1."""
    targets, latest = np.full(len(ids), -1, np.int64), {}
    for row, (order, is_new) in enumerate(zip(ids.tolist(), created.tolist(), strict=True)):
        if is_new:
            latest[order] = row
        else:
            targets[row] = latest.get(order, -1)
    return targets


def _touch(prices, bids, opening):
    """The middle of the opening book, rounded to a tick."""
    best_bid = prices[opening & bids].max()
    best_ask = prices[opening & ~bids & (prices > 0)].min()
    return int((best_bid + best_ask) // 2 // TICK * TICK)


def load(accounts: int, seed: int, limit: int | None = None, path=None) -> c.Flow:
    """The sample as a Flow. Rows that name an order never created are left out, and counted."""
    path = Path(path) if path else sample()
    ids, times_ms, dollars, volumes, actions, directions = _columns(path)
    created, changed, bids = actions == "created", actions == "changed", directions == "bid"
    targets = _targets(ids, created)
    kept = created | (targets >= 0)
    position = np.cumsum(kept) - 1
    prices = np.rint(dollars * 10_000).astype(np.int64)
    qty = np.clip(np.rint(volumes * LOTS), 1, c.QTY_MAX).astype(np.uint32)

    flow = np.zeros(len(ids), c.COMMAND)
    flow["time_ns"] = np.maximum.accumulate(times_ms) * 1_000_000
    flow["kind"] = np.where(created, c.ENTER, c.CANCEL)
    flow["side"] = np.where(bids, c.BUY, c.SELL)
    flow["price"] = np.where(created & (prices == 0), c.MARKET_PRICE, prices)
    flow["tif"] = np.where(created & (prices == 0), c.IOC, c.DAY)
    flow["qty"] = np.where(created | changed, qty, 0)
    flow["account"] = c.account_of(ids, accounts, seed)
    flow["target"] = np.where(targets >= 0, position[targets], -1)
    notes = {"rows": len(ids), "rows_opening_book": int((times_ms == times_ms[0]).sum()),
             "rows_left_out": int((~kept).sum()),
             "rows_above_highest_price": int((prices > 1_999_999_900).sum()),
             "market_orders": int((created & (prices == 0)).sum())}
    symbol = {"name": "BTCUSD", "tick_size": TICK, "lot_size": 1,
              "reference_price": _touch(prices, bids, created & (times_ms == times_ms[0]))}
    return c.cut(c.Flow(flow[kept], [symbol], notes=notes,
                        data="Bitstamp BTC/USD 2026-05-02, sample of ob-analytics"), limit)
