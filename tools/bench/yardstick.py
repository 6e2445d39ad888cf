"""The yardstick: the least that can match the workload, to run beside the core in one process.

It knows limit orders, cancels and reductions on a flat ladder that holds every price, by dense ids
that it trusts; no order types, no ownership, no events, no bounds. A rate of the core divided by
its rate in the same run says more than either, because a noisy machine slows both.
"""

import gc
import time

import numpy as np
from numba import njit

from appliance.hot.fence import clz64, ctz64, prefetch
from tools.workload import ADD, CANCEL_ALL, MARKETABLE

LG_PRICES = 15
PRICES = 1 << LG_PRICES
WORDS = PRICES >> 6
AHEAD = 8

_U = np.uint64
_ORDER = np.dtype([("next", "<u4"), ("prev", "<u4"), ("qty", "<u4"), ("level", "<u4")])
_LEVEL = np.dtype([("head", "<u4"), ("tail", "<u4")])
_inlined = njit(cache=True, _nrt=False, forceinline=True)


@_inlined
def _mix(checksum, value):
    checksum = (checksum ^ _U(value)) * _U(0xFF51AFD7ED558CCD)
    return checksum ^ checksum >> _U(32)


@_inlined
def _mark(words, summary, level):
    words[level >> 6] |= _U(1) << _U(level & 63)
    summary[level >> 12] |= _U(1) << _U(level >> 6 & 63)


@_inlined
def _unmark(words, summary, level):
    word = words[level >> 6] & ~(_U(1) << _U(level & 63))
    words[level >> 6] = word
    if word == 0:
        summary[level >> 12] &= ~(_U(1) << _U(level >> 6 & 63))


@njit(cache=True, _nrt=False)
def _next_best(words, summary, base, side, level):
    """The marked level after `level`, away from the touch; base - 1 or base + PRICES: none."""
    inside, block = level >> 6, level >> 12
    if side == 0:
        found = words[inside] & ((_U(1) << _U(level & 63)) - _U(1))
        if found != 0:
            return (inside << 6) + 63 - np.int64(clz64(found))
        found = summary[block] & ((_U(1) << _U(inside & 63)) - _U(1))
        while found == 0:
            block -= 1
            if block < base >> 12:
                return base - 1
            found = summary[block]
        inside = (block << 6) + 63 - np.int64(clz64(found))
        return (inside << 6) + 63 - np.int64(clz64(words[inside]))
    found = words[inside] & ~((_U(1) << _U(level & 63)) * _U(2) - _U(1))
    if found != 0:
        return (inside << 6) + np.int64(ctz64(found))
    found = summary[block] & ~((_U(1) << _U(inside & 63)) * _U(2) - _U(1))
    while found == 0:
        block += 1
        if block >= (base + PRICES) >> 12:
            return base + PRICES
        found = summary[block]
    inside = (block << 6) + np.int64(ctz64(found))
    return (inside << 6) + np.int64(ctz64(words[inside]))


@njit(cache=True, _nrt=False)
def _ladder(records, orders, levels, words, summary, best):
    """All records in their order; (trades, checksum). best: a level index by symbol and side."""
    trade_cnt, checksum, cnt = 0, _U(0x9E3779B97F4A7C15), records.shape[0]
    for i in range(cnt):
        if i + AHEAD < cnt:
            prefetch(orders, np.int64(records[i + AHEAD]["order_id"]))
        record = records[i]
        op, order, side = record["op"], np.int64(record["order_id"]), np.int64(record["side"])
        owner = np.int64(record["symbol"]) * 2 + side
        mine = orders[order]
        if op == ADD or op == MARKETABLE:
            qty, level = np.int64(record["qty"]), owner << LG_PRICES | np.int64(record["price"])
            if op == MARKETABLE:
                other = owner ^ 1
                touch, limit = best[other], level ^ 1 << LG_PRICES
                base = other << LG_PRICES
                while qty > 0 and base <= touch < base + PRICES:
                    if (touch > limit) if side == 0 else (touch < limit):
                        break
                    resting = np.int64(levels[touch]["head"])
                    while qty > 0 and resting != 0:
                        open_qty = np.int64(orders[resting]["qty"])
                        traded = min(qty, open_qty)
                        trade_cnt += 1
                        checksum = _mix(_mix(checksum, resting), order)
                        checksum = _mix(_mix(checksum, touch - base), traded)
                        qty -= traded
                        orders[resting]["qty"] = open_qty - traded
                        if traded == open_qty:
                            resting = np.int64(orders[resting]["next"])
                    levels[touch]["head"] = resting
                    if resting != 0:
                        orders[resting]["prev"] = 0
                        break
                    levels[touch]["tail"] = 0
                    _unmark(words, summary, touch)
                    touch = _next_best(words, summary, base, 1 - side, touch)
                best[other] = touch
            if qty == 0:
                continue
            tail = levels[level]["tail"]
            mine["next"], mine["prev"], mine["qty"], mine["level"] = 0, tail, qty, level
            levels[level]["tail"] = order
            if tail != 0:
                orders[tail]["next"] = order
                continue
            levels[level]["head"] = order
            _mark(words, summary, level)
            if (level > best[owner]) if side == 0 else (level < best[owner]):
                best[owner] = level
        elif op == CANCEL_ALL:
            before, after, level = mine["prev"], mine["next"], np.int64(mine["level"])
            if before != 0:
                orders[before]["next"] = after
            else:
                levels[level]["head"] = after
            if after != 0:
                orders[after]["prev"] = before
            else:
                levels[level]["tail"] = before
                if before == 0:
                    _unmark(words, summary, level)
                    if best[owner] == level:
                        base = owner << LG_PRICES
                        best[owner] = _next_best(words, summary, base, side, level)
        else:
            mine["qty"] -= record["qty"]
    return trade_cnt, checksum


def run_yardstick(records):
    """(CPU seconds, trades, checksum as 16 hex digits) of the bare ladder on workload records."""
    owners = 2 * (int(records["symbol"].max()) + 1)
    orders = np.zeros(int(records["order_id"].max()) + 1, _ORDER)
    levels = np.zeros(owners * PRICES, _LEVEL)
    for array in (orders, levels):
        array.fill(0)                                       # touched before the clock runs
    words = np.zeros(owners * WORDS, np.uint64)
    summary = np.zeros(owners * WORDS >> 6, np.uint64)
    best = (np.arange(owners) << LG_PRICES) + np.tile(np.array([-1, PRICES]), owners // 2)
    gc.collect()
    began = time.thread_time()
    trade_cnt, checksum = _ladder(records, orders, levels, words, summary, best)
    return time.thread_time() - began, int(trade_cnt), f"{int(checksum):016x}"
