"""The image: the displayed book, rebuilt from the feed's log alone, for snapshots.

`follow` applies messages in order; `write_orders` writes displayed orders as `A` and `F` in
SoupBinTCP packets. Neither knows a trading rule, nor the matcher's state. Places of orders are
found by their reference number through chains (`chains`, a power of two of them); a freed place is
used again first. `head.busy` is 1 while messages are applied, so that whoever takes the arrays over
from a process that was killed knows whether they are whole.
"""

from typing import NamedTuple

import numpy as np
from numba import typeof

from ..layout.shared import FEED_LOG, IMAGE, IMAGE_FULL, IMAGE_LAPPED, IMAGE_STRANGE
from ..layout.wire_itch import ITCH
from ..layout.wire_session import SOUP
from .endian import (
    copy_bytes, load_be16, load_be32, load_be48, load_be64, load_le32, store_be16, store_be32,
    store_be48, store_be64, store_le32,
)
from .fence import load_acquire_u64, store_release_u64
from .kernel import later
from .image_state import SYMBOL_SZ, image_blocks
from .state import private
from .types import BYTES, I64, INLINE, INNER, KERNEL, VOID

STEP = 256                # messages between two looks at what the writer has overwritten
_DIRECTORY_SZ, _ACTION_SZ = ITCH["R"].size, ITCH["H"].size
_ADD_SZ, _FIRM_SZ, _EXECUTED_SZ = ITCH["A"].size, ITCH["F"].size, ITCH["E"].size
_CANCEL_SZ, _DELETE_SZ, _REPLACE_SZ = ITCH["X"].size, ITCH["D"].size, ITCH["U"].size
_LOCATE, _TIME, _REF, _SIDE, _SHARES, _STOCK, _PRICE = (
    ITCH["A"][name].off for name in ("stock_locate", "timestamp", "order_reference_number",
                                     "buy_sell_indicator", "shares", "stock", "price"))
_FIRM, _TAKEN = ITCH["F"]["attribution"].off, ITCH["E"]["executed_shares"].off
_NEW_REF, _NEW_SHARES, _NEW_PRICE = (ITCH["U"][name].off for name in (
    "new_order_reference_number", "shares", "price"))
_NAME = ITCH["R"]["stock"].off
_HEAD_SZ = SOUP["S"].size
_OLDEST = FEED_LOG["oldest_seq"].off // 8
_NEXT, _BUSY = IMAGE["next_seq"].off // 8, IMAGE["busy"].off // 8
_ZERO32, _ONE = np.uint32(0), np.uint64(1)


class Image(NamedTuple):
    """The image's arrays, and the feed's log that it follows, which is only read."""

    head: np.ndarray      # IMAGE[1]
    words: np.ndarray     # the same as u64
    chains: np.ndarray    # u32, first place of a chain, 0 none
    orders: np.ndarray    # IMAGE_ORDER; place 0 is nobody's
    symbols: np.ndarray   # u8[symbols * SYMBOL_SZ], IMAGE_SYMBOL
    log: np.ndarray       # FEED_LOG as u64, read-only
    ring: np.ndarray      # u8[feed_bytes], read-only
    index: np.ndarray     # u64[feed_messages], read-only


def build_image(sizes, log, ring, index, make=private) -> Image:
    """An image over the feed's arrays; those of `make` may have been filled by a process before."""
    head, chains, orders, symbols = (make(*row) for row in image_blocks(sizes))
    views = []
    for array in (log.view(np.uint64), ring, index):
        seen = array[:]
        seen.flags.writeable = False
        views.append(seen)
    return Image(head, head.view(np.uint64), chains, orders, symbols, *views)


def _tiny():
    from .state import Sizes
    sizes = Sizes(pages=2)
    return build_image(sizes, np.zeros(1, FEED_LOG.dtype), np.zeros(2, np.uint8),
                       np.zeros(2, np.uint64))


IMAGE_TYPE = typeof(_tiny())
_PLACES = typeof(np.zeros(1, np.int64))


@later(I64(IMAGE_TYPE, I64), **INLINE)
def _find(image, ref):
    """Place of the order, 0 when it is not displayed."""
    place = np.int64(image.chains[ref & np.int64(image.chains.size - 1)])
    while place != 0 and np.int64(image.orders[place]["ref"]) != ref:
        place = np.int64(image.orders[place]["next"])
    return place


