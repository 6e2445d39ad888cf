"""All participants of a demo at once: sends the order file inside a window, hears every answer.

The window counts Enter Orders without an answer yet (`A` or `J`); cancels travel with them. Answers
are checked for their numbers as they come and kept whole, so that nothing has to be believed
afterwards: `messages(account)` is the account's stream. A hole downstream is asked for, a gap
request of the host is answered by sending the packets again.
"""

import select
import time

import numpy as np
from numba import int64, njit, uint8

from appliance.native import ffi, lib
from tools.demo.material import Material

WINDOW = 512                 # Enter Orders under way
AHEAD_MAX = 2048             # packets beyond the last answered one: well inside the receive ring
BATCH = 64
CALM_S = 0.001               # a veth queue holds 256 packets and drops the next one silently
SLOT_SZ = 2048
# words of one account's tally
(EXPECTED, USED, ANSWERED, MESSAGES, GAP, ASKED_SEQ, ASKED_CNT, ACCEPTED, ENDED,
 DATAGRAMS) = range(10)
_A, _J, _S = ord("A"), ord("J"), ord("S")


@njit("void(u1[::1], i8, i8, i8, i8[::1], u1[::1])", cache=True)
def _take(frames, off, seq, blocks, tally, log):
    for number in range(seq, seq + blocks):
        size = (int64(frames[off]) << 8) | int64(frames[off + 1])
        if number == tally[EXPECTED]:
            used = tally[USED]
            log[used], log[used + 1] = uint8((size - 1) >> 8), uint8((size - 1) & 255)
            for byte in range(size - 1):
                log[used + 2 + byte] = frames[off + 3 + byte]
            letter = frames[off + 3]
            if letter == _A or letter == _J:
                tally[ANSWERED] += 1
            tally[USED], tally[EXPECTED] = used + 1 + size, number + 1
            tally[MESSAGES] += 1
        off += 2 + size


@njit("void(u1[::1], u8[::1], i8, i8[::1], u1[::1], u1[::1])", cache=True)
def _collect(frames, descs, count, tally, log, token):
    """Takes `count` received datagrams of one account into its log and tally."""
    for i in range(count):
        at, end = int64(descs[2 * i]) + 42, int64(descs[2 * i])
        end += int64(descs[2 * i + 1] & np.uint64(0xFFFFFFFF))
        if end - at < 20:
            continue
        seq = int64(0)
        for byte in range(8):
            seq = (seq << 8) | int64(frames[at + 10 + byte])
        blocks = (int64(frames[at + 18]) << 8) | int64(frames[at + 19])
        tally[DATAGRAMS] += 1
        mine = True
        for byte in range(10):
            mine = mine and frames[at + byte] == token[byte]
        if mine and end - at == 20 and 0 < blocks < 65535:
            tally[ASKED_SEQ], tally[ASKED_CNT] = seq, blocks
        elif seq == 0:
            if blocks == 1 and end - at >= 23:
                tally[ACCEPTED] = 1 if frames[at + 22] == _A else -1
        elif blocks == 65535:
            tally[ENDED] = 1
            tally[GAP] = max(tally[GAP], seq)
        elif blocks == 0 or seq > tally[EXPECTED]:
            tally[GAP] = max(tally[GAP], seq)
        else:
            _take(frames, at + 20, seq, blocks, tally, log)


