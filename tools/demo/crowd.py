"""All participants of a demo at once: sends the order file inside windows, hears every answer.

Each partition has a window. It counts Enter Orders without an answer yet (`A` or `J`); cancels
travel with them. Answers are checked for their numbers as they come and kept whole, so that nothing
has to be believed afterwards: `messages(session)` is the session's stream. A hole downstream is
asked for, a gap request of the host is answered by sending the packets again.
"""

import mmap
import select
import time

import numpy as np
from numba import int64, njit, uint8

from appliance.native import ffi, lib
from tools.demo.material import Lane, Material

WINDOW = 512                 # Enter Orders under way on one partition
AHEAD_MAX = 2048             # packets beyond the last answered one: well inside the receive ring
HORIZON = 8192               # packets of the file that one partition may be ahead of another
BATCH = 64
CALM_S = 0.001               # a veth queue holds 256 packets and drops the next one silently
SLOT_SZ = 2048
# words of one session's tally
(EXPECTED, USED, ANSWERED, MESSAGES, GAP, ASKED_SEQ, ASKED_CNT, ACCEPTED, ENDED,
 DATAGRAMS) = range(10)
_A, _J = ord("A"), ord("J")
_NORESERVE = 0x4000          # mmap: memory is taken when it is written to


def next_seq(lane: Lane, session: int) -> int:
    """The upstream number after the session's last one of the lane; 0 when it has none."""
    mine = (lane.owner == session) & (lane.seqs > 0)
    return int((lane.seqs + lane.counts)[mine].max(initial=0))


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
    """Takes `count` received datagrams of one session into its log and tally."""
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


class Window:
    """What one partition is sent: `sent` packets of its lane, `done` Enter Orders answered."""

    def __init__(self, lane: Lane, sender, target, sessions):
        self.lane, self.sender, self.target, self.sessions = lane, sender, target, sessions
        self.sent, self.total, self.done = lane.logins, len(lane.owner), 0
        self.heard, self.rests_until = 0, 0.0

    @property
    def finished(self) -> bool:
        """Everything is sent and answered."""
        return self.sent == self.total and self.done >= self.lane.enters[-1]

    @property
    def place(self) -> float:
        """Where the lane stands in the file."""
        return self.lane.numbers[self.sent] if self.sent < self.total else float("inf")

    def follow(self, tallies) -> None:
        """Learns from the tallies of its sessions."""
        mine = tallies[self.sessions]
        self.done, heard = int(mine[:, ANSWERED].sum()), int(mine[:, MESSAGES].sum())
        if heard != self.heard:
            self.heard, self.rests_until = heard, 0.0

    def push(self, horizon, size, now) -> bool:
        """Sends what the window and the horizon allow, at most a batch; False when it must wait."""
        lane, enters = self.lane, self.lane.enters
        if now < self.rests_until:
            return False
        limit = int(np.searchsorted(enters, self.done + size, "right")) - 1
        settled = int(np.searchsorted(enters, self.done, "right")) - 1
        limit = min(limit, max(settled, lane.logins) + AHEAD_MAX, self.sent + BATCH, self.total,
                    int(np.searchsorted(lane.numbers, horizon)))
        moves = limit > self.sent
        if moves:
            self.sent += self.sender.send(self.sent, limit)
        if self.done >= enters[self.sent]:      # only cancels: no window holds them back
            self.rests_until = now + CALM_S
            return False
        return moves or self.sent < self.total


