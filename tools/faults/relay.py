"""`wirematch faults relay`: a bridge of two devices that loses, doubles, delays and spoils frames.

    wirematch faults relay LEFT RIGHT [--seed S] [--there drop=0.05,flip=0.01] [--back ...]
    wirematch faults relay --proof [--frames N] [--seed S] [--json]

Each way has faults of its own (relay_way.py), drawn from the seed, and an account of every frame.
Both devices belong to the relay alone: no address on them, offloads off at the far ends. It copies
untagged frames. With --proof it builds a path through namespaces, sends numbered datagrams
both ways and compares what arrived with the account. Exit codes: 0 the sums come out, 1 they do
not, 77 it cannot run here.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import threading
from dataclasses import fields

import numpy as np

from appliance.native import check, ffi, lib
from tools import netns
from tools.faults.relay_way import COUNTS, OPEN, SETTINGS, Faults, contradictions

CANNOT_RUN = 77
ROOM = 8192                       # frames held back on each way
WAYS = ("there", "back")          # from the left device to the right one, and from right to left
_BLOCK = SETTINGS.index("block")


class Relay:
    """Carries frames between two devices of a namespace, in a thread of its own.

    `there` and `back` are the Faults of the ways from `left` to `right` and from `right` to `left`.
    log_sz: so many fates of each way are noted in `logs`. OSError when a device cannot be used.
    """

    def __init__(self, namespace, left, right, there=None, back=None, seed=1, log_sz=0):
        self.seed, self.log_sz, self.overrun = seed, log_sz, [0, 0]
        self.fds = []
        try:
            with namespace.entered() if namespace else contextlib.nullcontext():
                for device in (left, right):
                    self.fds.append(check(lib.wm_relay_socket(socket.if_nametoindex(device)),
                                          f"a packet socket on {device}", "it needs root"))
            self.settings = np.zeros((2, len(SETTINGS)), np.int64)
            self.set(there or Faults(), back or Faults())
            self.stop_word = np.zeros(1, np.int64)
            self.raw = np.zeros((2, len(COUNTS)), np.uint64)
            self.logs = np.zeros((2, max(1, log_sz)), np.uint8)
            self.failed = ""
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()
        except BaseException:
            self._shut()
            raise

    def _run(self):
        result = lib.wm_relay_run(
            ffi.new("int32_t[2]", self.fds), _at(self.stop_word, "int64_t *"),
            _at(self.settings, "int64_t *"), _at(self.raw, "uint64_t *"),
            _at(self.logs, "uint8_t *"), self.log_sz, ROOM)
        if result < 0:
            self.failed = f"the relay stopped with error {-result}"

    def set(self, there: Faults, back: Faults) -> None:
        """Other faults from now on; what is blocked stays blocked."""
        for way, faults in enumerate((there, back)):
            blocked = int(self.settings[way, _BLOCK])
            self.settings[way] = faults.words(self.seed * 2 + way)
            self.settings[way, _BLOCK] = blocked

    def block(self, there=OPEN, back=OPEN) -> None:
        """Partitions: OPEN, BLOCK_ALL or BLOCK_MULTICAST of each way."""
        self.settings[:, _BLOCK] = there, back

    @property
    def counts(self) -> dict:
        """{"there": {count: frames}, "back": ...} so far; `overrun`: lost before the relay."""
        for way, fd in enumerate(self.fds):
            self.overrun[way] += max(0, lib.wm_relay_overrun(fd))
        return {name: dict(zip(COUNTS, map(int, self.raw[way]), strict=True))
                | {"overrun": self.overrun[way]} for way, name in enumerate(WAYS)}

    def stop(self) -> dict:
        """Ends it; its account. RuntimeError when a sum does not come out or it broke down."""
        self.stop_word[0] = 1
        self.thread.join()
        counts = self.counts
        self._shut()
        wrong = [f"{name}: {text}" for name in WAYS for text in contradictions(counts[name])]
        if self.failed or wrong:
            raise RuntimeError("; ".join([self.failed, *wrong]).strip("; "))
        return counts

    def _shut(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        if self.fds:
            with contextlib.suppress(RuntimeError) if problem[0] else contextlib.nullcontext():
                self.stop()


def _at(array, kind):
    return ffi.cast(kind, array.ctypes.data)


def parse_faults(text: str) -> Faults:
    """Faults from `drop=0.05,reorder=0.01`. ValueError says what cannot be."""
    known, values = {each.name: each.type for each in fields(Faults)}, {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in known:
            raise ValueError(f"{name!r} is no fault; there are {', '.join(known)}")
        values[name] = int(value) if name == "depth" else float(value)
    made = Faults(**values)
    made.words(0)
    return made


def bridge(options, seed, there, back) -> dict:
    """The relay between two devices until SIGINT or SIGTERM; its account."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Relay(None, options.left, options.right, there, back, seed) as relay:
        print(f"{options.left} - {options.right}, seed {seed}; Ctrl-C ends it", file=sys.stderr)
        while not ended.wait(0.5) and not relay.failed:
            pass
        return {"seed": seed, "count": sum(int(row[0]) for row in relay.raw),
                "verdict": "complete", "ways": relay.stop()}


def show(found) -> None:
    """The account as lines."""
    for way, counts in found["ways"].items():
        print(way, ", ".join(f"{name} {count:,}" for name, count in counts.items() if count))
    print(f"{found['count']:,} frames, seed {found['seed']}: {found['verdict']}"
          + (f"; {found['frames_per_second']:,} frames/s" if "frames_per_second" in found else ""))


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch faults relay",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("left", nargs="?", help="a device of this namespace")
    parser.add_argument("right", nargs="?", help="another")
    parser.add_argument("--there", default="", metavar="FAULTS", type=parse_faults,
                        help="from left to right, such as drop=0.05,duplicate=0.05,reorder=0.05,"
                             "flip=0.01,truncate=0.01,delay=0.1,delay_s=0.002")
    parser.add_argument("--back", default="", metavar="FAULTS", type=parse_faults,
                        help="from right to left")
    parser.add_argument("--seed", type=int, help="of the faults (default: a new one)")
    parser.add_argument("--proof", action="store_true", help="a path of its own, and the account "
                        "compared with what arrived")
    parser.add_argument("--frames", type=int, default=100_000, help="of the proof, each way")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.proof == bool(options.right):
        parser.error("name two devices, or --proof")
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    why = netns.why_not()
    if why:
        print(f"wirematch faults relay: {why}", file=sys.stderr)
        return CANNOT_RUN
    try:
        if options.proof:
            from tools.faults.relay_proof import prove     # it uses this module
            found = prove(options.frames, seed, options.there, options.back)
        else:
            found = bridge(options, seed, options.there, options.back)
    except OSError as error:
        print(f"wirematch faults relay: {error}", file=sys.stderr)
        return CANNOT_RUN
    except RuntimeError as error:
        print(f"wirematch faults relay: seed {seed}: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found))
    else:
        show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
