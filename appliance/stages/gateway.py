"""OUCH over SoupBinTCP: an account's trading session for clients that speak TCP (wire-spec 2, 6).

The session is the one that the account has over UDP: same name, same numbers, one login at a time,
the newer takes over. Upstream each connection is a client of the matcher that loses nothing: its
`U` and `O` packets go, numbered from 1, in datagrams under the login's token through the ring
`link_tcp` (`Upstream`), heartbeats too; the end of the connection is the end of the session.
Downstream packets are copied from the account's stream in shared memory (`Stream`), as far as they
are published. Nothing is kept for a slow reader: it is behind, and dropped when it takes nothing.
Drop copies (dropcopy.py) log in at the same port.
"""

import struct

import numpy as np

from appliance.hot.io_state import LINK_HEAD, LINK_TAIL
from appliance.layout import shared
from appliance.layout.wire_session import MOLD_END_OF_SESSION, MOLD_HEADER, MOLD_HEARTBEAT
from appliance.shm.ring import look, publish
from appliance.stages import soup
from appliance.stages.service import Service
from appliance.stages.soup import Closed

PIECE_SZ, PIECE_HEAD = shared.TCP_PIECE.size, shared.TCP_PIECE["payload"].off
BLOCKS_SZ = 1452           # what a datagram of 1,472 bytes has room for
PIECES_MAX = 4 + 2 * (soup.READ_SZ + soup.PACKET_MAX) // BLOCKS_SZ     # that one read can make
CLOSED_PHASE = 2           # engine.phase
_MOLD = struct.Struct(">10sQH")
_LENGTH = struct.Struct(">H")
assert _MOLD.size == MOLD_HEADER.size


def published(sessions, account: int) -> int:
    """The first number of the account's stream that may not be shown yet. THE place of this rule:
    for a session over TCP the matcher moves `sent_seq` as far as acknowledgements may leave, and a
    login puts it where the participant wants to go on, which may be beyond."""
    row = sessions[account]
    return min(int(row["sent_seq"]), int(row["released_seq"]))


class Upstream:
    """The writing end of link_tcp."""

    def __init__(self, memory):
        head = shared.LINK_HEADER.size
        self.words, self.data = memory[:head].view(np.uint64), memory[head:]
        self.depth = self.data.size // PIECE_SZ

    @property
    def room(self) -> int:
        """How many datagrams fit."""
        return self.depth - (int(self.words[LINK_HEAD]) - int(look(self.words, LINK_TAIL)))

    def push(self, token: bytes, seq: int, count: int, blocks=b"") -> bool:
        """One datagram: `count` messages from number seq on. False when the ring is full."""
        head = int(self.words[LINK_HEAD])
        if self.room <= 0:
            return False
        payload = _MOLD.pack(token, seq, count) + blocks
        at = (head & (self.depth - 1)) * PIECE_SZ
        piece = len(payload).to_bytes(4, "little").ljust(PIECE_HEAD, b"\0") + payload
        self.data[at:at + len(piece)] = np.frombuffer(piece, np.uint8)
        publish(self.words, LINK_HEAD, np.uint64(head + 1))
        return True


class Stream:
    """An account's stream from number seq on, read from the matcher's chunks."""

    def __init__(self, heads, data, sessions, account, seq):
        self.heads, self.data, self.sessions = heads, data, sessions
        self.account, self.seq, self.chunk = account, seq, 0

    def read(self, limit_seq: int, room: int) -> np.ndarray | None:
        """Whole packets from the next number on, below limit_seq, `room` bytes at most (the first
        one always); None when there is none."""
        if self.seq >= limit_seq or not self._find():
            return None
        base, head = self.chunk * shared.CHUNK_SZ, self.heads[self.chunk]
        number = self.seq - int(head["first_seq"])
        end = min(limit_seq - int(head["first_seq"]), int(head["message_cnt"]))
        start = self._offset(base, number)
        while end - number > 1 and self._offset(base, end - 1) - start > room:
            end = number + (end - number) // 2
        last = base + self._offset(base, end - 1)
        stop = last + 2 + (int(self.data[last]) << 8 | int(self.data[last + 1]))
        self.seq += end - number
        return self.data[base + start:stop]

    def _find(self):
        """Moves to the chunk that holds the next number; False when there is none yet."""
        chunk = self.chunk or int(self.sessions[self.account]["first_chunk"])
        while chunk:
            head = self.heads[chunk]
            if self.seq < int(head["first_seq"]) + int(head["message_cnt"]):
                self.chunk = chunk
                return True
            chunk = int(head["next"])
        return False

    def _offset(self, base, number):
        at = base + shared.CHUNK_SZ - 4 * (number + 1)
        return int.from_bytes(self.data[at:at + 4].tobytes(), "little")


class Trader(soup.Connection):
    """A participant. account: -1 before the desk has let it in; stream: None before the matcher has
    bound the session; next_up: number of its next message. reader: of a drop copy, which is no
    account and has no stream of its own."""

    token, account, stream, next_up, told, reader = b"", -1, None, 1, 0.0, None


