"""The matching core: a burst record is journalled, admitted, applied to the book and published.

`run` is a pure function of the core and the records: replaying a journal repeats every byte of the
streams and the feed. It takes a range of records in one call, because handing over the core's
arrays costs about as much as a step; `step` is a range of one. Burst record 4095 is scratch of bulk
cancels: callers use 0 to 4094. Book and reports stand in one place of this file only: every
function that calls them is compiled with all of them.
"""

import numpy as np
from numba import njit

from appliance.hot import cross
from appliance.hot.admit import APPLY, cancel, enter, modify, replace
from appliance.hot.auction import group_of
from appliance.hot.book import apply_work
from appliance.hot.bundle import bundle
from appliance.hot.course import (
    ADMIT, CANCEL_ONE, CROSS, DONE, EXPIRY, NOTHING, cross_letter, next_step, settled,
)
from appliance.hot.journal import append
from appliance.hot.kernel import later
from appliance.hot.publish import publish
from appliance.hot.reports import rejected
from appliance.hot.timers import timer_due
from appliance.hot.types import CORE, I64, INLINE, KERNEL, VOID
from appliance.layout.record import CANCEL, ENTER, MODIFY, REPLACE

_cross = cross.run


@later(I64(CORE, I64, I64), **INLINE)
def _admit(core, idx, kind):
    """APPLY, IGNORED or the code that the order command of burst record idx is refused with."""
    if kind == ENTER:
        return enter(core, idx)
    if kind == CANCEL:
        return cancel(core, idx)
    return replace(core, idx) if kind == REPLACE else modify(core, idx)


@later(VOID(CORE, I64, I64, I64), **KERNEL)
def run(core, start, stop, now_ns):
    """Takes burst records start to stop - 1 in order at time now_ns (ns since midnight).

    Record time never goes back: it is the journal's last time where now_ns is less. With
    journal.REPLAYED as now_ns each record has the time that stands in its place of the ring.
    """
    commands, events, engine = core.burst.commands, core.burst.events, core.book.engine
    scratch, work = np.int64(commands.size - 1), bundle((core.book, events))
    for idx in range(start, stop):
        append(core, idx, now_ns)
        kind = np.int64(commands[idx]["kind"])
        stage, which, at, count = np.int64(EXPIRY), np.int64(0), np.int64(0), np.int64(0)
        action, place = np.int64(NOTHING), scratch
        if kind >= ENTER and kind <= MODIFY \
                and not timer_due(core, np.int64(engine[0]["time_ns"])):
            action, stage = np.int64(ADMIT), np.int64(DONE)
        while True:
            if action == ADMIT:
                outcome, action, place = _admit(core, idx, kind), np.int64(CANCEL_ONE), idx
                if outcome != APPLY:
                    if outcome > 0:
                        rejected(core, idx, outcome)
                    break
            elif action == NOTHING:
                if stage == DONE:
                    if kind > MODIFY:
                        settled(core, idx, kind)
                    break
                action, stage, which, at, count = next_step(core, idx, stage, which, at, count)
                continue
            if action == CROSS:
                letter = cross_letter(kind)
                event_cnt = _cross(core.book, which, group_of(letter), letter, events, np.int64(0))
            else:
                event_cnt = apply_work(work, commands, place, place + 1, np.int64(0))
            publish(core, idx, event_cnt)
            if engine[0]["unfinished"] == 0 or engine[0]["fault"] != 0:
                action = np.int64(NOTHING)


@njit(inline="always", **KERNEL)
def step(core, idx, now_ns):
    """`run` of the one burst record idx."""
    run(core, idx, idx + 1, now_ns)
