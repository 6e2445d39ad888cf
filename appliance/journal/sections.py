"""What a snapshot is made of: its sections, each an array of rows without pads or pointers.

The fields are taken from the layout's declarations, packed. An order is named by account and
UserRefNum, a page by account and number, and each section has one order only, so equal states give
equal bytes whatever their handles. UNHASHED sections are carried along and make no difference.
LATER sections came with later releases: where they are empty they are in no hash and no file, so
what an earlier release wrote is still read, and has the hash that it had.
"""

import numpy as np

from ..layout.record import (
    EXPOSURE, EXTRA, LIMITS, ORDER, ORDER_COLD, RECENT, SYMBOL, TRADE_LOG,
)
from ..layout.shared import CHUNK, COUNTER_INDEX, ENGINE, FEED_LOG, JOURNAL_HEADER, SESSION
from .errors import JournalError


class SnapshotError(JournalError):
    """A snapshot that no core can be made of; the text says which part and why."""


def _packed(struct, *names):
    """Some fields of a native struct without what lies between them; every one if none is named."""
    names = names or [field.name for field in struct.fields]
    return [(name, struct.dtype.fields[name][0]) for name in names if not name.startswith("pad")]


ENGINE_ROW = np.dtype(_packed(
    ENGINE, "partition", "phase", "next_order_ref", "next_match", "time_ns", "live_orders",
    "free_page", "free_far", "free_chunk", "timer_cnt", "parts_owed", "fault", "follow_after",
    "mode", "expelled_cnt", "grace_due_ns"))
JOURNAL_ROW = np.dtype(_packed(JOURNAL_HEADER, "next_seq", "last_ns", "checksum"))
SYMBOL_ROW = np.dtype(_packed(
    SYMBOL, "name", "tick_size", "lot_size", "locate", "state", "window_ticks", "reference_ticks",
    "collar_ticks", "buy_bound_ticks", "sell_bound_ticks", "reason", "drift"))
SESSION_ROW = np.dtype(_packed(
    SESSION, "session_name", "state", "epoch", "token_hi", "token_lo", "ip", "udp_port",
    "next_upstream_seq", "next_seq", "login_seq", "last_user_ref", "page_quota", "page_cnt",
    "live_cnt", "chunk_cnt", "disabled", "cancel_on_disconnect", "smp_default", "aiq_default",
    "default_firm", "order_interval_ns", "order_burst", "throttle_ns", "refused_ns",
    "grace_ns", "throttle_refusals", "refused_cnt", "throttled", "expulsions", "grace_ms"))
PAGE_ROW = np.dtype([("account", "<u2"), ("key", "<u4")])
ORDER_ROW = np.dtype([
    ("owner", "<u4"), ("ticks", "<i4"), ("extra", "u1"), *_packed(ORDER, "qty", "total"),
    *_packed(EXTRA, "reserve", "floor", "least", "number"), ("due_ns", "<u8"),
    ("first_ref", "<u8"), *_packed(ORDER_COLD)])
TRADE_ROW = np.dtype(_packed(
    TRADE_LOG, "number", "buy_account", "sell_account", "symbol", "buy_ref", "sell_ref",
    "buy_clordid", "sell_clordid"))
CHUNK_ROW = np.dtype(_packed(CHUNK, "account", "message_cnt", "data_off"))
FEED_ROW = np.dtype([*_packed(FEED_LOG, "session_name", "next_seq", "oldest_seq", "write_off"),
                     ("first_off", "<u8"), ("before", "<u8"), ("end", "<u8")])
VENUE_ROW = np.dtype(_packed(ENGINE, "mode", "killed"))
SYMBOL_RISK_ROW = np.dtype([("symbol", "<u2"), *_packed(SYMBOL, "guard"), *_packed(
    EXPOSURE, "max_quantity", "price_band", "max_notional")])
LIMITS_ROW = np.dtype(_packed(
    LIMITS, "account", "max_notional", "max_position", "max_quantity", "max_open", "price_band",
    "duplicates", "duplicate_window"))
EXPOSURE_ROW = np.dtype([("account", "<u2"), ("symbol", "<u2"), *_packed(
    EXPOSURE, "max_notional", "max_position", "max_quantity", "max_open", "price_band",
    "restricted", "position")])
RECENT_ROW = np.dtype([("account", "<u2"), ("place", "<u2"), *_packed(
    RECENT, "first_ns", "qty", "price_ticks", "symbol", "side", "count")])
MAC_ROW = np.dtype(_packed(SESSION, "mac"))
TALLIES = ("orders", "rejects", "trades", "cancels_ignored", "messages_stale", "logins",
           "disconnects", "capacity_rejects", "orders_expired", "busts_ignored", "stream_full",
           "throttled", "throttle_disconnects", "graces", "graces_over")
FIGURES = ("far_scans", "windows_moved")
UNHASHED = ("mac", "figures")
TALLY_PLACES = [COUNTER_INDEX[name] for name in TALLIES]
ROWS = {"engine": ENGINE_ROW, "journal": JOURNAL_ROW, "symbols": SYMBOL_ROW,
        "sessions": SESSION_ROW, "pages": PAGE_ROW, "orders": ORDER_ROW, "trades": TRADE_ROW,
        "chunks": CHUNK_ROW, "streams": np.dtype("u1"), "feed": FEED_ROW,
        "messages": np.dtype("u1"), "tallies": np.dtype("<u8"), "mac": MAC_ROW,
        "figures": np.dtype("<u8"), "venue": VENUE_ROW, "symbol_risk": SYMBOL_RISK_ROW,
        "limits": LIMITS_ROW, "exposures": EXPOSURE_ROW, "recent": RECENT_ROW}
LATER = ("venue", "symbol_risk", "limits", "exposures", "recent")


def rows_of(records, dtype):
    """The fields of dtype out of records that have more."""
    rows = np.zeros(len(records), dtype)
    for name in dtype.names:
        if name in records.dtype.names:
            rows[name] = records[name]
    return rows
