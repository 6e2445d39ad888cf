"""The place of `bench path` and `bench latency`: a veth pair on which the appliance and the barest
C receiver take turns, so that both see the same frames of the same generator.

    peer namespace                                       appliance namespace
    flood.bpf.c's live frames, or the open loop  ------  wm0: bare redirect, or steer --> AF_XDP
        wm1: drop, a socket of ours, or pass  <--------  acknowledgements, feeds A and B
"""

import contextlib
import mmap
import os
import re
import select
import signal
import socket
import struct
import threading
import time

import numpy as np

from appliance.host.nic import HEADERS_SZ
from appliance.layout import shared
from appliance.layout.wire_session import MOLD_PAYLOAD_MAX, PACKET_MAX
from appliance.native import check, ffi, lib
from appliance.shm import region, steer, umem
from tools.bench import partitions_ends as ends

PACK, BLOCK_SZ, FIRST_BLOCK = 28, 50, 62      # as in bpf/flood.bpf.c
CHUNKS = 8192                                 # 512 MiB of account streams
SYMBOL = b"SYM0    "
GEOMETRY = umem.Geometry()                    # the appliance's default
CAPACITY = ("[capacity]\npages = 4096\nchunks = {chunks}\nfeed_bytes = 268435456\n"
            "feed_messages = 4194304\nlg_ladder = 12\n[account_defaults]\nmax_pages = 4000\n")
SETTLE_S, LOOK_S, PATIENCE_S = 0.02, 0.0005, 30.0
PRESENT_S = 120.0                             # until the matcher's memory must be there
STATUS_S = 1.2                                # portd writes its counters once a second
SO_RCVBUFFORCE, READ_BATCH = 33, 1024         # the option's number in Linux; packets a turn
CPUS = os.sched_getaffinity(0)
MOLD_COUNT, IP_TOTAL, IP_SUM, UDP_LENGTH = 60, 16, 24, 38


def packed_frame(single: bytes) -> bytes:
    """The frame that flood.bpf.c's `packed` makes into PACK orders."""
    block = bytearray(single[FIRST_BLOCK - 2:][2:2 + BLOCK_SZ])
    block[13:21] = SYMBOL
    frame = bytearray(single[:FIRST_BLOCK]) + block * PACK
    struct.pack_into("!H", frame, MOLD_COUNT, PACK)
    struct.pack_into("!H", frame, IP_TOTAL, len(frame) - 14)
    struct.pack_into("!H", frame, UDP_LENGTH, len(frame) - 34)
    struct.pack_into("!H", frame, IP_SUM, 0)
    total = sum(struct.unpack("!10H", frame[14:34]))
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", frame, IP_SUM, ((total & 0xFFFF) + (total >> 16)) ^ 0xFFFF)
    return bytes(frame)


class Ground(ends.Field):
    """A Field of one partition whose appliance may also answer. mode: "null" or "native", set
    before an appliance starts; chunks: of its account streams; payload: most bytes of what it
    sends, for which the links' MTU is raised where it has to be."""

    def __init__(self, chunks: int = CHUNKS, payload: int = MOLD_PAYLOAD_MAX):
        self.chunks, self.mode, self.payload = chunks, "native", payload
        super().__init__(1)
        for namespace, name in ((self.near, "wm0"), (self.far, "wm1")):
            namespace.run("ip", "link", "set", name, "mtu", str(max(1500, payload + HEADERS_SZ)))
        self.single, self.bundle = self.frame, packed_frame(self.frame)
        measure = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.far_programs = {name: measure.program(name) for name in ("drop", "bare", "pass")}
        self.far_maps = {name: measure.map(name) for name in ("seen", "sockets")}
        measure.close()
        self.peer_does("drop")

    def configure(self, mode: str) -> None:
        """The appliance that starts next runs with interface.mode = `mode`."""
        self.mode = mode
        self._write_config()

    def _write_config(self) -> str:
        path = super()._write_config()
        with open(path) as file:
            text = file.read()
        text = text.replace('mode = "null"', f'mode = "{self.mode}"\npayload = {self.payload}')
        text = text.replace('layout = "shared"', 'layout = "own"')
        head = text.partition("[capacity]")[0]
        with open(path, "w") as file:
            file.write(head + CAPACITY.format(chunks=self.chunks))
        return path

    def peer_does(self, name: str) -> None:
        """What becomes of the appliance's frames: "drop" counts them, "bare" gives them to the
        socket in slot 0 of far_maps["sockets"], "pass" hands them to the peer's stack."""
        check(lib.wm_xdp_update(self.link, self.far_programs[name], -1), "swapping an XDP program")

    def seen_far(self) -> int:
        """Frames that the peer has dropped so far."""
        return steer.read_per_cpu(self.far_maps["seen"], 0)

    def offered(self) -> int:
        """Number of the next order, as the generator has it now."""
        out = ffi.new("uint8_t[32]")
        check(lib.wm_map_get(self.maps["targets"], bytes(4), out), "reading the flood's state")
        return struct.unpack_from("=Q", ffi.buffer(out), 24)[0]

    def offer(self, frames: int, gap_ns: int = 0, packed: bool = False) -> float:
        """`flood` with one order a frame, or PACK of them; seconds it took."""
        kept = self.program, self.frame
        if packed:
            self.program, self.frame = self.packed_program, self.bundle
        try:
            return self.flood(frames, gap_ns)
        finally:
            self.program, self.frame = kept

    def _veth(self, namespace, device: str, counter: str) -> int:
        """A counter of a device, summed over its queues."""
        return sum(int(value) for value in re.findall(
            rf"{counter}: (\d+)", namespace.run("ethtool", "-S", device)))

    def lost_on_veth(self) -> int:
        """Frames that never reached the XDP program: the appliance's end had no place."""
        return self._veth(self.far, "wm1", r"tx_queue_\d+_xdp_xmit_errors")

    def dropped_at_redirect(self) -> int:
        """Frames that the appliance's end has dropped between program and socket, by the
        interface's own counter, which must be what the sockets say."""
        return self._veth(self.near, "wm0", r"rx_queue_\d+_drops")

    def __exit__(self, *problem):
        for fd in (*self.far_programs.values(), *self.far_maps.values()):
            os.close(fd)
        super().__exit__(*problem)


