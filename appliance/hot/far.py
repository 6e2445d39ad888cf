"""Levels outside the ladder's window: two sorted storeys a side, blocks of levels and an index.

A side's far levels stand in ascending order of their rank, price ^ mask with mask = 0 for buys and
-1 for sells, so the best is the last on both sides and leaves without moving another. They are cut
into blocks from the partition's pool, of FAR_BLOCK levels at most; all of a side's blocks but its
last hold FAR_LEAST at least. The side's row of far_index lists its blocks: a limit for each but the
last (no rank in it is greater, all behind it are), and block << 8 | levels in it. Row and block are
searched by the C SIMD scan and shifted in C. The places of a block that are not used hold the
greatest rank there can be, so a scan is always of a whole block and waits for no count.

So a far price costs two short searches and moves half a block at most, however many there are; and
with far levels to be had there are blocks to be had (hot/state.py sizes the pool).
"""

import numpy as np
from numba import types

from ..layout.record import FAR_BLOCK, FAR_LEAST
from ..native import external
from .fence import prefetch
from .kernel import inlined, kernel, unlikely

_scan = external("wm_scan", types.int64, types.uintp, types.int64, types.int32)
_gap_open = external("wm_gap_open", types.int64, types.uintp, types.int64, types.int64, types.int32)
_gap_close = external("wm_gap_close", types.int64, types.uintp, types.int64, types.int64)
_block_open = external("wm_block_open", types.int64, types.uintp, types.int64, types.int32,
                       types.int32)
_block_close = external("wm_block_close", types.int64, types.uintp, types.int64)

_BLOCK, _LEAST, _HALF = np.int64(FAR_BLOCK), np.int64(FAR_LEAST), np.int64(FAR_BLOCK >> 1)
_SNUG = np.int64(FAR_BLOCK * 3 >> 2)   # two blocks with so many together become one
_AHEAD, _NEARER = np.int64(8), np.int64(4)     # levels a sweep asks for before it needs them
_LIMITS = np.int64(1)                  # far_index[owner]: blocks in use, limits, then their words
_UNUSED = np.int64((1 << 31) - 1)


@inlined
def _words(book):
    """Where in a row of the index the words of the blocks begin."""
    return (np.int64(book.far_index.shape[1]) + 1) >> 1


@inlined
def _in_row(book, owner, place):
    """Address of a word in a row of the index."""
    row = owner * np.int64(book.far_index.shape[1])
    return np.uint64(book.far_index.ctypes.data) + np.uint64((row + place) << 2)


@inlined
def _address(book, block):
    """Address of a block: its FAR_BLOCK ranks come first, then as many slots."""
    return np.uint64(book.far_blocks.ctypes.data) + np.uint64(block * 8 * _BLOCK)


@inlined
def _get(book, block, place):
    return np.int64(book.far_blocks[np.uint64(block * 2 * _BLOCK + place)])


@inlined
def _set(book, block, place, value):
    book.far_blocks[np.uint64(block * 2 * _BLOCK + place)] = np.int32(value)


@inlined
def _entry(book, owner, entry):
    """(block, levels in it) of an entry of the index."""
    word = np.int64(book.far_index[np.uint64(owner), np.uint64(_words(book) + entry)])
    return word >> 8, word & 255


@inlined
def _set_entry(book, owner, entry, block, used):
    book.far_index[np.uint64(owner), np.uint64(_words(book) + entry)] = np.int32(block << 8 | used)


@inlined
def _entries(book, owner):
    """How many blocks a side has."""
    return np.int64(book.far_index[np.uint64(owner), np.uint64(0)])


@inlined
def _seek(book, owner, rank):
    """(entry, block, levels in it, place): the first level not below a rank, or a block's end.

    At a block's end the level, if there is one, is the next block's first. The side has levels.
    """
    book.engine[0]["far_scans"] += np.uint64(1)
    last, entry = _entries(book, owner) - 1, np.int64(0)
    if last > 0:
        entry = np.int64(_scan(_in_row(book, owner, _LIMITS), last, np.int32(rank)))
    block, used = _entry(book, owner, entry)
    return entry, block, used, np.int64(_scan(_address(book, block), _BLOCK, np.int32(rank)))


@inlined
def _last(book, owner):
    """(entry, block, place) of the best level; there must be one."""
    entry = _entries(book, owner) - 1
    block, used = _entry(book, owner, entry)
    return entry, block, used - 1


