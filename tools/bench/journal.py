"""What the journal costs: appending and syncing a group of records, by its size.

    wirematch bench journal [--dir DIR] [--rounds N] [--json]

Groups of 1 to 4,096 records of random bytes are appended to a journal in DIR (default: here; it is
taken away afterwards), each synced; then a million records are appended 512 at a time and the whole
journal is scanned. Every group is read back and compared before a figure is printed. The figures
are those of this disk and file system: a sync is what an acknowledgement waits for at level `disk`.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time

import numpy as np

from appliance.journal.scan import read, scan
from appliance.journal.writer import Writer
from appliance.layout.record import JOURNAL_RECORD

GROUPS = (1, 8, 64, 512, 4096)
MANY, TOGETHER = 1_000_000, 512
GENESIS = {"partition": 0, "date": 20250102, "midnight_ns": 0}


def records(first_seq, count):
    """JOURNAL_RECORDs of random bytes."""
    content = np.random.default_rng(first_seq).bytes(count * JOURNAL_RECORD.size)
    rows = np.frombuffer(content, JOURNAL_RECORD.dtype).copy()
    rows["seq"] = np.arange(first_seq, first_seq + count)
    rows["time_ns"] = rows["seq"]
    return rows


def group(writer, count, rounds):
    """Figures of one size of group, in microseconds; the records that were written."""
    rows = records(writer.next_seq, count * rounds)
    appended, synced = [], []
    for start in range(0, len(rows), count):
        began = time.perf_counter_ns()
        writer.append(rows[start:start + count])
        middle = time.perf_counter_ns()
        writer.sync()
        appended.append(middle - began)
        synced.append(time.perf_counter_ns() - middle)
    p50, p99 = np.percentile(synced, (50, 99)) / 1e3
    return {"records": count, "append_us": round(float(np.median(appended)) / 1e3, 1),
            "sync_p50_us": round(float(p50), 1), "sync_p99_us": round(float(p99), 1)}, rows


def run(folder, rounds) -> dict:
    """Every figure; RuntimeError when something else is read than was written."""
    groups, written = [], []
    with Writer(folder, GENESIS, 0) as writer:
        for count in GROUPS:
            row, rows = group(writer, count, rounds)
            groups.append(row)
            written.append(rows)
        before = writer.next_seq
        rows = records(before, MANY)
        began = time.perf_counter()
        for start in range(0, MANY, TOGETHER):
            writer.append(rows[start:start + TOGETHER])
        appended_s = time.perf_counter() - began
        writer.sync()
    began = time.perf_counter()
    found = scan(folder)
    scan_s = time.perf_counter() - began
    wanted = np.concatenate([*written, rows])
    got = np.concatenate(list(read(folder)))
    if found.last_seq != len(wanted) or not np.array_equal(got, wanted):
        raise RuntimeError("the journal gives back other records than were written")
    return {"groups": groups, "append_records_per_second": round(MANY / appended_s),
            "scan_records_per_second": round(found.last_seq / scan_s)}


def main(arguments=None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="wirematch bench journal",
                                     description="What the journal costs on a disk.")
    parser.add_argument("--dir", default=".", help="a folder on the disk to be measured")
    parser.add_argument("--rounds", type=int, default=200, help="groups of each size")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    folder = tempfile.mkdtemp(prefix="bench-journal-", dir=options.dir)
    try:
        result = run(folder, options.rounds)
    finally:
        shutil.rmtree(folder)
    if options.json:
        print(json.dumps(result))
        return 0
    print("records  append us  sync p50 us  sync p99 us")
    for row in result["groups"]:
        print(f"{row['records']:>7}  {row['append_us']:>9}  {row['sync_p50_us']:>11}  "
              f"{row['sync_p99_us']:>11}")
    print(f"append, {TOGETHER} at a time: {result['append_records_per_second']:,} records/s; "
          f"scan: {result['scan_records_per_second']:,} records/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
