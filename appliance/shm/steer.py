"""The XDP program as cold code holds it: load, attach by link, fill the maps, read the counters.

Everything here needs root (or CAP_BPF and CAP_NET_ADMIN) and a build with libbpf. The program stays
attached as long as any process holds the link's descriptor; when the last one closes it, also by
dying, the kernel detaches.
"""

import contextlib
import errno
import mmap
import os
import socket
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from appliance.layout import gate
from appliance.native import check, ffi, lib
from appliance.shm.steer_tables import Place, Plan, Source, limit

# The order of bpf/reasons.h; what each means is said there.
REASONS = (
    "redirected", "pass_other_ether", "pass_not_ipv4", "pass_not_udp", "pass_not_ours",
    "pass_truncated", "pass_later_fragment", "pass_vlan", "pass_wrong_queue", "pass_no_socket",
    "drop_ip_header", "drop_fragment", "drop_length", "drop_too_long", "drop_unknown_source",
    "drop_bogon_source", "drop_flood",
)
MAPS = ("tables", "table_a", "table_b", "debts", "guarded", "xsks", "reasons")
GENERIC, NATIVE = 2, 4                        # attach modes of the kernel
XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)
BPF_FOLDER = Path(__file__).resolve().parents[2] / "bpf"

_LOG_SZ = 1 << 18
_NOBODY = Source(-1)


class BpfObject:
    """One loaded object file; descriptors of its programs and maps by name."""

    def __init__(self, path: os.PathLike | str):
        if not Path(path).exists():
            raise FileNotFoundError(f"{path} is missing; build it with: make -C bpf")
        handle, log = ffi.new("wm_bpf **"), ffi.new("char[]", _LOG_SZ)
        result = lib.wm_bpf_open(os.fsencode(path), handle, log, _LOG_SZ)
        if result < 0:
            words = ffi.string(log).decode(errors="replace").strip()[-2000:]
            check(result, f"loading the BPF object {path} (the kernel said: {words or 'nothing'})",
                  "it needs root, and libbpf at build time; without them use mode = socket")
        self._handle = handle[0]
        self._path = path

    def program(self, name: str) -> int:
        """A new descriptor of a program; the caller closes it."""
        return check(lib.wm_bpf_program(self._handle, name.encode()),
                     f"finding program {name} in {self._path}")

    def map(self, name: str) -> int:
        """A new descriptor of a map; the caller closes it."""
        return check(lib.wm_bpf_map(self._handle, name.encode()),
                     f"finding map {name} in {self._path}")

    def close(self) -> None:
        """Lets go of the object; descriptors that were handed out stay open."""
        if self._handle is not None:
            lib.wm_bpf_close(self._handle)
            self._handle = None


def attach(program_fd: int, ifindex: int, mode: int = NATIVE) -> int:
    """Attaches a program to a device by link; returns the link's descriptor."""
    name = {GENERIC: "generic", NATIVE: "native"}.get(mode, str(mode))
    return check(lib.wm_xdp_attach(program_fd, ifindex, mode),
                 f"attaching the XDP program to device {ifindex} in {name} mode",
                 "EBUSY or EEXIST: another program is attached, see: ip link show; "
                 "EOPNOTSUPP: the driver has no native XDP, use generic or socket")


def link_ifindex(link_fd: int) -> int:
    """The device a link is attached to; 0 when that device is gone."""
    out = ffi.new("uint32_t[3]")
    check(lib.wm_xdp_link_info(link_fd, out), f"reading XDP link {link_fd}")
    return out[0]


def attached_program(ifindex: int) -> int:
    """The id of the XDP program on a device, 0 when there is none."""
    return check(lib.wm_xdp_attached(ifindex), f"asking which program is on device {ifindex}")


def map_set(map_fd: int, key: bytes, value: bytes) -> None:
    """Writes one map entry."""
    check(lib.wm_map_set(map_fd, key, value, 0), f"writing key {key.hex()} of BPF map {map_fd}")


