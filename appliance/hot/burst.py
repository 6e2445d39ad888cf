"""The matcher's one kernel call: poll, decode, match, transmit, until asked to come back.

`run` returns when the control word is no longer params.control_word (WORD_CHANGED), after
run_cycles (TIME_OVER), or, where params.idle_polls is not 0, after that many polls in a row found
nothing to do (IDLE). Record time is one reading of the cycle counter a burst and never goes back.

io.histogram counts nanoseconds from the return of the rx_burst that brought a frame to the return
of the last kick of the same burst, once a frame: processing and transmit system calls of the whole
burst, without the time a frame waited in the ring before.
"""

import numpy as np
from numba import boolean, int64, njit, types, uint64, void

from ..layout.params import WAIT_BLOCK, WAIT_YIELD
from ..layout.record import CLOCK, DAY_START, OPENS_LATER
from ..layout.shared import MATCHER_STATUS, STOP
from ..native import external
from . import counters as names
from . import engine
from .counters import INLINED, KERNEL, count as add, record
from .depth import follow
from .dues import do_due, something_due
from .fence import load_acquire_u64, pause, prefetch, store_release_u64
from .gate import advance, make_ready, may_flush, may_take
from .idle import all_ended, send_idle
from .io_state import (
    ACKS_DUE, BEAT_NS, FRAMES_LEFT, GAP_CNT, IDLE_NS, KICK_DUE, MODE, NOW_NS, OUTBOX_HEAD,
    OUTBOX_TAIL, SLOT_CNT, WORK, WORK_ACCOUNT, WORK_CNT, WORK_OFF, WORK_SEQ,
)
from .kernel import later
from .link import answer_login, day, poll, waiting_links
from .port import rx_burst, rx_release
from .port_state import KIND, NULL, RX_FD, TWIN_FD, TX_PACKETS
from .sequence import apply, forget, settle, tick
from .session import take
from .slots import (
    APPLY_FRAME, APPLY_HELD, APPLY_TCP, ENDED, FLUSH, LOGGED_IN, NO_WORK, ROOM, SETTLE, ask_for,
    open_slot,
)
from .timers import timer_due
from .transmit import kick, send_all_acks, send_feed, send_outbox
from .tcp import free_piece, poll_piece, waiting_pieces
from .tsc import read_tsc
from .twin import send_twin
from .types import CORE
from .types_io import IO, PARAMS_ARRAY, PORT

WORD_CHANGED, TIME_OVER, IDLE = 1, 2, 3
FRAMES_AHEAD = 4                # asked for before they are parsed
GIVE_WAY_NS = 50_000

_wait_readable = external("wm_wait_readable", types.int32, types.int32, types.int64)
_BEAT, _JOURNAL, _FEED, _LIVE, _SETTLED = (
    MATCHER_STATUS[name].off // 8
    for name in ("heartbeat_ns", "journal_seq", "feed_seq", "live_orders", "settled_ns"))
_ONE = np.uint64(1)


@njit(int64(IO, PARAMS_ARRAY, uint64), **INLINED)
def record_time(io, params, tsc):
    """Nanoseconds since midnight at a cycle count; not before the newest time given out."""
    p = params[0]
    elapsed = np.int64(((tsc - p["base_tsc"]) * p["tsc_mult"]) >> np.uint64(p["tsc_shift"]))
    now = max(np.int64(p["base_ns"]) + elapsed, io.words[NOW_NS])
    io.words[NOW_NS] = now
    return now


