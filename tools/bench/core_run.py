"""The matching core on a workload in this process: its trades, its rate, its time an operation.

`KERNEL` is the very kernel that the matcher runs. For a rate it gets 64 commands a call, and the
trades of its events are folded into the workload's checksum inside the timed loop. For the time of
an operation it gets one command a call, and the cycle counter is read before and after. Making
commands of the file and the first touch of the memory are outside of both.
"""

import gc
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from appliance.hot import state
from appliance.hot.book import apply_work
from appliance.hot.bundle import bundle
from appliance.hot.kernel import inlined
from appliance.hot.tsc import read_tsc
from appliance.layout.record import EXTRA_BIT, TRADE
from appliance.layout.shared import ENGINE
from tools import workload
from tools.bench.yardstick import run_yardstick
from tools.workload_maker import STANDARD

KERNEL = apply_work
BURST = 64
LG_EMPTY = 4                # an empty call is timed before each 16th command
LG_LADDER = 15              # a window of 0..32767 holds every price of the format
SYMBOLS_MAX = EXTRA_BIT >> LG_LADDER + 1       # as hot/state.py build takes
OPS = {workload.ADD: "add", workload.CANCEL_ALL: "cancel", workload.REDUCE: "reduce",
       workload.MARKETABLE: "marketable"}
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9}

_SEED = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)


class WrongTrades(Exception):
    """A file did not give its known trades, or two runs of it differed."""


class Load(NamedTuple):
    """A workload, ready to run."""

    path: Path
    records: np.ndarray     # workload.RECORD
    commands: np.ndarray    # COMMAND


@inlined
def _mix(checksum, value):
    checksum = (checksum ^ np.uint64(value)) * _FACTOR
    return checksum ^ (checksum >> _HALF)


@inlined
def _fold(events, event_cnt, trade_cnt, checksum):
    """Takes the trades among the events: first where they are, without a branch to mispredict,
    into the `number` of the first events, which is no part of the checksum; then their fields."""
    found = np.uint64(0)
    for i in range(event_cnt):
        events[found]["number"] = np.uint64(i)
        found += np.uint64(np.int64(events[np.uint64(i)]["kind"]) == TRADE)
    for k in range(np.int64(found)):
        event = events[np.uint64(events[np.uint64(k)]["number"])]
        checksum = _mix(checksum, event["resting"])
        checksum = _mix(checksum, event["order"])
        checksum = _mix(checksum, event["price_ticks"])
        checksum = _mix(checksum, event["qty"])
    return trade_cnt + np.int64(found), checksum


if "unfinished" in ENGINE.dtype.names:
    @inlined
    def _next(book, stop):
        """Where the kernel goes on: a command may need more room for events than one call has."""
        engine = book.engine[0]
        return np.int64(engine["resume_at"]) if engine["unfinished"] != 0 else stop
else:
    @inlined
    def _next(book, stop):
        return stop


@njit(cache=True, _nrt=False)
def run(book, commands, burst, events):
    """Applies all commands, `burst` a call of the kernel; (trades, checksum)."""
    trade_cnt, checksum, start, cnt = 0, _SEED, np.int64(0), np.int64(commands.shape[0])
    work = bundle((book, events))
    while start < cnt:
        stop = min(start + burst, cnt)
        while start < stop and book.engine[0]["fault"] == 0:
            event_cnt = KERNEL(work, commands, start, stop, np.int64(0))
            trade_cnt, checksum = _fold(events, event_cnt, trade_cnt, checksum)
            start = _next(book, stop)
        start = stop
    return trade_cnt, checksum


def plain_drain():
    """Nothing: the interpreter does one thing after the other."""


def _drain(typingctx):
    """Waits until all instructions before it are done (x86 lfence; elsewhere nothing)."""
    def codegen(context, builder, signature, arguments):
        if platform.machine() == "x86_64":
            shape = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(
                builder.module, shape, "llvm.x86.sse2.lfence"), [])
        return context.get_dummy_value()

    return types.void(), codegen


drain = plain_drain if config.DISABLE_JIT else intrinsic(_drain)


