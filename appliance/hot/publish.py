"""Events of one command become reports to accounts, the feed, and the counts of live orders."""

import numpy as np

from appliance.hot import feed, reports
from appliance.hot.kernel import later
from appliance.hot.pages import order_dies, order_lives
from appliance.hot.types import CORE, I64, INLINE, VOID
from appliance.layout import codes
from appliance.layout.record import (
    ACCEPTED, BOOKED, CANCELED, MODIFIED, MOVED, ORDER_DEAD, PREVENTED, REFUSED, REPLACED,
    RESTING_DEAD, SMP_NEWEST, TRADE, UNBOOKED, WAS_BOOKED,
)
from appliance.layout.shared import COUNTER_INDEX

_ONE = np.uint64(1)
_ORDERS, _TRADES = COUNTER_INDEX["orders"], COUNTER_INDEX["trades"]
_CAPACITY = COUNTER_INDEX["capacity_rejects"]

_accepted, _replaced, _executed, _canceled = (reports.accepted, reports.replaced,
                                              reports.executed, reports.canceled)
_prevented, _modified, _priority, _rejected = (reports.prevented, reports.modified,
                                               reports.priority, reports.rejected)
_feed_booked, _feed_executed, _feed_reduced = feed.booked, feed.executed, feed.reduced
_feed_deleted, _feed_replaced = feed.deleted, feed.replaced


@later(VOID(CORE, I64, I64), **INLINE)
def publish(core, idx, event_cnt):
    """Publishes burst.events[0:event_cnt], the results of burst record idx, in their order."""
    accounts, engine = core.accounts, core.book.engine
    for i in range(event_cnt):
        event = core.burst.events[i]
        kind, flags = np.int64(event["kind"]), np.int64(event["flags"])
        order, other = np.int64(event["order"]), np.int64(event["resting"])
        qty, cold = np.int64(event["qty"]), accounts.cold[order]
        if kind == TRADE:
            price_ticks = np.int64(event["price_ticks"])
            core.counters[_TRADES] += _ONE
            _executed(core, other, qty, price_ticks, codes.LIQUIDITY_ADDED, event["number"])
            _executed(core, order, qty, price_ticks, codes.LIQUIDITY_REMOVED, event["number"])
            _feed_executed(core, other, qty, event["number"])
        elif kind == BOOKED:
            _feed_booked(core, order, qty)
        elif kind == ACCEPTED:
            core.counters[_ORDERS] += _ONE
            cold["order_ref"] = event["number"]
            order_lives(accounts, np.int64(cold["account"]), order)
            _accepted(core, order, qty)
        elif kind == CANCELED:
            _canceled(core, order, qty, np.int64(event["reason"]))
            if flags & WAS_BOOKED != 0:
                if event["left"] != 0:
                    _feed_reduced(core, order, qty)
                else:
                    _feed_deleted(core, order)
        elif kind == REPLACED:
            core.counters[_ORDERS] += _ONE
            cold["order_ref"] = event["number"]
            order_lives(accounts, np.int64(cold["account"]), order)
            _replaced(core, order, other, qty)
        elif kind == MOVED and other != order:
            _feed_replaced(core, other, order, cold["order_ref"], qty)
        elif kind == MOVED:
            _feed_replaced(core, order, order, event["number"], qty)
            cold["order_ref"] = event["number"]
            _priority(core, order)
        elif kind == UNBOOKED:
            _feed_deleted(core, other)
        elif kind == MODIFIED:
            _modified(core, order, qty)
            if event["left"] != 0:
                _feed_reduced(core, order, np.int64(event["left"]))
        elif kind == PREVENTED:
            _prevented(core, order, qty, np.int64(event["left"]), np.int64(event["price_ticks"]),
                       np.int64(event["reason"] == SMP_NEWEST))
            if flags & WAS_BOOKED != 0:
                _feed_deleted(core, order)
        elif kind == REFUSED:
            core.counters[_CAPACITY] += _ONE
            _rejected(core, idx, codes.REJECT_PROCESSING_ERROR)
        if flags & RESTING_DEAD != 0:
            order_dies(accounts, engine, np.int64(accounts.cold[other]["account"]), other)
        if flags & ORDER_DEAD != 0:
            order_dies(accounts, engine, np.int64(cold["account"]), order)
