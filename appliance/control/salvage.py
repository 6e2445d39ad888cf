"""What a killed launcher left in shared memory, brought into the journal before it is gone.

A matcher's ring outlives it, the launcher and journal@p; the runtime folder is cleared at the next
start. So that start copies first what the ring has and no file has yet, and closes the journal:
then nothing is missing, and the names of the streams go on. Nothing of this is needed when
journal@p outlived the launcher: it empties the ring by itself.
"""

import dataclasses
import time

from ..journal import watermark
from ..journal.errors import JournalError
from ..shm import region
from ..stages.journal import open_journal
from ..topology import date_of
from .alarms import ERROR, WARNING, log

PATIENCE_S = 5.0             # for a journal@p that is still at it


def salvage(topology) -> None:
    """Brings home what the runtime folder has of each partition; the log has what was found."""
    if topology.config.durability.level == "none":
        return
    for part in topology.partitions:
        if not all(block.path.exists() for block in part.blocks.values()):
            continue                 # just being made, or taken away: nobody has used it, or it
        #                              was emptied before
        try:
            count = _partition(topology, part)
            if count:
                log(f"partition {part.idx}: {count} commands of the ring, which a "
                    "launcher that was killed left behind, are in the journal now", WARNING)
        except (region.RegionError, JournalError, OSError, ValueError) as error:
            log(f"partition {part.idx}: what a launcher that was killed left in the ring could "
                f"not be saved: {error}", ERROR)


def _partition(topology, part):
    header, ring, control, status = (region.attach(part.blocks[name]) for name in (
        "journal_header", "journal", "control", "journal_status"))
    ready_seq = int(header[0]["ready_seq"])
    if not ready_seq and not status[0]["segment"]:
        return 0                     # no journal was opened for this ring
    midnight_ns = int(control[0]["midnight_ns"])
    folder = part.journal_folder(topology.config, date_of(topology.config.day.time_zone,
                                                          midnight_ns))
    if watermark.load(folder) is None:
        raise ValueError(f"{folder} holds no journal, and the ring is another one's")
    instance = int(region.header_of(part.blocks["journal"].path)["instance"])
    writer = _open(topology, dataclasses.replace(part, instance=instance, names=instance),
                   midnight_ns)
    with writer:
        first = writer.next_seq
        if ready_seq - first >= len(ring):
            raise ValueError(f"the journal ends at {first - 1}, the ring begins behind that")
        for seq in range(first, ready_seq + 1, 4096):
            stop = min(seq + 4096, ready_seq + 1)
            writer.append(ring[[number & (len(ring) - 1) for number in range(seq, stop)]])
        return max(0, ready_seq + 1 - first)


def _open(topology, part, midnight_ns):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return open_journal(topology, part, midnight_ns, keep_names=True)
        except JournalError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)
