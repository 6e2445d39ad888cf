"""Journalled commands into a core again, exactly as the live path brought them.

What the live path changes beside the engine is a session's next upstream number alone: it moves
when a message is decoded, before the burst is run. A LOGIN or a SKIP, which set that number
themselves, is always the last of its call of the engine, as it is live.

Records go into the engine _TOGETHER at a time, whatever their times are, so a quiet day is replayed
as fast as a busy one; and the memory that each will need is asked for while they are laid out.
"""

import numpy as np
from numba import njit, types

from appliance.hot import engine
from appliance.hot.fence import prefetch
from appliance.hot.journal import REPLAYED
from appliance.hot.kernel import later
from appliance.hot.levels import is_far, ladder_place
from appliance.hot.pages import find_page
from appliance.hot.raw import raw_load64, raw_store64
from appliance.hot.types import CORE, I64, INLINE, INNER, JOURNAL, KERNEL, VOID
from appliance.layout.record import (
    COMMAND, DETAIL, ENTER, FILLER, IGNORE, JOURNAL_RECORD, LOGIN, LOGOUT, MODE, MODIFY, REPLACE,
    SKIP,
)

RECORDS = JOURNAL.types[1]
_run = engine.run
_COMMAND_OFF, _DETAIL_OFF = JOURNAL_RECORD["command"].off, JOURNAL_RECORD["detail"].off
_COMMAND_WORDS, _DETAIL_WORDS = COMMAND.size // 8, DETAIL.size // 8
_RECORD_WORDS = JOURNAL_RECORD.size // 8
_TOGETHER = np.int64(64)       # what they ask for stays in the cache until they are run
_ONE, _NONE = np.uint64(1), np.uint64(0)


@njit(types.boolean(CORE, I64), **INLINE)
def _in_range(core, idx):
    """Whether burst record idx names a kind, an account and a symbol that there are."""
    command = core.burst.commands[idx]
    return (np.int64(command["kind"]) >= ENTER and np.int64(command["kind"]) <= MODE
            and np.int64(command["account"]) < core.accounts.sessions.size
            and np.int64(command["symbol"]) < core.book.symbols.size)


@later(VOID(CORE, I64, I64), **INLINE)
def _ask_ahead(core, idx, kind):
    """Asks for the memory that the order command in burst record idx will need first."""
    book, command = core.book, core.burst.commands[idx]
    number = np.int64(core.burst.details[idx]["user_ref_num"])
    if kind == REPLACE:
        number = np.int64(core.burst.details[idx]["orig_user_ref_num"])
    page = find_page(core.accounts, np.int64(command["account"]), number >> 8)
    if page != 0:
        handle = page << 8 | number & 255
        prefetch(book.orders, handle)
        prefetch(core.accounts.cold, handle)
    if kind == ENTER:
        owner = np.int64(command["symbol"]) << 1 | np.int64(command["side"]) & 1
        place = ladder_place(book, owner, np.int64(command["price_ticks"]))
        prefetch(book.sides, owner)
        if not is_far(book, place):
            prefetch(book.levels, owner << np.int64(book.engine[0]["lg_ladder"]) | place)


@later(I64(CORE, RECORDS, I64, I64), **INNER)
def _stage(core, records, first, stop):
    """How many records from `first` on go into one call of the engine; they are burst records then,
    and stand in the journal's ring.

    0 when the next record is not the journal's next, goes back in time or cannot be.
    """
    header, ring, commands = core.journal.header[0], core.journal.ring, core.burst.commands
    seq, time_ns, details = header["next_seq"], header["last_ns"], core.burst.details
    stop = min(stop, first + min(_TOGETHER, ring.size))
    for at in range(first, stop):
        idx = at - first
        if records[at]["seq"] != seq + np.uint64(idx) or records[at]["time_ns"] < time_ns:
            return idx
        time_ns = records[at]["time_ns"]
        for word in range(_COMMAND_WORDS):
            raw_store64(commands, idx, 8 * word, raw_load64(records, at, _COMMAND_OFF + 8 * word))
        for word in range(_DETAIL_WORDS):
            raw_store64(details, idx, 8 * word, raw_load64(records, at, _DETAIL_OFF + 8 * word))
        if not _in_range(core, idx):
            return idx
        slot = np.int64(seq + np.uint64(idx)) & np.int64(ring.size - 1)
        for word in range(_RECORD_WORDS):
            raw_store64(ring, slot, 8 * word, raw_load64(records, at, 8 * word))
        kind, number = np.int64(commands[idx]["kind"]), details[idx]["upstream_seq"]
        if kind <= IGNORE or kind == FILLER or (kind == LOGOUT and number != _NONE):
            core.accounts.sessions[np.int64(commands[idx]["account"])]["next_upstream_seq"] = \
                number + _ONE
            if kind <= MODIFY:
                _ask_ahead(core, idx, kind)
        elif kind == LOGIN or kind == SKIP:
            return idx + 1
    return stop - first


@later(I64(CORE, RECORDS, I64), **KERNEL)
def replay(core, records, count):
    """Applies records[0] to records[count - 1]; how many were taken.

    Fewer than count: the next is not the one that the core waits for, or cannot be; what came
    before has been applied.
    """
    done = np.int64(0)
    while done < count:
        staged = _stage(core, records, done, count)
        if staged == 0:
            break
        _run(core, np.int64(0), staged, np.int64(REPLAYED))
        done += staged
    return done
