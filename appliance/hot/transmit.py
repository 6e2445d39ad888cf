"""What leaves: cursors run over the logs and stop where the log, the gate or the frames end.

Order of a pass: answers and gap requests, acknowledgements, kick; feed, kick; feed B where it has
an interface of its own (hot/twin.py); heartbeats and ends of session when due, kick. A cursor moves
only after its packet is queued, so a transmit side without a free frame delays (tx_no_frame, once a
pass) and loses nothing. `limit_seq` arguments are the publish gate: the first number that may not
be shown yet.
"""

import numpy as np
from numba import boolean, int64, types, void

from ..layout.params import OUT_ACCEPT, OUT_ASK, OUT_REFUSE, OUTBOX
from ..layout.shared import FEED_LOG, SESSION
from .counters import (
    ACK_PACKETS, FEED_PACKETS, INLINED, KERNEL, LOGIN_ANSWERS, TX_FRAMES, TX_NO_FRAME, count as add,
)
from .endian import copy_bytes, load_be16, store_be16, store_be64, store_le64
from .feedlog import gather as gather_feed
from .gate import released
from .io_state import (
    ACKS_DUE, FEED_A, FEED_B, FRAMES_LEFT, KICK_DUE, LEVEL, LEVEL_DISK, MOLD_SZ, NEXT_ACCOUNT,
    OUTBOX_HEAD, OUTBOX_TAIL, PACKET_ROOM,
)
from .kernel import later
from .outbox import MASK
from .packet import HEADER_SZ, sum_words, write_feed_header, write_unicast_header
from .port import tx_alloc, tx_free, tx_kick, tx_push
from .port_state import STACK_CNT, TWIN_FD
from .raw import raw_load16, raw_load64
from .sequence import is_live
from .streams import gather as gather_acks
from .types import BYTES, CORE, SESSIONS
from .types_io import IO, PARAMS_ARRAY, PORT

ACK_BATCH = 32              # datagrams of one session in a pass
FEED_BATCH = 64             # feed packets in a pass
_MAC, _NAME, _OUT_MAC = SESSION["mac"].off, SESSION["session_name"].off, OUTBOX["mac"].off
_FEED_NAME = FEED_LOG["session_name"].off
_FILLED = types.UniTuple(int64, 2)


@later(int64(CORE, PORT, IO), **INLINED)
def take_frame(core, port, io):
    """A free transmit frame, or -1: none free (counted once a pass) or the pass's share is used."""
    if io.words[FRAMES_LEFT] <= 0:
        return np.int64(-1)
    off = tx_alloc(port)
    if off < 0:
        add(core.counters, TX_NO_FRAME, 1)
        io.words[FRAMES_LEFT] = 0
        return np.int64(-1)
    io.words[FRAMES_LEFT] -= 1
    return off


@later(void(PORT, int64), **KERNEL)
def _give_back(port, off):
    """Undoes tx_alloc."""
    port.tx_stack[np.int64(port.state[STACK_CNT])] = np.uint64(off)
    port.state[STACK_CNT] += np.uint64(1)


@later(void(BYTES, int64, types.uint64, int64, int64, int64), **INLINED)
def write_mold(frames, at, name_word, name_rest, seq, count):
    """A MoldUDP64 header; the name's bytes as one little-endian word and a half."""
    store_le64(frames, at, name_word)
    frames[at + 8] = np.uint8(name_rest & 0xFF)
    frames[at + 9] = np.uint8(name_rest >> 8)
    store_be64(frames, at + 10, seq)
    store_be16(frames, at + 18, count)


@later(int64(BYTES, int64, int64), **KERNEL)
def blocks_sz(data, off, block_cnt):
    """Bytes of the first block_cnt message blocks at off."""
    sz = np.int64(0)
    for _ in range(block_cnt):
        sz += 2 + np.int64(load_be16(data, off + sz))
    return sz


