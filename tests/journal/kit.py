"""What the tests of the journal share: records, small journals, and the bytes of their files."""

import numpy as np

from appliance.journal import segments, watermark
from appliance.journal.writer import Writer
from appliance.layout import journal as lay
from appliance.layout.record import JOURNAL_RECORD

GENESIS = {"partition": 3, "date": 20250314, "midnight_ns": 1741910400 * 10**9,
           "symbols": [{"name": "BTCUSD", "tick_size": 100}], "accounts": [{"name": "MM0001"}]}
OTHER_BOOT = bytes(range(16))
SMALL = 16 << 10               # bytes of a segment: 12,288 behind the header


def records(first_seq, count, seed=1):
    """JOURNAL_RECORDs with random commands and a time that grows."""
    rows = np.frombuffer(np.random.default_rng(seed + first_seq).bytes(count * 128),
                         JOURNAL_RECORD.dtype).copy()
    rows["seq"] = np.arange(first_seq, first_seq + count)
    rows["time_ns"] = 1000 + rows["seq"] * 10
    return rows


def make(folder, blocks, unsynced=(), **options):
    """A journal of blocks of so many records, synced, then blocks that were not; its records.

    The writer is left as a killed process leaves it: not closed.
    """
    writer = Writer(folder, GENESIS, 0, **{"segment_sz": SMALL, "ahead": False, **options})
    parts = []
    for count in blocks:
        parts.append(records(writer.next_seq, count))
        writer.append(parts[-1])
    writer.sync()
    for count in unsynced:
        parts.append(records(writer.next_seq, count))
        writer.append(parts[-1])
    kill(writer)
    return np.concatenate(parts) if parts else records(1, 0)


def kill(writer):
    """What the kernel does for a dead process: closes its descriptors, nothing else."""
    writer._let_go()


def path_of(folder, number=1):
    """A segment's file as a pathlib path."""
    return folder / segments.path_of("", number)


def mark_of(folder):
    """The watermark that counts."""
    return watermark.load(folder)


def blocks_of(folder, number=1):
    """(offset, size) of every block in a segment, by its own headers."""
    data = path_of(folder, number).read_bytes()
    head = segments.Head(data)
    off, found = head.header_sz, []
    while off < len(data):
        row = np.frombuffer(data, lay.JOURNAL_BLOCK.dtype, 1, off)[0]
        if not row["magic"]:
            break
        found.append((off, int(row["sz"])))
        off += int(row["sz"])
    return found
