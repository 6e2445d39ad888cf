"""The XDP program as cold code holds it: load, attach by link, fill the maps, read the counters.

Everything here needs root (or CAP_BPF and CAP_NET_ADMIN) and a build with libbpf. The program stays
attached as long as any process holds the link's descriptor; when the last one closes it, also by
dying, the kernel detaches.
"""

import errno
import os
import socket
import struct
from pathlib import Path

from appliance.native import check, ffi, lib

# The order of bpf/reasons.h; what each means is said there.
REASONS = (
    "redirected", "pass_other_ether", "pass_not_ipv4", "pass_not_udp", "pass_not_ours",
    "pass_truncated", "pass_later_fragment", "pass_wrong_queue", "pass_no_socket",
    "drop_ip_header", "drop_fragment", "drop_length", "drop_unknown_source",
)
MAPS = ("partitions", "allowed", "bound", "xsks", "reasons")
GENERIC, NATIVE = 2, 4                        # attach modes of the kernel
XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)
BPF_FOLDER = Path(__file__).resolve().parents[2] / "bpf"

_LOG_SZ = 1 << 18


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
    """steer.bpf.c loaded: which address is which partition, who may send, where frames go."""

    def __init__(self, path: os.PathLike | str = BPF_FOLDER / "steer.bpf.o"):
        loaded = BpfObject(path)
        try:
            self.program_fd = loaded.program("steer")
            self.maps = {name: loaded.map(name) for name in MAPS}
        finally:
            loaded.close()

    @classmethod
    def of(cls, program_fd: int, maps: dict[str, int]) -> "Steering":
        """A program that was loaded before, by the descriptors of it and its maps."""
        made = cls.__new__(cls)
        made.program_fd, made.maps = program_fd, maps
        return made

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
        """Datagrams to (ip, udp_port) belong to the partition; a port has one ip at a time."""
        map_set(self.maps["partitions"], _port_key(udp_port),
                socket.inet_aton(ip) + struct.pack("=HH", partition, 1))

    def clear_address(self, udp_port: int) -> None:
        """Datagrams to this UDP port are no longer ours."""
        map_set(self.maps["partitions"], _port_key(udp_port), bytes(8))

    def allow(self, source_ip: str) -> None:
        """Puts an address on the list of those who may send."""
        map_set(self.maps["allowed"], socket.inet_aton(source_ip), struct.pack("=I", 1))

    def disallow(self, source_ip: str) -> None:
        """Takes an address off that list."""
        map_delete(self.maps["allowed"], socket.inet_aton(source_ip))

    def bind(self, partition: int, xsk_fd: int, ifindex: int, queue: int,
             stamped: bool = True) -> None:
        """The partition's frames go to this (bound) AF_XDP socket, with metadata when stamped."""
        key = struct.pack("=I", partition)
        map_set(self.maps["xsks"], key, struct.pack("=I", xsk_fd))
        map_set(self.maps["bound"], key, struct.pack("=III", ifindex, queue, stamped))

    def unbind(self, partition: int) -> None:
        """The partition's frames pass to the plain sockets."""
        key = struct.pack("=I", partition)
        map_set(self.maps["bound"], key, bytes(12))
        map_delete(self.maps["xsks"], key)

    def counters(self) -> dict[str, int]:
        """Frames by reason, summed over CPUs, since the program was loaded."""
        return {name: read_per_cpu(self.maps["reasons"], idx) for idx, name in enumerate(REASONS)}


def _port_key(udp_port: int) -> bytes:
    return struct.pack("=I", socket.htons(udp_port))


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
