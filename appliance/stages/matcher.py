"""matcher@p: the process that trades one partition; the cold shell around hot/burst.py.

    run as    python -m appliance.stages.matcher --config FILE --partition P --instance N
    boot      map the shared blocks, fill the tables, fetch descriptors from portd, map its rings,
              let portd bind, load every kernel, freeze the collector, give all rights away
    loop      one kernel call until the control word changes or about 50 ms are over; between two
              calls only the clock's base is read anew
    end       a LINK_END_DAY record closes the day; when the end-of-session packets are out the
              state is ENDED; the word STOP ends the process

Nothing here decides a trading rule.
"""

import argparse
import os
import signal
import socket
import sys
import time

import numpy as np

from appliance import notify
from appliance import topology as topo
from appliance.config import load
from appliance.host import cores
from appliance.layout import params as params_layout
from appliance.layout import shared
from appliance.native import lib
from appliance.shm import cache, region
from appliance.stages import link, rights

MODES = {"native": 1, "socket": 2}
SMP = {"off": 0, "oldest": 1, "newest": 2}
RUN_NS = 50_000_000
CALIBRATION_S = 0.02
TSC_SHIFT = 24


def make_for(blocks, instance):
    """The `make` of hot/state.py and hot/io_state.py over the partition's region files."""
    plain = region.maker(blocks, write=True, instance=instance)
    down, up, status, histograms = (
        region.attach(blocks[name], write=True, instance=instance)
        for name in ("link_down", "link_up", "status", "histograms"))
    head = shared.LINK_HEADER.size
    special = {
        "control": lambda: region.attach(blocks["control"], instance=instance),
        "matcher_status": lambda: status,
        "latency": lambda: histograms[:shared.HISTOGRAM_CNT],
        "control_in_header": lambda: down[:head].view(shared.LINK_HEADER.dtype),
        "control_in": lambda: down[head:].view(shared.LINK.dtype),
        "control_out_header": lambda: up[:head].view(shared.LINK_HEADER.dtype),
        "control_out": lambda: up[head:].view(shared.LINK.dtype),
    }

    def make(name, dtype, count):
        return special[name]() if name in special else plain(name, dtype, count)

    return make


