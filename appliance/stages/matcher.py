"""matcher@p: the process that trades one partition; the cold shell around hot/burst.py.

    run as    python -m appliance.stages.matcher --config FILE --partition P --instance N, or by
              the fork server
    boot      map the shared blocks, fill the tables, take what the day's journal holds, fetch
              descriptors from portd, map its rings, let portd bind, load every kernel, freeze the
              collector, give all rights away
    loop      one kernel call until the control word changes or about 50 ms are over; between two
              calls the clock's base is read anew, and port_status: when the generation of its port
              has changed (AF_XDP lost, or there again), it asks portd for a new one and trades on
    end       a LINK_END_DAY record closes the day; when the end-of-session packets are out the
              state is ENDED; the word STOP ends the process, when what was taken has left

Nothing here decides a trading rule.
"""

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import time

import numpy as np

from appliance import notify
from appliance import topology as topo
from appliance.config import load
from appliance.host import cores
from appliance.hot import port_state as ps
from appliance.hot.depth_state import SEEN_SEQ
from appliance.journal.errors import JournalError
from appliance.journal.follow import genesis_of
from appliance.journal.genesis import build_core, describe, fill_names
from appliance.journal.scan import read
from appliance.layout import params as params_layout
from appliance.layout import shared
from appliance.native import lib
from appliance.shm import cache, dpdk, present, region
from appliance.stages import link, ports, rights, sandbox

LEVELS = {"none": 0, "process": 1, "disk": 2}            # words[LEVEL] of hot/io_state.py
RUNGS = {name: code for code, name in shared.RUNGS.items()}
LAYOUTS = {name: code for code, name in shared.LAYOUTS.items()}
WAITS = {cores.SPIN: params_layout.WAIT_SPIN, cores.YIELD: params_layout.WAIT_YIELD,
         cores.BLOCK: params_layout.WAIT_BLOCK}
ANSWER_S, PATIENCE_S, RETRY_S, BEAT_S = 5.0, 20.0, 0.05, 0.05
SENDS = [ps.KICK_CNT, ps.KICK_AGAIN_CNT, ps.KICK_BUSY_CNT, ps.KICK_DOWN_CNT, ps.KICK_ERROR_CNT,
         ps.TX_DROPPED_CNT, ps.TX_INVALID_CNT, ps.KICK_LAST_ERRNO]      # MATCHER_STATUS.sends
RUN_NS = 50_000_000
DRAIN_S, DRAIN_POLLS = 1.0, 64
CALIBRATION_S = 0.02
TSC_SHIFT = 24