@later(_FILLED(CORE, BYTES, int64, int64, int64, int64, int64), **INLINED)
def _fill_acks(core, frames, at, account, seq, limit_seq, room):
    """(bytes, messages) copied to `at`: of the account's stream, from seq on, below limit_seq."""
    sz, filled = np.int64(0), np.int64(0)
    while seq + filled < limit_seq:
        off, got_sz, got = gather_acks(core.streams, core.accounts.sessions, account, seq + filled,
                                       room - sz)
        if got == 0:
            break
        if got > limit_seq - seq - filled:
            got = limit_seq - seq - filled
            got_sz = blocks_sz(core.streams.data, off, got)
        copy_bytes(frames, at + sz, core.streams.data, off, got_sz)
        sz += got_sz
        filled += got
    return sz, filled


@later(_FILLED(CORE, BYTES, int64, int64, int64, int64), **INLINED)
def _fill_feed(core, frames, at, seq, limit_seq, room):
    """(bytes, messages) copied to `at`: of the feed, from seq on, below limit_seq."""
    sz, filled = np.int64(0), np.int64(0)
    while seq + filled < limit_seq:
        off, got_sz, got = gather_feed(core.feed, seq + filled, room - sz)
        if got == 0:
            break
        if got > limit_seq - seq - filled:
            got = limit_seq - seq - filled
            got_sz = blocks_sz(core.feed.ring, off, got)
        copy_bytes(frames, at + sz, core.feed.ring, off, got_sz)
        sz += got_sz
        filled += got
    return sz, filled


@later(void(CORE, PORT, IO, int64, int64, int64, int64), **INLINED)
def _push_unicast(core, port, io, off, ip, udp_port, payload_sz):
    """Headers in front of a payload, MAC already there; queued and counted."""
    write_unicast_header(port.frames, off, io.templates, io.template_sums, ip, udp_port, payload_sz)
    tx_push(port, off, HEADER_SZ + payload_sz)
    add(core.counters, TX_FRAMES, 1)


@later(void(CORE, PORT, IO, int64, int64, int64, int64, int64), **INLINED)
def push_to_session(core, port, io, account, off, seq, count, blocks_bytes):
    """Completes a datagram of the account's stream whose blocks stand at off + 62; queues it."""
    sessions = core.accounts.sessions
    store_le64(port.frames, off, raw_load64(sessions, account, _MAC))
    write_mold(port.frames, off + HEADER_SZ, raw_load64(sessions, account, _NAME),
               np.int64(raw_load16(sessions, account, _NAME + 8)), seq, count)
    session = sessions[account]
    _push_unicast(core, port, io, off, np.int64(session["ip"]), np.int64(session["udp_port"]),
                  MOLD_SZ + blocks_bytes)


@later(boolean(CORE, PORT, IO, int64, int64, int64), **INLINED)
def send_acks(core, port, io, account, limit_seq, now):
    """Sends the account's stream from its cursor on; True when the cursor has reached limit_seq."""
    session = core.accounts.sessions[account]
    if session["udp_port"] == 0:                   # over TCP: recovery reads them from here on
        session["sent_seq"] = np.uint64(limit_seq)
        return True
    for _ in range(ACK_BATCH):
        seq = np.int64(session["sent_seq"])
        if seq >= limit_seq:
            return True
        off = take_frame(core, port, io)
        if off < 0:
            return False
        sz, filled = _fill_acks(core, port.frames, off + HEADER_SZ + MOLD_SZ, account, seq,
                                limit_seq, io.words[PACKET_ROOM])
        if filled == 0:
            _give_back(port, off)
            return True
        push_to_session(core, port, io, account, off, seq, filled, sz)
        add(core.counters, ACK_PACKETS, 1)
        session["sent_seq"], session["sent_ns"] = seq + filled, now
    return np.int64(session["sent_seq"]) >= limit_seq