@later(void(CORE, IO, PARAMS_ARRAY, int64), **KERNEL)
def beat(core, io, params, now):
    """Writes the status block, the heartbeat last."""
    p = params[0]
    io.words[BEAT_NS], io.words[MODE] = now, core.book.engine[0]["mode"]
    io.status[_JOURNAL] = core.journal.header[0]["next_seq"] - _ONE
    io.status[_FEED] = core.feed.log[0]["next_seq"]
    io.status[_LIVE] = core.book.engine[0]["live_orders"]
    store_release_u64(io.status, _BEAT, np.uint64(
        np.int64(p["mono_base_ns"]) + now - np.int64(p["base_ns"])))


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64), **INLINED)
def transmit(core, port, io, params, now):
    """One pass over all cursors; how many packets were queued or have left."""
    io.words[FRAMES_LEFT] = np.int64(params[0]["tx_budget"])
    before = port.state[TX_PACKETS]
    advance(core, io)
    if io.words[OUTBOX_TAIL] < io.words[OUTBOX_HEAD]:
        send_outbox(core, port, io)
    send_all_acks(core, port, io, now)
    middle = port.state[TX_PACKETS]
    if middle != before or io.words[KICK_DUE] != 0:
        kick(port, io)
    log = core.feed.log[0]
    sent, limit_seq = np.int64(0), np.int64(log["released_seq"])
    send_feed(core, port, io, params, limit_seq, now)
    if port.state[TX_PACKETS] != middle:
        kick(port, io)
    if port.state[TWIN_FD] != 0 and np.int64(log["twin_seq"]) < limit_seq:
        sent = send_twin(core, port, io, params, limit_seq, now)
    if now >= io.words[IDLE_NS]:
        middle = port.state[TX_PACKETS]
        send_idle(core, port, io, params, limit_seq, now)
        if port.state[TX_PACKETS] != middle:
            kick(port, io)
    return sent + np.int64(port.state[TX_PACKETS] - before)


@later(void(PORT, int64), **INLINED)
def ask_for_frame(port, i):
    """Asks for the first two lines of received frame i: the sender's core has them."""
    addr = np.int64(port.rx_desc[i]["addr"])
    prefetch(port.frames, addr)
    prefetch(port.frames, addr + 64)


@later(boolean(CORE, IO, PARAMS_ARRAY, int64), **KERNEL)
def catch_up(core, io, params, commands):
    """Waits until the journal has room for so many commands; False when the matcher is to stop.

    Only a burst of thousands of empty messages comes here: `may_take` looks before a pass.
    """
    while not may_flush(core, io, commands):
        advance(core, io)                # the ring of marks may be what is full
        pause()
        now = record_time(io, params, read_tsc())
        if now - io.words[BEAT_NS] >= np.int64(params[0]["beat_ns"]):
            beat(core, io, params, now)
        if load_acquire_u64(io.control, 0) == np.uint64(STOP):
            return False
    return True


@njit(inline="always")
def _work(core, io, params, frames, now):
    """Does the job that was left, and those that follow from it. What a stop keeps from the
    journal has not happened."""
    while io.words[WORK] != NO_WORK:
        work, account = io.words[WORK], io.words[WORK_ACCOUNT]
        applies = work == APPLY_FRAME or work == APPLY_HELD or work == APPLY_TCP
        waiting = io.words[SLOT_CNT]
        if waiting and (not applies or waiting > core.burst.commands.size - ROOM):
            if may_flush(core, io, waiting) or catch_up(core, io, params, waiting):
                engine.run(core, np.int64(0), waiting, now)
                core.journal.header[0]["block_cnt"] += _ONE
                make_ready(core, io)
            io.words[SLOT_CNT], io.words[ACKS_DUE] = 0, 1
        io.words[WORK] = NO_WORK
        if applies:
            off, seq, block_cnt = io.words[WORK_OFF], io.words[WORK_SEQ], io.words[WORK_CNT]
            data = frames
            if work != APPLY_FRAME:
                data = io.hold_data if work == APPLY_HELD else io.tcp_data
            apply(core, io, data, off, seq, block_cnt, account)
            if work == APPLY_TCP:
                free_piece(io)
            if io.words[WORK] == NO_WORK and core.accounts.sessions[account]["gap_end_seq"] != 0:
                settle(core, io, params, account, now)
        elif work == SETTLE:
            settle(core, io, params, account, now)
        elif work == ENDED:
            forget(io, core.accounts.sessions, account)
        elif work == LOGGED_IN:
            answer_login(core, io, params, account, now)


@njit(inline="always")
def wait_idle(port, io, p, idle):
    """What the wait policy does after `idle` empty polls in a row.

    To yield is to sleep for GIVE_WAY_NS, unless a frame comes. sched_yield in a loop is none: the
    scheduler of Linux 6.18 takes each for a whole slice used up, so that who yields a million times
    a second is behind everybody for seconds once it is interrupted, with it whoever waits for it
    inside the kernel (RCU).
    """
    wait = np.int64(p["wait"])
    if wait < WAIT_YIELD or idle < np.int64(p["yield_polls"]) or port.state[KIND] == NULL:
        pause()
    elif wait == WAIT_BLOCK and io.words[KICK_DUE] == 0:
        _wait_readable(np.int32(port.state[RX_FD]), np.int64(p["block_ns"]))
    else:
        _wait_readable(np.int32(port.state[RX_FD]), np.int64(GIVE_WAY_NS))