class Gateway(Service):
    """sessions, heads, data, engine: the matcher's blocks, read-only. names: of the sessions.
    copies: the drop copies (dropcopy.py), which the desk numbers on behind the accounts."""

    connection = Trader

    def __init__(self, listener, caps, selector, silence_s, doorman, upstream, blocks, names,
                 copies=()):
        super().__init__(listener, caps, selector, silence_s)
        self.doorman, self.upstream, self.names = doorman, upstream, names
        self.copies = copies
        self.sessions, self.heads, self.data, self.engine = blocks
        self.asking: dict[bytes, Trader] = {}
        self.ends: list[tuple[bytes, int]] = []      # of sessions, that found the ring full
        self._end_strays()

    def _end_strays(self):
        """Sessions of a recovery before this one: their connections are lost."""
        for account in np.flatnonzero(self.sessions["state"] == shared.SESSION_LIVE).tolist():
            if self.sessions[account]["udp_port"] == 0:
                self.ends.append((self._token(account), 1))

    def _token(self, account):
        row = self.sessions[account]
        return int(row["token_hi"]).to_bytes(8, "big") + int(row["token_lo"]).to_bytes(2, "big")

    def _has(self, conn):
        """Whether the account's session is this connection's."""
        row = self.sessions[conn.account]
        return (int(row["state"]) == shared.SESSION_LIVE and row["tcp_epoch"] == row["epoch"]
                and self._token(conn.account) == conn.token)

    # -- login ------------------------------------------------------------------------------------

    def is_in(self, conn) -> bool:
        return conn.stream is not None or conn.reader is not None

    def greet(self, conn, login, now):
        conn.token = self.doorman.ask(shared.LINK_TCP_LOGIN, login, conn.ip, now)
        self.asking[conn.token] = conn

    def answered(self, token, answer, now) -> bool:
        """The desk's answer; False when this was not asked here."""
        conn = self.asking.pop(token, None)
        if conn is None:
            return False
        if reason := self.doorman.reason(answer):
            self.refuse(conn, reason, now)
        elif answer["account"] >= len(self.names):
            self._open_copy(conn, answer, now)
        else:
            conn.account, conn.told = answer["account"], now
        return True

    def _open_copy(self, conn, answer, now):
        """Lets a drop copy in."""
        copy = self.copies[answer["account"] - len(self.names)]
        conn.reader, conn.heard = copy.open(answer["requested_seq"]), now
        conn.send(soup.accepted(copy.session, conn.reader.number), now)
        self.tallies["logins"] += 1

    def turn(self, now):
        while self.ends and self.upstream.push(*self.ends[0], MOLD_END_OF_SESSION):
            self.ends.pop(0)
        for conn in tuple(self.connections):
            if conn.account >= 0 and conn.stream is None and not conn.is_closing:
                self._bind(conn, now)
        super().turn(now)

    def _bind(self, conn, now):
        """Lets it in once the matcher has bound the session."""
        if self._has(conn):
            seq = int(self.sessions[conn.account]["login_seq"])
            conn.stream = Stream(self.heads, self.data, self.sessions, conn.account, seq)
            conn.heard = conn.told = now
            conn.send(soup.accepted(self.names[conn.account], seq), now)
            self.tallies["logins"] += 1
        elif now - conn.told > self.silence_s:
            self.end(conn, "unanswered")

    # -- trading ----------------------------------------------------------------------------------

    def hears(self, conn):
        """A matcher that is behind holds its participants back; nothing is lost."""
        return self.upstream.room >= PIECES_MAX

    def take(self, conn, packets, now):
        """Messages on their way to the matcher, as many a datagram as fit."""
        if conn.reader is not None:
            conn.reader.copy.take(packets)
            return
        blocks, count = bytearray(), 0
        for letter, payload in packets:
            if letter == ord("R"):
                continue
            if len(blocks) + 3 + len(payload) > BLOCKS_SZ:
                self._push(conn, count, blocks, now)
                blocks, count = bytearray(), 0
            blocks += _LENGTH.pack(1 + len(payload)) + bytes((letter,)) + payload
            count += 1
            if letter == ord("O"):
                self._push(conn, count, blocks, now)
                raise Closed("logout")
        if count:
            self._push(conn, count, blocks, now)

    def _push(self, conn, count, blocks, now):
        if not self.upstream.push(conn.token, conn.next_up, count, bytes(blocks)):
            raise Closed("overrun")
        conn.next_up += count
        conn.told = now

    def pump(self, conn, now):
        """What is published of its stream; heartbeats to the matcher while the client is there."""
        is_closed = int(self.engine[0]["phase"]) == CLOSED_PHASE
        if conn.reader is not None:
            conn.reader.copy.pump(conn, conn.reader, is_closed, now)
            return
        if not self._has(conn):
            self._cut_off(conn, now)
            return
        if conn.heard > conn.told and now - conn.told >= soup.HEARTBEAT_S \
                and self.upstream.push(conn.token, conn.next_up, MOLD_HEARTBEAT):
            conn.told = now
        self._read_on(conn, now)
        if is_closed and conn.stream.seq == int(self.sessions[conn.account]["next_seq"]):
            conn.send(soup.packet("Z"), now)
            conn.is_closing = "day_over"

    def _read_on(self, conn, now):
        limit_seq = published(self.sessions, conn.account)
        while conn.room and (blocks := conn.stream.read(limit_seq, conn.room)) is not None:
            conn.send(blocks, now)

    def _cut_off(self, conn, now):
        """Its session is over, or another login's. One that was ended, by the throttle as a rule,
        still hears what it was told before that."""
        if int(self.sessions[conn.account]["state"]) == shared.SESSION_LIVE:
            raise Closed("taken_over")
        self._read_on(conn, now)
        conn.is_closing = "disconnected"

    def leave(self, conn, why):
        """The end of the connection is the end of its session, unless a newer login has it."""
        self.asking.pop(conn.token, None)
        self.doorman.forget(conn.token)
        if conn.account >= 0 and why != "logout":
            self.ends.append((conn.token, conn.next_up))
