"""The whole logical state of a core as sorted arrays, from which `restore` makes it again.

Left out, because no output depends on it: how far transmission has come, what is known of holes in
what participants send, and when they were heard. A participant's Ethernet address, which may have
been learnt on the way, and figures for people are kept, but no hash covers them.
"""

import numpy as np

from ..layout.record import EXTRA_BIT
from ..layout.shared import CHUNK_SZ
from . import risk_state
from .sections import (
    CHUNK_ROW, ENGINE_ROW, FEED_ROW, FIGURES, JOURNAL_ROW, MAC_ROW, ORDER_ROW, PAGE_ROW,
    SESSION_ROW, SYMBOL_ROW, TALLY_PLACES, TRADE_ROW, SnapshotError, rows_of,
)


def canonical(core) -> dict:
    """Section name -> array, in the order of ROWS; copies, so the core may go on."""
    engine = core.book.engine[0]
    figures = np.array([engine[name] for name in FIGURES], np.uint64)
    chunks = _chunks(core)
    first, second, feed = _feed(core)
    sections = {
        "engine": rows_of(core.book.engine, ENGINE_ROW),
        "journal": rows_of(core.journal.header, JOURNAL_ROW),
        "symbols": rows_of(core.book.symbols, SYMBOL_ROW),
        "sessions": rows_of(core.accounts.sessions, SESSION_ROW), "pages": _pages(core),
        "orders": _orders(core), "trades": _trades(core),
        "chunks": rows_of(core.streams.heads[chunks], CHUNK_ROW),
        "streams": _joined([core.streams.data[chunk * CHUNK_SZ:chunk * CHUNK_SZ + size]
                            for chunk, size in zip(chunks, core.streams.heads["data_off"][
                                chunks].tolist())]),
        "feed": feed, "messages": _joined([first, second]),
        "tallies": core.counters[TALLY_PLACES], "mac": rows_of(core.accounts.sessions, MAC_ROW),
        "figures": figures, **risk_state.canonical(core)}
    engine["far_scans"] = figures[0]                # looking at the books has counted
    return sections


def _joined(pieces):
    return np.concatenate([np.empty(0, np.uint8), *pieces])


def _orders(core):
    from ..hot.restore import list_orders         # a kernel: not to be loaded with this module
    count = int(core.book.engine[0]["live_orders"])
    handles, owners, prices = (np.zeros(count, np.int64) for _ in range(3))
    found = int(list_orders(core, handles, owners, prices))
    if found != count:
        raise SnapshotError(f"orders: {found} in the books, {count} live")
    orders, extras, timers = core.book.orders[handles], core.book.extras[handles], core.timers
    rows = rows_of(core.accounts.cold[handles], ORDER_ROW)
    rows["owner"], rows["ticks"] = owners, prices
    rows["qty"], rows["total"] = orders["qty"], orders["total"]
    rows["extra"] = orders["level"] & EXTRA_BIT != 0
    for name in ("reserve", "floor", "least"):
        rows[name] = np.where(rows["extra"], extras[name], 0)
    rows["number"] = np.where(owners >= 2 * len(core.book.symbols), extras["number"], 0)
    timed = timers.places[handles] != 0
    rows["due_ns"] = np.where(timed, timers.due_ns[handles], 0)
    rows["first_ref"] = np.where(timed, timers.first_refs[handles], 0)
    return rows


def _lists(firsts, following):
    """(list, member) of lists that are threaded through `following`, in order."""
    owners, members = [], []
    for owner, member in enumerate(firsts.tolist()):
        while member:
            owners.append(owner)
            members.append(member)
            member = int(following[member])
    return owners, members


def _pages(core):
    owners, pages = _lists(core.accounts.sessions["first_page"], core.accounts.pages["next"])
    rows = np.zeros(len(pages), PAGE_ROW)
    rows["account"], rows["key"] = owners, core.accounts.pages["key"][pages]
    return rows


def _chunks(core):
    return _lists(core.accounts.sessions["first_chunk"], core.streams.heads["next"])[1]


def _trades(core):
    rows = rows_of(core.trades[core.trades["number"] != 0], TRADE_ROW)
    return rows[np.argsort(rows["number"])]


def feed_pieces(feed, first_seq):
    """(first_off, before, end, piece, piece): where the feed's messages from first_seq on lie.

    They lie in two pieces of the ring at most: `before` messages up to virtual offset `end`, and
    those that went on at its beginning.
    """
    log, size, mask = feed.log[0], len(feed.ring), len(feed.index) - 1
    following, stop = int(log["next_seq"]), int(log["write_off"])
    if first_seq >= following:
        return stop, 0, stop, feed.ring[:0], feed.ring[:0]
    first = int(feed.index[first_seq & mask])
    turn = (first // size + 1) * size             # where the ring begins anew
    low, high = first_seq + 1, following          # the first number that lies behind the turn
    while low < high:
        middle = (low + high) // 2
        if int(feed.index[middle & mask]) < turn:
            low = middle + 1
        else:
            high = middle
    last = int(feed.index[low - 1 & mask])
    place = last % size
    end = last + 2 + int(feed.ring[place]) * 256 + int(feed.ring[place + 1])
    more = stop - turn if low < following else 0
    return (first, low - first_seq, end, feed.ring[first % size:first % size + end - first],
            feed.ring[:more])


def _feed(core):
    """Both pieces of what the feed's log holds, and its FEED_ROW."""
    row = rows_of(core.feed.log, FEED_ROW)
    row["first_off"], row["before"], row["end"], first, second = feed_pieces(
        core.feed, int(row["oldest_seq"][0]))
    return first, second, row
