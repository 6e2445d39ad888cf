"""What a packet that leaves costs its sender, by the way it leaves and how many leave together.

    wirematch bench sends [--rounds N] [--offloads] [--json]

    xdp          AF_XDP in copy mode: headers ready, the packet copied into a frame, one kick
    gso          a UDP socket that hands the kernel one message to cut up (UDP_SEGMENT), connected
    sendmmsg     a UDP socket, one message a packet, one call, connected

Three sizes to the feed's group: a full feed packet, a small acknowledgement, a jumbo. Three peers:
one whose XDP program drops; one whose XDP program passes on to joined subscribers; one without a
program, with joined subscribers. On veth the sender's call carries the frame all the way, so the
peer is in every figure. What the matcher does before, filling and checksum, is not.

A figure is the median of the bursts of a round, and of the rounds the least. It is printed only
when the peer has seen every packet that left. --offloads leaves checksums to the device, as
interfaces come. It needs root.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import sys
import time

import numpy as np

from appliance.native import check, ffi, lib
from appliance.shm import steer, umem
from tools.bench import partitions_ends as ends
from tools.bench.path_place import Joined, matcher_cpu
from tools.bench.tracer import over_the_neighbours
from tools.bench.tracer_path import HeldSocket, udp_packet
from tools.netns import Namespace, veth_pair, why_not

GROUP, PORT = "239.192.64.1", 26477
SIZES = {"feed": 1400, "ack": 92, "jumbo": 3400}     # payload bytes: MoldUDP64 header and blocks
MTU = 3498                                    # about the most that a veth with an XDP program takes
BURSTS = (1, 2, 4, 8, 16, 32, 64)
WAYS = ("xdp", "gso", "sendmmsg")
PEERS = ("drops", "passes", "plain")
PACKETS = 4096                                # of one figure; as many fit a subscriber's buffer
GEOMETRY = umem.Geometry(4096, 64, 256)
PATIENCE_S = 10.0


class Place:
    """A veth pair with an AF_XDP socket and a connected UDP socket on the near end."""

    def __init__(self, offloads: bool):
        with contextlib.ExitStack() as undo:
            self.near, self.far = (undo.enter_context(Namespace()) for _ in range(2))
            veth_pair(self.near, "wm0", ends.HERE, self.far, "wm1", ends.THERE)
            for namespace, name in ((self.near, "wm0"), (self.far, "wm1")):
                namespace.run("ip", "link", "set", name, "mtu", str(MTU))
            if offloads:
                self.near.run("ethtool", "-K", "wm0", "tx", "on", "gso", "on")
            measure = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
            self.programs = {name: measure.program(name) for name in ("drop", "pass")}
            self.seen = measure.map("seen")
            measure.close()
            for fd in (*self.programs.values(), self.seen):
                undo.callback(os.close, fd)
            with self.near.entered():
                undo.callback(os.close, steer.attach(self.programs["pass"],
                                                     self.near.ifindex("wm0")))
                self.udp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                                socket.inet_aton(ends.HERE))
            self.udp.connect((GROUP, PORT))
            self.xsk = HeldSocket(GEOMETRY, self.near)
            undo.callback(self.xsk.close)
            umem.bind_xsk(self.xsk.fd, self.near.ifindex("wm0"), 0)
            self._undo = undo.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self._undo.close()

    @contextlib.contextmanager
    def peer(self, what: str):
        """The far end is one of PEERS; gives a function that tells how many packets it has had."""
        with contextlib.ExitStack() as undo:
            if what != "plain":
                with self.far.entered():
                    undo.callback(os.close, steer.attach(
                        self.programs["drop" if what == "drops" else "pass"],
                        self.far.ifindex("wm1")))
            if what == "drops":
                yield lambda: steer.read_per_cpu(self.seen, 0)
            else:
                joined = undo.enter_context(Joined(self, (GROUP,), PORT))
                yield lambda: joined.packets()[0]

    def bursts(self, way: str, payload_sz: int, burst: int) -> np.ndarray:
        """Nanoseconds of each of the bursts that make PACKETS packets."""
        count = PACKETS // burst
        spent = np.zeros(count, np.uint64)
        out = ffi.cast("uint64_t *", spent.ctypes.data)
        payload = bytes(payload_sz)
        if way == "xdp":
            packet = udp_packet((ends.HERE, ends.ORDER_PORT), (GROUP, PORT), payload)
            done = lib.wm_bare_bursts(*self.xsk.bare_arguments(), packet, len(packet), burst,
                                      count, out)
        else:
            done = lib.wm_udp_bursts(self.udp.fileno(), 0, 0, payload, payload_sz, burst, count,
                                     int(way == "gso"), out)
        check(done, f"sending bursts of {burst} by {way}",
              "UDP_SEGMENT without checksum offload needs Linux 6.11" if way == "gso" else "")
        return spent


def arrived(told, wanted: int) -> None:
    """Waits for the peer to have had `wanted` packets; RuntimeError when it has not."""
    deadline = time.monotonic() + PATIENCE_S
    while told() < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the peer had {told()} of {wanted} packets")
        time.sleep(0.002)


def measure(place: Place, rounds: int, note) -> dict:
    """{peer: {size: {way: [ns a packet, by BURSTS]}}}"""
    report = {}
    for what in PEERS:
        found = {(size, way, burst): [] for size in SIZES for way in WAYS for burst in BURSTS}
        with place.peer(what) as told:
            place.bursts("xdp", 64, 1)
            arrived(told, wanted := told() if what == "drops" else PACKETS)
            for _ in range(rounds):
                for size, way, burst in found:
                    before = told()
                    spent = place.bursts(way, SIZES[size], burst)
                    wanted = before + PACKETS // burst * burst
                    arrived(told, wanted)
                    if told() != wanted:
                        raise RuntimeError(f"{told() - before} packets came of {PACKETS} sent")
                    found[size, way, burst].append(statistics.median(spent.tolist()) / burst)
        report[what] = {size: {way: [min(found[size, way, burst]) for burst in BURSTS]
                               for way in WAYS} for size in SIZES}
        note(f"peer {what}: done")
    return report


def show(report: dict) -> None:
    """The report for people."""
    for what, sizes in report["ns"].items():
        for size, ways in sizes.items():
            print(f"peer {what}, {SIZES[size]} bytes ({size}), ns a packet in bursts of")
            print(" " * 12 + "".join(f"{burst:8}" for burst in BURSTS))
            for way, values in ways.items():
                print(f"  {way:10}" + "".join(f"{value:8.0f}" for value in values))


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check failed, 77 cannot run here."""
    parser = argparse.ArgumentParser(prog="wirematch bench sends", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="the least over this many rounds")
    parser.add_argument("--offloads", action="store_true",
                        help="checksums are the device's, as interfaces come")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    if (reason := why_not()):
        print(f"bench sends: {reason}", file=sys.stderr)
        return 77
    everywhere = os.sched_getaffinity(0)
    try:
        with over_the_neighbours(-20), Place(options.offloads) as place:
            os.sched_setaffinity(0, {matcher_cpu()})
            report = {"ns": measure(place, options.rounds, lambda text: print(
                f"  {text}", file=sys.stderr, flush=True)), "bursts": BURSTS, "sizes": SIZES,
                "offloads": options.offloads, "load_average": os.getloadavg()[0]}
    except (RuntimeError, OSError) as error:
        print(f"bench sends: {error}", file=sys.stderr)
        return 1
    finally:
        os.sched_setaffinity(0, everywhere)
    if options.as_json:
        print(json.dumps(report))
    else:
        show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
