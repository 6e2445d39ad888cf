"""The common matching workload: files of 32-byte records (adds, cancels, reductions, marketable).

Reductions say what to take off; OUCH wants the new intended total, so totals are followed here.
The accounts' self-match prevention is off, else the trades would not be the workload's.
"""

from pathlib import Path

import numba
import numpy as np

from ..workload import ADD, CANCEL_ALL, MARKETABLE, WorkloadError, read
from . import commands as c

TICK = 100
SYMBOLS_MAX = 100
MIDDLE_TICKS = 10_000        # of the prices 1..19999


@numba.njit(cache=True)
def _follow(ids, ops, qtys, targets, totals, makers, out_qty):
    """Sets target and quantity of each command; returns the first row that makes no sense, or -1.

    totals, makers: by order id; the intended total, and the row that made the order (-1 none)."""
    for row in range(ids.size):
        order, op = ids[row], ops[row]
        if op == ADD or op == MARKETABLE:
            if makers[order] != -1:
                return row
            makers[order], totals[order] = row, qtys[row]
            targets[row], out_qty[row] = -1, qtys[row]
            continue
        if makers[order] == -1:
            return row
        targets[row] = makers[order]
        if op == CANCEL_ALL:
            out_qty[row] = 0
        else:
            if qtys[row] >= totals[order]:
                return row
            totals[order] -= qtys[row]
            out_qty[row] = totals[order]
    return -1


def load(accounts: int, seed: int, path, limit: int | None = None,
         symbols: int | None = None) -> c.Flow:
    """The first `limit` records of the first `symbols` symbols of a workload file as a Flow."""
    if not path:
        raise c.SourceError("the workload source needs --data FILE.bin (records of 32 bytes)")
    try:
        records = read(path, limit if symbols is None else None)
    except WorkloadError as wrong:
        raise c.SourceError(str(wrong)) from wrong
    if symbols is not None:
        records = records[np.flatnonzero(records["symbol"] < symbols)[:limit]]
    if not len(records) or records["symbol"].max() >= SYMBOLS_MAX:
        raise c.SourceError(f"{path}: nothing on these symbols, or a symbol above "
                            f"{SYMBOLS_MAX - 1}")
    top = int(records["order_id"].max())
    flow = np.zeros(len(records), c.COMMAND)
    targets, qty = np.empty(len(records), np.int64), np.empty(len(records), np.uint32)
    bad = _follow(records["order_id"].astype(np.int64), records["op"].copy(),
                  records["qty"].astype(np.int64), targets, np.zeros(top + 1, np.int64),
                  np.full(top + 1, -1, np.int64), qty)
    if bad >= 0:
        raise c.SourceError(f"{path}: record {bad} ({records[bad]}) takes off too much, or "
                            "names an order that was not entered just once before")
    flow["time_ns"] = c.EPOCH_NS + records["time_ns"].astype(np.int64)
    flow["kind"] = np.where(targets < 0, c.ENTER, c.CANCEL)
    flow["side"] = np.where(records["side"] == 0, c.BUY, c.SELL)
    flow["price"] = records["price"].astype(np.int64) * TICK
    flow["tif"], flow["qty"], flow["target"] = c.DAY, qty, targets
    flow["symbol"] = records["symbol"]
    flow["account"] = c.account_of(records["order_id"], accounts, seed)
    listed = [{"name": f"W{number:03d}", "tick_size": TICK, "lot_size": 1,
               "reference_price": MIDDLE_TICKS * TICK}
              for number in range(int(records["symbol"].max()) + 1)]
    return c.Flow(flow, listed, smp=("off",), data=f"workload file {Path(path).name}")
