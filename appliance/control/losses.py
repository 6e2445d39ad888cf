"""What is lost between wire and matchers, either way, as alarms: which counter grew, what to do.

Counted by the kernel's AF_XDP sockets (port_status), by the XDP program (portd_status), by the
device itself, and by the matchers as they send (matcher_status); every counter stands in
status.json too. The flood guard's rows say whose datagrams it dropped, so its alarm names them.
"""

import errno
import os

from .. import topology as topo
from ..host import nic
from ..layout import gate
from ..shm import steer
from ..shm.umem import XSK_STATISTICS
from .alarms import of_partition
from .status import DEVICE as DPDK_DEVICE
from .status import SENDS

# Of a partition's AF_XDP sockets.
SOCKET = (
    ("rx_dropped", "datagrams found no free receive frame: its matcher or portd stood still, or "
                   "port.rx_frames is too small; what was lost is asked for again"),
    ("rx_ring_full", "datagrams found its receive ring full: its matcher stood still, or "
                     "port.rx_frames is too small; what was lost is asked for again"),
    ("rx_invalid", "frames on fill_ring were none of its UMEM: a fault in the appliance"),
    ("tx_invalid", "frames on tx_ring were none of its UMEM: a fault in the appliance"),
)
# Of the XDP program.
PROGRAM = (
    ("drop_too_long", "frames for an order port had more than 1,500 bytes: a participant has a "
                      "larger MTU, or its offload sends superframes (ethtool -K IF gso off tso off "
                      "gro off)"),
    ("pass_vlan", "frames for an order port came in a VLAN, and our answers carry no tag, so they "
                  "are not taken: let the switch take the tag off (an untagged port)"),
)
# Of the interface, and of feed B's own.
DEVICE = (
    ("tx_dropped", "frames were dropped as they left: no carrier, or the other end takes fewer "
                   "bytes (its MTU); what was lost is asked for again"),
)
DEVICE_B = (
    ("tx_dropped", "packets of feed B were dropped as they left by its own interface: no carrier, "
                   "or the other end takes fewer bytes (its MTU); A goes on, and who has B alone "
                   "asks for them again"),
)
# Of a DPDK device, whose driver says no more.
DPDK = (
    ("missed", "datagrams found the receive ring of the DPDK device full: its matcher stood still, "
               "or port.rx_frames is too small; what was lost is asked for again"),
    ("no_frame", "datagrams found no free frame in the pool of the DPDK device: port.rx_frames is "
                 "too small; what was lost is asked for again"),
    ("send_errors", "packets were offered to the DPDK device and not sent: no carrier, or its "
                    "driver refuses them; see its words on standard error and dpdk.devices; what "
                    "was lost is asked for again"),
)
# What a matcher tries that the kernel answers with an error which is no "later" (EAGAIN), no lost
# link (it has an event) and no frame dropped by the device (EBUSY, which is its tx_dropped).
TRIED = {errno.EPERM: "a firewall of this machine forbids it; see: nft list ruleset",
         errno.EACCES: "a route of this machine forbids it, or it is a broadcast address; see: ip "
                       "route",
         errno.EMSGSIZE: "the interface's MTU is too small for interface.payload; see: ip link"}
TRIED |= dict.fromkeys(
    (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL),
    "there is no way to the receiver; see: ip route get ADDRESS, of the participants in "
    "accounts.toml and of the feed's groups")
NAMED_MAX = 3                # flooding sources that one alarm names


class Growth:
    """Counters that were looked at before, and what they are above that."""

    def __init__(self, alarms):
        self.alarms, self.seen = alarms, {}

    def grown(self, key, value) -> int:
        """By how much a counter is above what it was; one that began anew, above 0."""
        before, self.seen[key] = self.seen.get(key, 0), value
        return value - before if value >= before else value

    def note(self, name, value, meaning, where="", kind="") -> None:
        """An alarm when that counter has grown; where: of several."""
        grown = self.grown((name, where), value)
        if grown:
            self.alarms.sound((kind or name).replace("_", "-"),
                              f"{where}{': ' if where else ''}{grown} {meaning} ({value} in all)",
                              where)


