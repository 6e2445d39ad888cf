"""The common workload format: 32-byte records of a file, turned into commands of the book.

Record: order_id u64 (dense, 1, 2, 3 ...), send time u64, price i32, quantity u32, symbol u16, op
u8, side u8, record number u32; all little-endian, no file header. Ops: ADD and MARKETABLE enter a
limit order, CANCEL takes a live order off, REDUCE takes quantity off it. An order's id is its
handle.
"""

from pathlib import Path

import numpy as np
from numba import njit

from appliance.layout.record import CANCEL, COMMAND, ENTER

RECORD = np.dtype([("order_id", "<u8"), ("time_ns", "<u8"), ("price", "<i4"), ("qty", "<u4"),
                   ("symbol", "<u2"), ("op", "u1"), ("side", "u1"), ("number", "<u4")])
ADD, CANCEL_ALL, REDUCE, MARKETABLE = 1, 2, 3, 4
PRICE_MIN, PRICE_MAX = 1, 19999
QTY_MAX = 999_999


class WorkloadError(ValueError):
    """A file is not a workload; the text names the file, the record and what is wrong with it."""


def read(path, message_cnt=None) -> np.ndarray:
    """The first `message_cnt` records of a workload file (None: all), as an array of RECORD.

    Raises WorkloadError for a broken file, OSError when it cannot be read.
    """
    path = Path(path)
    if path.stat().st_size % RECORD.itemsize:
        raise WorkloadError(f"{path}: {path.stat().st_size} bytes are not a whole number of "
                            f"{RECORD.itemsize}-byte records; make it again: python -m "
                            "tools.workload_maker")
    records = np.fromfile(path, RECORD, -1 if message_cnt is None else message_cnt)
    if not len(records):
        raise WorkloadError(f"{path}: no records; make it again: python -m tools.workload_maker")
    enters = (records["op"] == ADD) | (records["op"] == MARKETABLE)
    for what, wrong in (
        (f"an op outside {ADD}..{MARKETABLE}",
         (records["op"] < ADD) | (records["op"] > MARKETABLE)),
        ("a side other than 0 and 1", records["side"] > 1),
        (f"a price outside {PRICE_MIN}..{PRICE_MAX}",
         enters & ((records["price"] < PRICE_MIN) | (records["price"] > PRICE_MAX))),
        (f"a quantity outside 1..{QTY_MAX}",
         (records["op"] != CANCEL_ALL) & ((records["qty"] < 1) | (records["qty"] > QTY_MAX))),
        ("an order id of 0 or beyond what was entered",
         (records["order_id"] < 1) | (records["order_id"] > np.cumsum(enters))),
        ("an entered order id that is not the next one",
         enters & (records["order_id"] != np.cumsum(enters))),
    ):
        if wrong.any():
            raise WorkloadError(f"{path}: record {int(wrong.argmax())} has {what}")
    return records


@njit(cache=True)
def _convert(records, commands, totals):
    for i in range(len(records)):
        record, command = records[i], commands[i]
        order = np.int64(record["order_id"])
        qty = np.int64(record["qty"])
        command["side"] = record["side"]
        command["symbol"] = record["symbol"]
        if record["op"] == ADD or record["op"] == MARKETABLE:
            command["kind"] = ENTER
            command["order"] = np.uint32(order)
            command["qty"] = np.uint32(qty)
            command["price_ticks"] = record["price"]
            totals[order] = qty
            continue
        command["kind"] = CANCEL
        command["target"] = np.uint32(order)
        if record["op"] == REDUCE:
            totals[order] -= qty
            command["qty"] = np.uint32(max(totals[order], np.int64(0)))


def to_commands(records) -> np.ndarray:
    """COMMAND records for workload records: day limit orders, cancels, cancels down to a total."""
    commands = np.zeros(len(records), COMMAND.dtype)
    totals = np.zeros(int(records["order_id"].max()) + 1, np.int64)
    _convert(records, commands, totals)
    return commands
