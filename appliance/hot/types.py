"""The numba types of the core's state and the options of its kernels, named once.

The types are read off a tiny core, so they follow `state.py` by themselves; sizes are no part of
them. The options switch numba's reference counts off: kernels take no memory, and counting the
core's thirty arrays at every access cost 1,100 ns where the work itself takes 3.
"""

from numba import types, typeof

from appliance.hot import state

_TINY = state.build(state.Sizes(
    symbols=1, accounts=1, pages=2, lg_ladder=12, far_cap=2, far_levels=2, chunks=2,
    feed_bytes=64, feed_messages=2, journal=2, holds=1, link_depth=2))

CORE = typeof(_TINY)
BOOK = typeof(_TINY.book)
ACCOUNTS = typeof(_TINY.accounts)
STREAMS = typeof(_TINY.streams)
FEED = typeof(_TINY.feed)
TIMERS = typeof(_TINY.timers)
JOURNAL = typeof(_TINY.journal)
BURST = typeof(_TINY.burst)

SESSIONS = typeof(_TINY.accounts.sessions)
SYMBOLS = typeof(_TINY.book.symbols)
ENGINE = typeof(_TINY.book.engine)
COMMANDS = typeof(_TINY.burst.commands)
DETAILS = typeof(_TINY.burst.details)
EVENTS = typeof(_TINY.burst.events)
COUNTERS = typeof(_TINY.counters)
BYTES = types.Array(types.uint8, 1, "C")
U32S = types.Array(types.uint32, 1, "C")

I64, U64, VOID = types.int64, types.uint64, types.void
SPAN = types.UniTuple(types.int64, 3)      # (offset, bytes, count)
COURSE = types.UniTuple(types.int64, 5)    # see course.next_step

# A kernel of its own that Python may call; one for kernels only; one that is put into its caller.
KERNEL = {"cache": True, "_nrt": False, "no_cfunc_wrapper": True}
INNER = {**KERNEL, "no_cpython_wrapper": True}
INLINE = {**INNER, "forceinline": True}

del _TINY
