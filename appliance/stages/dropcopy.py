"""Drop copies: every acknowledgement of a firm's accounts on a partition, in one numbered stream.

A drop copy logs in over SoupBinTCP at the order port under a name of its own, in a session of its
own that lasts the day, and reads; it can enter nothing. The messages are the bytes that the
accounts get. Before the first, and wherever the account changes, a Debug packet names it
("account ALPHA"), for which OUCH has no field; stock clients pass over such packets.

The order is a function of the streams alone: by time, at one time by the account's place in the
configuration, then by number. So a later recovery, or one on the streams that a journal gave back,
finds the same number for the same message, and a client goes on where it was. A message has its
place once nothing older can come: its time is before the matcher's `settled_ns`, and so is every
message before it released (`Merge.follow`). That is a millisecond or two after the account's own.
"""

from array import array

import numpy as np

from appliance.layout import shared
from appliance.layout.wire_ouch import OUCH_OUT
from appliance.stages import soup
from appliance.stages.soup import Closed

CHUNKS_A_TURN = 16           # of each account, at first
MESSAGES_A_TURN = 2048       # sent to one client
TIME_OFF = 3 + OUCH_OUT["A"]["timestamp"].off         # in a block; every OUCH message has it there
_OFF_BITS = 40
_OFF_MASK = (1 << _OFF_BITS) - 1
assert all(each["timestamp"].off + 3 == TIME_OFF for each in OUCH_OUT.values())


class Merge:
    """The order of some accounts' messages. sessions, heads, data, status: the matcher's blocks.

    waits: whether answers wait for the disk, and `released_seq` says for which not any more.
    `places` has for each message its account and where it lies in `data`.
    """

    def __init__(self, accounts, sessions, heads, data, status, waits):
        self.accounts, self.sessions, self.heads = tuple(accounts), sessions, heads
        self.data, self.status, self.waits = data, status, waits
        self.next = dict.fromkeys(self.accounts, 1)
        self.chunks = dict.fromkeys(self.accounts, 0)
        self.places = array("Q")
        self.most = CHUNKS_A_TURN

    def __len__(self):
        return len(self.places)

    def place(self, number: int) -> tuple[int, int]:
        """(account, offset of its block) of message `number`, 1 the first."""
        word = self.places[number - 1]
        return word >> _OFF_BITS, word & _OFF_MASK

    def is_whole(self) -> bool:
        """Whether everything that the streams have is in."""
        return len(self) == sum(int(self.sessions[account]["next_seq"]) - 1
                                for account in self.accounts)

    def follow(self) -> int:
        """Gives the messages that have become final their places; how many it were."""
        horizon = int(self.status[0]["settled_ns"])           # before anything else is looked at
        found = []
        for account in self.accounts:
            times, offs, next_ns = self._fresh(account)
            horizon = min(horizon, next_ns)
            found.append((account, times, offs))
        kept = [(account, *(each[times < horizon] for each in (times, offs)))
                for account, times, offs in found]
        times = np.concatenate([row[1] for row in kept])
        self.most = CHUNKS_A_TURN if len(times) else min(2 * self.most, 1 << 16)
        for account, row, _ in kept:
            self.next[account] += len(row)
        words = np.concatenate([row[2] | np.uint64(row[0] << _OFF_BITS) for row in kept])
        self.places.frombytes(words[np.argsort(times, kind="stable")].tobytes())
        return len(words)

    def _fresh(self, account):
        """(times, offsets, time of what comes behind them) of the account's messages that may be
        seen and have no place yet, in its order."""
        row, seq = self.sessions[account], self.next[account]
        following = int(row["next_seq"])
        limit = min(int(row["released_seq"]), following) if self.waits else following
        times, offs, chunk = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)], \
            self.chunks[account] or int(row["first_chunk"])
        for _ in range(self.most):
            if not chunk or seq >= following:
                break
            head = self.heads[chunk]
            first, stop = int(head["first_seq"]), int(head["first_seq"]) + int(head["message_cnt"])
            if seq < stop:
                places = self._places(chunk, seq - first, stop - first)
                some = self._times(places)
                taken = max(0, min(limit - seq, whole(some)))
                times.append(some[:taken])
                offs.append(places[:taken])
                seq += taken
                if seq < stop:                         # not released, or being written just now
                    behind = int(some[taken])
                    return (*map(np.concatenate, (times, offs)), behind or _NEVER)
            if self.next[account] >= stop:
                self.chunks[account] = int(head["next"]) or chunk
            chunk = int(head["next"])
        behind = _NEVER
        if chunk and seq < following and seq < int(self.heads[chunk]["first_seq"]) + int(
                self.heads[chunk]["message_cnt"]):
            at = seq - int(self.heads[chunk]["first_seq"])
            behind = int(self._times(self._places(chunk, at, at + 1))[0]) or _NEVER
        return (*map(np.concatenate, (times, offs)), behind)

    def _places(self, chunk, first, stop):
        """Offsets in `data` of a chunk's blocks [first, stop)."""
        end = (chunk + 1) * shared.CHUNK_SZ
        rows = self.data[end - 4 * stop:end - 4 * first].view("<u4")[::-1]
        return rows.astype(np.uint64) + np.uint64(chunk * shared.CHUNK_SZ)

    def _times(self, places):
        """Times of the messages there."""
        at = places.astype(np.int64)[:, None] + np.arange(TIME_OFF, TIME_OFF + 8)
        return self.data[at].view(">u8").reshape(-1).astype(np.uint64)


