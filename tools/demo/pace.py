"""The latency pass of a demo: orders at an even rate, open loop, each timed until its answer.

The sender does not wait for answers: an order leaves at its time whether or not the one before was
answered, so a stall is seen by every order that falls into it. Orders alternate between an Enter
far from the market and the Cancel of it; each is answered by exactly one message. The partitions
take turns. One compiled loop sends, spins and listens: the times include the sending and receiving
sockets of the participant.

A lost datagram is repaired as in the windows: the loop is left to ask for a gap of answers that has
stood for a millisecond, to send again what the host asks for, and, when answers are due and nothing
comes, to do both for what may be lost at the end. An answer counts when it first came: one that was
lost has the time of its repetition, those behind it their own.
"""

import contextlib

import numpy as np
from numba import int32, int64, njit, types, uint32, uint64

from appliance import native
from appliance.layout.codec import encode
from appliance.layout.datagram import as_block, build_mold, unsequenced
from tools.demo.crowd import ASKED_CNT, ASKED_SEQ, EXPECTED, GAP, MESSAGES, _collect
from tools.record import frame

_now = native.external("wm_monotonic_ns", types.int64)
_receive = native.external("wm_socket_rx", types.int32, types.int32, types.uintp, types.uint64,
                           types.int32, types.uintp, types.uint32, types.uint32)
_send = native.external("wm_inject_frames", types.int64, types.int32, types.uintp, types.uintp,
                        types.uintp, types.int64, types.int64, types.uintp)
HEAD_START_NS, PATIENCE_NS = 2_000_000, 2_000_000_000
STEP_NS = 10_000_000         # patience lost at most in one turn: a stall of this process is no loss
GAP_NS = 1_000_000           # a gap this old is asked for: what overtakes has come by then
AGAIN_NS = 20_000_000        # between two requests for the same gap
QUIET_NS = 20_000_000        # without a datagram while answers are due: the last may be lost
# words of the pass, and of one way of it
SENT, HEARD, ZERO, IDLE, LAST = range(5)
ANSWERS, FIRST, GAP_SEQ, GAP_DUE, QUIET_DUE, WANTS = range(6)
ASK, NUDGE = 1, 2            # WANTS: a gap is due, a way is quiet
DONE, OVER, REPAIR = range(3)