class Sends(Growth):
    """Watches what one partition's matcher meets as it sends."""

    def __init__(self, idx, interface, alarms):
        super().__init__(alarms)
        self.where, self.interface = of_partition(idx), interface

    def watch(self, status) -> None:
        """An alarm for each counter of a MATCHER_STATUS row that has grown since the last call."""
        row = dict(zip(SENDS, status["sends"].tolist(), strict=True))
        reason = row["errno"]
        lost = self.grown("refused", row["refused"])
        remedy = TRIED.get(reason, f"see: ip -s link show {self.interface}, and dmesg")
        self.note("errors", row["errors"], "system calls that send acknowledgements or feed have "
                  f"failed, the last with {errno.errorcode.get(reason, reason)} "
                  f"({os.strerror(reason)}): {remedy}; "
                  + (f"{lost} packets were given up, what was in them is asked for again" if lost
                     else "the packets wait and are offered again"), self.where, "send-errors")
        self.note("invalid", row["invalid"], "packets were not queued, because they do not fit a "
                  "frame: a fault in the appliance; report it with status.json", self.where,
                  "send-invalid")
        device = dict(zip(DPDK_DEVICE, status["device"].tolist(), strict=False))
        for name, meaning in DPDK:
            self.note(name, device[name], meaning, self.where, f"device-{name}")

    def forget(self) -> None:
        """The next instance counts from 0."""
        self.seen = {}


class Losses(Growth):
    """Watches the counters of one appliance. kept: portd's descriptors by name."""

    def __init__(self, topology, portd_status, rows, kept, alarms):
        super().__init__(alarms)
        self.topology, self.kept = topology, kept
        self.status, self.rows = portd_status, rows
        self.dropped = {}
        config = topology.config
        self.devices = [(config.interface.name, "", DEVICE)]
        if config.feed.interface_b:
            self.devices.append((config.feed.interface_b, "twin_", DEVICE_B))
        self.seen = {}
        for device, kind, names in self.devices:                   # they count since they exist
            found = nic.counters(device)
            self.seen |= {(kind + name, ""): found[name] for name, _ in names}

    def watch(self) -> None:
        """An alarm for each counter that has grown since the last call."""
        for part in self.topology.partitions:
            values = self.rows[part.idx]["statistics"]
            for name, meaning in SOCKET:
                self.note(name, int(values[XSK_STATISTICS.index(name)]), meaning,
                          of_partition(part.idx))
        reasons = self.status[0]["reasons"]
        for name, meaning in PROGRAM:
            self.note(name, int(reasons[steer.REASONS.index(name)]), meaning)
        if self.grown("drop_flood", int(reasons[steer.REASONS.index("drop_flood")])):
            self._flood()
        for device, kind, names in self.devices:
            found = nic.counters(device)
            for name, meaning in names:
                self.note(kind + name, found[name], meaning)

    def _flood(self):
        """Names the sources that lost most since the last alarm."""
        lost = sorted(self._sources(), reverse=True)
        names = [f"{number} of {source}{self._accounts(source)}" for number, source in
                 lost[:NAMED_MAX]]
        if len(lost) > NAMED_MAX:
            names.append(f"{len(lost) - NAMED_MAX} more sources")
        orders = self.topology.config.orders
        self.alarms.sound("drop-flood", f"the flood guard dropped datagrams: "
                          f"{', '.join(names) or 'of a source that is no longer known'}; more than "
                          f"orders.flood_rate = {orders.flood_rate} messages a second; others are "
                          "served as ever")

    def _sources(self):
        """(datagrams dropped since the last alarm, source) by the guard's rows."""
        fd = self.kept.get("map.guarded", -1)
        if fd < 0:
            return
        words = gate.GUARDED.size // 8
        rows = steer.map_guarded(fd).reshape(-1, words)
        for ip, _, count in rows[rows[:, 0] != 0].tolist():
            before, self.dropped[ip] = self.dropped.get(ip, 0), count
            if count != before:
                yield count - before if count > before else count, topo.ip_text(ip)

    def _accounts(self, source):
        names = [account.name for account in self.topology.config.accounts
                 if source in account.sources]
        return f" ({', '.join(names[:NAMED_MAX])})" if names else ""
