"""`wirematch faults tails`: the end of a journal cut, zeroed and spoilt; the scan must say where.

    wirematch faults tails [--count N] [--seed S] [--json]

A journal with blocks that were synced and blocks that were not. At N bytes of its end everything
behind is zeroed, or one byte is changed. Behind the watermark that is a torn tail: exactly the
whole blocks before it are there. At or before it, it is corruption, which must be refused. Exit
codes: 0 every decision right, 1 not. (tests/journal/test_tails.py tries every byte.)
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from appliance.journal.errors import Corrupt
from appliance.journal.scan import scan
from appliance.journal.writer import Writer
from appliance.layout.record import JOURNAL_RECORD

GENESIS = {"partition": 0, "date": 20260101, "midnight_ns": 0, "instance": 0}
SYNCED, TORN = (40, 25, 3), (1, 7, 2, 5)          # records of each block
OTHER_BOOT = bytes(16)


def make(folder) -> tuple:
    """(segment's path, [(end of block, last sequence)], end of what was synced) in a new folder;
    the journal as a process that was killed leaves it."""
    with tempfile.TemporaryDirectory() as other:
        writer, ends = Writer(other, GENESIS, 0, segment_sz=1 << 16, ahead=False), []
        begun, seq = writer.off, 1
        for size in SYNCED + TORN:
            records = np.zeros(size, JOURNAL_RECORD.dtype)
            records["seq"] = np.arange(seq, seq + size)
            seq = writer.append(records) + 1
            ends.append((writer.off, seq - 1))
            if len(ends) == len(SYNCED):
                writer.sync()
        shutil.copytree(other, folder, dirs_exist_ok=True)
        name = Path(writer.path).name
        writer.close(clean=False)
    return Path(folder) / name, [(begun, 0), *ends], ends[len(SYNCED) - 1][0]


def run(count, seed) -> dict:
    """So many damages; what was found."""
    dice, faults, refused = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as folder:
        path, ends, durable = make(folder)
        whole, begun, end = path.read_bytes(), ends[0][0], ends[-1][0]
        for _ in range(count):
            at = dice.randrange(dice.choice((begun, durable)), end)
            data = bytearray(whole)
            kind = dice.choice(("zeroed from", "changed at"))
            if kind == "changed at":
                data[at] ^= dice.randrange(1, 256)
            else:
                data[at:] = bytes(len(data) - at)
            if bytes(data) == whole or bytes(data[at:end]) == whole[at:end]:
                continue
            first = next(n for n, value in enumerate(data) if value != whole[n])
            path.write_bytes(data)
            wanted = "refused" if first < durable else max(
                seq for stop, seq in ends if stop <= first)
            try:
                found = scan(folder, OTHER_BOOT).last_seq
            except Corrupt:
                found, refused = "refused", refused + 1
            if found != wanted:
                faults.append(f"{kind} byte {at}: {found}, it must be {wanted}")
    return {"fault": "tails", "seed": seed, "count": count, "refused": refused, "faults": faults,
            "verdict": "faults" if faults else "every decision right"}


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    parser = argparse.ArgumentParser(prog="wirematch faults tails",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=400, help="damages (default 400)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    found = run(options.count, options.seed)
    print(json.dumps(found) if options.json else "\n".join([
        f"{found['count']} damages, {found['refused']} refused: {found['verdict']}",
        *found["faults"]]))
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