_NEVER = (1 << 63) - 1


def whole(times) -> int:
    """How many of these messages are written: one that is begun just now still has time 0."""
    zeros = np.flatnonzero(times == 0)
    return int(zeros[0]) if len(zeros) else len(times)


class Reader:
    """How far one client is. number: of its next message; told: the account it heard of last."""

    def __init__(self, copy, number):
        self.copy, self.number, self.told = copy, number, -1


class Copy:
    """One drop copy: its session's name, and the accounts it is of."""

    def __init__(self, session: bytes, merge: Merge, names):
        self.session, self.merge, self.names = session, merge, names

    def open(self, requested: int) -> Reader:
        """A client that wants to go on with message `requested`; with the next one to come where
        there is none of that number."""
        while self.merge.follow():
            pass
        newest = len(self.merge) + 1
        return Reader(self, requested if 1 <= requested <= newest else newest)

    def pump(self, conn, reader: Reader, is_closed: bool, now: float) -> None:
        """Sends a client what there is, as far as conn.room goes."""
        merge = self.merge
        merge.follow()
        room, out = conn.room, bytearray()
        stop = min(len(merge) + 1, reader.number + MESSAGES_A_TURN)
        while reader.number < stop and len(out) < room:
            account, off = merge.place(reader.number)
            if account != reader.told:
                out += soup.packet("+", f"account {self.names[account]}".encode())
                reader.told = account
            size = 2 + (int(merge.data[off]) << 8 | int(merge.data[off + 1]))
            out += merge.data[off:off + size].tobytes()
            reader.number += 1
        if out:
            conn.send(out, now)
        elif is_closed and reader.number == len(merge) + 1 and merge.is_whole():
            conn.send(soup.packet("Z"), now)
            conn.is_closing = "day_over"

    @staticmethod
    def take(packets) -> None:
        """What a client says: heartbeats, and that it goes. It has nothing to enter."""
        letters = {letter for letter, _ in packets}
        if ord("U") in letters:
            raise Closed("unexpected")
        if ord("O") in letters:
            raise Closed("logout")


def build(partition, day, blocks, status, waits) -> list[Copy]:
    """The drop copies of a partition; those of one firm share their order.

    blocks: sessions, heads, data as of the gateway. waits: as of Merge.
    """
    sessions, heads, data = blocks[:3]
    names = [account.name for account in partition.accounts]
    merges, made = {}, []
    for idx, copy in enumerate(partition.drop_copies):
        accounts = [i for i, account in enumerate(partition.accounts) if account.firm == copy.firm]
        merge = merges.setdefault(copy.firm, Merge(accounts, sessions, heads, data, status, waits))
        made.append(Copy(partition.drop_session(day, idx).encode(), merge, names))
    return made
