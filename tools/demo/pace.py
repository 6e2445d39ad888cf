"""The latency pass of a demo: orders at an even rate, open loop, each timed until its answer.

The sender does not wait for answers: an order leaves at its time whether or not the one before was
answered, so a stall is seen by every order that falls into it. Orders alternate between an Enter
far from the market and the Cancel of it; each is answered by exactly one message. The partitions
take turns. One compiled loop sends, spins and listens: the times include the sending and receiving
sockets of the participant.
"""

import numpy as np
from numba import int32, int64, njit, types, uint32, uint64

from appliance import native
from appliance.layout.codec import encode
from appliance.layout.datagram import as_block, build_mold, unsequenced
from tools.demo.crowd import MESSAGES, _collect
from tools.record import frame

_now = native.external("wm_monotonic_ns", types.int64)
_receive = native.external("wm_socket_rx", types.int32, types.int32, types.uintp, types.uint64,
                           types.int32, types.uintp, types.uint32, types.uint32)
_send = native.external("wm_inject_frames", types.int64, types.int32, types.uintp, types.uintp,
                        types.uintp, types.int64, types.int64, types.uintp)
HEAD_START_NS, PATIENCE_NS = 2_000_000, 2_000_000_000


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
def _run(send_fds, data, offsets, lengths, heard_fds, frames, descs, tallies, arena, begins,
         sessions, tokens, interval_ns, sent_ns, heard_ns, error):
    """Message i goes to way i % ways; only ways that owe an answer are listened to."""
    total, ways, sent, heard = sent_ns.size, send_fds.size, int64(0), int64(0)
    answers = np.zeros(ways, np.int64)
    zero = _now() + HEAD_START_NS
    deadline = zero + total * interval_ns + PATIENCE_NS
    while heard < total:
        now = _now()
        if now > deadline:
            break
        if sent < total and now >= zero + sent * interval_ns:
            sent_ns[sent] = now
            _send(int32(send_fds[sent % ways]), data.ctypes.data, offsets.ctypes.data,
                  lengths.ctypes.data, sent, sent + 1, error.ctypes.data)
            sent += 1
        for way in range(ways):
            if answers[way] * ways + way >= sent:
                continue
            count = _receive(int32(heard_fds[way]), frames.ctypes.data, uint64(0), int32(64),
                             descs.ctypes.data, uint32(0), uint32(0))
            if count <= 0:
                continue
            now, whose = _now(), sessions[way]
            tally = tallies[whose]
            before = tally[MESSAGES]
            _collect(frames, descs, int64(count), tally, arena[begins[whose]:begins[whose + 1]],
                     tokens[whose])
            for _ in range(tally[MESSAGES] - before):
                number = answers[way] * ways + way
                if number < total:
                    heard_ns[number] = now
                    answers[way] += 1
                    heard += 1
    return heard


def measure(crowd, scene, sessions, payloads, rate: int) -> np.ndarray:
    """Sends the payloads, of the sessions in turn, at `rate` a second in all; the time to each
    answer in ns, in order.

    TimeoutError when answers are missing two seconds after the last order.
    """
    send_fds, ends = [], []
    for session in sessions:
        window, sock = crowd.window_of(session), crowd.sockets[session]
        if hasattr(window.sender, "fd"):
            send_fds.append(window.sender.fd)
        else:
            sock.connect(window.target)
            send_fds.append(sock.fileno())
        ends.append((crowd.material.sessions[session].source, window.target))
    packets = payloads
    if scene.mac:
        packets = [scene.mac + scene.source_mac + frame(payload, *ends[i % len(ends)])[12:]
                   for i, payload in enumerate(payloads)]
    lengths = np.array([len(packet) for packet in packets], np.uint32)
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    data = np.frombuffer(b"".join(packets), np.uint8).copy()
    count = len(packets)
    sent_ns, heard_ns = np.zeros(count, np.int64), np.zeros(count, np.int64)
    heard_fds = [crowd.sockets[session].fileno() for session in sessions]
    heard = _run(np.array(send_fds, np.int64), data, offsets, lengths,
                 np.array(heard_fds, np.int64), crowd.frames, crowd.descs, crowd.tallies,
                 crowd.arena, crowd.begins, np.array(sessions, np.int64), crowd.tokens,
                 10**9 // rate, sent_ns, heard_ns, np.zeros(1, np.int64))
    if heard < count:
        raise TimeoutError(f"{count - heard} of {count} paced orders have no answer")
    return heard_ns - sent_ns


def microseconds(times_ns) -> dict:
    """p50, p99 and p99.9 in microseconds."""
    values = np.percentile(times_ns, [50, 99, 99.9]) / 1000
    return {"p50": round(float(values[0]), 1), "p99": round(float(values[1]), 1),
            "p99_9": round(float(values[2]), 1)}
