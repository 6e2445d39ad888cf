"""`wirematch bench xdp`: what the XDP program costs a frame, beside a bare redirect program.

    wirematch bench xdp [--rounds N] [--frames N] [--json]

Two measures, in the same run and in turn:

    alone    the kernel's test-run of the program and nothing else: an accepted frame in its
             variants, a refused one by reason, and the look-up of the partition (a program that
             looks up 64 times, against the same one that does not). Without metadata: a test-run
             repeats on one frame, and a second time there is no room in front of it
    in full  live test frames that really go into an AF_XDP ring, a C receiver emptying it on
             another core: bare redirect against the program. What a frame costs, and the ratio

A redirect alone is no more than a verdict: what a redirected frame costs shows only in full.
Verdict and counter of every frame are checked before a figure is printed. Each figure is the best
of the rounds (on a busy machine the others measure the neighbours), the ratio the median of the
rounds' own ratios. A round in which the receiver was kept from its core, so that it did not get all
frames, is made again, up to RETRIES times in all.
"""

import argparse
import json
import os
import statistics
import struct
import sys
import threading
import time

import numpy as np

from appliance.layout import gate
from appliance.native import check, ffi, lib
from appliance.shm import steer, umem
from tools import netns
from tools.bench.tracer_path import HeldSocket
from tools.faults import frames, gate_rig
from tools.faults.gate_vector import text_number
from tools.faults.xfuzz import CANNOT_RUN, VERDICTS

RATIO_MOST, REFUSED_MOST_NS, LOOK_UP_MOST_NS = 1.5, 70, 10
LOOK_CNT = 64                          # bpf/measure.bpf.c
REPEAT, BATCH, PORT = 100_000, 64, gate_rig.ORDER_PORT
WHOLE, RETRIES = 0.999, 4
GEOMETRY = umem.Geometry(2048, 4096, 64)
AS_IT_RUNS = "guarded"                 # portd asks for no metadata


class WrongVerdict(Exception):
    """A frame did not get the verdict and counter it should have."""


def order(source=gate_rig.FAR, port=PORT, *, ether=None, **changes) -> bytes:
    """An order's frame; changes: as frames.datagram takes them, or the sum to be wrong."""
    spoil = changes.pop("spoil", 0)
    payload = changes.pop("payload", frames.mold(1, 70))
    packet = bytearray(frames.datagram(text_number(source), text_number(gate_rig.OURS), port,
                                       payload, **changes))
    sz = (packet[0] & 15) * 4
    total = sum(struct.unpack(f"!{sz // 2}H", packet[:sz]))
    total = (total & 0xFFFF) + (total >> 16)
    packet[10:12] = struct.pack("!H", ((total & 0xFFFF) + (total >> 16) ^ 0xFFFF) ^ spoil)
    return (frames.ether() if ether is None else ether) + bytes(packet)


def cut(frame: bytes) -> bytes:
    """The frame without its last byte."""
    return frame[:-1]


REFUSED = {
    "drop_ip_header": order(spoil=1), "drop_fragment": order(fragment=0x2000),
    "drop_length": cut(order()), "drop_too_long": order(payload=bytes(1473)),
    "drop_unknown_source": order("11.0.0.2"), "drop_bogon_source": order("127.0.0.1"),
    "drop_flood": order("10.0.0.3", payload=frames.mold(60, 200)),
}
PASSED = {
    "pass_other_ether": order(ether=frames.ether(0x0806)), "pass_not_udp": order(protocol=6),
    "pass_not_ours": order(port=PORT - 1), "pass_later_fragment": order(fragment=1),
}
ACCEPTED = {"plain": order(port=PORT + 1), "with metadata": order(),
            "guarded": order(gate_rig.UNLIMITED[1], port=PORT + 1),
            "guarded, with metadata": order(gate_rig.UNLIMITED[1])}