class Bare:
    """The ceiling: a C loop that takes frames and gives them back, or echoes them, in the
    appliance's place; behind one redirect or, steered, behind the appliance's own program."""

    def __init__(self, ground: Ground, echo: bool = False, steered: bool = False):
        self.ground, self.echo, self.steered = ground, echo, steered

    def __enter__(self):
        ground = self.ground
        self._stack = contextlib.ExitStack()
        with self._stack as undo:
            self._words = np.zeros(16, np.uint64)
            umem_fd = umem.create_umem(GEOMETRY)
            undo.callback(os.close, umem_fd)
            self._memory = umem.map_umem(umem_fd)
            ifindex = ground.near.ifindex("wm0")
            with ground.near.entered():
                self._fd = umem.open_xsk(self._memory, GEOMETRY)
                undo.callback(os.close, self._fd)
                umem.bind_xsk(self._fd, ifindex, 0, patience_s=PATIENCE_S)
                undo.callback(os.close, self._attach(undo, ifindex))
            self._thread = threading.Thread(target=self._run)
            self._thread.start()
            time.sleep(SETTLE_S)
            self._stack = undo.pop_all()
        return self

    def _attach(self, undo, ifindex):
        """Our program on wm0, by link."""
        if self.steered:
            steering = steer.Steering()
            undo.callback(steering.close)
            steering.set_address(ends.HERE, ends.ORDER_PORT, 0)
            steering.allow(ends.THERE)
            steering.bind(0, self._fd, ifindex, 0)
            return steering.attach(ifindex)
        measure = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        program, sockets = measure.program("bare"), measure.map("sockets")
        measure.close()
        undo.callback(os.close, program)
        undo.callback(os.close, sockets)
        steer.map_set(sockets, bytes(4), struct.pack("=I", self._fd))
        return steer.attach(program, ifindex)

    def _run(self):
        os.sched_setaffinity(0, {matcher_cpu()})
        address = self._words.ctypes.data
        lib.wm_bare_receive(self._fd, ffi.cast("uint8_t *", self._memory.ctypes.data), *GEOMETRY,
                            int(self.echo), ffi.cast("uint64_t *", address),
                            ffi.cast("uint64_t *", address + 64))

    def done(self) -> int:
        """Frames taken so far."""
        return int(self._words[8])

    @staticmethod
    def is_quiet() -> bool:
        """Nothing is under way beyond what `done` tells."""
        return True

    def statistics(self) -> dict[str, int]:
        """The kernel's counters of its socket."""
        return umem.xsk_statistics(self._fd)

    def __exit__(self, *problem):
        self._words[0] = 1
        self._thread.join()
        self._stack.close()


