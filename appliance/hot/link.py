"""The control links between matcher and supervisor, seen from the matcher.

Two rings with one producer and one consumer each. Out: sequence-0 datagrams with their source. In:
logins, refusals, disconnects, the day's and the operator's words, which become commands. The
producer writes a record and then its head, the consumer reads the head and then the record. The
supervisor's side of the same rings is `appliance/shm/ring.py`.
"""

import numpy as np
from numba import boolean, int64, uint64, void

from ..layout.params import OUT_ACCEPT, OUT_REFUSE
from ..layout.record import (
    BUST, DAY_END, DETAIL, DISCONNECT, HALT, IMBALANCE, KILL, LIMIT, LOGIN, MARKET_OPEN, MODE,
    SYMBOL,
)
from ..layout.shared import (
    LINK, LINK_BUST, LINK_CONTROL, LINK_DISCONNECT, LINK_END_DAY, LINK_HALT, LINK_IMBALANCE,
    LINK_KILL, LINK_LIMIT, LINK_LOGIN, LINK_MODE, LINK_OPEN, LINK_REFUSE, SESSION,
)
from .counters import INLINED, KERNEL
from .endian import load_be16, load_be32
from .fence import load_acquire_u64, store_release_u64
from .io_state import IDLE_NS, LINK_DROPPED, LINK_HEAD, LINK_TAIL, OUTBOX_HEAD, SLOT_CNT
from .kernel import later
from .outbox import MASK, put_for_session, put_refusal
from .raw import raw_load16, raw_load32, raw_load64, raw_store16, raw_store32, raw_store64
from .sequence import end_session, forget, is_live
from .slots import FLUSH, LOGGED_IN, ask_for, open_slot
from .types import BYTES, CORE, SESSIONS
from .types_io import IO, PARAMS_ARRAY

TEXT_SZ = LINK["text"].count
POLL_MAX = 16               # records taken in one pass
PHASE_CLOSED = 2            # engine.phase
_TEXT, _MAC, _TOKEN, _SESSION = (LINK[name].off for name in ("text", "mac", "token", "session"))
_CLORDID, _DETAIL_MAC, _FIRM = DETAIL["clordid"].off, DETAIL["mac"].off, DETAIL["firm"].off
_NAME, _SYMBOL_NAME = SESSION["session_name"].off, SYMBOL["name"].off
_SYMBOL_TEXT = DETAIL["symbol_text"].off


@later(uint64(uint64), **KERNEL)
def swap64(word):
    """The eight bytes of word the other way round."""
    word = ((word & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)) \
        | ((word >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF))
    word = ((word & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)) \
        | ((word >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF))
    return (word << np.uint64(32)) | (word >> np.uint64(32))


@later(boolean(IO, BYTES, int64, int64, int64, int64), **KERNEL)
def push_control(io, frames, off, ip_off, payload_off, payload_sz):
    """Hands a sequence-0 datagram to the supervisor; False, counted in the link, when full."""
    head = np.int64(io.out_words[LINK_HEAD])
    if head - np.int64(load_acquire_u64(io.out_words, LINK_TAIL)) >= io.out_ring.size:
        io.out_words[LINK_DROPPED] += np.uint64(1)
        return False
    idx = head & np.int64(io.out_ring.size - 1)
    link = io.out_ring[idx]
    link["kind"], link["account"], link["reason"] = LINK_CONTROL, 0, 0
    link["ip"] = np.uint32(load_be32(frames, ip_off + 12))
    link["udp_port"] = np.uint16(load_be16(frames, ip_off + 20))
    sz = min(payload_sz, np.int64(TEXT_SZ))
    link["text_sz"] = sz
    for byte in range(6):
        link["mac"][byte] = frames[off + 6 + byte]
    for byte in range(sz):
        link["text"][byte] = frames[payload_off + byte]
    store_release_u64(io.out_words, LINK_HEAD, np.uint64(head + 1))
    return True


