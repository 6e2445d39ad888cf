"""Heartbeats of idle streams, and the end-of-session packets of the day's end.

A stream that has sent all it has says the next number after `heartbeat_ns` of silence; once the day
is closed it says END_COPIES times, `end_interval_ns` apart, that nothing follows. io.words[IDLE_NS]
is the earliest time at which anything of this is due, so an idle pass costs one comparison.
"""

import numpy as np
from numba import boolean, int64, void

from .counters import KERNEL
from .io_state import FEED_END_NS, FEED_ENDED_CNT, IDLE_NS, NEVER
from .kernel import later
from .sequence import is_live
from .transmit import feed_frames, push_feed, push_to_session, take_frame
from .types import CORE
from .types_io import IO, PARAMS_ARRAY, PORT

END_COPIES = 3
END_OF_SESSION = 0xFFFF
_CLOSED = 2                 # engine.phase


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64, boolean), **KERNEL)
def _feed(core, port, io, params, now, closed):
    """Sends what is due on the feed; when the next thing is due."""
    p, log = params[0], core.feed.log[0]
    if log["sent_seq"] < log["next_seq"]:
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
    if closed:
        io.words[FEED_ENDED_CNT], io.words[FEED_END_NS] = ended + 1, now
        if ended + 1 >= END_COPIES:
            return np.int64(NEVER)
    return now + interval


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64, int64, boolean), **KERNEL)
def _session(core, port, io, params, account, now, closed):
    """Sends what is due on a live session; when the next thing is due."""
    p, session = params[0], core.accounts.sessions[account]
    if session["sent_seq"] < session["next_seq"]:
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
    push_to_session(core, port, io, account, off, np.int64(session["sent_seq"]),
                    np.int64(END_OF_SESSION if closed else 0), np.int64(0))
    session["sent_ns"] = now
    if closed:
        session["ended_cnt"] = ended + 1
        if ended + 1 >= END_COPIES:
            return np.int64(NEVER)
    return now + interval


@later(void(CORE, PORT, IO, PARAMS_ARRAY, int64), **KERNEL)
def send_idle(core, port, io, params, now):
    """Everything that is due on idle streams; says in io.words[IDLE_NS] when to come again."""
    closed = core.book.engine[0]["phase"] == np.uint64(_CLOSED)
    sessions = core.accounts.sessions
    due = _feed(core, port, io, params, now, closed)
    for account in range(sessions.size):
        if is_live(sessions, account):
            due = min(due, _session(core, port, io, params, account, now, closed))
    io.words[IDLE_NS] = due


@later(boolean(CORE, IO), **KERNEL)
def all_ended(core, io):
    """Whether the day is closed and every end-of-session packet has been queued."""
    return (core.book.engine[0]["phase"] == np.uint64(_CLOSED)
            and io.words[FEED_ENDED_CNT] >= END_COPIES and io.words[IDLE_NS] == NEVER)