@later(I64(IMAGE_TYPE), **INLINE)
def _take_place(image):
    """A place that no order has, 0 when there is none."""
    head = image.head[0]
    place = np.int64(head["free"])
    if place != 0:
        head["free"] = np.uint64(image.orders[place]["next"])
        return place
    place = max(np.int64(head["fresh"]), np.int64(1))
    if place >= image.orders.size:
        return np.int64(0)
    head["fresh"] = np.uint64(place + 1)
    return place


@later(VOID(IMAGE_TYPE, I64, I64), **INLINE)
def _chain(image, place, ref):
    """Puts a place at the front of its chain."""
    chain = ref & np.int64(image.chains.size - 1)
    image.orders[place]["ref"] = np.uint64(ref)
    image.orders[place]["next"] = image.chains[chain]
    image.chains[chain] = np.uint32(place)


@later(VOID(IMAGE_TYPE, I64), **INLINE)
def _unchain(image, place):
    """Takes a place out of its chain."""
    orders = image.orders
    chain = np.int64(orders[place]["ref"]) & np.int64(image.chains.size - 1)
    before = np.int64(image.chains[chain])
    if before == place:
        image.chains[chain] = orders[place]["next"]
        return
    while np.int64(orders[before]["next"]) != place:
        before = np.int64(orders[before]["next"])
    orders[before]["next"] = orders[place]["next"]


@later(VOID(IMAGE_TYPE, I64), **INLINE)
def _leave(image, place):
    """The order has left the book; its place is free."""
    head = image.head[0]
    _unchain(image, place)
    image.orders[place]["shares"] = _ZERO32
    image.orders[place]["next"] = np.uint32(head["free"])
    head["free"] = np.uint64(place)
    head["live_cnt"] -= _ONE


@later(I64(IMAGE_TYPE, I64, I64, I64, I64), **INLINE)
def _add(image, at, sz, symbol, seq):
    """`A` or `F`; a fault or 0."""
    ring, ref = image.ring, np.int64(load_be64(image.ring, at + _REF))
    shares = load_be32(ring, at + _SHARES)
    if shares == 0 or _find(image, ref) != 0:
        return np.int64(IMAGE_STRANGE)
    place = _take_place(image)
    if place == 0:
        return np.int64(IMAGE_FULL)
    order = image.orders[place]
    order["seq"], order["time_ns"] = np.uint64(seq), load_be48(ring, at + _TIME)
    order["price"], order["shares"] = np.uint32(load_be32(ring, at + _PRICE)), np.uint32(shares)
    order["symbol"], order["side"] = np.uint16(symbol), ring[at + _SIDE]
    order["attributed"] = np.uint8(sz == _FIRM_SZ)
    if sz == _FIRM_SZ:
        order["firm"] = np.uint32(load_le32(ring, at + _FIRM))
    _chain(image, place, ref)
    image.head[0]["live_cnt"] += _ONE
    return np.int64(0)


@later(I64(IMAGE_TYPE, I64, I64), **INLINE)
def _replace(image, at, seq):
    """`U`: side, symbol and attribution stay; a fault or 0."""
    ring = image.ring
    place = _find(image, np.int64(load_be64(ring, at + _REF)))
    shares, ref = load_be32(ring, at + _NEW_SHARES), np.int64(load_be64(ring, at + _NEW_REF))
    if place == 0 or shares == 0 or _find(image, ref) != 0:
        return np.int64(IMAGE_STRANGE)
    _unchain(image, place)
    order = image.orders[place]
    order["seq"], order["time_ns"] = np.uint64(seq), load_be48(ring, at + _TIME)
    order["price"] = np.uint32(load_be32(ring, at + _NEW_PRICE))
    order["shares"] = np.uint32(shares)
    _chain(image, place, ref)
    return np.int64(0)


@later(I64(IMAGE_TYPE, I64, I64), **INLINE)
def _reduce(image, at, letter):
    """`E`, `C`, `X` or `D`; a fault or 0."""
    place = _find(image, np.int64(load_be64(image.ring, at + _REF)))
    if place == 0:
        return np.int64(IMAGE_STRANGE)
    held = np.int64(image.orders[place]["shares"])
    gone = held if letter == ord("D") else np.int64(load_be32(image.ring, at + _TAKEN))
    if gone > held:
        return np.int64(IMAGE_STRANGE)
    if gone == held:
        _leave(image, place)
    else:
        image.orders[place]["shares"] = np.uint32(held - gone)
    return np.int64(0)


