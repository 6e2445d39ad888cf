"""Where hostile frames are sent: a running appliance in a namespace of its own, sockets that send
raw frames in the market's, and every counter that may name a frame.

    with HostilePlace() as place:
        person = Person(place, 0)               logged in by hand, silent unless told
        place.send(frame)
        place.counted()                         {"xdp": ..., "matcher": ..., "lost": ...}
"""

import contextlib
import os
import re
import socket
import struct
import threading
import time

from appliance import topology
from appliance.config import load as config_loader
from appliance.layout.datagram import as_block, build_mold, login_request
from appliance.layout.shared import COUNTERS, SESSION_LIVE
from appliance.native import check, lib
from appliance.shm import region, steer
from tools.faults.killer_place import Field
from tools.record import frame

PATIENCE_S, BATCH = 60.0, 64            # frames that the kernel's generator makes at a time
MTU = 1504                              # of the market's end: a packet too long may leave it


class HostilePlace(Field):
    """orders: keys of [orders] in place of the usual ones; wild_ip: the last account's own address.
    """

    def __init__(self, orders=None, wild_ip=""):
        super().__init__("process", 1)
        self.orders, self.wild_ip, self.opened = orders or {}, wild_ip, []
        self.guests = []                             # who is logged in by hand, and stays so

    def configure(self):
        if self.wild_ip:
            self.scene.outside.run("ip", "addr", "add", f"{self.wild_ip}/24", "dev", "wm1")
            accounts = self.scene.folder / "accounts.toml"
            parts = accounts.read_text().rsplit(self.scene.market_ip, 1)
            accounts.write_text(self.wild_ip.join(parts))
        with open(self.config) as file:
            kept = [line for line in file if line.partition(" = ")[0] not in self.orders]
        more = "".join(f"{key} = {value}\n" for key, value in self.orders.items())
        with open(self.config, "w") as file:
            file.write("".join(kept).replace("[orders]\n", "[orders]\n" + more))

    def __enter__(self):
        super().__enter__()
        with contextlib.ExitStack() as undo:
            undo.callback(self.__exit__)
            self.scene.outside.run("ip", "link", "set", "wm1", "mtu", str(MTU))
            self.target = self.scene.ip, self.scene.order_port
            self.macs = self.scene.mac + self.scene.source_mac
            with self.scene.market():
                self.raw = self.keep(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
                self.raw.bind(("wm1", 0))
            table = topology.build(config_loader.load(self.config),
                                   [row["instance"] for row in self.status["partitions"]])
            blocks = table.blocks | table.partitions[0].blocks
            self.regions = {name: region.attach(blocks[name]) for name in (
                "counters", "sessions", "portd_status", "port_status", "engine")}
            undo.pop_all()
        return self

    def __exit__(self, *problem):
        for each in self.opened:
            each.close()
        self.opened = []
        super().__exit__(*problem)

    def keep(self, sock):
        """A socket that is closed with the place."""
        self.opened.append(sock)
        return sock

    def whole(self, payload, source, target=None) -> bytes:
        """The Ethernet frame of a datagram, complete."""
        return self.macs + frame(payload, source, target or self.target)[len(self.macs):]

    def send(self, packet) -> None:
        """A raw frame out of the market's device."""
        self.raw.send(packet)

    def counted(self) -> dict:
        """Every counter, portd's as it publishes them after this call: {"xdp": {reason: frames},
        "matcher": {counter: value}, "lost": frames that the socket dropped}."""
        status = self.regions["portd_status"][0]
        last, turns, until = int(status["heartbeat_ns"]), 0, time.monotonic() + 0.3
        deadline = time.monotonic() + PATIENCE_S
        while turns < 4 or time.monotonic() < until:     # it beats at least once a turn
            if time.monotonic() > deadline:
                raise TimeoutError(f"portd does not beat within {PATIENCE_S:.0f} s")
            time.sleep(0.01)
            turns, last = turns + (status["heartbeat_ns"] != last), int(status["heartbeat_ns"])
        lost = self.regions["port_status"][0]["statistics"].tolist()
        return {"xdp": dict(zip(steer.REASONS, status["reasons"].tolist(), strict=False)),
                "matcher": self.matcher(),
                "lost": sum(lost[:2]) + sum(lost[3:5])}

    def matcher(self) -> dict:
        """The matcher's counters as they are now."""
        return {name: int(self.regions["counters"][idx]) for idx, (name, _) in enumerate(COUNTERS)}

    def lost_on_the_way(self) -> int:
        """Frames of the generator that the appliance's end of the pair had no room for, by the
        sending device's own count: they never came to the program."""
        return sum(int(value) for value in re.findall(
            r"tx_queue_\d+_xdp_xmit_errors: (\d+)",
            self.scene.outside.run("ethtool", "-S", "wm1")))


class Person:
    """An account that is logged in by hand and says nothing by itself. `token`, `source`."""

    def __init__(self, place, account, ip=None, port=0):
        self.place, self.account, self.token = place, account, f"HOSTILE{account:03d}"
        ip = ip or place.scene.market_ip
        with place.scene.market():
            self.sock = place.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.sock.bind((ip, port))
        self.source, self.row = self.sock.getsockname(), place.regions["sessions"][account]
        request = as_block(login_request(*place.people[account], "", 0))
        deadline = time.monotonic() + PATIENCE_S
        while self.row["state"] != SESSION_LIVE:
            if time.monotonic() > deadline:
                raise TimeoutError(f"account {account} is not in within {PATIENCE_S:.0f} s")
            self.sock.sendto(build_mold(self.token, 0, [request]), place.target)
            time.sleep(0.2)

    @property
    def next(self) -> int:
        """The number upstream that the host waits for."""
        return int(self.place.regions["sessions"][self.account]["next_upstream_seq"])

    def settle(self) -> int:
        """Until the matcher has taken everything that was sent before: frames come in order. How
        many heartbeats that took."""
        heard = int(self.place.regions["sessions"][self.account]["heard_ns"])
        beat = self.place.whole(build_mold(self.token, self.next, []), self.source)
        for sent in range(1, int(PATIENCE_S)):
            self.place.send(beat)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                if int(self.place.regions["sessions"][self.account]["heard_ns"]) != heard:
                    return sent
                time.sleep(0.0005)
        raise TimeoutError(f"the matcher has taken no heartbeat of account {self.account} within "
                           f"{PATIENCE_S:.0f} s:\n{self.place.words()}")


@contextlib.contextmanager
def generated(place, packets, count, gap_ns):
    """`count` copies of each packet, one kind after the other, a frame each gap_ns, out of the
    market's device by the kernel's generator; yields its thread. Raises OSError behind the block
    when they could not be sent."""
    made = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
    program, devices, pace = made.program("paced"), made.map("devices"), made.map("pace")
    passing = made.program("pass")
    made.close()
    with place.scene.market():
        ifindex = socket.if_nametoindex("wm1")
        link_fd = steer.attach(passing, ifindex)       # a veth without a program sends no frames
        steer.map_set(devices, bytes(4), struct.pack("=I", ifindex))
    steer.map_set(pace, bytes(4), struct.pack("=QQ", gap_ns, 0))
    results = []

    def run():
        with place.scene.market():
            for packet in packets:
                results.append(lib.wm_xdp_live_run(program, packet, len(packet), ifindex, 0, count,
                                                   BATCH))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
        for fd in (program, devices, pace, passing, link_fd):
            os.close(fd)
    for result in results:
        check(result, "sending generated frames")
