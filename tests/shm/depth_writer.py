"""A matcher's stand-in that writes one depth row as fast as it can, for as long as it lives.

    python -m tests.shm.depth_writer DIRECTORY LEVELS [--unlocked]

In writing n every level has quantity n, so all levels of a whole row agree. --unlocked: the same
kernel without the store that makes `seq` odd.
"""

import sys
from pathlib import Path

import numpy as np
from numba import njit

from appliance.hot import depth as hot_depth
from appliance.hot import state
from appliance.hot.book import apply
from appliance.hot.depth_state import row_words
from appliance.hot.fence import pause
from appliance.layout.record import COMMAND, ENTER, EVENT
from appliance.shm import region
from appliance.topology import Block

ODD = "    store_release_u64(depth, row + _SEQ, seq + np.uint64(1))\n"


def block_in(directory, levels) -> Block:
    """The block of one symbol."""
    return Block("depth", "matcher", np.dtype(np.uint64), row_words(levels),
                 Path(directory) / "depth")


def book_of(levels):
    """A book of one symbol: `levels` prices a side, one order of 1 at each."""
    book = state.build(state.Sizes(accounts=1, pages=4, lg_ladder=12, far_cap=64, far_levels=256,
                                   chunks=2, feed_bytes=64, feed_messages=2, journal=2)).book
    commands = np.zeros(2 * levels, COMMAND.dtype)
    commands["kind"], commands["qty"] = ENTER, 1
    commands["order"] = np.arange(1, 2 * levels + 1)
    commands["side"] = np.arange(2 * levels) % 2
    commands["price_ticks"] = np.where(commands["side"] == 1, 2001, 2000) + np.where(
        commands["side"] == 1, 1, -1) * (np.arange(2 * levels) // 2)
    apply(book, commands, 0, len(commands), np.zeros(20 * levels, EVENT.dtype), 0)
    return book


def unlocked():
    """publish_symbol without the store that says a row is being written."""
    source = Path(hot_depth.__file__).read_text()
    assert source.count(ODD) == 1
    names = {"__name__": "appliance.hot.depth_unlocked", "__package__": "appliance.hot"}
    options = '"cache": False, **{key: value for key, value in KERNEL.items() if key != "cache"}'
    source = source.replace(ODD, "").replace("**KERNEL", "**{" + options + "}").replace(
        "**INLINE", "**{" + options.replace("KERNEL", "INLINE") + "}")
    exec(compile(source, "depth_unlocked", "exec"), names)
    return names["publish_symbol"]


def main(directory, levels, publish_symbol):
    """Writes until it is killed."""
    depth = region.attach(block_in(directory, levels), write=True)
    book = book_of(levels)

    @njit
    def write(book, depth, first, count):
        for n in range(first, first + count):
            for order in range(1, 2 * levels + 1):
                book.orders[order]["qty"] = np.uint32(n)
            publish_symbol(book, depth, 0, levels, n, n)
            for _ in range(n & 63):           # a writer that never rests lets nobody read
                pause()

    first = 1
    while True:
        write(book, depth, first, 100_000)
        first = (first + 100_000) % 1_000_000_000


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]),
         unlocked() if "--unlocked" in sys.argv else hot_depth.publish_symbol)