class Crowd:
    """Every account of the material. `log_bytes`: room for one account's answers."""

    def __init__(self, material: Material, scene, log_bytes=None):
        self.material = material
        self.sender, heard = scene.open_sender(material)
        self.sockets = [heard[source] for _, _, source in material.accounts]
        room = log_bytes or 4096 + 400 * (material.messages + 40_000)
        count = len(self.sockets)
        self.tallies = np.zeros((count, 16), np.int64)
        self.tallies[:, EXPECTED] = 1
        self.logs = [np.empty(room, np.uint8) for _ in range(count)]
        self.tokens = [np.frombuffer(token.encode(), np.uint8).copy()
                       for _, token, _ in material.accounts]
        self.sessions = [b""] * count
        self.frames = np.zeros(BATCH * SLOT_SZ, np.uint8)
        self.descs = np.zeros(2 * BATCH, np.uint64)
        self._frames = ffi.cast("uint8_t *", self.frames.ctypes.data)
        self._descs = ffi.cast("uint64_t *", self.descs.ctypes.data)
        self.poller = select.epoll()
        self.by_fd = {}
        for account, sock in enumerate(self.sockets):
            self.poller.register(sock.fileno(), select.EPOLLIN)
            self.by_fd[sock.fileno()] = account
        self.asked_at = 0.0

    def hear(self, timeout: float = 0.0) -> int:
        """Takes what has arrived for everybody; how many datagrams."""
        heard = 0
        for fd, _ in self.poller.poll(timeout):
            account = self.by_fd[fd]
            while True:
                count = lib.wm_socket_rx(fd, self._frames, 0, BATCH, self._descs, 0, 0)
                if count <= 0:
                    break
                self.take(account, count)
                heard += count
                if count < BATCH:
                    break
        if (self.tallies[:, GAP] > self.tallies[:, EXPECTED]).any():
            self._ask()
        return heard

    def take(self, account: int, count: int) -> None:
        """The first `count` received frames belong to the account."""
        if not self.sessions[account]:
            self._name(account, count)
        tally = self.tallies[account]
        _collect(self.frames, self.descs, count, tally, self.logs[account], self.tokens[account])
        if tally[ASKED_CNT]:
            self._again(account, int(tally[ASKED_SEQ]), int(tally[ASKED_CNT]))
            tally[ASKED_CNT] = 0

    def _name(self, account, count):
        for i in range(count):
            off = int(self.descs[2 * i]) + 42
            head = self.frames[off:off + 23].tobytes()
            if head[10:18] == bytes(8) and head[22:23] == b"A":
                self.sessions[account] = head[:10]

    def _again(self, account, seq, count):
        """Sends the packets that carry the host's missing numbers again."""
        material = self.material
        which = np.flatnonzero((material.owner == account) & (material.seqs < seq + count)
                               & (material.seqs + material.counts > seq) & (material.seqs > 0))
        for number in which[:64]:
            self.sender.send(int(number), int(number) + 1)

    def _ask(self):
        now = time.monotonic()
        if now - self.asked_at < 0.02:
            return
        self.asked_at = now
        for account in np.flatnonzero(self.tallies[:, GAP] > self.tallies[:, EXPECTED]):
            tally = self.tallies[account]
            count = min(int(tally[GAP] - tally[EXPECTED]), 65534)
            request = (self.sessions[account] + int(tally[EXPECTED]).to_bytes(8, "big")
                       + count.to_bytes(2, "big"))
            self.sockets[account].sendto(request, self.target)

    @property
    def target(self):
        """The order port."""
        return self._target

    def login(self, target, timeout: float = 10.0) -> None:
        """Sends the login packets each second until every account is in. TimeoutError otherwise."""
        self._target, deadline = target, time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.sender.send(0, self.material.logins)
            until = min(time.monotonic() + 1.0, deadline)
            while time.monotonic() < until:
                self.hear(0.05)
                if (self.tallies[:, ACCEPTED] == 1).all():
                    return
                if (self.tallies[:, ACCEPTED] == -1).any():
                    names = [self.material.accounts[i][0] for i in
                             np.flatnonzero(self.tallies[:, ACCEPTED] == -1)]
                    raise ConnectionError(f"the login of {', '.join(names)} was refused")
        raise TimeoutError(f"{int((self.tallies[:, ACCEPTED] != 1).sum())} of {len(self.sockets)} "
                           f"logins were not answered in {timeout} s")

    def trade(self, progress, window: int = WINDOW, patience_s: float = 10.0) -> float:
        """Sends every order inside the window until all are answered; the seconds it took.

        progress(sent packets, answers) is called about five times a second. TimeoutError when
        nothing is answered for `patience_s` while answers are due.
        """
        enters, total = self.material.enters, len(self.material.owner)
        sent = first = self.material.logins
        begin = last = told = time.perf_counter()
        done = heard_at = 0
        while sent < total or done < enters[-1]:
            limit = int(np.searchsorted(enters, done + window, "right")) - 1
            settled = int(np.searchsorted(enters, done, "right")) - 1
            limit = min(limit, max(settled, first) + AHEAD_MAX, sent + BATCH, total)
            if limit > sent:
                sent += self.sender.send(sent, limit)
            only_cancels = done >= enters[sent]     # no window holds them back: wait for an answer
            self.hear(CALM_S if only_cancels or sent == total else 0.0)
            done, now = int(self.tallies[:, ANSWERED].sum()), time.perf_counter()
            if done != heard_at:
                heard_at, last = done, now
            elif now - last > patience_s:
                raise TimeoutError(f"{int(enters[sent]) - done} orders have no answer for "
                                   f"{patience_s} s; {sent - first} packets were sent")
            if now - told > 0.2:
                told = now
                progress(sent - first, int(self.tallies[:, MESSAGES].sum()))
        return last - begin

    def drain(self, quiet_s: float = 0.3, timeout: float = 10.0) -> None:
        """Tells the host each account's next number, so that it misses nothing of the tail, and
        listens until nothing has come for `quiet_s`."""
        material = self.material
        for account, sock in enumerate(self.sockets):
            mine = material.owner == account
            following = max(1, int((material.seqs + material.counts)[mine].max(initial=1)))
            sock.sendto(self.tokens[account].tobytes() + following.to_bytes(8, "big") + bytes(2),
                        self.target)
        deadline = last = time.monotonic()
        deadline += timeout
        while time.monotonic() < deadline and time.monotonic() - last < quiet_s:
            if self.hear(0.05):
                last = time.monotonic()

    def ended(self) -> bool:
        """Whether every account heard the end of its session and lacks nothing before it."""
        return bool((self.tallies[:, ENDED] == 1).all()
                    and (self.tallies[:, EXPECTED] >= self.tallies[:, GAP]).all())

    def missing(self) -> int:
        """Messages known to exist and not heard."""
        return int(np.maximum(0, self.tallies[:, GAP] - self.tallies[:, EXPECTED]).sum())

    def messages(self, account: int) -> list:
        """The OUCH messages of the account's stream, in order."""
        raw, off, out = self.logs[account][:self.tallies[account, USED]].tobytes(), 0, []
        while off < len(raw):
            size = raw[off] << 8 | raw[off + 1]
            out.append(raw[off + 2:off + 2 + size])
            off += 2 + size
        return out

    def close(self) -> None:
        """Closes every socket."""
        self.poller.close()
        self.sender.close()
        for sock in self.sockets:
            sock.close()