@inlined
def _cycles():
    """The cycle counter, after all before it and before all after it."""
    drain()
    now = read_tsc()
    drain()
    return now


@njit(cache=True, _nrt=False)
def run_timed(book, commands, events, cycles, empty):
    """Applies all commands one a call, cycles[i] = what command i took, and empty[j] = what a call
    without a command took before command j << LG_EMPTY; (trades, checksum)."""
    trade_cnt, checksum, cnt = 0, _SEED, np.int64(commands.shape[0])
    work = bundle((book, events))
    for i in range(cnt):
        if i & (1 << LG_EMPTY) - 1 == 0:
            began = _cycles()
            trade_cnt += KERNEL(work, commands, i, i, np.int64(0))
            empty[i >> LG_EMPTY] = np.uint32(_cycles() - began)
        start, took = i, np.uint64(0)
        while start <= i and book.engine[0]["fault"] == 0:
            began = _cycles()
            event_cnt = KERNEL(work, commands, start, i + 1, np.int64(0))
            took += _cycles() - began
            trade_cnt, checksum = _fold(events, event_cnt, trade_cnt, checksum)
            start = _next(book, i + 1)
        cycles[i] = np.uint32(min(took, np.uint64(0xFFFFFFFF)))
    return trade_cnt, checksum


@njit(cache=True, _nrt=False)
def _time_nothing(cycles):
    for i in range(cycles.shape[0]):
        began = _cycles()
        cycles[i] = np.uint32(_cycles() - began)


def load(path, message_cnt=None) -> Load:
    """A workload file's first `message_cnt` records (None: all) and their commands. Raises
    workload.WorkloadError, OSError."""
    records = workload.read(path, message_cnt)
    symbols = int(records["symbol"].max()) + 1
    if symbols > SYMBOLS_MAX:
        raise workload.WorkloadError(f"{path}: {symbols} symbols; a book with ladders of "
                                     f"2^{LG_LADDER} prices has {SYMBOLS_MAX} at most")
    return Load(Path(path), records, workload.to_commands(records))


def make_book(records, lg_ladder=LG_LADDER, far_levels=64):
    """An empty book, its memory touched, for the records' orders and symbols, and its events."""
    pages = int(records["order_id"].max()) // 256 + 3
    sizes = state.Sizes(symbols=int(records["symbol"].max()) + 1, accounts=1, pages=pages,
                        lg_ladder=lg_ladder, far_cap=far_levels // 2, far_levels=far_levels,
                        chunks=1, feed_bytes=1 << 12, feed_messages=1 << 8, journal=1 << 8)
    core = state.build(sizes)
    for array in core.book:
        touched = array.reshape(-1).view(np.uint8)[::4096]
        touched[:] = touched.copy()
    return core.book, core.burst.events


def measure(load, rounds=3, burst=BURST) -> dict:
    """Messages, trades, checksum (16 hex digits), the best of `rounds` rates by the wall's clock
    and by this thread's CPU time, and the ratio of the latter to the bare ladder's, which runs in
    turn with the core. Raises WrongTrades."""
    book, events = make_book(load.records[:1])
    run(book, load.commands[:1], burst, events)             # compiled or loaded here
    run_yardstick(load.records[:1])
    best_s = cpu_s = bare_s = float("inf")
    results, bare_results, fault = set(), set(), 0
    for _ in range(rounds):
        book, events = make_book(load.records)
        gc.collect()
        began, cpu_began = time.perf_counter(), time.thread_time()
        trade_cnt, checksum = run(book, load.commands, burst, events)
        cpu_s = min(cpu_s, time.thread_time() - cpu_began)
        best_s = min(best_s, time.perf_counter() - began)
        results.add((int(trade_cnt), f"{int(checksum):016x}"))
        fault |= int(book.engine[0]["fault"])
        del book, events
        seconds, *bare = run_yardstick(load.records)
        bare_s = min(bare_s, seconds)
        bare_results.add(tuple(bare))
    judge(load, results, fault)
    if bare_results != results:
        raise WrongTrades(f"{load.path}: the core's trades and checksum {sorted(results)[0]} are "
                          f"not the bare ladder's {sorted(bare_results)}")
    (trades, checksum), = results
    messages = len(load.records)
    return {"file": load.path.name, "messages": messages, "trades": trades, "checksum": checksum,
            "messages_per_second": round(messages / best_s),
            "messages_per_cpu_second": round(messages / cpu_s),
            "yardstick_messages_per_cpu_second": round(messages / bare_s),
            "ratio_to_yardstick": round(bare_s / cpu_s, 3)}