def make_for(blocks, instance):
    """The `make` of hot/state.py and hot/io_state.py over the partition's region files."""
    plain = region.maker(blocks, write=True, instance=instance)
    down, up, tcp, status, histograms = (
        region.attach(blocks[name], write=True, instance=instance)
        for name in ("link_down", "link_up", "link_tcp", "status", "histograms"))
    head = shared.LINK_HEADER.size
    special = {
        "control": lambda: region.attach(blocks["control"], instance=instance),
        "journal_status": lambda: region.attach(blocks["journal_status"], instance=instance),
        "matcher_status": lambda: status,
        "latency": lambda: histograms[:shared.HISTOGRAM_CNT],
        "control_in_header": lambda: down[:head].view(shared.LINK_HEADER.dtype),
        "control_in": lambda: down[head:].view(shared.LINK.dtype),
        "control_out_header": lambda: up[:head].view(shared.LINK_HEADER.dtype),
        "control_out": lambda: up[head:].view(shared.LINK.dtype),
        "tcp_in_header": lambda: tcp[:head].view(shared.LINK_HEADER.dtype),
        "tcp_in": lambda: tcp[head:],
    }

    def make(name, dtype, count):
        return special[name]() if name in special else plain(name, dtype, count)

    return make


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
        from appliance.hot import burst, io_state, state             # compiles or loads kernels
        self.burst, self.io_state = burst, io_state
        control = make("control", None, 1)[0]
        self.core = self._make_core(make, int(control["midnight_ns"]))
        self.allow_cnt = len(topology.allowed_sources)
        self.core.accounts.allowed[:self.allow_cnt] = sorted(topology.allowed_sources)
        self.io = io_state.build_io(partition.sizes, make)
        self.io.words[io_state.LEVEL] = LEVELS[topology.config.durability.level]
        self.status = self.io.status.view(shared.MATCHER_STATUS.dtype)
        self.status[0]["pid"], self.status[0]["instance"] = os.getpid(), instance
        self.status[0]["state"] = shared.WARMING
        self.clock = Clock(int(control["record_offset_ns"]))
        self.core.accounts.sessions["heard_ns"] = max(
            0, lib.wm_monotonic_ns() + self.clock.offset_ns)
        self.io.touched[SEEN_SEQ] = 0                     # all symbols' depth is to be shown
        self.opens_later = bool(control["opens_later"])
        self.port_row = region.attach(topology.blocks["port_status"])[partition.idx]
        self.port, self.fds = None, []
        self.sent_before = np.zeros(len(SENDS), np.uint64)       # by the ports before this one

    def _make_core(self, make, midnight_ns):
        """The day's core: empty, or with everything that its journal holds."""
        config, partition = self.topology.config, self.partition
        zone = config.day.time_zone
        genesis = describe(partition, topo.day_of_year(zone, midnight_ns))
        begin_seq = int(make("journal_status", None, 1)[0]["begin_seq"])
        if not begin_seq:
            return build_core(genesis, make)
        from appliance.journal.recover import resume             # the kernels of a replay
        from appliance.journal.replay import all_sent
        begun, folder = time.monotonic(), partition.journal_folder(
            config, topo.date_of(zone, midnight_ns))
        done = resume(folder, begin_seq, make)
        all_sent(done.core)
        fill_names(done.core, genesis)
        if done.core.feed.log[0]["oldest_seq"] > 1:
            self._seed_image(done.core, folder)
        for text in done.passed_over:
            print(f"matcher@{partition.idx}: {text}", file=sys.stderr)
        print(f"matcher@{partition.idx}: {begin_seq} commands from {folder} in "
              f"{time.monotonic() - begun:.2f} s, snapshot of {done.snapshot_seq} and "
              f"{done.replayed} behind it", file=sys.stderr, flush=True)
        return done.core

    def _seed_image(self, core, folder):
        """What recovery cannot make from a feed log without a beginning; see seed.py."""
        from appliance.hot.image import build_image
        from appliance.stages.seed import seed
        blocks, feed = self.partition.blocks, core.feed
        seed(build_image(self.partition.sizes, feed.log, feed.ring, feed.index,
                         lambda name, *_: region.attach(blocks[name], write=True)),
             core, genesis_of(folder), next(read(folder))[:1])
        for name, block in blocks.items():
            if name.startswith("image"):
                region.release(block.path)

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
                self._await(portd)
                reply, fds = link.receive(portd)
                if reply.get("op") != "port":
                    raise ConnectionError("portd closed the connection before answering")
                twin = ports.take_twin(reply, fds)
                guarded = ports.open_guard(reply, fds)
                port = ports.open_port(reply, fds, self.partition.idx,
                                       self.topology.config.interface.payload)
                port.state[ps.TWIN_FD], port.state[ps.TWIN_SEGMENTED] = twin, 1
                fds = [*fds[:2], *fds[3:4], *([twin] if twin else [])]
                link.send(portd, {"op": "mapped"})
                self._await(portd)
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
        if self.port is not None:
            self.sent_before = self._sends()
        self.port, self.fds, row = port, fds, self.status[0]
        self.io = self.io._replace(guarded=guarded)
        row["rung"], row["layout"] = RUNGS[reply["rung"]], LAYOUTS[reply["layout"]]
        row["zero_copy"], row["generation"] = bound["zero_copy"], reply["generation"]
        return reply

    def _await(self, portd):
        """Returns when portd has answered or does not; alive meanwhile, since binding may take the
        kernel seconds. TimeoutError after ANSWER_S."""
        waiter, row = select.poll(), self.status[0]
        waiter.register(portd, select.POLLIN)
        deadline = time.monotonic() + ANSWER_S
        while not waiter.poll(BEAT_S * 1000):
            if row["state"] == shared.READY:
                row["heartbeat_ns"] = lib.wm_monotonic_ns()
            if time.monotonic() > deadline:
                raise TimeoutError(f"portd has not answered within {ANSWER_S:.0f} s")

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
            feed_port_b=partition.feed_port, ttl=config.feed.ttl,
            payload=config.interface.payload, allow_cnt=self.allow_cnt,
            gap_hold_ns=config.orders.gap_hold_us * 1000,
            gap_request_ns=config.orders.gap_request_interval_us * 1000,
            heartbeat_ns=min(config.orders.heartbeat_ms, config.feed.heartbeat_ms) * 1_000_000,
            wait=wait, rx_batch=config.port.batch, run_cycles=self.clock.run_cycles,
            tsc_mult=self.clock.mult, tsc_shift=TSC_SHIFT)

    def start_day(self):
        """DAY_START as the first command, through the same kernel as every other; none when the
        day has begun before."""
        self.clock.set(self.params)
        if self.core.journal.header[0]["next_seq"] == 1:
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

    def _sends(self):
        """What sending has met so far, on all ports of this process; the newest errno last."""
        met = self.port.state[SENDS]
        met[:-1] += self.sent_before[:-1]
        met[-1] = met[-1] or self.sent_before[-1]
        return met

    def _note_device(self):
        """What sending met, and what the driver of a DPDK device counts; a device that is gone
        keeps its last figures."""
        row = self.status[0]
        row["sends"][:len(SENDS)] = self._sends()
        if row["rung"] == shared.RUNG_DPDK:
            with contextlib.suppress(OSError):
                row["device"][:len(dpdk.STATISTICS)] = list(dpdk.statistics(self.port).values())

    def run(self) -> None:
        """Trades until the control word says STOP."""
        control, word = self.io.control, shared.RUN
        self.params[0]["control_word"] = word
        row = self.status[0]
        row["state"] = shared.READY
        presence = present.Presence(present.arrays_of((self.core, self.io)) if present.is_in_memory(
            self.topology.runtime_dir) else [], cores.rest())
        presence.start()
        while word != shared.STOP:
            self._follow_port()
            self.clock.set(self.params)
            self.burst.run(self.core, self.port, self.io, self.params)
            self._note_device()
            row["present"] = presence.done
            word = int(control[0])
            self.params[0]["control_word"] = word
            if row["state"] != shared.ENDED and self.burst.ended(self.core, self.io):
                row["state"] = shared.ENDED
        self._drain()

    def _drain(self):
        """No more datagrams are taken; what was taken leaves, when the gate lets it, within
        DRAIN_S."""
        words, names, deadline = self.io.words, self.io_state, time.monotonic() + DRAIN_S
        self.params[0]["rx_batch"], self.params[0]["idle_polls"] = 0, DRAIN_POLLS
        while time.monotonic() < deadline:
            self.clock.set(self.params)
            is_idle = self.burst.run(self.core, self.port, self.io, self.params) == self.burst.IDLE
            if is_idle and not any((
                    words[names.MARK_HEAD] - words[names.MARK_TAIL], words[names.ACKS_DUE],
                    words[names.OUTBOX_HEAD] - words[names.OUTBOX_TAIL], words[names.KICK_DUE])):
                break
        self._note_device()