def orders(session, symbol, count, next_seq, next_ref) -> list:
    """Payloads of `count` order messages of one session, numbered on from the given ones."""
    name, tick = symbol["name"], symbol["tick_size"]
    price = max(tick, symbol["reference_price"] // 2 // tick * tick)
    out = []
    for i in range(count):
        number = next_ref + i // 2
        if i % 2 == 0:
            message = encode("ouch", "in", "O", user_ref_num=number, side="B", quantity=1,
                             symbol=name, price=price, time_in_force="0", display="Y",
                             capacity="P", intermarket_sweep="N", cross_type="N",
                             cl_ord_id="PACE", tags={})
        else:
            message = encode("ouch", "in", "X", user_ref_num=number, quantity=0)
        out.append(build_mold(session.token, next_seq + i, [as_block(unsequenced(message))]))
    return out


@njit(cache=True)
def _stamp(frames, descs, count, first, way, ways, now, heard_ns):
    """Notes the time of every answer among `count` datagrams that had not come before; a way's
    answers are numbered from `first` on."""
    total = heard_ns.size
    for i in range(count):
        at, end = int64(descs[2 * i]) + 42, int64(descs[2 * i])
        end += int64(descs[2 * i + 1] & np.uint64(0xFFFFFFFF))
        if end - at <= 20:
            continue
        seq = int64(0)
        for byte in range(8):
            seq = (seq << 8) | int64(frames[at + 10 + byte])
        blocks = (int64(frames[at + 18]) << 8) | int64(frames[at + 19])
        for number in range(max(seq, first), min(seq + blocks, first + total)):
            place = (number - first) * ways + way
            if place < total and heard_ns[place] == 0:
                heard_ns[place] = now


@njit(cache=True)
def _judge(state, tally, came, now):
    """Notes in a way's WANTS what is to be repaired; whether anything is."""
    gap, expected = tally[GAP] > tally[EXPECTED], tally[EXPECTED]
    if not gap or state[GAP_SEQ] != expected:
        state[GAP_SEQ], state[GAP_DUE] = expected if gap else int64(0), now + GAP_NS
    elif now >= state[GAP_DUE]:
        state[WANTS], state[GAP_DUE] = ASK, now + AGAIN_NS
    if came:
        state[QUIET_DUE] = now + QUIET_NS
    elif now >= state[QUIET_DUE]:
        state[WANTS], state[QUIET_DUE] = NUDGE, now + QUIET_NS
    return state[WANTS] != 0 or tally[ASKED_CNT] != 0


@njit(cache=True)
def _run(send_fds, data, offsets, lengths, heard_fds, frames, descs, tallies, arena, begins,
         sessions, tokens, interval_ns, words, states, sent_ns, heard_ns, error):
    """Message i goes to way i % ways; only ways that owe an answer are listened to. Returns DONE,
    OVER (no answer was taken for PATIENCE_NS after the last order) or REPAIR: the caller does what
    `states` says and calls again."""
    total, ways = sent_ns.size, send_fds.size
    if words[ZERO] == 0:
        words[ZERO] = _now() + HEAD_START_NS
    zero, repair = words[ZERO], False
    while words[HEARD] < total and not repair:
        now, sent = _now(), words[SENT]
        words[IDLE] = words[IDLE] + min(now - words[LAST], STEP_NS) if sent == total else 0
        words[LAST] = now
        if words[IDLE] > PATIENCE_NS:
            return OVER
        if sent < total and now >= zero + sent * interval_ns:
            sent_ns[sent] = now
            _send(int32(send_fds[sent % ways]), data.ctypes.data, offsets.ctypes.data,
                  lengths.ctypes.data, sent, sent + 1, error.ctypes.data)
            sent += 1
            words[SENT] = sent
        for way in range(ways):
            state = states[way]
            if state[ANSWERS] * ways + way >= sent:
                state[QUIET_DUE] = now + QUIET_NS
                continue
            count = _receive(int32(heard_fds[way]), frames.ctypes.data, uint64(0), int32(64),
                             descs.ctypes.data, uint32(0), uint32(0))
            whose = sessions[way]
            tally = tallies[whose]
            if count > 0:
                now = _now()
                before = tally[MESSAGES]
                _stamp(frames, descs, int64(count), state[FIRST], way, ways, now, heard_ns)
                _collect(frames, descs, int64(count), tally,
                         arena[begins[whose]:begins[whose + 1]], tokens[whose])
                left = (total - way + ways - 1) // ways - state[ANSWERS]
                taken = min(tally[MESSAGES] - before, left)
                state[ANSWERS] += taken
                words[HEARD] += taken
                if taken > 0:
                    words[IDLE] = 0
            repair |= _judge(state, tally, count > 0, now)
    return DONE if words[HEARD] >= total else REPAIR


class _Pass:
    """One pass under way: what was sent and heard, and the repair of what was lost."""

    def __init__(self, crowd, scene, sessions, payloads):
        self.crowd, self.sessions, self.ways = crowd, sessions, len(sessions)
        self.send_fds, ends = [], []
        for session in sessions:
            window, sock = crowd.window_of(session), crowd.sockets[session]
            if hasattr(window.sender, "fd"):
                self.send_fds.append(window.sender.fd)
            else:
                sock.connect(window.target)
                self.send_fds.append(sock.fileno())
            ends.append((crowd.material.sessions[session].source, window.target))
        packets = payloads
        if scene.mac:
            packets = [scene.mac + scene.source_mac + frame(payload, *ends[i % len(ends)])[12:]
                       for i, payload in enumerate(payloads)]
        self.lengths = np.array([len(packet) for packet in packets], np.uint32)
        self.offsets = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        self.data = np.frombuffer(b"".join(packets), np.uint8).copy()
        self.sent_ns, self.heard_ns = (np.zeros(len(packets), np.int64) for _ in range(2))
        self.words, self.states = np.zeros(5, np.int64), np.zeros((self.ways, 6), np.int64)
        self.states[:, FIRST] = crowd.tallies[sessions, EXPECTED]
        self.upstream = [int.from_bytes(payload[10:18], "big") for payload in payloads[:self.ways]]
        self.error = np.zeros(1, np.int64)

    def run(self, interval_ns) -> None:
        """Sends everything and hears every answer. TimeoutError says what did not come."""
        crowd, end = self.crowd, REPAIR
        fixed = (np.array(self.send_fds, np.int64), self.data, self.offsets, self.lengths,
                 np.array([crowd.sockets[s].fileno() for s in self.sessions], np.int64),
                 crowd.frames, crowd.descs, crowd.tallies, crowd.arena, crowd.begins,
                 np.array(self.sessions, np.int64), crowd.tokens, interval_ns, self.words,
                 self.states, self.sent_ns, self.heard_ns, self.error)
        while end == REPAIR:
            end = _run(*fixed)
            for way in range(self.ways if end == REPAIR else 0):
                with contextlib.suppress(OSError):     # as good as lost: asked for again
                    self._repair(way)
        if end == OVER:
            raise TimeoutError(self._missing())

    def _sent(self, way) -> int:
        """Orders that have left on a way."""
        return max(0, (int(self.words[SENT]) - way + self.ways - 1) // self.ways)

    def _repair(self, way):
        session, state = self.sessions[way], self.states[way]
        tally, todo = self.crowd.tallies[session], int(state[WANTS])
        asked, count = int(tally[ASKED_SEQ]), int(tally[ASKED_CNT])
        state[WANTS] = tally[ASKED_CNT] = 0
        if todo == NUDGE:
            self.crowd.heartbeat(session, self.upstream[way] + self._sent(way))
            self.crowd.request(session, self._sent(way) - int(state[ANSWERS]))
        elif todo == ASK:
            self.crowd.request(session, self.crowd.missing(session))
        if count:
            self._send_again(way, asked, count)

    def _send_again(self, way, seq, count):
        """Sends the orders that the host lacks once more, those of the file too."""
        if seq < self.upstream[way]:
            self.crowd.again(self.sessions[way], seq, min(count, self.upstream[way] - seq))
        first = seq - self.upstream[way]
        for number in range(max(0, first), min(first + count, self._sent(way))):
            place = number * self.ways + way
            native.lib.wm_inject_frames(self.send_fds[way], *self._pointers(), place, place + 1,
                                        native.ffi.cast("int64_t *", self.error.ctypes.data))

    def _pointers(self):
        return (native.ffi.cast("uint8_t *", self.data.ctypes.data),
                native.ffi.cast("int64_t *", self.offsets.ctypes.data),
                native.ffi.cast("uint32_t *", self.lengths.ctypes.data))

    def _missing(self) -> str:
        """What did not come, partition by partition, and what to do."""
        parts = []
        for way, session in enumerate(self.sessions):
            due = np.flatnonzero(self.heard_ns[way::self.ways][:self._sent(way)] == 0)
            if due.size:
                whose = self.crowd.material.sessions[session]
                parts.append(f"partition {whose.partition}: answers "
                             f"{_ranges(due + int(self.states[way, FIRST]))} to orders "
                             f"{_ranges(due + self.upstream[way])} of {whose.name}")
        total = self.sent_ns.size
        return (f"{total - int(self.words[HEARD])} of {total} paced orders have no answer; asking "
                f"again brought none for {PATIENCE_NS / 1e9:.0f} s: {'; '.join(parts)}. The "
                "appliance stands still, or datagrams are lost faster than repeated: run on a less "
                "busy machine, or with larger socket buffers (sysctl -w "
                "net.core.rmem_max=16777216)")


def _ranges(numbers) -> str:
    """Rising numbers as text: "3 to 5, 9"; at most four ranges."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    texts = [str(run[0]) if run.size == 1 else f"{run[0]} to {run[-1]}" for run in runs[:4]]
    return ", ".join(texts) + (f" and {len(runs) - 4} more gaps" if len(runs) > 4 else "")


def measure(crowd, scene, sessions, payloads, rate: int) -> np.ndarray:
    """Sends the payloads, of the sessions in turn, at `rate` a second in all; the time to each
    answer in ns, in order.

    TimeoutError when no answer is taken for two seconds after the last order; it names those that
    are missing.
    """
    paced = _Pass(crowd, scene, sessions, payloads)
    paced.run(10**9 // rate)
    return paced.heard_ns - paced.sent_ns


def microseconds(times_ns) -> dict:
    """p50, p99 and p99.9 in microseconds."""
    values = np.percentile(times_ns, [50, 99, 99.9]) / 1000
    return {"p50": round(float(values[0]), 1), "p99": round(float(values[1]), 1),
            "p99_9": round(float(values[2]), 1)}
