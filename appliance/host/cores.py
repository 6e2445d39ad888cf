"""Which CPU each process runs on, and whether a matcher may spin there.

The launcher plans once from the CPUs it may use, sets each child's affinity before it starts and
tells it the wait policy by WIREMATCH_WAIT; a child asks `granted` and pins nothing itself. Threads
of a matcher that are no matcher belong on the CPUs of WIREMATCH_REST (`rest`).

A spinner never gives its core away. Two spinners on one core, or one on the only core, stop each
other for whole scheduler slices (milliseconds), so `auto` spins only when every spinner has a core
of its own and one more is left for the kernel, the launcher and everything else.
"""

import os
from dataclasses import dataclass
from pathlib import Path

WAIT_VARIABLE, REST_VARIABLE = "WIREMATCH_WAIT", "WIREMATCH_REST"
SPIN, YIELD, BLOCK = "spin", "yield", "block"


class CoreError(Exception):
    """The configured cores cannot be had; the text says which and what to do."""


@dataclass(frozen=True)
class CoreMap:
    """wait: "spin", "yield" or "block". matchers: CPU of each partition's matcher; rest: of all
    else."""

    wait: str
    matchers: tuple[int, ...]
    rest: tuple[int, ...]
    realtime: int = 0            # priority of the matchers in SCHED_FIFO, 0: ordinary scheduling

    def text(self) -> str:
        """One line for logs and reports."""
        own = ", ".join(f"matcher@{p} on {cpu}" for p, cpu in enumerate(self.matchers))
        realtime = f" in SCHED_FIFO {self.realtime}" if self.realtime else ""
        return f"wait {self.wait}; {own}{realtime}; all else on {','.join(map(str, self.rest))}"


def siblings(cpu: int, sys: Path = Path("/sys")) -> frozenset[int]:
    """CPUs that share the physical core of `cpu`, itself among them."""
    path = sys / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        text = path.read_text().strip()
    except OSError:
        return frozenset((cpu,))
    return frozenset(parse_list(text)) | {cpu}


def parse_list(text: str) -> list[int]:
    """The kernel's list form: "0-2,5" is [0, 1, 2, 5]."""
    cpus = []
    for part in filter(None, text.split(",")):
        low, _, high = part.partition("-")
        cpus.extend(range(int(low), int(high or low) + 1))
    return cpus


def plan(wait: str, wanted: list[int], spinner_cnt: int, available: set[int] | None = None,
         sibling_sets=siblings, realtime: int = 0) -> CoreMap:
    """Core map for `spinner_cnt` matchers.

    wait: "auto", "spin", "yield" or "block". wanted: configured CPUs, [] for automatic choice: the
    highest physical cores, first thread of each. CoreError when a wanted CPU is not available,
    their number is wrong, or with "spin" one is named twice or none is left for the rest; and with
    realtime where matchers would have no core of their own: nobody else would run there any more.
    """
    cpus = sorted(os.sched_getaffinity(0) if available is None else available)
    if wanted:
        shares = len(set(wanted)) != len(wanted)
        if len(wanted) != spinner_cnt or shares and wait == SPIN:
            raise CoreError(f"cores.matcher = {wanted}: name {spinner_cnt} different CPU(s), "
                            "one a partition")
        missing = [cpu for cpu in wanted if cpu not in cpus]
        if missing:
            raise CoreError(f"cores.matcher: CPU {missing[0]} is not among those this process may "
                            f"use ({','.join(map(str, cpus))})")
        chosen = list(wanted)
    else:
        firsts = sorted({min(sibling_sets(cpu) & set(cpus)) for cpu in cpus})
        chosen = sorted(firsts[-spinner_cnt:])
        if len(chosen) < spinner_cnt:
            chosen = [cpus[i % len(cpus)] for i in range(spinner_cnt)]
    busy = set().union(*(sibling_sets(cpu) for cpu in chosen))
    rest = [cpu for cpu in cpus if cpu not in busy] or [c for c in cpus if c not in chosen] or cpus
    alone = len(set(chosen)) == spinner_cnt and not busy & set(rest)
    separate = len({frozenset(sibling_sets(cpu)) for cpu in chosen}) == spinner_cnt
    if wait == SPIN and set(chosen) & set(rest):
        raise CoreError(f"cores.wait = \"spin\": {spinner_cnt} spinner(s) need {spinner_cnt + 1} "
                        f"CPUs, this process may use {len(cpus)}; choose \"auto\" or \"yield\"")
    if realtime and (len(set(chosen)) != spinner_cnt or set(chosen) & set(rest)):
        raise CoreError(f"cores.realtime = {realtime}: {spinner_cnt} matcher(s) need a CPU each "
                        f"and one for all else, this process may use {len(cpus)}; choose 0")
    policy = (SPIN if alone and separate else YIELD) if wait == "auto" else wait
    return CoreMap(policy, tuple(chosen), tuple(rest), realtime)


def rest() -> set[int]:
    """CPUs of everything but matchers, as the launcher gave them; none without its word."""
    return set(parse_list(os.environ.get(REST_VARIABLE, "")))


def throttled(path: Path = Path("/proc/sys/kernel/sched_rt_runtime_us")) -> bool:
    """Whether the kernel stops real-time processes for a part of each second."""
    try:
        return int(path.read_text()) >= 0
    except (OSError, ValueError):
        return False


def pin(cpus) -> None:
    """Restricts the calling process to these CPUs."""
    os.sched_setaffinity(0, set(cpus))


def hurry(priority: int) -> None:
    """The calling process runs in SCHED_FIFO; 0: nothing changes. OSError says what it needs."""
    if not priority:
        return
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        raise OSError(error.errno, f"cores.realtime = {priority}: {error.strerror}; it needs "
                      "CAP_SYS_NICE or a limit RLIMIT_RTPRIO as high; choose 0") from error


def granted() -> tuple[int, str]:
    """(cpu, wait) of this process: the CPU it is pinned to, -1 when to several, and its policy.

    Without a launcher's word the policy is "yield": never take a core that nobody gave.
    """
    cpus = os.sched_getaffinity(0)
    wait = os.environ.get(WAIT_VARIABLE, YIELD)
    return (min(cpus) if len(cpus) == 1 else -1), (wait if wait in (SPIN, YIELD, BLOCK) else YIELD)
