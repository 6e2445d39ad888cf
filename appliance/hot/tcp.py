"""TCP sessions, seen from the matcher: pieces of their upstream, from recovery by a ring.

A piece is the datagram that the same messages would be over UDP: MoldUDP64 header with the login's
token, then blocks. So what follows is what follows a datagram: the same decoding, commands and
numbers. There are no gaps; the ring loses nothing. A session of TCP has source port 0; its answers
leave by recovery, which reads them where they are published. A logout is a block; an
end of session is a connection that was lost.
"""

import numpy as np
from numba import boolean, int64, void

from ..layout.record import DISCONNECT
from ..layout.shared import TCP_PIECE
from .counters import (
    INLINED, KERNEL, TCP_APPLIED, TCP_BARE, TCP_REFUSED, count as add,
)
from .endian import load_be16, load_be64, load_le32
from .fence import load_acquire_u64, store_release_u64
from .io_state import LINK_HEAD, LINK_TAIL, MOLD_SZ
from .kernel import later
from .sequence import end_session, is_live
from .session import END_OF_SESSION, framed
from .slots import APPLY_TCP, ask_to_apply
from .tokens import find_token
from .types import CORE
from .types_io import IO

POLL_MAX = 16               # pieces taken in one pass
PIECE_SZ, PIECE_HEAD = TCP_PIECE.size, TCP_PIECE["payload"].off


@later(int64(IO), **INLINED)
def waiting_pieces(io):
    """How many pieces this pass takes."""
    tail = np.int64(io.tcp_words[LINK_TAIL])
    return min(np.int64(load_acquire_u64(io.tcp_words, LINK_HEAD)) - tail, np.int64(POLL_MAX))


@later(void(IO), **INLINED)
def free_piece(io):
    """Gives the oldest piece's place back."""
    store_release_u64(io.tcp_words, LINK_TAIL, io.tcp_words[LINK_TAIL] + np.uint64(1))


@later(boolean(CORE, IO, int64, int64, int64), **INLINED)
def _take(core, io, at, sz, now):
    """Does what a piece asks; True when it was left as the job to apply it."""
    data, sessions = io.tcp_data, core.accounts.sessions
    if sz < MOLD_SZ or sz > PIECE_SZ - PIECE_HEAD:
        add(core.counters, TCP_REFUSED, 1)
        return False
    account = np.int64(find_token(core.accounts, load_be64(data, at), load_be16(data, at + 8)))
    if account < 0 or not is_live(sessions, account) or sessions[account]["udp_port"] != 0:
        add(core.counters, TCP_REFUSED, 1)
        return False
    sessions[account]["heard_ns"] = now
    seq, count = np.int64(load_be64(data, at + 10)), np.int64(load_be16(data, at + 18))
    if sz == MOLD_SZ:
        add(core.counters, TCP_BARE, 1)
        if count == END_OF_SESSION:
            end_session(core, io, account, DISCONNECT, np.int64(0))
        return False
    if seq != np.int64(sessions[account]["next_upstream_seq"]) or not framed(data, at, sz, count):
        add(core.counters, TCP_REFUSED, 1)
        return False
    add(core.counters, TCP_APPLIED, 1)
    ask_to_apply(io, APPLY_TCP, account, at, seq, count)
    return True


@later(void(CORE, IO, int64), **KERNEL)
def poll_piece(core, io, now):
    """Takes the next piece; there must be one. Its place is free when the job is done."""
    depth = np.int64(io.tcp_data.size) // PIECE_SZ
    base = (np.int64(io.tcp_words[LINK_TAIL]) & (depth - 1)) * PIECE_SZ
    if not _take(core, io, base + PIECE_HEAD, np.int64(load_le32(io.tcp_data, base)), now):
        free_piece(io)