class Alone:
    """Test-runs in a rig's namespace, each with its check."""

    def __init__(self, rig):
        self.rig, measure = rig, steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.programs = {name: measure.program(name)
                         for name in ("bare", "pass", "look_up", "look_nowhere")}
        sockets, table = measure.map("sockets"), measure.map("table_a")
        steer.map_set(sockets, bytes(4), struct.pack("=I", rig.xsk_fd))
        plan = rig.steering.plan
        for port in range(PORT, PORT + 32):
            plan.owners[port] = 0
        steer.map_set(table, bytes(4), plan.pack(1).tobytes())
        for fd in (sockets, table):
            os.close(fd)
        measure.close()
        with rig.steering.change() as plan:                # a limit that nothing reaches
            plan.allow(gate_rig.UNLIMITED[1], 16, 1 << 61)

    def run(self, program_fd, frame, verdict, repeat=REPEAT) -> int:
        """ns a run of a program, whose verdict must be this one."""
        with self.rig.near.entered():
            found, ns, _, _ = steer.test_run(program_fd, frame, self.rig.ifindex, 0, repeat)
        if found != verdict:
            raise WrongVerdict(f"{VERDICTS.get(found, found)} where {VERDICTS[verdict]} is right: "
                               f"{frame.hex()}")
        return ns

    def other(self, name, verdict) -> int:
        """ns of one of the measuring programs."""
        return self.run(self.programs[name], ACCEPTED["with metadata"], verdict,
                        REPEAT // (10 if name.startswith("look") else 1))

    def steer(self, frame, reason) -> int:
        """ns of the program, which must count every frame under this reason."""
        before = self.rig.steering.counters()
        verdict = {"r": steer.XDP_REDIRECT, "p": steer.XDP_PASS, "d": steer.XDP_DROP}[reason[0]]
        ns = self.run(self.rig.steering.program_fd, frame, verdict)
        moved = self.rig.steering.counters()[reason] - before[reason]
        if moved != REPEAT:
            raise WrongVerdict(f"{moved} of {REPEAT} frames were counted under {reason}")
        return ns

    def drain(self) -> None:
        """The limited source spends what it has; every message of it is refused from then on."""
        with self.rig.near.entered():
            for _ in range(gate_rig.LIMITED["10.0.0.3"]):
                steer.test_run(self.rig.steering.program_fd, REFUSED["drop_flood"],
                               self.rig.ifindex, 0)

    def round(self) -> dict:
        """One measurement of everything, ns."""
        self.drain()
        found = {"nothing": self.other("pass", steer.XDP_PASS),
                 "bare redirect": self.other("bare", steer.XDP_REDIRECT)}
        found |= {f"accepted, {name}": self.steer(ACCEPTED[name], "redirected")
                  for name in ("plain", "guarded")}
        for rows in (REFUSED, PASSED):
            found |= {reason: self.steer(frame, reason) for reason, frame in rows.items()}
        asked = self.other("look_up", steer.XDP_PASS)
        found["look-up"] = (asked - self.other("look_nowhere", steer.XDP_PASS)) / LOOK_CNT
        return found

    def close(self) -> None:
        """The measuring programs are let go."""
        for fd in self.programs.values():
            os.close(fd)


class InFull:
    """Live frames into an AF_XDP ring that a C receiver empties on the other core."""

    def __init__(self, rig, cpus):
        self.rig, self.cpus = rig, cpus
        self.held = HeldSocket(GEOMETRY, rig.near)
        umem.bind_xsk(self.held.fd, rig.ifindex, 0)
        self.words = np.zeros(16, np.uint64)
        measure = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.bare, sockets = measure.program("bare"), measure.map("sockets")
        steer.map_set(sockets, bytes(4), struct.pack("=I", self.held.fd))
        os.close(sockets)
        measure.close()
        for partition in (0, 1):
            steer.map_set(rig.steering.maps["xsks"], struct.pack("=I", partition),
                          struct.pack("=I", self.held.fd))
        self.thread = threading.Thread(target=self._receive)
        self.thread.start()

    def _receive(self):
        os.sched_setaffinity(0, {self.cpus[0]})
        address = self.words.ctypes.data
        lib.wm_bare_receive(*self.held.bare_arguments(), 0, ffi.cast("uint64_t *", address),
                            ffi.cast("uint64_t *", address + 64))

    def run(self, program_fd, frame, count) -> tuple[float, float]:
        """(ns a frame, share of the frames that the receiver got)."""
        received = int(self.words[8])
        with self.rig.near.entered():
            began = time.perf_counter_ns()
            check(lib.wm_xdp_live_run(program_fd, frame, len(frame), self.rig.ifindex, 0, count,
                                      BATCH),
                  "running live frames", "it needs Linux 5.18 or newer")
            spent = time.perf_counter_ns() - began
        time.sleep(0.02)
        return spent / count, (int(self.words[8]) - received) / count

    def round(self, count) -> dict:
        """Bare, ours without and with metadata: ns and share."""
        found = {"bare redirect": self.run(self.bare, ACCEPTED["plain"], count)}
        for name, frame in ACCEPTED.items():
            before = self.rig.steering.counters()["redirected"]
            found[f"accepted, {name}"] = self.run(self.rig.steering.program_fd, frame, count)
            moved = self.rig.steering.counters()["redirected"] - before
            if moved != count:
                raise WrongVerdict(f"{moved} of {count} live frames were redirected")
        return found

    def close(self) -> None:
        """The receiver ends."""
        self.words[0] = 1
        self.thread.join()
        os.close(self.bare)
        self.held.close()


def quiet(measure_round, rounds: int) -> tuple[list, int]:
    """(rounds in which everything arrived, their number); all that were made, and 0, when there was
    none."""
    made, whole = [], []
    while len(whole) < rounds and len(made) < rounds * RETRIES:
        made.append(measure_round())
        if min(share for _, share in made[-1].values()) > WHOLE:
            whole.append(made[-1])
    return whole or made, len(whole)


def measure(rounds: int, count: int) -> dict:
    """Everything, as printed with --json. Raises WrongVerdict."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise OSError("live frames and their receiver need a core each, and there is one")
    os.sched_setaffinity(0, {cpus[-1]})
    try:
        with gate_rig.GateRig(socket_queue=1) as rig:
            alone = Alone(rig)
            small = [alone.round() for _ in range(rounds)]
            full = InFull(rig, cpus)
            try:
                full.round(count // 10)                    # warm
                large, quiet_cnt = quiet(lambda: full.round(count), rounds)
            finally:
                full.close()
                alone.close()
    finally:
        os.sched_setaffinity(0, cpus)
    best = {name: min(row[name] for row in small) for name in small[0]}
    live = {name: {"ns": round(min(row[name][0] for row in large), 1),
                   "ratio": round(statistics.median(row[name][0] / row["bare redirect"][0]
                                                    for row in large), 2),
                   "received": round(statistics.median(row[name][1] for row in large), 3)}
            for name in large[0]}
    worst = max(best[name] for name in REFUSED)
    return {"alone_ns": best, "in_full": live, "rounds": rounds, "quiet_rounds": quiet_cnt,
            "frames": count,
            "cores": {"frames": cpus[-1], "receiver": cpus[0]}, "rung": "native, copy",
            "ratio": live[f"accepted, {AS_IT_RUNS}"]["ratio"], "refused_ns": worst,
            "look_up_ns": round(best["look-up"], 2), "sources": gate_rig.FILLERS,
            "source_max": gate.SOURCE_MAX}


def text(found) -> str:
    """The figures for people."""
    lines = [f"{name:<32}{ns:8.1f} ns" for name, ns in found["alone_ns"].items()]
    lines.append("")
    lines += [f"{name:<32}{row['ns']:8.1f} ns  ratio {row['ratio']:.2f}  "
              f"{100 * row['received']:.0f} % received" for name, row in found["in_full"].items()]
    return "\n".join([
        "alone (the program and nothing else, the kernel's test-run):", *lines[:lines.index("")],
        "", "in full (live frames into an AF_XDP ring):", *lines[lines.index("") + 1:], "",
        f"an accepted frame, guarded, in full {found['ratio']:.2f} times a bare redirect (at most "
        f"{RATIO_MOST}), the dearest refused one {found['refused_ns']} ns (at most "
        f"{REFUSED_MOST_NS}), the look-up {found['look_up_ns']} ns (below {LOOK_UP_MOST_NS})",
        f"{found['rung']}; {found['sources']} sources; frames made on core "
        f"{found['cores']['frames']}, received on core {found['cores']['receiver']}, spinning; "
        f"best of {found['rounds']} rounds alone and {found['quiet_rounds']} undisturbed ones in "
        f"full{'' if found['quiet_rounds'] else ': every round was disturbed'}"])


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch bench xdp",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="best of how many (default 15)")
    parser.add_argument("--frames", type=int, default=500_000,
                        help="live frames a program and round (default 500000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.frames < 1000:
        parser.error("--rounds from 1 on, --frames from 1000 on")
    why = netns.why_not()
    if why:
        print(f"wirematch bench xdp: {why}", file=sys.stderr)
        return CANNOT_RUN
    try:
        found = measure(options.rounds, options.frames)
    except (WrongVerdict, OSError) as error:
        print(f"wirematch bench xdp: {error}", file=sys.stderr)
        return 1 if isinstance(error, WrongVerdict) else CANNOT_RUN
    print(json.dumps(found) if options.json else text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
