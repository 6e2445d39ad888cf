"""matcher@p: the process that trades one partition; the cold shell around hot/burst.py.

    run as    python -m appliance.stages.matcher --config FILE --partition P --instance N, or by
              the fork server
    boot      map the shared blocks, fill the tables, fetch descriptors from portd, map its rings,
              let portd bind, load every kernel, freeze the collector, give all rights away
    loop      one kernel call until the control word changes or about 50 ms are over; between two
              calls the clock's base is read anew, and port_status: when the generation of its port
              has changed (AF_XDP lost, or there again), it asks portd for a new one and trades on
    end       a LINK_END_DAY record closes the day; when the end-of-session packets are out the
              state is ENDED; the word STOP ends the process

Nothing here decides a trading rule.
"""

import argparse
import contextlib
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
from appliance.stages import link, ports, rights

RUNGS = {name: code for code, name in shared.RUNGS.items()}
LAYOUTS = {name: code for code, name in shared.LAYOUTS.items()}
WAITS = {cores.SPIN: params_layout.WAIT_SPIN, cores.YIELD: params_layout.WAIT_YIELD,
         cores.BLOCK: params_layout.WAIT_BLOCK}
ANSWER_S, PATIENCE_S, RETRY_S = 5.0, 20.0, 0.05
SMP = {"off": 0, "oldest": 1, "newest": 2, "decrement": 3}
AIQ = dict(zip(SMP, b"NOWD", strict=True))
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
        row["collar_ticks"], reference = symbol.collar, int(row["reference_ticks"])
        if symbol.collar:                     # else the bounds that state.build gave
            row["buy_bound_ticks"] = reference + symbol.collar
            row["sell_bound_ticks"] = max(1, reference - symbol.collar)
    for idx, account in enumerate(partition.accounts):
        row = sessions[idx]
        row["page_quota"] = min(account.max_pages, partition.sizes.pages - 1)
        row["cancel_on_disconnect"] = account.cancel_on_disconnect
        row["smp_default"] = SMP[account.smp]
        row["aiq_default"] = AIQ[account.smp]
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
        self.opens_later = bool(control["opens_later"])
        self.port_row = region.attach(topology.blocks["port_status"])[partition.idx]
        self.port, self.fds = None, []

    def connect(self):
        """Asks portd for the port; waits for one that is just being started again."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.open()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ConnectionError(f"no port from {self.topology.portd_socket} within "
                                          f"{PATIENCE_S:.0f} s: {error}; see portd's messages"
                                          ) from error
            time.sleep(RETRY_S)

    def open(self):
        """Fetches the descriptors, maps, lets portd bind, and only then swaps the port.

        Returns portd's description. OSError when portd is not there, refuses or cannot bind.
        """
        fds = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as portd:
            portd.settimeout(ANSWER_S)
            try:
                portd.connect(str(self.topology.portd_socket))
                link.send(portd, {"op": "open", "partition": self.partition.idx,
                                  "instance": self.partition.instance})
                reply, fds = link.receive(portd)
                if reply.get("op") != "port":
                    raise ConnectionError("portd closed the connection before answering")
                port = ports.open_port(reply, fds, self.partition.idx)
                fds = [*fds[:2], *fds[3:4]]
                link.send(portd, {"op": "mapped"})
                bound, _ = link.receive(portd)
                if bound.get("op") != "bound":
                    raise ConnectionError(f"portd could not bind: {bound.get('why', 'no word')}")
            except (OSError, ValueError):
                for fd in fds:
                    with contextlib.suppress(OSError):
                        os.close(fd)
                raise
        for fd in self.fds:
            os.close(fd)
        self.port, self.fds, row = port, fds, self.status[0]
        row["rung"], row["layout"] = RUNGS[reply["rung"]], LAYOUTS[reply["layout"]]
        row["zero_copy"], row["generation"] = bound["zero_copy"], reply["generation"]
        return reply

    def prepare(self, reply):
        """The PARAMS record of the loop."""
        config, partition = self.topology.config, self.partition
        cpu, policy = cores.granted()
        wait = WAITS[policy]
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
        self.burst.start_day(self.core, self.port, self.io, self.params, self.opens_later)

    def _follow_port(self):
        """Takes a new port when portd says that this one is over; tries again at the next call."""
        if self.port_row["generation"] == self.status[0]["generation"]:
            return
        try:
            reply = self.open()
        except (OSError, ValueError):
            return
        word = self.params[0]["control_word"]
        self.prepare(reply)
        self.params[0]["control_word"] = word
        self.status[0]["reopens"] += 1

    def run(self) -> None:
        """Trades until the control word says STOP."""
        control, word = self.io.control, shared.RUN
        self.params[0]["control_word"] = word
        row = self.status[0]
        row["state"] = shared.READY
        while word != shared.STOP:
            self._follow_port()
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
