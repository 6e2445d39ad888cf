"""Which CPU each process runs on, and whether a matcher may spin there.

The launcher plans once from the CPUs it may use, sets each child's affinity before it starts and
tells it the wait policy by WIREMATCH_WAIT; a child asks `granted` and pins nothing itself.

A spinner never gives its core away. Two spinners on one core, or one on the only core, stop each
other for whole scheduler slices (milliseconds), so `auto` spins only when every spinner has a core
of its own and one more is left for the kernel, the launcher and everything else.
"""

import os
from dataclasses import dataclass
from pathlib import Path

WAIT_VARIABLE = "WIREMATCH_WAIT"
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

    def text(self) -> str:
        """One line for logs and reports."""
        own = ", ".join(f"matcher@{p} on {cpu}" for p, cpu in enumerate(self.matchers))
        return f"wait {self.wait}; {own}; all else on {','.join(map(str, self.rest))}"


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
         sibling_sets=siblings) -> CoreMap:
    """Core map for `spinner_cnt` matchers.

    wait: "auto", "spin", "yield" or "block". wanted: configured CPUs, [] for automatic choice: the
    highest physical cores, first thread of each. CoreError when a wanted CPU is not available,
    their number is wrong, or with "spin" one is named twice or none is left for the rest.
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
    policy = (SPIN if alone and separate else YIELD) if wait == "auto" else wait
    return CoreMap(policy, tuple(chosen), tuple(rest))


def pin(cpus) -> None:
    """Restricts the calling process to these CPUs."""
    os.sched_setaffinity(0, set(cpus))


def granted() -> tuple[int, str]:
    """(cpu, wait) of this process: the CPU it is pinned to, -1 when to several, and its policy.

    Without a launcher's word the policy is "yield": never take a core that nobody gave.
    """
    cpus = os.sched_getaffinity(0)
    wait = os.environ.get(WAIT_VARIABLE, YIELD)
    return (min(cpus) if len(cpus) == 1 else -1), (wait if wait in (SPIN, YIELD, BLOCK) else YIELD)