@later(void(CORE, PORT, IO, int64), **INLINED)
def send_all_acks(core, port, io, now):
    """A round over all sessions with something to send, beginning where frames ended last time."""
    if io.words[ACKS_DUE] == 0:
        return
    sessions = core.accounts.sessions
    account, due = io.words[NEXT_ACCOUNT], np.int64(0)
    for _ in range(sessions.size):
        if account >= sessions.size:
            account = np.int64(0)
        session = sessions[account]
        if session["dirty"] != 0 and is_live(sessions, account):
            if io.words[LEVEL] != LEVEL_DISK:
                session["released_seq"] = session["next_seq"]
            if send_acks(core, port, io, account, np.int64(session["released_seq"]), now):
                session["dirty"] = 0
            elif due == 0:
                due = np.int64(1)
                io.words[NEXT_ACCOUNT] = account
        account += 1
    io.words[ACKS_DUE] = due


@later(int64(BYTES, int64, SESSIONS, int64, int64), **KERNEL)
def _write_accept(frames, at, sessions, account, told_seq):
    """The block of Login Accepted: assigned session, number right-aligned in 20; its bytes."""
    store_be16(frames, at, 31)
    frames[at + 2] = ord("A")
    store_le64(frames, at + 3, raw_load64(sessions, account, _NAME))
    name_rest = np.int64(raw_load16(sessions, account, _NAME + 8))
    frames[at + 11], frames[at + 12] = np.uint8(name_rest & 0xFF), np.uint8(name_rest >> 8)
    for place in range(20):
        digit = told_seq % 10
        blank = told_seq == 0 and place > 0
        frames[at + 32 - place] = np.uint8(32) if blank else np.uint8(48 + digit)
        told_seq //= 10
    return np.int64(33)


@later(boolean(CORE, PORT, IO, int64), **KERNEL)
def _send_entry(core, port, io, slot):
    """Makes the packet of one outbox entry; False when there is no frame."""
    off = take_frame(core, port, io)
    if off < 0:
        return False
    entry, frames, sessions = io.outbox[slot], port.frames, core.accounts.sessions
    kind, account = np.int64(entry["kind"]), np.int64(entry["account"])
    seq, count = np.int64(entry["seq"]), np.int64(entry["count"])
    at = off + HEADER_SZ
    name_word = raw_load64(sessions, account, _NAME)
    name_rest = np.int64(raw_load16(sessions, account, _NAME + 8))
    sz = np.int64(0)
    if kind == OUT_ACCEPT:
        sz = _write_accept(frames, at + MOLD_SZ, sessions, account, seq)
        seq, count = np.int64(0), np.int64(1)
        add(core.counters, LOGIN_ANSWERS, 1)
    elif kind == OUT_REFUSE:
        store_be16(frames, at + MOLD_SZ, 2)
        frames[at + MOLD_SZ + 2], frames[at + MOLD_SZ + 3] = np.uint8(ord("J")), entry["reason"]
        sz, seq, count = np.int64(4), np.int64(0), np.int64(1)
        add(core.counters, LOGIN_ANSWERS, 1)
    elif kind != OUT_ASK:
        sz, count = _fill_acks(core, frames, at + MOLD_SZ, account, seq,
                               min(seq + count, np.int64(sessions[account]["released_seq"])),
                               io.words[PACKET_ROOM])
        if count == 0:
            _give_back(port, off)
            return True
    store_le64(frames, off, raw_load64(io.outbox, slot, _OUT_MAC))
    write_mold(frames, at, name_word, name_rest, seq, count)
    if kind == OUT_REFUSE or kind == OUT_ASK:
        store_be64(frames, at, entry["token_hi"])
        store_be16(frames, at + 8, entry["token_lo"])
    _push_unicast(core, port, io, off, np.int64(entry["ip"]), np.int64(entry["udp_port"]),
                  MOLD_SZ + sz)
    return True