class Server(ends.Appliance):
    """The whole appliance with one account logged in; `mode` as for Ground.configure."""

    def __init__(self, ground: Ground, mode: str):
        super().__init__(ground)
        self.mode = mode

    def __enter__(self):
        self.field.configure(self.mode)
        super().__enter__()
        self.blocks = {name: region.attach(self.table.partitions[0].blocks[name])
                       for name in ("sessions", "feed_log", "histograms", "status")}
        self.port_status = region.attach(self.table.blocks["port_status"])
        deadline = time.monotonic() + PRESENT_S
        while not self.blocks["status"][0]["present"] and time.monotonic() < deadline:
            time.sleep(0.05)
        return self

    def count(self, name: str) -> int:
        """One of the matcher's counters."""
        return int(self.counters[0][shared.COUNTER_INDEX[name]])

    def done(self) -> int:
        """Orders applied so far."""
        return self.count("messages")

    def is_quiet(self) -> bool:
        """Every acknowledgement and feed message has been handed to the port."""
        session, log = self.blocks["sessions"][0], self.blocks["feed_log"][0]
        return int(session["sent_seq"]) >= int(session["next_seq"]) and int(
            log["sent_seq"]) >= int(log["next_seq"])

    def inside(self) -> np.ndarray:
        """A copy of the histogram of nanoseconds from frame seen to frame handed over."""
        return self.blocks["histograms"][:shared.HISTOGRAM_CNT].copy()

    def drops(self) -> dict[str, int]:
        """Frames the kernel dropped at this partition's socket, by portd's counters: wait STATUS_S
        before for the newest."""
        found = dict(zip(umem.XSK_STATISTICS, map(
            int, self.port_status[0]["statistics"]), strict=True))
        return {name: found[name] for name in ("rx_dropped", "rx_ring_full")}

    def wait(self) -> str:
        """Its wait policy."""
        return {1: "spin", 2: "yield", 3: "block"}[int(self.blocks["status"][0]["wait"])]


class Joined:
    """Subscribers of both feeds in a process of their own, which reads all that comes."""

    def __init__(self, ground: Ground, groups, feed_port: int):
        self.sockets = []
        with ground.far.entered():
            for group in groups:
                made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.sockets.append(made)
                made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((group, feed_port))
                made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                socket.inet_aton(group) + socket.inet_aton(ends.THERE))
                made.setblocking(False)

    def __enter__(self):
        self._counts = np.frombuffer(mmap.mmap(-1, 4096), np.uint64)
        self._pid = os.fork()
        if not self._pid:
            try:
                self._drain()
            finally:
                os._exit(0)
        return self

    def _drain(self):
        lib.wm_die_with_parent(signal.SIGKILL)
        os.sched_setaffinity(0, set(others()))
        buffer = bytearray(PACKET_MAX)
        while not self._counts[-1]:
            for ready in select.select(self.sockets, [], [], 0.05)[0]:
                place, read = self.sockets.index(ready), 0
                with contextlib.suppress(BlockingIOError):
                    while read < READ_BATCH and ready.recv_into(buffer):
                        read += 1
                self._counts[place] += np.uint64(read)

    def packets(self) -> list[int]:
        """Packets each has read."""
        return [int(count) for count in self._counts[:len(self.sockets)]]

    def __exit__(self, *problem):
        self._counts[-1] = 1
        os.waitpid(self._pid, 0)
        for made in self.sockets:
            made.close()


def matcher_cpu() -> int:
    """The CPU that the appliance gives its only matcher: the last one."""
    return max(CPUS)


@contextlib.contextmanager
def away_from_the_matcher():
    """This thread leaves the matcher's CPU alone, and its children inherit that unless told."""
    os.sched_setaffinity(0, set(others()))
    try:
        yield
    finally:
        os.sched_setaffinity(0, CPUS)


def others() -> list[int]:
    """CPUs of everything but the matcher."""
    cpus = sorted(CPUS)
    return cpus[:-1] or cpus


def offered_and_done(ground: Ground, end, frames: int, gap_ns: int = 0,
                     packed: bool = False) -> dict:
    """Offers frames and waits until the end has done all that reached it and said it.

    {"frames", "orders", "done", "offer_s", "all_s"}: done counts orders (of a Bare: frames). Both
    times run from the first frame (the generator's own making and ending is left out): until the
    last one was offered, and until `done` stood still and everything had left.
    """
    first, number = end.done(), ground.offered()
    with away_from_the_matcher():
        thread = threading.Thread(target=ground.offer, args=(frames, gap_ns, packed))
        thread.start()
        begun = now = patient = time.perf_counter()
        done, offered, offered_at, last = first, number, begun, begun
        while thread.is_alive() or not end.is_quiet() or now - last <= SETTLE_S:
            time.sleep(LOOK_S)
            before, now, seen, given = now, time.perf_counter(), end.done(), ground.offered()
            if given != offered:
                begun = before if offered == number else begun
                offered, offered_at = given, now
            if seen != done or not end.is_quiet():
                done, last = seen, now
            if now - patient > PATIENCE_S:
                raise RuntimeError(f"after {PATIENCE_S:.0f} s not all of the {done - first} "
                                   "orders that were taken had been answered: the peer does not "
                                   "take the frames")
        thread.join()
    orders = frames * (PACK if packed else 1)
    if offered - number != orders:
        raise RuntimeError(f"the generator made {offered - number} of {orders} orders")
    return {"frames": frames, "orders": orders, "done": done - first,
            "offer_s": offered_at - begun, "all_s": last - begun}