@later(boolean(IO, SESSIONS, int64, int64), **INLINED)
def _has_token(io, sessions, account, idx):
    """Whether the account is live with the token of record idx."""
    session = sessions[account]
    return (is_live(sessions, account)
            and session["token_hi"] == swap64(raw_load64(io.in_ring, idx, _TOKEN))
            and session["token_lo"]
            == swap64(raw_load16(io.in_ring, idx, _TOKEN + 8)) >> np.uint64(48))


@later(void(CORE, IO, int64), **KERNEL)
def _login(core, io, idx):
    """LINK_LOGIN: binds token and source; the same ones again only get the same answer."""
    sessions, link = core.accounts.sessions, io.in_ring[idx]
    account = np.int64(link["account"])
    session = sessions[account]
    if (_has_token(io, sessions, account, idx) and session["ip"] == link["ip"]
            and session["udp_port"] == link["udp_port"]):
        put_for_session(io, sessions, account, OUT_ACCEPT, np.int64(session["login_seq"]),
                        np.int64(0))
        return
    forget(io, sessions, account)
    raw_store64(sessions, account, _NAME, raw_load64(io.in_ring, idx, _SESSION))
    raw_store64(sessions, account, _NAME + 8, raw_load64(io.in_ring, idx, _SESSION + 8))
    slot = open_slot(core, io, LOGIN, account, np.int64(link["requested_seq"]))
    details = core.burst.details
    details[slot]["ip"], details[slot]["udp_port"] = link["ip"], link["udp_port"]
    raw_store32(details, slot, _DETAIL_MAC, raw_load32(io.in_ring, idx, _MAC))
    raw_store16(details, slot, _DETAIL_MAC + 4, raw_load16(io.in_ring, idx, _MAC + 4))
    raw_store64(details, slot, _CLORDID, raw_load64(io.in_ring, idx, _TOKEN))
    raw_store16(details, slot, _CLORDID + 8, raw_load16(io.in_ring, idx, _TOKEN + 8))
    ask_for(io, LOGGED_IN, account)


@later(void(CORE, IO, PARAMS_ARRAY, int64, int64), **KERNEL)
def answer_login(core, io, params, account, now):
    """After the engine has bound the session: the answer, and heartbeats from now on."""
    sessions = core.accounts.sessions
    io.words[IDLE_NS] = min(io.words[IDLE_NS], now + np.int64(params[0]["heartbeat_ns"]))
    if core.book.engine[0]["phase"] == np.uint64(PHASE_CLOSED):
        io.words[IDLE_NS] = now
    if put_for_session(io, sessions, account, OUT_ACCEPT, np.int64(sessions[account]["login_seq"]),
                       np.int64(0)) != 0:
        entry = io.outbox[(io.words[OUTBOX_HEAD] - 1) & MASK]
        entry["after"] = core.journal.header[0]["next_seq"] - np.uint64(1)


@later(void(CORE, IO, int64, int64), **KERNEL)
def day(core, io, kind, flags):
    """DAY_START, MARKET_OPEN or DAY_END as a command; leaves the job to apply it."""
    slot = open_slot(core, io, kind, np.int64(0), np.int64(0))
    core.burst.commands[slot]["flags"] = np.uint8(flags)
    ask_for(io, FLUSH, np.int64(0))
    io.words[IDLE_NS] = 0


@later(void(CORE, IO, int64), **KERNEL)
def _sign(core, io, idx):
    """Who asked for the newest slot, and under which number, as link record idx says it."""
    slot, details = io.words[SLOT_CNT] - 1, core.burst.details
    details[slot]["ip"] = io.in_ring[idx]["ip"]
    details[slot]["orig_user_ref_num"] = io.in_ring[idx]["request"]
    raw_store64(details, slot, _CLORDID, raw_load64(io.in_ring, idx, _SESSION))
    raw_store64(details, slot, _CLORDID + 6, raw_load64(io.in_ring, idx, _SESSION + 6))


