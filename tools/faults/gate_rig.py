"""The real XDP object in a namespace of its own, and the world it has been told of.

A veth pair, an AF_XDP socket for some partitions, and tables with every kind of entry: partitions
that are bound, on another queue, without a socket, never bound, of another address; sources that
may send without limit, with a fixed number of messages, and about as many as the list can hold.
"""

import os
import socket
import struct

import numpy as np

from appliance.layout import gate
from appliance.native import check, ffi, lib
from appliance.shm import steer, umem
from tools.faults.gate_model import Site, World
from tools.netns import Namespace, veth_pair

OURS, OTHER, FAR = "10.0.0.1", "10.0.0.9", "10.0.0.2"
ORDER_PORT = 41000
NEVER = 160_000_000_000_000           # price of a message that comes once in ten thousand seconds
LIMITED = {"10.0.0.3": 300, "10.0.0.4": 2000, "192.168.7.7": 5, "10.0.0.5": 1}
UNLIMITED = ("10.0.0.2", "192.168.255.254", "127.0.0.5", "223.255.255.255", "1.0.0.0")
FILLERS = 1000


class GateRig:
    """`steering` is the program, `world` what it was told. Use as a context.

    socket_queue: where the socket is bound; a test-run asks only whether there is one.
    """

    def __init__(self, path=steer.BPF_FOLDER / "steer.bpf.o", socket_queue=0):
        self.near, self.far = Namespace(), Namespace()
        self.opened = []
        try:
            veth_pair(self.near, "wm0", OURS, self.far, "wm1", FAR, queue_cnt=2)
            self.ifindex, self.loopback = self.near.ifindex("wm0"), self.near.ifindex("lo")
            self.steering = steer.Steering(path)
            self.world = World()
            self._open_socket(socket_queue)
            self._tell()
        except BaseException:
            self.close()
            raise

    def _open_socket(self, queue):
        geometry = umem.Geometry(2048, 64, 64)
        umem_fd = umem.create_umem(geometry)
        self.umem = umem.map_umem(umem_fd)
        os.close(umem_fd)
        with self.near.entered():
            self.xsk_fd = umem.open_xsk(self.umem, geometry)
        self.opened.append(self.xsk_fd)
        umem.bind_xsk(self.xsk_fd, self.ifindex, queue)

    def _tell(self):
        wire = self.ifindex, 0
        world = self.world
        world.sites = {0: Site(OURS, *wire, stamped=True, has_socket=True),
                       1: Site(OURS, *wire, has_socket=True),
                       2: Site(OURS, self.ifindex, 1, has_socket=True),
                       3: Site(OURS, *wire, stamped=True),
                       4: Site(OURS),
                       gate.PARTITION_MAX - 1: Site(OTHER, *wire, has_socket=True)}
        world.ports = {ORDER_PORT + p: p for p in range(5)} | {
            65535: gate.PARTITION_MAX - 1, 1: 1, 0x1234: 0}
        dice = np.random.default_rng(7)
        world.sources = {ip: (0, burst) for ip, burst in LIMITED.items()} | dict.fromkeys(UNLIMITED)
        while len(world.sources) < FILLERS:
            world.sources[".".join(map(str, (dice.integers(1, 224), *dice.integers(0, 256, 3))))
                          ] = None
        with self.steering.change() as plan:
            plan.owners.update(world.ports)
            for partition, site in world.sites.items():
                plan.places[partition] = steer.Place(site.ip, site.ifindex, site.queue,
                                                     site.stamped)
            for ip, limit in world.sources.items():
                plan.allow(ip, *((NEVER, limit[1] * NEVER + NEVER // 2) if limit else ()))
        for partition, site in world.sites.items():
            if site.has_socket:
                steer.map_set(self.steering.maps["xsks"], struct.pack("=I", partition),
                              struct.pack("=I", self.xsk_fd))

    def refill(self) -> None:
        """Every limited source has its burst again."""
        cpu_cnt = check(lib.wm_possible_cpus(), "counting CPUs")
        sources = self.steering.plan.sources
        for ip in LIMITED:
            steer.map_set(self.steering.maps["debts"], struct.pack("=I", sources[ip].id),
                          bytes(8 * cpu_cnt))

    def crowded(self) -> list:
        """The sources that share their set of the table with the most others."""
        sets = self.steering.plan.pack(0)[0]["sets"]["ip"]
        filled = (sets != 0).sum(axis=1)
        filled[0] = 0                                   # the free places of the first are not 0
        return [socket.inet_ntoa(int(ip).to_bytes(4, "little"))
                for ips in sets[filled == filled.max()] for ip in ips if ip]

    @property
    def places(self) -> list:
        """(ifindex, queue) that frames can be tried on, the usual one first."""
        return [(self.ifindex, 0), (self.ifindex, 1), (self.loopback, 0)]

    def run(self, frames, lengths, places) -> tuple:
        """(verdicts, metadata bytes, whether bytes changed) of frames[i, :lengths[i]], in order."""
        count, width = frames.shape
        frames = np.ascontiguousarray(frames)
        offs = np.arange(count, dtype=np.int64) * width
        sizes, wanted = lengths.astype(np.uint32), np.ascontiguousarray(places, np.uint32)
        verdicts, marks = np.zeros(count, np.uint8), np.zeros(count, np.uint8)
        error = ffi.new("int64_t *")
        with self.near.entered():
            done = lib.wm_xdp_test_batch(
                self.steering.program_fd, *(ffi.from_buffer(kind, array) for kind, array in (
                    ("uint8_t[]", frames), ("int64_t[]", offs), ("uint32_t[]", sizes),
                    ("uint32_t[]", wanted))), count, ffi.from_buffer("uint8_t[]", verdicts),
                ffi.from_buffer("uint8_t[]", marks), error)
        if done < count:
            check(int(error[0]), f"running frame {done} of {count} through the program, "
                                 f"{lengths[done]} bytes")
        return verdicts, marks & 127, marks > 127

    def counters(self) -> np.ndarray:
        """Frames by reason."""
        return np.array(list(self.steering.counters().values()), np.int64)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()

    def close(self) -> None:
        """Program, socket and namespaces are let go."""
        if hasattr(self, "steering"):
            self.steering.close()
        for fd in self.opened:
            os.close(fd)
        self.near.close()
        self.far.close()