def measure_latency(load, expected) -> dict:
    """Nanoseconds an operation, by kind and over all.

    "ns": less an empty call of the kernel, which hands the book's arrays over (the matcher does so
    once a burst); "with_call_ns": less the timer's own time only; each {kind: {"count", "p50",
    ...}}. Beside them "timer_ns", "empty_call_ns" (medians) and "step_ns", the counter's own step.
    `expected`: (trades, checksum). Raises WrongTrades.
    """
    spare, cycles = np.zeros(200_000, np.uint32), np.zeros(len(load.records), np.uint32)
    empty = np.zeros((len(cycles) >> LG_EMPTY) + 1, np.uint32)
    book, events = make_book(load.records[:1])
    run_timed(book, load.commands[:1], events, cycles, empty)       # compiled or loaded here
    _time_nothing(spare)
    _time_nothing(spare)
    timer, steps = int(np.median(spare)), np.diff(np.unique(spare[spare <= np.median(spare) * 2]))
    book, events = make_book(load.records)
    ns_a_cycle = _ns_a_cycle()
    trade_cnt, checksum = run_timed(book, load.commands, events, cycles, empty)
    empty_call = int(np.median(empty[:len(cycles) >> LG_EMPTY or 1]))
    found = (int(trade_cnt), f"{int(checksum):016x}")
    judge(load, {found, tuple(expected)}, int(book.engine[0]["fault"]))
    kinds = {"all": np.ones(len(cycles), bool)}
    kinds |= {name: load.records["op"] == op for op, name in OPS.items()}
    return {"ns": _percentiles(cycles, empty_call, ns_a_cycle, kinds),
            "with_call_ns": _percentiles(cycles, timer, ns_a_cycle, kinds),
            "timer_ns": round(timer * ns_a_cycle, 1),
            "empty_call_ns": round((empty_call - timer) * ns_a_cycle, 1),
            "step_ns": round(float(steps.max() if len(steps) else 1) * ns_a_cycle, 1)}


def _percentiles(cycles, overhead, ns_a_cycle, kinds):
    net_ns = np.maximum(cycles.astype(np.int64) - overhead, 0) * ns_a_cycle
    return {name: {"count": int(chosen.sum())} | {
                text: round(float(np.percentile(net_ns[chosen], share)), 1)
                for text, share in PERCENTILES.items()}
            for name, chosen in kinds.items() if chosen.any()}


def _ns_a_cycle():
    """Nanoseconds of a step of the cycle counter, over 100 ms of the monotonic clock."""
    from appliance.native import lib
    began_ns, began = time.perf_counter_ns(), lib.wm_tsc()
    time.sleep(0.1)
    ended_ns, ended = time.perf_counter_ns(), lib.wm_tsc()
    return (ended_ns - began_ns) / (ended - began)


def judge(load, results, fault):
    """Raises WrongTrades unless all runs agree and a standard file gave what it must give."""
    if fault:
        raise WrongTrades(f"{load.path}: the book refused a command (engine.fault = {fault:#x}); "
                          "the file is none of tools/workload_maker.py's: make it again")
    if len(results) != 1:
        raise WrongTrades(f"{load.path}: runs differ in trades and checksum: {sorted(results)}")
    known = STANDARD.get(load.path.stem)
    shape = (len(load.records), int(load.records["symbol"].max()) + 1)
    if known and shape == (known.messages, known.symbols):
        if results != {(known.trades, known.checksum)}:
            raise WrongTrades(
                f"{load.path}: trades and checksum {sorted(results)[0]} are not the standard "
                f"file's {(known.trades, known.checksum)}; either the core is wrong or the file "
                "was made with another seed: delete it, and it is made again")
