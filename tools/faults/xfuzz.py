"""`wirematch faults xfuzz`: random and mutated frames through the real XDP object, beside a model.

    wirematch faults xfuzz [--frames N] [--seed S] [--object FILE] [--only PORTION] [--json]

Frames go through the kernel's test-run, PORTION_SZ at a time; verdict, metadata and bytes of each,
and the counters of each portion, must be what tools/faults/gate_model.py says. The first frame that
differs is printed with both answers. Needs root; nothing is attached, nothing leaves the machine.
Exit codes: 0 all equal, 1 a difference, 77 it cannot run here.
"""

import argparse
import json
import os
import random
import sys
import time
from dataclasses import dataclass

import numpy as np

from appliance.shm import steer
from tools import netns
from tools.faults import gate_rig
from tools.faults.frames import FrameMaker
from tools.faults.gate_model import Gate
from tools.faults.gate_vector import VectorGate, text_number

PORTION_SZ, LONG_SZ, LONG_EVERY = 32_768, 4_096, 4
PLAIN_SZ = 400                        # of each portion, judged by the plain model as well
VERDICTS = {steer.XDP_ABORTED: "aborted", steer.XDP_DROP: "drop", steer.XDP_PASS: "pass",
            steer.XDP_TX: "tx", steer.XDP_REDIRECT: "redirect"}
CANNOT_RUN = 77


class Difference(Exception):
    """The program and the model, or the two models, do not agree."""


@dataclass
class Portion:
    """Frames of one portion, and what the model says of them."""

    number: int
    frames: np.ndarray
    lengths: np.ndarray
    places: np.ndarray
    verdicts: np.ndarray = None
    reasons: np.ndarray = None
    metadata: np.ndarray = None

    def frame(self, i) -> bytes:
        """Frame i as it is sent."""
        return self.frames[i, :self.lengths[i]].tobytes()


class Fuzzer:
    """A rig, a maker and the models. `portion(n)` raises Difference, else counts reasons."""

    def __init__(self, rig, seed):
        self.rig, self.seed = rig, seed
        world = rig.world
        sources = [text_number(ip) for ip in (
            *gate_rig.UNLIMITED, *gate_rig.LIMITED, *rig.crowded()[:8], gate_rig.OURS,
            gate_rig.OTHER, "0.0.0.0", "0.0.0.1", "127.0.0.1", "224.0.0.1", "239.1.1.1",
            "240.0.0.1", "255.255.255.255", "10.0.0.6", "11.0.0.2", "2.0.0.10", "3.0.0.10")]
        targets = [text_number(ip) for ip in (gate_rig.OURS, gate_rig.OTHER, "10.0.0.2",
                                              "1.0.0.10", "255.255.255.255", "224.0.0.1")]
        first = gate_rig.ORDER_PORT
        ports = [*range(first, first + 6), 65535, 1, 0x1234, 0x3412, 0]
        self.maker = FrameMaker(seed, sources, targets, ports, rig.places)
        self.plain, self.vector = Gate(world), VectorGate(world, steer.REASONS)
        self.found = np.zeros(len(steer.REASONS), np.int64)

    def make(self, number) -> Portion:
        """Portion `number`, judged by the model."""
        long = number % LONG_EVERY == LONG_EVERY - 1
        made = Portion(number, *self.maker.portion(number, LONG_SZ if long else PORTION_SZ, long))
        self.vector.refill()
        made.verdicts, made.reasons, made.metadata = self.vector.judge(
            made.frames, made.lengths, made.places.astype(np.int64))
        self.plain.refill()
        for i in range(PLAIN_SZ):
            answer = self.plain.judge(made.frame(i), *map(int, made.places[i]))
            other = (int(made.verdicts[i]), steer.REASONS[made.reasons[i]], int(made.metadata[i]))
            if answer != other:
                raise Difference(self.words(made, i, f"plain model {answer}, vector model {other}"))
        return made

    def portion(self, number) -> int:
        """Runs portion `number`; how many frames it had."""
        made = self.make(number)
        self.rig.refill()
        before = self.rig.counters()
        verdicts, metadata, changed = self.rig.run(made.frames, made.lengths, made.places)
        moved = self.rig.counters() - before
        wanted = np.bincount(made.reasons, minlength=len(steer.REASONS))
        wrong = (verdicts != made.verdicts) | (metadata != made.metadata) | changed
        if wrong.any() or (moved != wanted).any():
            self._explain(made)
            raise Difference(f"seed {self.seed}, portion {number}: a difference that did not come "
                             f"again; counters moved {moved.tolist()}, wanted {wanted.tolist()}, "
                             f"{int(wrong.sum())} frames differed")
        self.found += wanted
        return len(verdicts)

    def _explain(self, made):
        """Runs the portion again frame by frame; Difference at the first that differs."""
        self.rig.refill()
        before = self.rig.counters()
        for i in range(len(made.lengths)):
            one = slice(i, i + 1)
            verdict, metadata, changed = self.rig.run(made.frames[one], made.lengths[one],
                                                      made.places[one])
            after = self.rig.counters()
            moved, before = after - before, after
            wanted = np.zeros(len(steer.REASONS), np.int64)
            wanted[made.reasons[i]] = 1
            if (verdict[0] != made.verdicts[i] or metadata[0] != made.metadata[i] or changed[0]
                    or (moved != wanted).any()):
                names = ", ".join(f"{name} {n}" for name, n in zip(
                    steer.REASONS, moved, strict=True) if n) or "no counter"
                raise Difference(self.words(
                    made, i, f"the program: {VERDICTS.get(int(verdict[0]), int(verdict[0]))}, "
                    f"{names}, {metadata[0]} bytes of metadata"
                    f"{', bytes of the frame changed' if changed[0] else ''}\n"
                    f"the model: {VERDICTS[int(made.verdicts[i])]}, "
                    f"{steer.REASONS[made.reasons[i]]}, {made.metadata[i]} bytes of metadata"))

    def words(self, made, i, what) -> str:
        """A difference in frame i, with everything that is needed to see it again."""
        ifindex, queue = map(int, made.places[i])
        device = "the device" if ifindex == self.rig.ifindex else "loopback"
        return (f"seed {self.seed}, portion {made.number}, frame {i} of {made.lengths[i]} bytes on "
                f"queue {queue} of {device}:\n{made.frame(i).hex()}\n{what}")