@later(void(CORE, PORT, IO), **KERNEL)
def send_outbox(core, port, io):
    """Login answers, gap requests and answers to re-requests, oldest first. A login that is not
    released yet keeps those behind it waiting."""
    limit = np.uint64(released(io))
    while io.words[OUTBOX_TAIL] < io.words[OUTBOX_HEAD]:
        if io.outbox[io.words[OUTBOX_TAIL] & MASK]["after"] > limit:
            return
        if not _send_entry(core, port, io, io.words[OUTBOX_TAIL] & MASK):
            return
        io.words[OUTBOX_TAIL] += 1


@later(boolean(PORT, PARAMS_ARRAY), **INLINED)
def _b_too(port, params):
    """Whether feed B leaves by the port, as A does."""
    return params[0]["feed_ip_b"] != 0 and port.state[TWIN_FD] == 0


@later(boolean(CORE, PORT, IO, PARAMS_ARRAY), **INLINED)
def feed_frames(core, port, io, params):
    """Whether one feed packet can be queued now, A and B; a lack of frames is counted."""
    needed = np.int64(2) if _b_too(port, params) else np.int64(1)
    if io.words[FRAMES_LEFT] < needed:
        return False
    if tx_free(port) < needed:
        add(core.counters, TX_NO_FRAME, 1)
        io.words[FRAMES_LEFT] = 0
        return False
    return True


@later(void(CORE, PORT, IO, PARAMS_ARRAY, int64, int64, int64, int64), **INLINED)
def push_feed(core, port, io, params, off, seq, count, blocks_bytes):
    """Completes a feed packet whose blocks stand at off + 62: A here, B as a copy, unless B has an
    interface of its own; queues both."""
    frames, log = port.frames, core.feed.log
    at, sz = off + HEADER_SZ, MOLD_SZ + blocks_bytes
    write_mold(frames, at, raw_load64(log, 0, _FEED_NAME),
               np.int64(raw_load16(log, 0, _FEED_NAME + 8)), seq, count)
    total = sum_words(frames, at, sz)
    write_feed_header(frames, off, io.templates, io.template_sums, FEED_A, sz, total)
    tx_push(port, off, HEADER_SZ + sz)
    add(core.counters, TX_FRAMES, 1)
    if _b_too(port, params):
        twin = take_frame(core, port, io)
        if twin >= 0:
            copy_bytes(frames, twin + HEADER_SZ, frames, at, sz)
            write_feed_header(frames, twin, io.templates, io.template_sums, FEED_B, sz, total)
            tx_push(port, twin, HEADER_SZ + sz)
            add(core.counters, TX_FRAMES, 1)


@later(boolean(CORE, PORT, IO, PARAMS_ARRAY, int64, int64), **INLINED)
def send_feed(core, port, io, params, limit_seq, now):
    """Sends the feed from its cursor on; True when the cursor has reached limit_seq."""
    log = core.feed.log[0]
    held_seq = min(np.int64(log["oldest_seq"]), limit_seq)
    if np.int64(log["sent_seq"]) < held_seq:
        log["sent_seq"] = held_seq                 # overrun: counted where the log pushed them out
    for _ in range(FEED_BATCH):
        seq = np.int64(log["sent_seq"])
        if seq >= limit_seq:
            return True
        if not feed_frames(core, port, io, params):
            return False
        off = take_frame(core, port, io)
        if off < 0:
            return False
        sz, filled = _fill_feed(core, port.frames, off + HEADER_SZ + MOLD_SZ, seq, limit_seq,
                                io.words[PACKET_ROOM])
        if filled == 0:
            _give_back(port, off)
            return True
        push_feed(core, port, io, params, off, seq, filled, sz)
        add(core.counters, FEED_PACKETS, 1)
        log["sent_seq"], log["sent_ns"] = seq + filled, now
    return np.int64(log["sent_seq"]) >= limit_seq


@later(void(PORT, IO), **INLINED)
def kick(port, io):
    """Lets queued packets leave; what the port kept back is remembered for the next pass."""
    io.words[KICK_DUE] = 0 if tx_kick(port) == 0 else 1
