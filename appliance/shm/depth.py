"""Reading depth from outside: a symbol's best levels as the matcher last published them.

    reader = DepthReader(partition.blocks["depth"], len(partition.listings),
                         partition.sizes.depth_levels)
    depth = reader.read(0)
    depth.bids[0].price_ticks

The matcher is never asked and never waits: a reader copies a row and does so again when it was
being written meanwhile (native/seqlock.c). Reading costs the matcher nothing but the cache line.
"""

import time
from typing import NamedTuple

import numpy as np

from ..hot.depth_state import row_words
from ..layout.shared import DEPTH, DEPTH_LEVEL
from ..native import ffi, lib
from . import region

TRIES = 1000               # copies in a row before the reader sleeps
SLEEP_S, PATIENCE_S = 0.0002, 1.0


class DepthError(Exception):
    """A row cannot be read; the text says which, why and what to do."""


class Level(NamedTuple):
    """One price of a side: shown open quantity and orders there."""

    price_ticks: int
    qty: int
    orders: int


class Depth(NamedTuple):
    """A symbol's best levels at one moment, best first."""

    feed_seq: int          # every feed message below this number is in
    time_ns: int           # record time, since midnight
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class DepthReader:
    """The rows of one partition; any number of readers, in any process that may open the block."""

    def __init__(self, block, symbol_cnt: int, levels: int):
        """RegionError when the block is not there or not of this size; DepthError at 0 levels."""
        self.levels, self.symbol_cnt = levels, symbol_cnt
        self.row = row_words(levels)
        if not levels or block.count != self.row * symbol_cnt:
            raise DepthError(f"block {block.name} has {block.count} words; {symbol_cnt} symbols of "
                             f"{levels} levels have {self.row * symbol_cnt}: set "
                             "capacity.depth_levels to 1 or more, and name what the matcher has")
        self.words = region.attach(block)
        self._address = ffi.cast("const uint64_t *", self.words.ctypes.data)
        self._copy = np.zeros(self.row, np.uint64)
        self._out = ffi.cast("uint64_t *", self._copy.ctypes.data)
        self._head = self._copy[:DEPTH.size // 8].view(DEPTH.dtype)
        self._levels = self._copy[DEPTH.size // 8:][:2 * levels * DEPTH_LEVEL.size // 8].view(
            DEPTH_LEVEL.dtype)

    def read(self, symbol: int) -> Depth | None:
        """The symbol's depth, whole; None when it has never been published.

        IndexError; DepthError when the row has been half written for PATIENCE_S: its matcher died.
        """
        if not 0 <= symbol < self.symbol_cnt:
            raise IndexError(f"symbol {symbol} of {self.symbol_cnt}")
        self._whole_row(symbol)
        head = self._head[0]
        if not head["seq"]:
            return None
        return Depth(int(head["feed_seq"]), int(head["time_ns"]),
                     self._side(0, int(head["bid_cnt"])),
                     self._side(self.levels, int(head["ask_cnt"])))

    def _whole_row(self, symbol):
        deadline = time.monotonic() + PATIENCE_S
        row = self._address + symbol * self.row
        while lib.wm_seq_copy(row, self.row, self._out, TRIES) < 0:
            if time.monotonic() > deadline:
                raise DepthError(f"symbol {symbol}: its row has not been whole for {PATIENCE_S} s; "
                                 "the matcher died while it wrote: wait for the next instance and "
                                 "attach again")
            time.sleep(SLEEP_S)

    def _side(self, first, count):
        return tuple(Level(int(level["price_ticks"]), int(level["qty"]), int(level["orders"]))
                     for level in self._levels[first:first + count])