@kernel
def far_slot_at(book, owner, price_ticks):
    """The far level of that price (its slot), 0 when there is none."""
    if np.int64(book.sides[owner]["far_cnt"]) == 0:
        return np.int64(0)
    rank = price_ticks ^ -(owner & 1)
    _, block, used, place = _seek(book, owner, rank)
    if place < used and _get(book, block, place) == rank:
        return _get(book, block, _BLOCK + place)
    return np.int64(0)


@inlined
def far_best_slot(book, owner):
    """The slot of the best far level; there must be one."""
    _, block, place = _last(book, owner)
    return _get(book, block, _BLOCK + place)


@kernel
def _next_inside(book, owner, rank, none):
    """Price of the best level below a rank that is not above all levels."""
    entry, block, _, place = _seek(book, owner, rank)
    if place == 0:
        if entry == 0:
            return none
        block, place = _entry(book, owner, entry - 1)
    return _get(book, block, place - 1) ^ -(owner & 1)


@inlined
def far_next(book, owner, price_ticks, none):
    """Best far price strictly worse than price_ticks, `none` when there is none. Needs far_cnt > 0.

    The best of all is looked at first: after the best level has gone it is the answer.
    """
    mask = -(owner & 1)
    _, block, place = _last(book, owner)
    found = _get(book, block, place)
    if found < price_ticks ^ mask:
        return found ^ mask
    return _next_inside(book, owner, price_ticks ^ mask, none)


@kernel
def far_above(book, owner, price_ticks, none):
    """Lowest far price above price_ticks, `none` when there is none."""
    if np.int64(book.sides[owner]["far_cnt"]) == 0:
        return none
    if owner & 1 != 0:
        return far_next(book, owner, price_ticks, none)
    if price_ticks >= _UNUSED:
        return none
    entry, block, used, place = _seek(book, owner, price_ticks + 1)
    if place == used:
        if entry + 1 == _entries(book, owner):
            return none
        block, _ = _entry(book, owner, entry + 1)
        place = np.int64(0)
    return _get(book, block, place)


@inlined
def _clear(book, block, first, stop):
    """Places of a block are not used any more."""
    for place in range(first, stop):
        _set(book, block, place, _UNUSED)


@kernel
def _take_block(book):
    """A free block, emptied; the free ones are threaded by their first word."""
    engine = book.engine[0]
    block = np.int64(engine["free_block"])
    engine["free_block"] = np.uint64(_get(book, block, 0))
    _clear(book, block, np.int64(0), _BLOCK)
    return block


@inlined
def _give_block(book, block):
    _set(book, block, 0, np.int64(book.engine[0]["free_block"]))
    book.engine[0]["free_block"] = np.uint64(block)


@inlined
def _copy(book, target, at, source, first, count):
    """`count` levels from a place in one block to one in another, or further down in its own."""
    for i in range(count):
        _set(book, target, at + i, _get(book, source, first + i))
        _set(book, target, _BLOCK + at + i, _get(book, source, _BLOCK + first + i))


@kernel
def _grow(book, owner, entry, kept):
    """A full block keeps its first `kept` levels; a new one behind it gets the others."""
    entries, fresh = _entries(book, owner), _take_block(book)
    block, _ = _entry(book, owner, entry)
    _copy(book, fresh, np.int64(0), block, kept, _BLOCK - kept)
    _clear(book, block, kept, _BLOCK)
    _gap_open(_in_row(book, owner, _LIMITS), entries - 1, entry,
              np.int32(_get(book, block, kept - 1)))
    _gap_open(_in_row(book, owner, _words(book)), entries, entry + 1,
              np.int32(fresh << 8 | (_BLOCK - kept)))
    _set_entry(book, owner, entry, block, kept)
    book.far_index[np.uint64(owner), np.uint64(0)] = np.int32(entries + 1)