def run(path, frames, seed, only=None) -> dict:
    """At least `frames` frames; what was found. Raises Difference."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})          # a limited source is charged by core
    began, done, number = time.monotonic(), 0, only or 0
    try:
        with gate_rig.GateRig(path) as rig:
            fuzzer = Fuzzer(rig, seed)
            while done < frames:
                done += fuzzer.portion(number)
                number += 1
                if only is not None:
                    break
            spent = time.monotonic() - began
            return {"frames": done, "seed": seed, "differences": 0,
                    "frames_per_second": round(done / spent), "seconds": round(spent, 1),
                    "reasons": dict(zip(steer.REASONS, fuzzer.found.tolist(), strict=True))}
    finally:
        os.sched_setaffinity(0, cpus)


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch faults xfuzz",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=2_000_000, help="at least (default 2000000)")
    parser.add_argument("--seed", type=int, help="of the frames (default: a new one)")
    parser.add_argument("--object", default=str(steer.BPF_FOLDER / "steer.bpf.o"), metavar="FILE",
                        help="the compiled program (default: the appliance's own)")
    parser.add_argument("--only", type=int, metavar="PORTION", help="one portion again")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.frames < 1:
        parser.error(f"--frames {options.frames}: at least one is needed")
    why = netns.why_not()
    if why:
        print(f"wirematch faults xfuzz: {why}", file=sys.stderr)
        return CANNOT_RUN
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    try:
        found = run(options.object, options.frames, seed, options.only)
    except Difference as difference:
        print(f"wirematch faults xfuzz: {difference}", file=sys.stderr)
        return 1
    except (OSError, FileNotFoundError) as error:
        print(f"wirematch faults xfuzz: {error}", file=sys.stderr)
        return CANNOT_RUN
    if options.json:
        print(json.dumps(found))
        return 0
    for name, count in found["reasons"].items():
        print(f"{name:<22}{count:12,}")
    print(f"{found['frames']:,} frames, seed {seed}: verdicts, counters, metadata and bytes as the "
          f"model says; {found['seconds']} s, {found['frames_per_second']:,} frames/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
