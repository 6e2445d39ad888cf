"""Events of one command become reports to accounts, the feed, and the counts of live orders.

What a hidden or auction order does is told to its account alone: its events carry UNSHOWN.
"""

import numpy as np

from appliance.hot import exposure, feed, notices, prints, reports
from appliance.hot.kernel import later
from appliance.hot.pages import order_dies, order_lives
from appliance.hot.timers import start_timer, stop_timer
from appliance.hot.trades import forget_trade, remember_trade
from appliance.hot.types import CORE, I64, INLINE, INNER, VOID
from appliance.layout import codes
from appliance.layout.record import (
    ACCEPTED, BOOKED, CANCELED, CROSS_DONE, CROSSED, DAY_END, MARKET_OPEN, MODIFIED, MOVED,
    ORDER_DEAD, ORDER_UNSHOWN, PREVENTED, REFRESHED, REFUSED, REPLACED, RESTING_DEAD,
    SMP_DECREMENT, SMP_NEWEST, TRADE, UNBOOKED, UNSHOWN, WAS_BOOKED,
)
from appliance.layout.shared import COUNTER_INDEX

_ONE = np.uint64(1)
_SECOND_NS, _HALF = np.uint64(1_000_000_000), 32
_ORDERS, _TRADES = COUNTER_INDEX["orders"], COUNTER_INDEX["trades"]
_CAPACITY = COUNTER_INDEX["capacity_rejects"]

_accepted, _replaced, _executed, _canceled = (reports.accepted, reports.replaced,
                                              reports.executed, reports.canceled)
_modified, _priority, _rejected = reports.modified, reports.priority, reports.rejected
_prevented, _restated, _decrement_letter = (notices.prevented, notices.restated,
                                            notices.decrement_letter)
_feed_booked, _feed_executed, _feed_reduced = feed.booked, feed.executed, feed.reduced
_feed_deleted, _feed_replaced = feed.deleted, feed.replaced
_follow = exposure.follow
_print_traded, _print_executed, _print_crossed = (prints.traded, prints.executed_at,
                                                  prints.crossed)


@later(VOID(CORE, I64), **INLINE)
def _lives(core, i):
    """ACCEPTED or REPLACED in event i: a new order with a reference, and perhaps a time limit."""
    event = core.burst.events[i]
    order = np.int64(event["order"])
    cold = core.accounts.cold[order]
    core.counters[_ORDERS] += _ONE
    cold["order_ref"] = event["number"]
    order_lives(core.accounts, np.int64(cold["account"]), order)
    if np.int64(cold["tif_letter"]) == codes.TIF_GOOD_TILL_TIME:
        due_ns = core.book.engine[0]["time_ns"] + np.uint64(cold["expire_s"]) * _SECOND_NS
        start_timer(core, order, due_ns, event["number"])


@later(VOID(CORE, I64), **INLINE)
def _dies(core, handle):
    """An order has left."""
    cold = core.accounts.cold[handle]
    if np.int64(cold["tif_letter"]) == codes.TIF_GOOD_TILL_TIME:
        stop_timer(core, handle)
    order_dies(core.accounts, core.book.engine, np.int64(cold["account"]), handle)


@later(VOID(CORE, I64, I64), **INNER)
def _publish_prevented(core, i, flags):
    """PREVENTED in event i."""
    event = core.burst.events[i]
    order, other, qty = np.int64(event["order"]), np.int64(event["resting"]), np.int64(event["qty"])
    reason, left = np.int64(event["reason"]), np.int64(event["left"])
    quantity, booked = left, flags & WAS_BOOKED != 0
    liquidity, strategy = np.int64(codes.LIQUIDITY_ADDED), np.int64(codes.AIQ_CANCEL_OLDEST)
    if flags & UNSHOWN != 0:
        liquidity = np.int64(codes.LIQUIDITY_HIDDEN_ADDED)
    if not booked:
        liquidity = np.int64(codes.LIQUIDITY_REMOVED)
    if reason == SMP_NEWEST:
        strategy = np.int64(codes.AIQ_CANCEL_NEWEST)
    elif reason == SMP_DECREMENT:
        strategy, quantity = _decrement_letter(core, other if booked else order), qty
    _prevented(core, order, qty, quantity, np.int64(event["price_ticks"]), liquidity, strategy)
    if booked and flags & UNSHOWN == 0:
        if reason == SMP_DECREMENT and left != 0:
            _feed_reduced(core, order, qty)
        else:
            _feed_deleted(core, order)


@later(I64(CORE, I64), **INNER)
def _cross_letter(core, idx):
    """Liquidity flag, and letter, of the cross that burst record idx brought about."""
    kind = np.int64(core.burst.commands[idx]["kind"])
    if kind == MARKET_OPEN:
        return np.int64(codes.LIQUIDITY_OPENING_CROSS)
    if kind == DAY_END:
        return np.int64(codes.LIQUIDITY_CLOSING_CROSS)
    return np.int64(codes.LIQUIDITY_HALT_OR_IPO_CROSS)


