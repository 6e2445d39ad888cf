"""What the partitions bench measures: the flood, the appliance under it, and bare receivers.

    peer namespace                                   appliance namespace
    live frames through bpf/flood.bpf.c  --- veth --- wm0: steer --> one queue --> N sockets
"""

import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numba import njit, types

from appliance import topology as topo
from appliance.config import load
from appliance.hot.fence import load_acquire_u64, store_release_u64
from appliance.hot.burst import GIVE_WAY_NS
from appliance.hot.port import rx_burst, rx_release
from appliance.hot.port_state import RX_FD
from appliance.host import cores
from appliance.layout import shared
from appliance.layout.datagram import as_block, build_mold, login_request
from appliance.native import check, external, lib
from appliance.shm import region, steer
from appliance.stages import link, ports
from tools.demo.house import House
from tools.netns import Namespace, mac_of, veth_pair

HERE, THERE = "10.78.0.1", "10.78.0.2"
ACCOUNT, PASSWORD, SOURCE_PORT = "FLOOD", "water", 43000
ORDER_PORT, PRICE, BATCH = 26400, 1_000_000, 64
PATIENCE_S = 600.0                  # kernels may have to be compiled first
_wait_readable = external("wm_wait_readable", types.int32, types.int32, types.int64)


def order_frame() -> bytes:
    """The frame that flood.bpf.c makes into orders; UDP checksum 0."""
    ouch = struct.pack(">cIcI8sQccccc14sH", b"O", 1, b"B", 100, b"SYM     ", PRICE, b"0", b"Y",
                       b"P", b"N", b"N", b"FLOOD".ljust(14), 0)
    payload = bytes(18) + b"\0\1" + struct.pack(">H", len(ouch) + 1) + b"U" + ouch
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, 17, 0,
                     socket.inet_aton(THERE), socket.inet_aton(HERE))
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", total ^ 0xFFFF) + ip[12:]
    macs = b"".join(bytes.fromhex(mac_of(each).replace(":", "")) for each in (HERE, THERE))
    return macs + b"\x08\x00" + ip + struct.pack("!HHHH", SOURCE_PORT, 0, 8 + len(payload),
                                                  0) + payload


