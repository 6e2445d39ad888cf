"""The latency pass of a demo: orders at an even rate, open loop, each timed until its answer.

The sender does not wait for answers: an order leaves at its time whether or not the one before was
answered, so a stall is seen by every order that falls into it. Orders alternate between an Enter
far from the market and the Cancel of it; each is answered by exactly one message. One compiled loop
sends, spins and listens: the times include the sending and receiving sockets of the participant.
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


def orders(material, account, symbol, count, next_seq, next_ref) -> list:
    """Payloads of `count` order messages of one account, numbered on from the given ones."""
    name, tick = symbol["name"], symbol["tick_size"]
    price = max(tick, symbol["reference_price"] // 2 // tick * tick)
    token, out = material.accounts[account][1], []
    for i in range(count):
        number = next_ref + i // 2
        if i % 2 == 0:
            message = encode("ouch", "in", "O", user_ref_num=number, side="B", quantity=1,
                             symbol=name, price=price, time_in_force="0", display="Y",
                             capacity="P", intermarket_sweep="N", cross_type="N",
                             cl_ord_id="PACE", tags={})
        else:
            message = encode("ouch", "in", "X", user_ref_num=number, quantity=0)
        out.append(build_mold(token, next_seq + i, [as_block(unsequenced(message))]))
    return out


@njit(cache=True)
def _run(send_fd, data, offsets, lengths, heard_fd, frames, descs, tally, log, token, interval_ns,
         sent_ns, heard_ns, error):
    total, sent, heard = sent_ns.size, int64(0), int64(0)
    zero = _now() + HEAD_START_NS
    deadline = zero + total * interval_ns + PATIENCE_NS
    while heard < total:
        now = _now()
        if now > deadline:
            break
        if sent < total and now >= zero + sent * interval_ns:
            sent_ns[sent] = now
            _send(int32(send_fd), data.ctypes.data, offsets.ctypes.data, lengths.ctypes.data, sent,
                  sent + 1, error.ctypes.data)
            sent += 1
        count = _receive(int32(heard_fd), frames.ctypes.data, uint64(0), int32(64),
                         descs.ctypes.data, uint32(0), uint32(0))
        if count > 0:
            now = _now()
            before = tally[MESSAGES]
            _collect(frames, descs, int64(count), tally, log, token)
            for _ in range(tally[MESSAGES] - before):
                if heard < total:
                    heard_ns[heard] = now
                    heard += 1
    return heard


def measure(crowd, scene, payloads, account: int, rate: int) -> np.ndarray:
    """Sends the payloads at `rate` a second; the time to each answer in ns, in order.

    TimeoutError when answers are missing two seconds after the last order.
    """
    sock = crowd.sockets[account]
    if hasattr(crowd.sender, "fd"):
        send_fd = crowd.sender.fd
        source, target = scene.source(account), (scene.ip, scene.order_port)
        packets = [scene.mac + scene.source_mac + frame(p, source, target)[12:] for p in payloads]
    else:
        sock.connect((scene.ip, scene.order_port))
        send_fd, packets = sock.fileno(), payloads
    lengths = np.array([len(packet) for packet in packets], np.uint32)
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    data = np.frombuffer(b"".join(packets), np.uint8).copy()
    count = len(packets)
    sent_ns, heard_ns = np.zeros(count, np.int64), np.zeros(count, np.int64)
    heard = _run(send_fd, data, offsets, lengths, sock.fileno(), crowd.frames, crowd.descs,
                 crowd.tallies[account], crowd.logs[account], crowd.tokens[account],
                 10**9 // rate, sent_ns, heard_ns, np.zeros(1, np.int64))
    if heard < count:
        raise TimeoutError(f"{count - heard} of {count} paced orders have no answer")
    return heard_ns - sent_ns


def microseconds(times_ns) -> dict:
    """p50, p99 and p99.9 in microseconds."""
    values = np.percentile(times_ns, [50, 99, 99.9]) / 1000
    return {"p50": round(float(values[0]), 1), "p99": round(float(values[1]), 1),
            "p99_9": round(float(values[2]), 1)}