@later(I64(IMAGE_TYPE, I64, I64, I64), **INNER)
def _apply(image, at, sz, seq):
    """One ITCH message of sz bytes at `at` of the ring; a fault or 0."""
    ring = image.ring
    if sz < _DELETE_SZ:
        return np.int64(0)                   # S: nothing of it is in a snapshot
    letter = np.int64(ring[at])
    symbol = np.int64(load_be16(ring, at + _LOCATE)) - np.int64(image.head[0]["first_locate"])
    known = 0 <= symbol < image.symbols.size // SYMBOL_SZ
    if letter == ord("A") and sz == _ADD_SZ or letter == ord("F") and sz == _FIRM_SZ:
        return _add(image, at, sz, symbol, seq) if known else np.int64(IMAGE_STRANGE)
    if (letter == ord("E") or letter == ord("C")) and sz >= _EXECUTED_SZ \
            or letter == ord("X") and sz == _CANCEL_SZ or letter == ord("D"):
        return _reduce(image, at, letter)
    if letter == ord("U") and sz == _REPLACE_SZ:
        return _replace(image, at, seq)
    if letter == ord("R") and sz == _DIRECTORY_SZ and known:
        copy_bytes(image.symbols, symbol * SYMBOL_SZ, ring, at, sz)
    elif letter == ord("H") and sz == _ACTION_SZ and known:
        copy_bytes(image.symbols, symbol * SYMBOL_SZ + _DIRECTORY_SZ, ring, at, sz)
    return np.int64(0)


@later(I64(IMAGE_TYPE, I64, I64), **KERNEL)
def follow(image, limit_seq, most):
    """Applies at most `most` messages below limit_seq, which all must be whole in the log; how
    many. head.fault says what ended it for good: overtaken by the writer, or a contradiction."""
    head = image.head[0]
    start = np.int64(image.words[_NEXT])
    seq, end = start, min(limit_seq, start + most)
    ring_mask, index_mask = np.int64(image.ring.size - 1), np.int64(image.index.size - 1)
    store_release_u64(image.words, _BUSY, _ONE)
    while seq < end and head["fault"] == 0:
        first, stop = seq, min(end, seq + STEP)
        fault = np.int64(0)
        while seq < stop and fault == 0:
            off = np.int64(image.index[seq & index_mask]) & ring_mask
            sz = min(np.int64(load_be16(image.ring, off)), ring_mask - off - 1)
            fault = _apply(image, off + 2, sz, seq)
            seq += 1
        if np.int64(load_acquire_u64(image.log, _OLDEST)) > first:
            fault = np.int64(IMAGE_LAPPED)
        head["fault"] = np.uint64(fault)
    store_release_u64(image.words, _NEXT, np.uint64(seq))
    store_release_u64(image.words, _BUSY, np.uint64(0))
    return seq - start


@later(I64(IMAGE_TYPE, _PLACES, BYTES, I64), **KERNEL)
def write_orders(image, places, out, off):
    """Sequenced Data packets with the orders at `places`, in out from off on; where they end."""
    for each in range(places.size):
        place = places[each]
        order = image.orders[place]
        sz = np.int64(_FIRM_SZ if order["attributed"] != 0 else _ADD_SZ)
        row = np.int64(order["symbol"])
        at = off + _HEAD_SZ
        store_be16(out, off, sz + 1)
        out[off + 2] = np.uint8(ord("S"))
        out[at] = np.uint8(ord("F") if order["attributed"] != 0 else ord("A"))
        store_be16(out, at + _LOCATE, row + np.int64(image.head[0]["first_locate"]))
        store_be16(out, at + _LOCATE + 2, 0)
        store_be48(out, at + _TIME, order["time_ns"])
        store_be64(out, at + _REF, order["ref"])
        out[at + _SIDE] = order["side"]
        store_be32(out, at + _SHARES, order["shares"])
        copy_bytes(out, at + _STOCK, image.symbols, row * SYMBOL_SZ + _NAME, 8)
        store_be32(out, at + _PRICE, order["price"])
        if order["attributed"] != 0:
            store_le32(out, at + _FIRM, order["firm"])
        off = at + sz
    return off
