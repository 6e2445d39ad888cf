"""Heartbeats of idle streams, and the end-of-session packets of the day's end.

A stream that has sent all it has says the next number after `heartbeat_ns` of silence; once the day
is closed it says END_COPIES times, `end_interval_ns` apart, that nothing follows. io.words[IDLE_NS]
is the earliest time at which anything of this is due, so an idle pass costs one comparison.

Feed B where it leaves by an interface of its own has ends of its own: each is tried again until it
has left, and B's last message before them. What does not leave within _PATIENCE_NS of the day's end
is given up and counted (twin_lost, twin_unended), so that a lost interface cannot hold the day.
"""

import numpy as np
from numba import boolean, int64, void

from .counters import KERNEL, TWIN_LOST, TWIN_UNENDED, count as add
from .io_state import (
    FEED_END_NS, FEED_ENDED_CNT, IDLE_NS, NEVER, TWIN_END_NS, TWIN_ENDED_CNT, TWIN_UNTIL_NS,
)
from .kernel import later
from .port_state import TWIN_FD
from .sequence import is_live
from .transmit import feed_frames, push_feed, push_to_session, take_frame
from .twin import say_twin
from .types import CORE
from .types_io import IO, PARAMS_ARRAY, PORT

END_COPIES = 3
END_OF_SESSION = 0xFFFF
_CLOSED = 2                 # engine.phase
# How long the end of the day waits for feed B's own interface, in record time. A full socket of
# 32 MB is empty after 0.3 s at 1 Gb/s, and an interface that is gone says so for good. Too short:
# B's subscribers miss the end; too long: a day with a dead interface ends so much later.
_PATIENCE_NS = 1_000_000_000


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64, int64, boolean), **KERNEL)
def _feed(core, port, io, params, limit_seq, now, closed):
    """Sends what is due on the feed, its end when all is sent; when the next thing is due."""
    p, log = params[0], core.feed.log[0]
    if np.int64(log["sent_seq"]) < limit_seq or (closed and log["sent_seq"] < log["next_seq"]):
        return now
    ended, interval = io.words[FEED_ENDED_CNT], np.int64(p["heartbeat_ns"])
    due = np.int64(log["sent_ns"]) + interval
    if closed:
        interval = np.int64(p["end_interval_ns"])
        due = now if ended == 0 else io.words[FEED_END_NS] + interval
        if ended >= END_COPIES:
            return np.int64(NEVER)
    if now < due:
        return due
    if not feed_frames(core, port, io, params):
        return now
    push_feed(core, port, io, params, take_frame(core, port, io), np.int64(log["sent_seq"]),
              np.int64(END_OF_SESSION if closed else 0), np.int64(0))
    log["sent_ns"] = now
    if not closed:
        say_twin(core, port, io, params, np.int64(0), limit_seq, now)
    else:
        io.words[FEED_ENDED_CNT], io.words[FEED_END_NS] = ended + 1, now
        if ended + 1 >= END_COPIES:
            return np.int64(NEVER)
    return now + interval


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64, int64), **KERNEL)
def _twin_end(core, port, io, params, limit_seq, now):
    """Says the end on feed B's own interface when it is due; when to come again."""
    words, log = io.words, core.feed.log[0]
    if words[TWIN_ENDED_CNT] >= END_COPIES:
        return np.int64(NEVER)
    if port.state[TWIN_FD] == 0:
        words[TWIN_ENDED_CNT] = END_COPIES
        return np.int64(NEVER)
    if limit_seq < np.int64(log["next_seq"]):
        return now
    if words[TWIN_UNTIL_NS] == 0:
        words[TWIN_UNTIL_NS] = now + _PATIENCE_NS
    due = words[TWIN_END_NS] + np.int64(params[0]["end_interval_ns"])
    if words[TWIN_ENDED_CNT] != 0 and now < due:
        return due
    if say_twin(core, port, io, params, np.int64(END_OF_SESSION), limit_seq, now):
        words[TWIN_ENDED_CNT] += 1
        words[TWIN_END_NS] = now
    elif now >= words[TWIN_UNTIL_NS]:
        add(core.counters, TWIN_LOST, limit_seq - np.int64(log["twin_seq"]))
        add(core.counters, TWIN_UNENDED, 1)
        log["twin_seq"] = np.uint64(limit_seq)
        words[TWIN_ENDED_CNT] = END_COPIES
    return np.int64(NEVER) if words[TWIN_ENDED_CNT] >= END_COPIES else now


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64, int64, boolean), **KERNEL)
def _session(core, port, io, params, account, now, closed):
    """Sends what is due on a live session; when the next thing is due."""
    p, session = params[0], core.accounts.sessions[account]
    if session["udp_port"] == 0:                   # over TCP: recovery's matter
        return np.int64(NEVER)
    if session["sent_seq"] < session["released_seq"] \
            or (closed and session["sent_seq"] < session["next_seq"]):
        return now
    ended, interval = np.int64(session["ended_cnt"]), np.int64(p["heartbeat_ns"])
    if closed:
        interval = np.int64(p["end_interval_ns"])
        if ended >= END_COPIES:
            return np.int64(NEVER)
    due = np.int64(session["sent_ns"]) + interval
    if closed and ended == 0:
        due = now
    if now < due:
        return due
    off = take_frame(core, port, io)
    if off < 0:
        return now
    push_to_session(core, port, io, account, off,
                    min(np.int64(session["sent_seq"]), np.int64(session["released_seq"])),
                    np.int64(END_OF_SESSION if closed else 0), np.int64(0))
    session["sent_ns"] = now
    if closed:
        session["ended_cnt"] = ended + 1
        if ended + 1 >= END_COPIES:
            return np.int64(NEVER)
    return now + interval


@later(void(CORE, PORT, IO, PARAMS_ARRAY, int64, int64), **KERNEL)
def send_idle(core, port, io, params, limit_seq, now):
    """Everything that is due on idle streams; says in io.words[IDLE_NS] when to come again.
    limit_seq: the feed's publish gate."""
    closed = core.book.engine[0]["phase"] == np.uint64(_CLOSED)
    sessions = core.accounts.sessions
    due = _feed(core, port, io, params, limit_seq, now, closed)
    if closed:
        due = min(due, _twin_end(core, port, io, params, limit_seq, now))
    for account in range(sessions.size):
        if is_live(sessions, account):
            due = min(due, _session(core, port, io, params, account, now, closed))
    io.words[IDLE_NS] = due


@later(boolean(CORE, IO), **KERNEL)
def all_ended(core, io):
    """Whether the day is closed and every end-of-session packet is queued, or given up on B."""
    return (core.book.engine[0]["phase"] == np.uint64(_CLOSED)
            and io.words[FEED_ENDED_CNT] >= END_COPIES
            and io.words[TWIN_ENDED_CNT] >= END_COPIES and io.words[IDLE_NS] == NEVER)