@later(void(CORE, IO, int64, int64), **KERNEL)
def _risk(core, io, kind, idx):
    """LIMIT, KILL or MODE as link record idx says it; leaves the job to apply it."""
    link, symbol = io.in_ring[idx], np.int64(io.in_ring[idx]["udp_port"])
    slot = open_slot(core, io, kind, np.int64(link["account"]), np.int64(link["requested_seq"]))
    detail, command = core.burst.details[slot], core.burst.commands[slot]
    command["symbol"] = np.uint16(symbol)
    if kind == KILL:
        detail["cross"], command["flags"] = link["reason"], link["scope"]
    else:
        detail["side_letter"], detail["present"] = link["reason"], link["scope"]
    raw_store64(core.burst.details, slot, _SYMBOL_TEXT,
                raw_load64(core.book.symbols, symbol, _SYMBOL_NAME))
    raw_store32(core.burst.details, slot, _FIRM, raw_load32(io.in_ring, idx, _TOKEN))
    ask_for(io, FLUSH, np.int64(0))


@later(void(CORE, IO, int64, int64), **KERNEL)
def _operator(core, io, kind, idx):
    """HALT, BUST or IMBALANCE as link record idx says it; leaves the job to apply it."""
    link, number = io.in_ring[idx], np.int64(0)
    if kind == BUST:
        number = np.int64(link["requested_seq"])
    slot = open_slot(core, io, kind, np.int64(0), number)
    detail = core.burst.details[slot]
    if kind == HALT:
        core.burst.commands[slot]["symbol"] = np.uint16(link["account"])
        raw_store32(core.burst.details, slot, _FIRM, raw_load32(io.in_ring, idx, _TOKEN))
    if kind == IMBALANCE:
        detail["cross"] = link["reason"]
    else:
        detail["side_letter"] = link["reason"]
    ask_for(io, FLUSH, np.int64(0))


@later(int64(IO), **INLINED)
def waiting_links(io):
    """How many records of the supervisor this pass takes."""
    tail = np.int64(io.in_words[LINK_TAIL])
    return min(np.int64(load_acquire_u64(io.in_words, LINK_HEAD)) - tail, np.int64(POLL_MAX))


@later(void(CORE, IO), **KERNEL)
def poll(core, io):
    """Does what the supervisor's next record asks, or leaves it as a job; there must be one.

    An account or symbol number that does not exist is ignored.
    """
    tail = np.int64(io.in_words[LINK_TAIL])
    idx, sessions = tail & np.int64(io.in_ring.size - 1), core.accounts.sessions
    kind, account = np.int64(io.in_ring[idx]["kind"]), np.int64(io.in_ring[idx]["account"])
    if kind == LINK_LOGIN:
        if account < sessions.size:
            _login(core, io, idx)
    elif kind == LINK_REFUSE:
        put_refusal(io, io.in_ring, idx, OUT_REFUSE,
                    swap64(raw_load64(io.in_ring, idx, _TOKEN)),
                    swap64(raw_load16(io.in_ring, idx, _TOKEN + 8)) >> np.uint64(48))
    elif kind == LINK_DISCONNECT:
        if account < sessions.size and _has_token(io, sessions, account, idx):
            end_session(core, io, account, DISCONNECT, np.int64(0))
            _sign(core, io, idx)
    elif kind == LINK_END_DAY:
        day(core, io, DAY_END, np.int64(0))
        _sign(core, io, idx)
    elif kind == LINK_OPEN:
        day(core, io, MARKET_OPEN, np.int64(0))
        _sign(core, io, idx)
    elif kind == LINK_HALT:
        if account < core.book.symbols.size:
            _operator(core, io, HALT, idx)
            _sign(core, io, idx)
    elif kind == LINK_BUST:
        _operator(core, io, BUST, idx)
        _sign(core, io, idx)
    elif kind == LINK_IMBALANCE:
        _operator(core, io, IMBALANCE, idx)
    elif kind == LINK_LIMIT or kind == LINK_KILL or kind == LINK_MODE:
        if account < sessions.size \
                and np.int64(io.in_ring[idx]["udp_port"]) < core.book.symbols.size:
            _risk(core, io, LIMIT if kind == LINK_LIMIT else
                  KILL if kind == LINK_KILL else MODE, idx)
            _sign(core, io, idx)
    store_release_u64(io.in_words, LINK_TAIL, np.uint64(tail + 1))