class Field:
    """Both namespaces, the config files, and the flood. `flood(count)` offers orders."""

    ip, order_port = HERE, ORDER_PORT

    def __init__(self, partition_cnt: int):
        self.partition_cnt = partition_cnt
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", HERE, self.far, "wm1", THERE)
        self.far_ifindex = self.far.ifindex("wm1")
        loaded = steer.BpfObject(steer.BPF_FOLDER / "flood.bpf.o")
        passing = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.program, self.peer = loaded.program("flood"), passing.program("drop")
        self.packed_program = loaded.program("packed")
        self.maps = {name: loaded.map(name) for name in ("targets", "turns", "devices")}
        loaded.close()
        passing.close()
        with self.far.entered():
            self.link = steer.attach(self.peer, self.far_ifindex)
            steer.map_set(self.maps["devices"], bytes(4), struct.pack("=I", self.far_ifindex))
        self.folder = Path(tempfile.mkdtemp(prefix="wirematch-bench-"))
        self.runtime = Path(f"/dev/shm/wirematch-bench-{os.getpid()}")
        self.frame = order_frame()
        self.cpus = self._share()
        self.config_path = self._write_config()
        self.logins = 0
        self.aim(["T" * 10] * partition_cnt)

    def _share(self) -> list[int]:
        """CPUs of the matchers: one each where there are enough (the appliance takes the last ones
        by itself, so []), else all on the last one. The flood keeps to the others."""
        cpus = sorted(os.sched_getaffinity(0))
        alone = len(cpus) > self.partition_cnt
        self.flood_cpus = cpus[:-self.partition_cnt] if alone else cpus[:-1] or cpus
        return [] if alone or len(cpus) == 1 else cpus[-1:] * self.partition_cnt

    def _write_config(self) -> str:
        count = self.partition_cnt
        symbols = "".join(f'[[symbols]]\nname = "SYM{p}"\nreference_price = {PRICE}\n'
                          f"partition = {p}\n" for p in range(count))
        (self.folder / "symbols.toml").write_text(symbols)
        accounts = self.folder / "accounts.toml"
        accounts.write_text(f'[[accounts]]\nname = "{ACCOUNT}"\npassword = "{PASSWORD}"\n'
                            f'sources = ["{THERE}"]\n')
        accounts.chmod(0o600)
        path = self.folder / "wirematch.toml"
        path.write_text(
            f'name = "bench"\nruntime_dir = "{self.runtime}"\nsymbols_file = "symbols.toml"\n'
            'accounts_file = "accounts.toml"\n[interface]\nname = "wm0"\n'
            f'ip = "{HERE}"\nmode = "null"\n[partitions]\ncount = {count}\nlayout = "shared"\n'
            f"[cores]\nmatcher = {self.cpus}\n"
            f"[orders]\norder_port_base = {ORDER_PORT}\ngap_hold_us = 0\nsilence_ms = 600000\n"
            "[capacity]\npages = 1024\nchunks = 16384\nfeed_bytes = 33554432\n"
            "feed_messages = 524288\nlg_ladder = 12\n[account_defaults]\nmax_pages = 1000\n")
        return str(path)

    def aim(self, tokens) -> None:
        """The flood begins anew: order number 1 of each partition, with these tokens."""
        for p, token in enumerate(tokens):
            steer.map_set(self.maps["targets"], struct.pack("=I", p), struct.pack(
                "=10s2s8sIQ", token.encode(), struct.pack("!H", ORDER_PORT + p),
                f"SYM{p}".ljust(8).encode(), 0, 1))

    def flood(self, count: int, gap_ns: int = 0) -> float:
        """Offers `count` orders, one every gap_ns or as fast as they go; the seconds it took."""
        steer.map_set(self.maps["turns"], bytes(4),
                      struct.pack("=IIQQ", self.partition_cnt, 0, gap_ns, 0))
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.flood_cpus)
        with self.far.entered():
            begun = time.perf_counter()
            check(lib.wm_xdp_live_run(self.program, self.frame, len(self.frame), self.far_ifindex,
                                      0, count, BATCH),
                  "generating live frames", "it needs Linux 5.18 or newer")
            seconds = time.perf_counter() - begun
        os.sched_setaffinity(0, everywhere)
        return seconds

    def run_appliance(self, arguments, **options) -> subprocess.Popen:
        """Starts `wirematch ARGUMENTS` in the appliance's namespace."""
        return self.near.popen(sys.executable, "-m", "appliance.cli", *arguments, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in (self.link, self.program, self.packed_program, self.peer, *self.maps.values()):
            os.close(fd)
        self.near.close()
        self.far.close()
        Path(f"{self.runtime}.day").unlink(missing_ok=True)
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


class Appliance:
    """The whole appliance with one account logged in everywhere."""

    def __init__(self, field: Field):
        self.field = field

    def __enter__(self):
        self.house = House(self.field, self.field.config_path)
        try:
            self.house.wait_ready()
            self._login()
        except BaseException:
            self.house.stop()
            raise
        self.table = topo.build(load.load(self.field.config_path),
                                [row["instance"] for row in self.house.status["partitions"]])
        self.counters = [region.attach(part.blocks["counters"]) for part in self.table.partitions]
        return self

    def _login(self):
        field = self.field
        field.logins += 1
        tokens = [f"FL{p:02d}{field.logins:06d}" for p in range(field.partition_cnt)]
        with field.far.entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.bind((THERE, SOURCE_PORT))
            deadline = time.monotonic() + 20
            while any(row["live_sessions"] < 1 for row in self.house.status["partitions"]):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the logins were not taken:\n{self.house.words()}")
                for p, token in enumerate(tokens):
                    sock.sendto(build_mold(token, 0, [as_block(login_request(
                        ACCOUNT, PASSWORD, "", 1))]), (HERE, ORDER_PORT + p))
                time.sleep(1.0)
        field.aim(tokens)

    def received(self) -> list[int]:
        """Orders each matcher has applied."""
        return [int(each[shared.COUNTER_INDEX["messages"]]) for each in self.counters]

    def facts(self) -> dict:
        """Rung, layout and core map."""
        content = self.house.status
        row = content["partitions"][0]
        return {"rung": row["mode"], "layout": row["layout"], "cores": content["cores"]}

    def verdict(self) -> str:
        """What became of the orders; RuntimeError when any was refused."""
        counts = {name: sum(int(each[shared.COUNTER_INDEX[name]]) for each in self.counters)
                  for name in ("messages", "orders", "rejects", "trades", "messages_skipped")}
        if counts["rejects"] or counts["orders"] != counts["messages"]:
            raise RuntimeError(f"not every order was good: {counts}")
        return f"{counts['orders']} orders accepted, {counts['trades']} trades, none refused"

    def __exit__(self, *_):
        self.house.stop()


@njit(nogil=True)
def receive(port, words, yields):
    """Takes frames and gives them back, counting in words[1], until words[0] is not 0."""
    idle = 0
    while load_acquire_u64(words, 0) == np.uint64(0):
        count = rx_burst(port, 64)
        if count:
            rx_release(port, count)
            store_release_u64(words, 1, words[1] + np.uint64(count))
            idle = 0
        else:
            idle += 1
            if yields and idle >= 256:
                _wait_readable(np.int32(port.state[RX_FD]), np.int64(GIVE_WAY_NS))


class BareEnds:
    """portd with the same config, and processes that only take frames and give them back."""

    def __init__(self, field: Field):
        self.field = field

    def __enter__(self):
        field = self.field
        config = load.load(field.config_path)
        self.table = topo.build(config)
        field.runtime.mkdir(mode=0o711)
        load.freeze(config, self.table.config_file)
        for block in self.table.blocks.values():
            region.create(block)
        plan = cores.plan("auto", field.cpus, field.partition_cnt)
        self.portd = field.near.popen(
            "taskset", "-c", ",".join(map(str, plan.rest)), sys.executable, "-m",
            "appliance.stages.portd", "--config", str(self.table.config_file))
        deadline = time.monotonic() + PATIENCE_S
        while not os.path.exists(self.table.portd_socket):
            if self.portd.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("portd did not start: see its words above")
            time.sleep(0.02)
        self.words, self.pids = [], []
        for p in range(field.partition_cnt):
            words = np.frombuffer(_shared_page(), np.uint64)
            self.words.append(words)
            self.pids.append(self._fork(p, words, plan))
        while any(int(words[2]) == 0 for words in self.words):
            if time.monotonic() > deadline:
                raise RuntimeError("a bare receiver did not get its port")
            time.sleep(0.01)
        return self

    def _fork(self, p, words, plan):
        pid = os.fork()
        if pid:
            return pid
        try:
            lib.wm_die_with_parent(signal.SIGKILL)
            os.sched_setaffinity(0, {plan.matchers[p]})
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.connect(self.table.portd_socket)
            link.send(connection, {"op": "open", "partition": p, "instance": 0})
            reply, fds = link.receive(connection)
            ports.open_guard(reply, fds)
            port = ports.open_port(reply, fds, p)
            link.send(connection, {"op": "mapped"})
            link.receive(connection)
            words[0] = 1
            receive(port, words, int(plan.wait != cores.SPIN))        # compiles
            words[0], words[2] = 0, 1
            receive(port, words, int(plan.wait != cores.SPIN))
        except Exception as error:                      # noqa: BLE001  a child must not return
            print(f"bare receiver {p}: {error}", file=sys.stderr, flush=True)
        os._exit(0)

    def received(self) -> list[int]:
        """Frames each receiver has taken."""
        return [int(words[1]) for words in self.words]

    def __exit__(self, *_):
        for words in self.words:
            words[0] = 1
        for pid in self.pids:
            os.waitpid(pid, 0)
        self.portd.send_signal(signal.SIGTERM)
        self.portd.wait(20)
        for block in self.table.blocks.values():
            region.release(block.path)
        for path in self.field.runtime.iterdir():
            path.unlink()
        self.field.runtime.rmdir()


def _shared_page():
    return mmap.mmap(-1, 4096)