class Crowd:
    """Every session of the material. Session s logs into arena[begins[s]:begins[s + 1]]."""

    def __init__(self, material: Material, scene):
        self.material = material
        senders, heard = scene.open_senders(material)
        self.sockets = [heard[session.source] for session in material.sessions]
        partitions = np.array([session.partition for session in material.sessions])
        self.windows = [
            Window(lane, sender, (scene.ip, scene.order_port + lane.partition),
                   np.flatnonzero(partitions == lane.partition))
            for lane, sender in zip(material.lanes, senders, strict=True)]
        rooms = [4096 + 400 * (material.lanes[p].messages + 40_000) for p in partitions.tolist()]
        self.begins, count = np.concatenate(([0], np.cumsum(rooms))), len(self.sockets)
        self.arena = np.frombuffer(mmap.mmap(-1, int(self.begins[-1]), flags=(
            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)), np.uint8)
        self.logs = [self.arena[begin:end] for begin, end in
                     zip(self.begins[:-1], self.begins[1:], strict=True)]
        self.tallies = np.zeros((count, 16), np.int64)
        self.tallies[:, EXPECTED] = 1
        self.tokens = np.array([list(session.token.encode()) for session in material.sessions],
                               np.uint8)
        self.sessions = [b""] * count
        self.frames = np.zeros(BATCH * SLOT_SZ, np.uint8)
        self.descs = np.zeros(2 * BATCH, np.uint64)
        self._frames = ffi.cast("uint8_t *", self.frames.ctypes.data)
        self._descs = ffi.cast("uint64_t *", self.descs.ctypes.data)
        self.poller = select.epoll()
        self.by_fd = {}
        for session, sock in enumerate(self.sockets):
            self.poller.register(sock.fileno(), select.EPOLLIN)
            self.by_fd[sock.fileno()] = session
        self.asked_at = 0.0

    def hear(self, timeout: float = 0.0) -> int:
        """Takes what has arrived for everybody; how many datagrams."""
        heard = 0
        for fd, _ in self.poller.poll(timeout):
            session = self.by_fd[fd]
            while True:
                count = lib.wm_socket_rx(fd, self._frames, 0, BATCH, self._descs, 0, 0)
                if count <= 0:
                    break
                self.take(session, count)
                heard += count
                if count < BATCH:
                    break
        if (self.tallies[:, GAP] > self.tallies[:, EXPECTED]).any():
            self._ask()
        return heard

    def take(self, session: int, count: int) -> None:
        """The first `count` received frames belong to the session."""
        if not self.sessions[session]:
            self._name(session, count)
        tally = self.tallies[session]
        _collect(self.frames, self.descs, count, tally, self.logs[session], self.tokens[session])
        if tally[ASKED_CNT]:
            self.again(session, int(tally[ASKED_SEQ]), int(tally[ASKED_CNT]))
            tally[ASKED_CNT] = 0

    def _name(self, session, count):
        for i in range(count):
            off = int(self.descs[2 * i]) + 42
            head = self.frames[off:off + 23].tobytes()
            if head[10:18] == bytes(8) and head[22:23] == b"A":
                self.sessions[session] = head[:10]

    def window_of(self, session: int) -> Window:
        """The window of the session's partition."""
        return self.windows[self.material.sessions[session].partition]

    def again(self, session, seq, count):
        """Sends the file's packets that carry the host's missing numbers again."""
        window = self.window_of(session)
        lane = window.lane
        which = np.flatnonzero((lane.owner == session) & (lane.seqs < seq + count)
                               & (lane.seqs + lane.counts > seq) & (lane.seqs > 0))
        for number in which[:64]:
            window.sender.send(int(number), int(number) + 1)

    def _ask(self):
        now = time.monotonic()
        if now - self.asked_at < 0.02:
            return
        self.asked_at = now
        for session in np.flatnonzero(self.tallies[:, GAP] > self.tallies[:, EXPECTED]):
            self.request(session, self.missing(session))

    def request(self, session, count):
        """Asks for up to `count` of the session's messages, from the next expected one on."""
        self._bare(session, self.sessions[session], self.tallies[session, EXPECTED],
                   min(count, 65534))

    def heartbeat(self, session, following):
        """Tells the host the session's next upstream number; it asks for what it lacks before."""
        self._bare(session, self.tokens[session].tobytes(), following, 0)

    def _bare(self, session, name, seq, count):
        self.sockets[session].sendto(name + int(seq).to_bytes(8, "big") + count.to_bytes(2, "big"),
                                     self.window_of(session).target)

    def login(self, timeout: float = 10.0) -> None:
        """Sends the login packets each second until every session is in. TimeoutError otherwise."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for window in self.windows:
                window.sender.send(0, window.lane.logins)
            until = min(time.monotonic() + 1.0, deadline)
            while time.monotonic() < until:
                self.hear(0.05)
                if (self.tallies[:, ACCEPTED] == 1).all():
                    return
                if (self.tallies[:, ACCEPTED] == -1).any():
                    refused = [self.material.sessions[i] for i in
                               np.flatnonzero(self.tallies[:, ACCEPTED] == -1)]
                    names = [f"{each.name} on partition {each.partition}" for each in refused]
                    raise ConnectionError(f"the login of {', '.join(names)} was refused")
        raise TimeoutError(f"{int((self.tallies[:, ACCEPTED] != 1).sum())} of {len(self.sockets)} "
                           f"logins were not answered in {timeout} s")

    def trade(self, progress, size: int = WINDOW, patience_s: float = 10.0) -> float:
        """Sends every order inside the windows until all are answered; the seconds it took.

        progress(sent packets, answers) is called about five times a second. TimeoutError when
        nothing is answered for `patience_s` while answers are due.
        """
        windows = self.windows
        logins = sum(window.lane.logins for window in windows)
        begin = last = told = time.perf_counter()
        heard_at = 0
        while not all(window.finished for window in windows):
            now = time.perf_counter()
            horizon = min(window.place for window in windows) + HORIZON
            moves = [window.push(horizon, size, now) for window in windows]
            self.hear(0.0 if any(moves) else CALM_S)
            for window in windows:
                window.follow(self.tallies)
            done, now = sum(window.done for window in windows), time.perf_counter()
            if done != heard_at:
                heard_at, last = done, now
            elif now - last > patience_s:
                due = [f"{int(w.lane.enters[w.sent]) - w.done} on partition {w.lane.partition}"
                       for w in windows if w.lane.enters[w.sent] > w.done]
                raise TimeoutError(f"orders without an answer for {patience_s} s: "
                                   f"{', '.join(due) or 'none, and nothing can be sent'}")
            if now - told > 0.2:
                told = now
                progress(sum(window.sent for window in windows) - logins,
                         int(self.tallies[:, MESSAGES].sum()))
        return last - begin

    def drain(self, quiet_s: float = 0.3, timeout: float = 10.0) -> None:
        """Tells the host each session's next number, so that it misses nothing of the tail, and
        listens until nothing has come for `quiet_s`."""
        for session in range(len(self.sockets)):
            self.heartbeat(session, max(1, next_seq(self.window_of(session).lane, session)))
        deadline = last = time.monotonic()
        deadline += timeout
        while time.monotonic() < deadline and time.monotonic() - last < quiet_s:
            if self.hear(0.05):
                last = time.monotonic()

    def ended(self) -> bool:
        """Whether every session heard the end of its session and lacks nothing before it."""
        return bool((self.tallies[:, ENDED] == 1).all()
                    and (self.tallies[:, EXPECTED] >= self.tallies[:, GAP]).all())

    def missing(self, session: int) -> int:
        """Messages of one session known to exist and not heard."""
        tally = self.tallies[session]
        return max(0, int(tally[GAP] - tally[EXPECTED]))

    def messages(self, session: int) -> list:
        """The OUCH messages of the session's stream, in order."""
        raw, off, out = self.logs[session][:self.tallies[session, USED]].tobytes(), 0, []
        while off < len(raw):
            size = raw[off] << 8 | raw[off + 1]
            out.append(raw[off + 2:off + 2 + size])
            off += 2 + size
        return out

    def close(self) -> None:
        """Closes every socket."""
        self.poller.close()
        for window in self.windows:
            window.sender.close()
        for sock in self.sockets:
            sock.close()
