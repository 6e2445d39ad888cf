"""portd's side of a DPDK device: who may have it, and what a dead matcher left on the interface.

The device belongs to the matcher: EAL runs in its process (shm/dpdk.py), opened before it gives its
rights away. portd opens nothing here. It says which device is whose, and takes an XDP program off
the interface that a net_af_xdp device has put there, since that one stays when its process ends.

There is no ladder. When the interface is deleted, matchers fall to plain sockets, and they stay on
them until the next start: without rights EAL cannot be had again.

Offers what stages/wire.py offers.
"""

from appliance.host import nic
from appliance.layout import shared
from appliance.native import lib
from appliance.shm import dpdk, steer

CAP_NET_RAW = 13
XDP_DRIVER = "net_af_xdp"
PACKET_RING_MAX = 1 << 14        # frames of 2 KiB, in either direction


class Devices:
    """What a PortDesk asks of places: no queue, no socket and no frames are portd's here."""

    @staticmethod
    def queue(_partition: int) -> int:
        """The queue is said by the device, not by us."""
        return 0

    @staticmethod
    def hand_out(_partition: int) -> None:
        """No socket of ours goes with it."""

    @staticmethod
    def counts() -> dict:
        """Nothing is recycled here."""
        return {"recycled": 0, "completed": 0, "fill_level": 0}


class DpdkWire:
    """Rung DPDK, or plain sockets after the interface was deleted."""

    steering, link_fd, reason, layout = None, -1, "", 0
    allowed, comes_back, has_leavings = (shared.RUNG_DPDK,), False, False

    def __init__(self, topology, _ip, _store):
        self.config, self.name = topology.config, topology.config.interface.name
        self.runtime_dir = topology.runtime_dir
        self.rung, self.places, self.ifindex = shared.RUNG_SOCKET, None, 0

    def device(self, partition: int) -> str:
        """The device of a partition, for EAL. A packet socket's ring holds 512 frames by itself,
        which a matcher that lost its core for some milliseconds overruns."""
        devices = self.config.dpdk.devices
        frames = min(self.config.port.rx_frames, PACKET_RING_MAX)
        return devices[partition] if devices else (
            f"net_af_packet0,iface={self.name},framecnt={frames}")

    def climb(self) -> None:
        """OSError unless DPDK is here and may be used."""
        why = dpdk.why_not()
        if why:
            raise OSError(why)
        if not lib.wm_capabilities() >> CAP_NET_RAW & 1:
            raise OSError("EAL needs CAP_NET_RAW to open a device: start as root")
        self.ifindex = nic.look_up(self.name).ifindex
        for partition in range(self.config.partitions.count):
            name, found = self._program(partition)
            if found:
                raise OSError(f"an XDP program (number {found}) is on {name} already, so "
                              f"{XDP_DRIVER} cannot put its own there; take it off with: ip link "
                              f"set dev {name} xdp off")
        self.rung, self.places = shared.RUNG_DPDK, Devices()

    def _program(self, partition):
        """(interface, program on it) of a device that puts one there; ("", 0) of others."""
        driver, *words = self.device(partition).split(",")
        name = dict(word.partition("=")[::2] for word in words).get("iface", "")
        if not driver.startswith(XDP_DRIVER) or not nic.ifindex_of(name):
            return "", 0
        return name, steer.attached_program(nic.ifindex_of(name))

    def plan(self, partition: int) -> list:
        """A shm/dpdk.py Plan for the matcher; what its predecessor left is taken away."""
        if self.rung != shared.RUNG_DPDK:
            return []
        self._clear(partition)
        own, port = self.config.dpdk, self.config.port
        return list(dpdk.Plan(self.device(partition), own.huge_pages, port.rx_frames,
                              port.tx_frames, tuple(own.arguments), str(self.runtime_dir)))

    def _clear(self, partition):
        name, found = self._program(partition)
        if found:
            nic.take_program_off(name)

    def adopt(self, rung: int, ifindex: int) -> None:
        """A portd that died had nothing open."""
        self.rung, self.ifindex, self.places = rung, ifindex, Devices()

    def fall(self) -> None:
        """Plain sockets, for the rest of this run."""
        self.rung, self.places = shared.RUNG_SOCKET, None

    def close(self) -> None:
        """The end: no program of a process that has ended stays on an interface."""
        if self.rung == shared.RUNG_DPDK:
            for partition in range(self.config.partitions.count):
                self._clear(partition)
        self.rung, self.places = shared.RUNG_SOCKET, None

    @staticmethod
    def is_attached() -> bool:
        """No program of ours could be taken off."""
        return True

    @staticmethod
    def foreign_program() -> int:
        """A program there is the device's own."""
        return 0