def main(arguments=None) -> int:
    """Exit codes: 0 stopped as asked, 1 could not start (one line says why)."""
    parser = argparse.ArgumentParser(prog="appliance.stages.matcher")
    parser.add_argument("--config", required=True)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--instance", type=int, default=0)
    parser.add_argument("--names", type=int, default=None)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # the launcher decides when trading ends
    topology = topo.build(load.thaw(options.config), options.instance, options.names)
    partition = topology.partitions[options.partition]
    try:
        matcher = Matcher(topology, partition, options.instance)
        reply = matcher.connect()
        matcher.prepare(reply)
    except (OSError, RuntimeError, ValueError, region.RegionError, JournalError) as error:
        print(f"matcher@{options.partition}: {error}", file=sys.stderr, flush=True)
        return 1
    matcher.start_day()
    matcher.status[0]["cached"] = cache.count_kernels()[0] == 0
    matcher.status[0]["warm_ms"] = int((time.monotonic() - matcher.started) * 1000)
    rights.freeze()
    rights.drop(partition.matcher_uid, deny_write_execute=True)
    driver = "driver" if matcher.status[0]["rung"] == shared.RUNG_DPDK else "matcher"
    notify.ready(sandbox.text(driver, topology.config.process.sandbox))
    sandbox.enter(driver, topology.config.process.sandbox)
    matcher.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