@kernel
def _refill(book, owner, entry):
    """A block with less than FAR_LEAST levels becomes one with the next, or both share evenly."""
    entries = _entries(book, owner)
    block, used = _entry(book, owner, entry)
    after, more = _entry(book, owner, entry + 1)
    if used + more <= _SNUG:
        _copy(book, block, used, after, np.int64(0), more)
        _set_entry(book, owner, entry, block, used + more)
        _gap_close(_in_row(book, owner, _LIMITS), entries - 1, entry)
        _gap_close(_in_row(book, owner, _words(book)), entries, entry + 1)
        book.far_index[np.uint64(owner), np.uint64(0)] = np.int32(entries - 1)
        _give_block(book, after)
        return
    moved = (more - used) >> 1
    _copy(book, block, used, after, np.int64(0), moved)
    _copy(book, after, np.int64(0), after, moved, more - moved)
    _clear(book, after, more - moved, more)
    _set_entry(book, owner, entry, block, used + moved)
    _set_entry(book, owner, entry + 1, after, more - moved)
    book.far_index[np.uint64(owner), np.uint64(_LIMITS + entry)] = np.int32(
        _get(book, block, used + moved - 1))


@inlined
def _new_level(book, owner, price_ticks):
    """A free level, empty, with its price and owner; its slot. Free ones are threaded by `head`."""
    engine = book.engine[0]
    slot = np.int64(engine["next_far"])
    level = book.far_levels[slot]
    engine["next_far"] = np.uint64(level["head"])
    engine["free_far"] -= np.uint64(1)
    level["head"] = level["tail"] = np.uint32(0)
    level["price_ticks"] = np.int32(price_ticks)
    level["owner"] = np.uint32(owner)
    side = book.sides[owner]
    side["far_cnt"] = np.uint32(np.int64(side["far_cnt"]) + 1)
    return slot


@inlined
def far_join(book, owner, price_ticks):
    """The far level of that price (its slot), made when there is none. Room has been asked for."""
    rank, entries = price_ticks ^ -(owner & 1), _entries(book, owner)
    if entries == 0:
        entry, block, used, place = entries, _take_block(book), entries, entries
        book.far_index[np.uint64(owner), np.uint64(0)] = np.int32(1)
    else:
        entry, block, used, place = _seek(book, owner, rank)
        if place < used and _get(book, block, place) == rank:
            return _get(book, block, _BLOCK + place)
        if unlikely(used == _BLOCK):
            kept = _BLOCK if place == used and entry + 1 == entries else _HALF
            _grow(book, owner, entry, kept)
            if place >= kept:
                entry, place = entry + 1, place - kept
            block, used = _entry(book, owner, entry)
    slot = _new_level(book, owner, price_ticks)
    _block_open(_address(book, block), place, np.int32(rank), np.int32(slot))
    _set_entry(book, owner, entry, block, used + 1)
    return slot


@inlined
def _give_level(book, owner, slot):
    engine, side, level = book.engine[0], book.sides[owner], book.far_levels[slot]
    level["head"] = np.uint32(engine["next_far"])
    engine["next_far"] = np.uint64(slot)
    engine["free_far"] += np.uint64(1)
    side["far_cnt"] = np.uint32(np.int64(side["far_cnt"]) - 1)


@kernel
def _leave_block(book, owner):
    """A side's last block is empty now: the one before it is the last."""
    last = _entries(book, owner) - 1
    block, _ = _entry(book, owner, last)
    book.far_index[np.uint64(owner), np.uint64(0)] = np.int32(last)
    _give_block(book, block)


@inlined
def far_drop_best(book, owner, slot):
    """The best far level of a side, `slot`, which is empty, goes back to the pool.

    Asks for the memory of the next best ones: whoever takes the best as a rule takes more.
    """
    entry, block, place = _last(book, owner)
    _set(book, block, place, _UNUSED)
    _set_entry(book, owner, entry, block, place)
    _give_level(book, owner, slot)
    if unlikely(place == 0):
        _leave_block(book, owner)
        return
    soon = _get(book, block, _BLOCK + max(place - _NEARER, np.int64(0)))
    prefetch(book.orders, book.far_levels[np.uint64(soon)]["head"])
    prefetch(book.far_levels, _get(book, block, _BLOCK + max(place - _AHEAD, np.int64(0))))


@inlined
def far_drop(book, slot):
    """An empty far level goes back to the pool."""
    level = book.far_levels[slot]
    owner = np.int64(level["owner"])
    if far_best_slot(book, owner) == slot:
        far_drop_best(book, owner, slot)
        return
    rank = np.int64(level["price_ticks"]) ^ -(owner & 1)
    entry, block, used, place = _seek(book, owner, rank)
    _block_close(_address(book, block), place)
    _set_entry(book, owner, entry, block, used - 1)
    _give_level(book, owner, slot)
    if unlikely(used <= _LEAST) and entry + 1 < _entries(book, owner):
        _refill(book, owner, entry)
