"""A core made of a snapshot, which goes on with the same bytes as the one that it was taken of.

Orders are booked one after the other by the functions that matching books with, streams and the
feed's log get their blocks and are indexed anew. What that counts up is compared with the snapshot.
"""

import numpy as np

from ..hot.state import private
from ..layout.record import ORDER_COLD
from . import risk_state
from .genesis import build_core
from .replay import all_sent
from .sections import (
    ENGINE_ROW, FEED_ROW, FIGURES, JOURNAL_ROW, MAC_ROW, ROWS, SESSION_ROW, SYMBOL_ROW, TALLIES,
    TALLY_PLACES, TRADE_ROW, SnapshotError, rows_of,
)

# What the seating counts up by itself, from nothing.
_COUNTED = ("next_seq", "page_cnt", "live_cnt", "chunk_cnt")
_SEATED = ("free_page", "free_far", "free_chunk", "timer_cnt")


def restore(genesis: dict, sections: dict, make=private):
    """A core of that genesis in that state; `make` as in state.build.

    Everything in it counts as sent (replay.all_sent). Raises SnapshotError.
    """
    core = build_core(genesis, make)
    _check(core, genesis, sections)
    engine, sessions = core.book.engine, core.accounts.sessions
    _put(core.book.symbols, sections["symbols"], SYMBOL_ROW.names)
    _put(sessions, sections["sessions"], SESSION_ROW.names)
    _put(sessions, sections["mac"], MAC_ROW.names)
    _seat(core, sections)
    for records, name, dtype in ((sessions, "sessions", SESSION_ROW),
                                 (engine, "engine", ENGINE_ROW)):
        _compare(name, rows_of(records, dtype), sections[name])
    risk_state.seat(core, sections)
    _put(engine, sections["engine"], ENGINE_ROW.names)
    _put(core.journal.header, sections["journal"], JOURNAL_ROW.names)
    trades = sections["trades"]
    _put(core.trades, trades, TRADE_ROW.names, _numbers(trades, "number") & len(core.trades) - 1)
    core.counters[TALLY_PLACES] = sections["tallies"]
    for name, value in zip(FIGURES, sections["figures"]):
        engine[0][name] = value
    all_sent(core)
    return core


def _check(core, genesis, sections):
    """Sections of the right kind and size for this genesis."""
    for name, dtype in ROWS.items():
        if name not in sections or sections[name].dtype != dtype:
            raise SnapshotError(f"{name}: this section is missing, or of another release")
    for name, wanted in (("symbols", len(core.book.symbols)), ("engine", 1), ("journal", 1),
                         ("sessions", len(core.accounts.sessions)), ("feed", 1),
                         ("mac", len(core.accounts.sessions)), ("tallies", len(TALLIES)),
                         ("figures", len(FIGURES))):
        if len(sections[name]) != wanted:
            raise SnapshotError(f"{name}: {len(sections[name])} where the genesis has {wanted}")
    for name in ("pages", "orders", "chunks", "limits", "exposures", "recent"):
        if sections[name]["account"].max(initial=0) >= len(core.accounts.sessions):
            raise SnapshotError(f"{name}: an account that the genesis has not")
    if len(sections["pages"]) >= len(core.accounts.pages):
        raise SnapshotError(f"pages: {len(sections['pages'])}, more than the genesis has")
    if int(sections["engine"]["partition"][0]) != genesis["partition"]:
        raise SnapshotError("engine: it is of another partition")


def _put(records, rows, names, places=None):
    """Writes fields of rows into records, all of them or those at `places`."""
    for name in names:
        if places is None:
            records[name] = rows[name]
        else:
            records[name][places] = rows[name]


def _seat(core, sections):
    from ..hot import restore as kernels
    sessions = core.accounts.sessions
    for name in _COUNTED:
        sessions[name] = name == "next_seq"
    pages, rows, chunks = sections["pages"], sections["orders"], sections["chunks"]
    kernels.seat_pages(core, _numbers(pages, "account"), _numbers(pages, "key"))
    handles = np.zeros(len(rows), np.int64)
    done = int(kernels.seat_orders(core, *(_numbers(rows, name) for name in (
        "owner", "ticks", "account", "user_ref_num", "qty", "total", "extra")), handles))
    if done < len(rows):
        raise SnapshotError(f"orders: number {done} cannot be booked")
    _put(core.accounts.cold, rows, ORDER_COLD.dtype.names, handles)
    _put(core.book.extras, rows, ("reserve", "floor", "least", "number"), handles)
    kernels.seat_timers(core, handles, _numbers(rows, "due_ns"), _numbers(rows, "first_ref"))
    done = int(kernels.seat_chunks(core, *(_numbers(chunks, name) for name in (
        "account", "message_cnt", "data_off")), np.ascontiguousarray(sections["streams"])))
    if done < len(chunks):
        raise SnapshotError(f"streams: chunk {done} does not hold what it should")
    kernels.seat_tokens(core)
    _seat_feed(core, sections, kernels.seat_feed)


def _seat_feed(core, sections, seat):
    feed, row, data = core.feed, sections["feed"], sections["messages"]
    _put(feed.log, row, FEED_ROW.names[:4])
    first, before, end, stop = (int(row[name][0]) for name in (
        "first_off", "before", "end", "write_off"))
    size, place = len(feed.ring), first % len(feed.ring)
    cut = end - first
    held = int(row["next_seq"][0]) - int(row["oldest_seq"][0])
    if not 0 <= cut <= size - place or not cut <= len(data) <= size or not before <= held \
            or held > len(feed.index):
        raise SnapshotError("feed: its pieces do not fit the ring")
    feed.ring[place:place + cut] = data[:cut]
    feed.ring[:len(data) - cut] = data[cut:]
    if int(seat(core, first, before, end)) != stop:
        raise SnapshotError("messages: their blocks do not end where the log does")


def _numbers(rows, name):
    return rows[name].astype(np.int64)


def _compare(part, found, wanted):
    for name in _COUNTED if part == "sessions" else _SEATED:
        if not np.array_equal(found[name], wanted[name]):
            raise SnapshotError(f"{part}: {name} is {found[name].tolist()} after seating, the "
                                f"snapshot says {wanted[name].tolist()}")
