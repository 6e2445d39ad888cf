"""The bitmap over the ladder: which levels have orders, and the next one up or down.

Two levels of 64-bit words: a bit of `bits` for each ladder level, a bit of `bits2` for each word of
`bits`. A ladder level's number is owner << lg_ladder | place, with lg_ladder >= 12, so no word of
either map is shared by two owners and `level >> 6`, `level >> 12` find the words.
The plain formula of next_below is max(l for l in [first, level] if marked), or -1.
"""

import numpy as np

from .fence import clz64, ctz64
from .kernel import inlined, kernel

_ONE = np.uint64(1)
_SIX, _LOW_SIX = np.uint64(6), np.uint64(63)
_NONE = np.uint64(0)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@inlined
def mark(bits, bits2, level):
    """Ladder level `level` (int64) has orders from now on."""
    word = np.uint64(level) >> _SIX
    bits[word] |= _ONE << (np.uint64(level) & _LOW_SIX)
    bits2[word >> _SIX] |= _ONE << (word & _LOW_SIX)


@inlined
def unmark(bits, bits2, level):
    """Ladder level `level` (int64) is empty from now on."""
    word = np.uint64(level) >> _SIX
    rest = bits[word] & ~(_ONE << (np.uint64(level) & _LOW_SIX))
    bits[word] = rest
    if rest == _NONE:
        bits2[word >> _SIX] &= ~(_ONE << (word & _LOW_SIX))


@inlined
def next_below(bits, bits2, level, first):
    """Highest marked level in [first, level], -1 when there is none; first = owner << lg_ladder."""
    word = level >> 6
    found = bits[word] & (_ALL >> np.uint64(63 - (level & 63)))
    if found == _NONE:
        return _word_below(bits, bits2, word, first)
    return (word << 6) | (63 - clz64(found))


@inlined
def next_above(bits, bits2, level, stop):
    """Lowest marked level in [level, stop), -1 when none; stop = (owner + 1) << lg_ladder."""
    word = level >> 6
    found = bits[word] & (_ALL << np.uint64(level & 63))
    if found == _NONE:
        return _word_above(bits, bits2, word, stop)
    return (word << 6) | ctz64(found)


@kernel
def _word_below(bits, bits2, word, first):
    """Highest marked level in a word below `word`."""
    page = word >> 6
    found = bits2[page] & ((_ONE << np.uint64(word & 63)) - _ONE)
    while found == _NONE:
        page -= 1
        if page < first >> 12:
            return np.int64(-1)
        found = bits2[page]
    word = (page << 6) | (63 - clz64(found))
    return (word << 6) | (63 - clz64(bits[word]))


@kernel
def _word_above(bits, bits2, word, stop):
    """Lowest marked level in a word above `word`."""
    page = word >> 6
    found = bits2[page] & ((_ALL << np.uint64(word & 63)) << _ONE)
    while found == _NONE:
        page += 1
        if page >= stop >> 12:
            return np.int64(-1)
        found = bits2[page]
    word = (page << 6) | ctz64(found)
    return (word << 6) | ctz64(bits[word])