def fill_tables(core, partition, allowed, day):
    """Symbols, accounts and names into an empty core; returns how many sources are allowed."""
    book, sessions = core.book, core.accounts.sessions
    window = 1 << partition.sizes.lg_ladder
    for listing in partition.listings:
        row, symbol = book.symbols[listing.idx], listing.symbol
        row["name"] = text(symbol.name, 8, b" ")
        row["tick_size"], row["lot_size"] = symbol.tick_size, symbol.lot_size
        row["locate"], row["state"] = listing.locate, ord("T")
        row["reference_ticks"] = symbol.reference_price // symbol.tick_size
        row["window_ticks"] = max(0, int(row["reference_ticks"]) - window // 2)
    for idx, account in enumerate(partition.accounts):
        row = sessions[idx]
        row["page_quota"] = min(account.max_pages, partition.sizes.pages - 1)
        row["cancel_on_disconnect"] = account.cancel_on_disconnect
        row["smp_default"] = SMP[account.smp]
        row["aiq_default"] = ord("NOW"[SMP[account.smp]])
        row["default_firm"] = text(account.firm, 4, b" ")
        row["session_name"] = text(partition.order_session(day, idx), 16, b"\0")
    core.feed.log[0]["session_name"] = text(partition.feed_session(day), 16, b"\0")
    core.accounts.allowed[:len(allowed)] = sorted(allowed)
    return len(allowed)


def text(value, size, pad):
    """ASCII bytes of `value` padded to `size` as a numpy array."""
    return np.frombuffer(value.encode("ascii").ljust(size, pad), np.uint8)


class Clock:
    """The cycle counter as nanoseconds: rate measured once, the base read at each call.

    Record time follows the monotonic clock; offset_ns (CONTROL) makes it time since midnight.
    """

    def __init__(self, offset_ns):
        self.offset_ns = offset_ns
        tsc, mono = lib.wm_tsc(), lib.wm_monotonic_ns()
        time.sleep(CALIBRATION_S)
        cycles, passed = lib.wm_tsc() - tsc, lib.wm_monotonic_ns() - mono
        self.mult = (passed << TSC_SHIFT) // cycles
        self.run_cycles = RUN_NS * cycles // passed

    def set(self, params) -> None:
        """Writes the base into a PARAMS record."""
        row = params[0]
        mono = lib.wm_monotonic_ns()
        row["base_tsc"], row["mono_base_ns"] = lib.wm_tsc(), mono
        row["base_ns"] = max(0, mono + self.offset_ns)


def open_port(reply, fds):
    """The port that portd's answer describes: AF_XDP over mapped rings, or plain sockets."""
    from appliance.shm import umem
    if reply["mode"] == "native":
        geometry = umem.Geometry(*reply["geometry"])
        return umem.make_xsk_port(fds[3], umem.map_umem(fds[2]), geometry)
    return umem.make_socket_port(fds[0], fds[1], reply["ip"], reply["order_port"])


class Matcher:
    """Everything the loop needs, built once; `run` trades until the word STOP."""

    def __init__(self, topology, partition, instance):
        self.started = time.monotonic()
        self.topology, self.partition = topology, partition
        make = make_for(partition.blocks, instance)
        make("matcher_status", None, 1)[0]["state"] = shared.BOOTING
        cache.use_cache()
        from appliance.hot import burst, io_state, state, symbols    # compiles or loads kernels
        self.burst, self.io_state = burst, io_state
        self.core = state.build(partition.sizes, make, partition.idx)
        self.io = io_state.build_io(partition.sizes, make)
        self.status = self.io.status.view(shared.MATCHER_STATUS.dtype)
        self.status[0]["pid"], self.status[0]["instance"] = os.getpid(), instance
        self.status[0]["state"] = shared.WARMING
        control = self.io.control.view(shared.CONTROL.dtype)[0]
        day = topo.day_of_year(topology.config.day.time_zone, int(control["midnight_ns"]))
        self.allow_cnt = fill_tables(self.core, partition, topology.allowed_sources, day)
        symbols.index_symbols(self.core.book.symbols)
        self.clock = Clock(int(control["record_offset_ns"]))
        self.portd = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.portd.connect(str(topology.portd_socket))

    def connect(self):
        """Fetches the descriptors, maps, lets portd bind; returns portd's description."""
        link.send(self.portd, {"op": "open", "partition": self.partition.idx})
        reply, fds = link.receive(self.portd)
        if not reply:
            raise ConnectionError("portd closed the connection before answering: see its messages")
        self.port = open_port(reply, fds)
        link.send(self.portd, {"op": "mapped"})
        bound, _ = link.receive(self.portd)
        if bound.get("op") != "bound":
            raise ConnectionError("portd could not bind the AF_XDP socket: see its messages")
        self.status[0]["mode"] = MODES[reply["mode"]]
        self.status[0]["zero_copy"] = bound["zero_copy"]
        return reply

    def prepare(self, reply):
        """The PARAMS record of the loop."""
        config, partition = self.topology.config, self.partition
        cpu, policy = cores.granted()
        wait = params_layout.WAIT_SPIN if policy == cores.SPIN else params_layout.WAIT_YIELD
        self.status[0]["wait"], self.status[0]["cpu"] = wait, max(cpu, 0)
        self.params = self.io_state.fill_params(
            self.io, our_ip=reply["ip"], order_port=partition.order_port,
            mac=bytes.fromhex(reply["mac"]), feed_ip_a=partition.group_a,
            feed_port_a=partition.feed_port, feed_ip_b=partition.group_b,
            feed_port_b=partition.feed_port, ttl=config.feed.ttl, allow_cnt=self.allow_cnt,
            gap_hold_ns=config.orders.gap_hold_us * 1000,
            gap_request_ns=config.orders.gap_request_interval_us * 1000,
            heartbeat_ns=min(config.orders.heartbeat_ms, config.feed.heartbeat_ms) * 1_000_000,
            wait=wait, run_cycles=self.clock.run_cycles, tsc_mult=self.clock.mult,
            tsc_shift=TSC_SHIFT)

    def start_day(self):
        """DAY_START as the first command, through the same kernel as every other."""
        self.clock.set(self.params)
        self.burst.start_day(self.core, self.port, self.io, self.params)

    def run(self) -> None:
        """Trades until the control word says STOP."""
        control, word = self.io.control, shared.RUN
        self.params[0]["control_word"] = word
        row = self.status[0]
        row["state"] = shared.READY
        while word != shared.STOP:
            self.clock.set(self.params)
            self.burst.run(self.core, self.port, self.io, self.params)
            word = int(control[0])
            self.params[0]["control_word"] = word
            if row["state"] != shared.ENDED and self.burst.ended(self.core, self.io):
                row["state"] = shared.ENDED


def main(arguments=None) -> int:
    """Exit codes: 0 stopped as asked, 1 could not start (one line says why)."""
    parser = argparse.ArgumentParser(prog="appliance.stages.matcher")
    parser.add_argument("--config", required=True)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--instance", type=int, default=0)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # the launcher decides when trading ends
    topology = topo.build(load.thaw(options.config), instance=options.instance)
    partition = topology.partitions[options.partition]
    try:
        matcher = Matcher(topology, partition, options.instance)
        reply = matcher.connect()
        matcher.prepare(reply)
    except (OSError, RuntimeError, ValueError, region.RegionError) as error:
        print(f"matcher@{options.partition}: {error}", file=sys.stderr, flush=True)
        return 1
    matcher.start_day()
    matcher.status[0]["cached"] = cache.count_kernels()[0] == 0
    matcher.status[0]["warm_ms"] = int((time.monotonic() - matcher.started) * 1000)
    rights.freeze()
    rights.drop(partition.matcher_uid, deny_write_execute=True)
    notify.ready()
    matcher.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