@njit(int64(CORE, PORT, IO, PARAMS_ARRAY), **KERNEL)
def run(core, port, io, params):
    """The loop; one of WORD_CHANGED, TIME_OVER, IDLE.

    A pass does what is due of itself (dues.py), takes pieces of TCP sessions, then link records,
    then timers, then frames in their order, then flushes and transmits.
    Each of these items may leave a job, done before the next item. An order whose time is over
    leaves with the next record; when there is none, with a CLOCK record made for it.
    """
    p = params[0]
    start, idle = read_tsc(), np.int64(0)
    while True:
        if load_acquire_u64(io.control, 0) != p["control_word"]:
            return np.int64(WORD_CHANGED)
        takes = may_take(core, io)
        count = rx_burst(port, np.int64(p["rx_batch"])) if takes else np.int64(0)
        seen = read_tsc()
        for i in range(min(count, np.int64(FRAMES_AHEAD))):
            ask_for_frame(port, i)
        now = record_time(io, params, seen)
        if now - io.words[BEAT_NS] >= np.int64(p["beat_ns"]):
            beat(core, io, params, now)
            store_release_u64(io.status, _SETTLED, np.uint64(now))
        links = waiting_links(io) if takes else np.int64(0)
        pieces = waiting_pieces(io) if takes else np.int64(0)
        timers = np.int64(core.accounts.sessions.size) if io.words[GAP_CNT] and takes \
            else np.int64(0)
        dues = np.int64(takes and something_due(core, now))
        for item in range(-links - pieces - dues, timers + count + 1):
            if item < -links - pieces:
                do_due(core, io, now)
            elif item < -links:
                poll_piece(core, io, now)
            elif item < 0:
                poll(core, io)
            elif item < timers:
                tick(core, io, params, item, now)
            elif item < timers + count:
                if item - timers + FRAMES_AHEAD < count:
                    ask_for_frame(port, item - timers + FRAMES_AHEAD)
                packet = port.rx_desc[item - timers]
                add(core.counters, take(
                    core, io, params, port.frames, np.int64(packet["addr"]),
                    np.int64(packet["len"]), np.int64(packet["flags"]), now), 1)
            else:
                rx_release(port, count)
                if takes and io.words[SLOT_CNT] == 0 and timer_due(core, now):
                    open_slot(core, io, CLOCK, np.int64(0), np.int64(0))
                ask_for(io, FLUSH, np.int64(0))
            _work(core, io, params, port.frames, now)
        done = dues + links + pieces + count + transmit(core, port, io, params, now)
        if count:
            add(core.counters, names.RX_FRAMES, count)
            add(core.counters, names.RX_BURSTS, 1)
            record(io.histogram, np.int64(
                ((read_tsc() - seen) * p["tsc_mult"]) >> np.uint64(p["tsc_shift"])), count)
        else:
            add(core.counters, names.POLLS_EMPTY if takes else names.JOURNAL_FULL, 1)
        done += follow(core, io, now, count != 0)
        if done:
            idle = np.int64(0)
        else:
            idle += 1
            if p["idle_polls"] != 0 and idle >= np.int64(p["idle_polls"]):
                return np.int64(IDLE)
            wait_idle(port, io, p, idle)
        if read_tsc() - start > p["run_cycles"]:
            return np.int64(TIME_OVER)


@njit(void(CORE, IO, int64), **KERNEL)
def open_day(core, io, flags):
    """Leaves DAY_START as the first job of the next call of run."""
    day(core, io, np.int64(DAY_START), flags)


def start_day(core, port, io, params, opens_later=False):
    """DAY_START as the first command: done, stamped and sent by the next call of run.

    opens_later: the day begins before its market opens.
    """
    open_day(core, io, OPENS_LATER if opens_later else 0)


@njit(boolean(CORE, IO), **KERNEL)
def ended(core, io):
    """Whether the day is closed and every end-of-session packet has left, or is given up on B."""
    return all_ended(core, io) and io.words[KICK_DUE] == 0