@later(VOID(CORE, I64, I64, I64), **INNER)
def _publish_cross(core, idx, i, flags):
    """CROSSED or CROSS_DONE in event i."""
    event, number = core.burst.events[i], core.burst.events[i]["number"]
    buy, sell, qty = np.int64(event["order"]), np.int64(event["resting"]), np.int64(event["qty"])
    price_ticks, letter = np.int64(event["price_ticks"]), _cross_letter(core, idx)
    if np.int64(event["kind"]) == CROSS_DONE:
        _print_crossed(core, buy, np.int64(event["left"]) << _HALF | qty, price_ticks, number,
                       letter)
        forget_trade(core, number)
        return
    core.counters[_TRADES] += _ONE
    for side in range(2):
        _executed(core, sell if side else buy, qty, price_ticks, letter, number)
    if flags & ORDER_UNSHOWN == 0:
        _print_executed(core, buy, qty, price_ticks, number)
    if flags & UNSHOWN == 0:
        _print_executed(core, sell, qty, price_ticks, number)
    remember_trade(core, buy, sell, number)


@later(VOID(CORE, I64, I64), **INLINE)
def _publish_trade(core, i, flags):
    """TRADE in event i."""
    event, number = core.burst.events[i], core.burst.events[i]["number"]
    order, other, qty = np.int64(event["order"]), np.int64(event["resting"]), np.int64(event["qty"])
    price_ticks, shown = np.int64(event["price_ticks"]), flags & UNSHOWN == 0
    core.counters[_TRADES] += _ONE
    added = codes.LIQUIDITY_ADDED if shown else codes.LIQUIDITY_HIDDEN_ADDED
    for side in range(2):
        handle = order if side else other
        liquidity = np.int64(codes.LIQUIDITY_REMOVED if side else added)
        _executed(core, handle, qty, price_ticks, liquidity, number)
    if shown:
        _feed_executed(core, other, qty, number)
    else:
        _print_traded(core, np.int64(core.accounts.cold[order]["symbol"]), qty, price_ticks, number)
    buys = event["side"] == 0
    remember_trade(core, order if buys else other, other if buys else order, number)


@later(VOID(CORE, I64, I64), **INNER)
def _publish_move(core, i, flags):
    """MOVED, MODIFIED or REFRESHED in event i: the order stays, what it shows changes."""
    event = core.burst.events[i]
    order, other = np.int64(event["order"]), np.int64(event["resting"])
    kind, qty, left = np.int64(event["kind"]), np.int64(event["qty"]), np.int64(event["left"])
    cold, shown = core.accounts.cold[order], flags & UNSHOWN == 0
    if kind == MODIFIED:
        _modified(core, order, qty)
        if left != 0 and shown:
            _feed_reduced(core, order, left)
    elif kind == REFRESHED:
        cold["order_ref"] = event["number"]
        _restated(core, order, qty)
        _feed_booked(core, order, qty)
    elif other != order:
        _feed_replaced(core, other, order, cold["order_ref"], qty)
    else:
        if shown:
            _feed_replaced(core, order, order, event["number"], qty)
        cold["order_ref"] = event["number"]
        _priority(core, order)


@later(VOID(CORE, I64, I64), **INLINE)
def publish(core, idx, event_cnt):
    """Publishes burst.events[0:event_cnt], the results of burst record idx, in their order."""
    for i in range(event_cnt):
        event = core.burst.events[i]
        kind, flags = np.int64(event["kind"]), np.int64(event["flags"])
        order, other = np.int64(event["order"]), np.int64(event["resting"])
        qty, shown = np.int64(event["qty"]), flags & UNSHOWN == 0
        if kind == TRADE:
            _publish_trade(core, i, flags)
        elif kind == BOOKED:
            if shown:
                _feed_booked(core, order, qty)
        elif kind == ACCEPTED:
            _lives(core, i)
            _accepted(core, order, qty)
            if flags & WAS_BOOKED != 0 and shown:
                _feed_booked(core, order, np.int64(event["left"]))
        elif kind == CANCELED:
            _canceled(core, order, qty, np.int64(event["reason"]))
            if flags & WAS_BOOKED != 0 and shown:
                if event["left"] == 0:
                    _feed_deleted(core, order)
                elif event["price_ticks"] != 0:
                    _feed_reduced(core, order, np.int64(event["price_ticks"]))
        elif kind == REPLACED:
            _lives(core, i)
            _replaced(core, order, other, qty)
        elif kind == UNBOOKED:
            if shown:
                _feed_deleted(core, other)
        elif kind == MODIFIED or kind == MOVED or kind == REFRESHED:
            _publish_move(core, i, flags)
        elif kind == PREVENTED:
            _publish_prevented(core, i, flags)
        elif kind == CROSSED or kind == CROSS_DONE:
            _publish_cross(core, idx, i, flags)
        elif kind == REFUSED:
            core.counters[_CAPACITY] += _ONE
            _rejected(core, idx, codes.REJECT_PROCESSING_ERROR)
        if flags & RESTING_DEAD != 0:
            _dies(core, other)
        if flags & ORDER_DEAD != 0:
            _dies(core, order)
    if core.book.engine[0]["slots"] != 0:
        _follow(core, event_cnt)