def map_delete(map_fd: int, key: bytes) -> None:
    """Removes one map entry; absent is fine."""
    result = lib.wm_map_delete(map_fd, key)
    if result != -errno.ENOENT:
        check(result, f"deleting key {key.hex()} of BPF map {map_fd}")


def read_per_cpu(map_fd: int, idx: int) -> int:
    """Sum over all CPUs of entry idx in a per-CPU array of u64."""
    cpu_cnt = check(lib.wm_possible_cpus(), "counting CPUs")
    values = ffi.new("uint64_t[]", cpu_cnt)
    check(lib.wm_map_get(map_fd, struct.pack("=I", idx), values),
          f"reading entry {idx} of BPF map {map_fd}")
    return sum(values)


class Steering:
    """steer.bpf.c loaded: which address is which partition, who may send, where frames go.

    Each change of the tables is one for the frames: they see all of it or nothing. Several at once:

        with steering.change() as plan:
            plan.allow("10.0.0.2", *limit(rate, burst))
            ...
    """

    def __init__(self, path: os.PathLike | str = BPF_FOLDER / "steer.bpf.o"):
        loaded = BpfObject(path)
        try:
            self.program_fd = loaded.program("steer")
            self.maps = {name: loaded.map(name) for name in MAPS}
        finally:
            loaded.close()
        self._plan, self._version = Plan(), 0
        found = check(lib.wm_map_value_size(self.maps["table_a"]), "asking for a map's value size")
        if found != gate.TABLES.itemsize:
            raise OSError(f"{path} is of another version: its tables have {found} bytes, "
                          f"{gate.TABLES.itemsize} are wanted; build it with: make -C bpf")
        check(lib.wm_map_freeze(self.maps["guarded"]), "freezing the guard's rows")

    @classmethod
    def of(cls, program_fd: int, maps: dict[str, int]) -> "Steering":
        """A program that was loaded before, by the descriptors of it and its maps."""
        made = cls.__new__(cls)
        made.program_fd, made.maps = program_fd, maps
        value = np.zeros(1, gate.TABLES)
        check(lib.wm_map_get(made._table(in_use=True), bytes(4), ffi.from_buffer(value)),
              "reading the gate's tables")
        made._plan, made._version = Plan.unpack(value), int(value[0]["version"])
        return made

    def _table(self, in_use: bool) -> int:
        """The descriptor of the table that the program reads, or of the other one."""
        number = ffi.new("uint32_t *")
        check(lib.wm_map_get(self.maps["tables"], bytes(4), number), "asking which table is in use")
        first = lib.wm_map_id(self.maps["table_a"]) == number[0]
        return self.maps["table_a" if first == in_use else "table_b"]

    @property
    def plan(self) -> Plan:
        """What the program goes by now, as a copy."""
        return self._plan.copy()

    @contextlib.contextmanager
    def change(self):
        """Yields the plan to be changed; at the end of the block the program goes by it, from one
        frame to the next. Nothing changes when the block raises.

        The kernel answers when no frame uses the old table any more, so it can be written next.
        """
        plan = self._plan.copy()
        yield plan
        fresh = [source.id for ip, source in plan.sources.items()
                 if self._plan.sources.get(ip, _NOBODY).id != source.id]
        value = plan.pack(self._version + 1)
        for number in fresh:
            self._forget(number)
        spare = self._table(in_use=False)
        map_set(spare, bytes(4), value.tobytes())
        map_set(self.maps["tables"], bytes(4), struct.pack("=I", spare))
        self._plan, self._version = plan, self._version + 1

    def _forget(self, number):
        """The source of this row owes nothing."""
        cpu_cnt = check(lib.wm_possible_cpus(), "counting CPUs")
        map_set(self.maps["debts"], struct.pack("=I", number), bytes(8 * cpu_cnt))

    @property
    def program_id(self) -> int:
        """The kernel's number of the program."""
        return check(lib.wm_bpf_program_id(self.program_fd), "asking for a program's number")

    def close(self) -> None:
        """Closes program and maps; a link that was made keeps them alive."""
        for fd in (self.program_fd, *self.maps.values()):
            os.close(fd)

    def attach(self, ifindex: int, mode: int = NATIVE) -> int:
        """Attaches to a device; the link's descriptor is the caller's."""
        return attach(self.program_fd, ifindex, mode)

    def set_address(self, ip: str, udp_port: int, partition: int) -> None:
        """Datagrams to (ip, udp_port) belong to the partition, which has one ip at a time."""
        with self.change() as plan:
            plan.owners[udp_port] = partition
            place = plan.places.get(partition, Place(ip))
            plan.places[partition] = replace(place, ip=ip)

    def clear_address(self, udp_port: int) -> None:
        """Datagrams to this UDP port are no longer ours."""
        with self.change() as plan:
            plan.owners.pop(udp_port, None)

    def allow(self, source_ip: str, rate: int = 0, burst: int = 0) -> None:
        """Puts an address on the list of those who may send: `rate` messages a second and `burst`
        at once for each receiving core; rate 0: as many as it likes."""
        with self.change() as plan:
            plan.allow(source_ip, *limit(rate, burst))

    def disallow(self, source_ip: str) -> None:
        """Takes an address off that list."""
        with self.change() as plan:
            plan.sources.pop(source_ip, None)

    def bind(self, partition: int, xsk_fd: int, ifindex: int, queue: int,
             stamped: bool = True) -> None:
        """The partition's frames go to this (bound) AF_XDP socket, with metadata when stamped."""
        key = struct.pack("=I", partition)
        old = self._plan.places.get(partition, Place("0.0.0.0"))
        new = replace(old, ifindex=ifindex, queue=queue, stamped=stamped)
        if new != old:
            map_delete(self.maps["xsks"], key)    # no frame of another queue for the new socket
            with self.change() as plan:
                plan.places[partition] = new
        map_set(self.maps["xsks"], key, struct.pack("=I", xsk_fd))

    def unbind(self, partition: int) -> None:
        """The partition's frames pass to the plain sockets."""
        map_delete(self.maps["xsks"], struct.pack("=I", partition))

    def counters(self) -> dict[str, int]:
        """Frames by reason, summed over CPUs, since the program was loaded."""
        return {name: read_per_cpu(self.maps["reasons"], idx) for idx, name in enumerate(REASONS)}

    def guarded(self) -> dict[str, tuple[int, int]]:
        """{source: (datagrams dropped by the flood guard, when last)} of those who lost some."""
        row, found = np.zeros(1, gate.GUARDED.dtype), {}
        for ip, source in self._plan.sources.items():
            check(lib.wm_map_get(self.maps["guarded"], struct.pack("=I", source.id),
                                 ffi.from_buffer(row)), f"reading row {source.id} of the guard")
            if int(row[0]["ip"]).to_bytes(4, "big") == socket.inet_aton(ip):
                found[ip] = int(row[0]["dropped_cnt"]), int(row[0]["dropped_ns"])
        return found

    def guard_fd(self) -> int:
        """A descriptor of the guard's rows, which nobody but the program writes; the caller's."""
        return os.dup(self.maps["guarded"])


def map_guarded(fd: int) -> np.ndarray:
    """The guard's rows (GUARDED words, u64) behind a descriptor of guard_fd, read-only."""
    size = gate.SOURCE_MAX * gate.GUARDED.size
    return np.frombuffer(mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ), np.uint64)


def test_run(program_fd: int, packet: bytes, ifindex: int = 0, queue: int = 0,
             repeat: int = 1) -> tuple[int, int, bytes, bytes]:
    """One frame through a program in the kernel: (verdict, mean ns, metadata, packet)."""
    out, result = ffi.new("char[]", 8192), ffi.new("uint32_t[4]")
    check(lib.wm_xdp_test_run(program_fd, packet, len(packet), ifindex, queue, repeat, out, 8192,
                              result),
          f"test run of program {program_fd} with {len(packet)} bytes on device {ifindex}")
    everything = bytes(ffi.buffer(out, result[2]))
    return result[0], result[1], everything[:result[3]], everything[result[3]:]


test_run.__test__ = False                     # a kernel facility, not a test
