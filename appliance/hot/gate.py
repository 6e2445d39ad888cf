"""The publish gate: what a command has brought leaves when the command is safe, and not before.

The engine appends to the logs at once. At LEVEL_DISK each flush leaves marks: "this stream ends at
number n when command s has been applied". `advance` reads how far journal@p has synced and moves
`released_seq` of the feed and of each session over the marks that are covered; every cursor, answer
and heartbeat stops there. At the other levels everything that was appended is released by the pass
that sends it.

At each multiple of STATE_MARK_EVERY commands that a flush passes, and at the first, it also leaves
a few figures of the core's state behind its last command; shadow@p compares them with its replay.

The other way round, nothing is taken in that the journal ring, or the ring of marks, may have no
room for: a record is overwritten only after journal@p has copied it.
"""

import numpy as np
from numba import boolean, int64, void

from ..layout.journal import LG_STATE_MARK_EVERY, STATE_MARK, STATE_MARK_CNT
from ..layout.params import FEED_STREAM
from ..layout.shared import JOURNAL_HEADER
from .counters import INLINED, KERNEL
from .fence import load_acquire_u64, store_release_u64
from .io_state import (
    ACKS_DUE, COPIED, DURABLE, FEED_MARKED, LEVEL, LEVEL_DISK, LEVEL_NONE, MARK_HEAD, MARK_TAIL,
    STATE_MARKED,
)
from .kernel import later
from .state import BURST_COMMANDS
from .types import CORE
from .types_io import IO

_READY = JOURNAL_HEADER["ready_seq"].off // 8
_LG_EVERY, _STATE_WORDS = np.int64(LG_STATE_MARK_EVERY), STATE_MARK.size // 8
_CHECKSUM, _FEED_OFF, _FEED_SEQ, _ORDER_REF, _MATCH, _LIVE, _PAGES, _CHUNKS, _TIMERS, _STREAMS, \
    _USERS = (each.off // 8 for each in STATE_MARK.fields[1:-1])


@later(void(CORE, IO, int64), **KERNEL)
def _mark_state(core, io, seq):
    """What the core is behind command seq; before seq can become durable."""
    words, engine, log = io.state_marks, core.book.engine[0], core.feed.log[0]
    every = seq >> _LG_EVERY
    at = (every & np.int64(STATE_MARK_CNT - 1)) * np.int64(_STATE_WORDS)
    store_release_u64(words, at, np.uint64(0))
    words[at + _CHECKSUM] = core.journal.header[0]["checksum"]
    words[at + _FEED_OFF], words[at + _FEED_SEQ] = log["write_off"], log["next_seq"]
    words[at + _ORDER_REF], words[at + _MATCH] = engine["next_order_ref"], engine["next_match"]
    words[at + _LIVE], words[at + _PAGES] = engine["live_orders"], engine["free_page"]
    words[at + _CHUNKS], words[at + _TIMERS] = engine["free_chunk"], engine["timer_cnt"]
    streams, users, sessions = np.uint64(0), np.uint64(0), core.accounts.sessions
    for account in range(sessions.size):
        streams += sessions[account]["next_seq"]
        users += np.uint64(sessions[account]["last_user_ref"])
    words[at + _STREAMS], words[at + _USERS] = streams, users
    store_release_u64(words, at, np.uint64(seq))
    io.words[STATE_MARKED] = every


@later(void(CORE, IO), **INLINED)
def make_ready(core, io):
    """After a flush: its records may be copied, and its streams are marked."""
    seq = core.journal.header[0]["next_seq"] - np.uint64(1)
    if np.int64(seq) >> _LG_EVERY != io.words[STATE_MARKED]:
        _mark_state(core, io, np.int64(seq))
    store_release_u64(core.journal.words, _READY, seq)
    if io.words[LEVEL] == LEVEL_DISK:
        _mark(core, io, np.int64(seq))


@later(void(IO, int64, int64, int64), **INLINED)
def _push(io, account, seq, next_seq):
    """A mark at the end of the ring, which has room."""
    mark = io.marks[io.words[MARK_HEAD] & (io.marks.size - 1)]
    mark["journal_seq"], mark["next_seq"] = np.uint64(seq), np.uint64(next_seq)
    mark["account"] = np.uint32(account)
    io.words[MARK_HEAD] += 1


@later(void(CORE, IO, int64), **KERNEL)
def _mark(core, io, seq):
    """Where every stream that has grown ends at command seq."""
    following = np.int64(core.feed.log[0]["next_seq"])
    if following != io.words[FEED_MARKED]:
        io.words[FEED_MARKED] = following
        _push(io, np.int64(FEED_STREAM), seq, following)
    sessions = core.accounts.sessions
    for account in range(sessions.size):
        session = sessions[account]
        if session["dirty"] != 0 and session["next_seq"] != io.marked[account]:
            io.marked[account] = session["next_seq"]
            _push(io, np.int64(account), seq, np.int64(session["next_seq"]))


@later(int64(IO), **INLINED)
def released(io):
    """The newest command whose results may leave."""
    if io.words[LEVEL] != LEVEL_DISK:
        return np.int64(0x7FFFFFFFFFFFFFFF)
    return np.int64(load_acquire_u64(io.journal, DURABLE))


@later(void(CORE, IO), **KERNEL)
def _cover(core, io):
    """Moves released_seq over every mark that the disk has covered."""
    limit, mask = released(io), io.marks.size - 1
    while io.words[MARK_TAIL] < io.words[MARK_HEAD]:
        mark = io.marks[io.words[MARK_TAIL] & mask]
        if np.int64(mark["journal_seq"]) > limit:
            return
        account = np.int64(mark["account"])
        if account == FEED_STREAM:
            core.feed.log[0]["released_seq"] = mark["next_seq"]
        else:
            session = core.accounts.sessions[account]
            session["released_seq"], session["dirty"] = mark["next_seq"], np.uint32(1)
            io.words[ACKS_DUE] = 1
        io.words[MARK_TAIL] += 1


@later(void(CORE, IO), **INLINED)
def advance(core, io):
    """At the beginning of a transmit pass: releases what is safe by now."""
    if io.words[LEVEL] != LEVEL_DISK:
        core.feed.log[0]["released_seq"] = core.feed.log[0]["next_seq"]
    elif io.words[MARK_TAIL] < io.words[MARK_HEAD]:
        _cover(core, io)


@later(boolean(CORE, IO, int64, int64), **INLINED)
def _fits(core, io, commands, flushes):
    """Whether both rings have room for so many commands in so many flushes."""
    held = (np.int64(core.journal.header[0]["next_seq"]) - 1
            - np.int64(load_acquire_u64(io.journal, COPIED)))
    marks = io.words[MARK_HEAD] - io.words[MARK_TAIL]
    return (held + commands <= core.journal.ring.size
            and marks + flushes * (core.accounts.sessions.size + 1) <= io.marks.size)


@later(boolean(CORE, IO), **INLINED)
def may_take(core, io):
    """Whether a pass may take frames and link records in."""
    return io.words[LEVEL] == LEVEL_NONE or _fits(core, io, np.int64(2 * BURST_COMMANDS),
                                                  np.int64(4))


@later(boolean(CORE, IO, int64), **INLINED)
def may_flush(core, io, commands):
    """Whether so many commands may be applied now: else the journal has to catch up first."""
    return io.words[LEVEL] == LEVEL_NONE or _fits(core, io, commands, np.int64(1))
