"""journal@p: copies the journal ring of one partition to disk, and says how far it has come.

    run as    python -m appliance.stages.journal --config FILE --partition P --instance N, or by the
              fork server
    boot      checks what the day's folder holds, cuts a torn tail, decides whether the session
              names go on, publishes begin_seq and name_instance: JOURNAL_OPEN. The matcher is
              started after that and makes its core from the same files
    loop      what the ring has and the file has not: one block; at level "disk" a sync for each,
              else one every SYNC_NS. The publish gate (hot/gate.py) reads how far it has come
    clock     a thread writes the state of the wall clock to clock.csv, now and once a minute
    end       SIGTERM: what the ring still has, a sync, closed. The matcher must have ended before
    failure   a write or sync that fails is final: JOURNAL_FAILED, exit code 3, nothing more becomes
              durable. A full disk is not: JOURNAL_FULL, the matcher takes nothing in once its
              ring is full, and all goes on when there is room

The ring outlives this process, and the matcher overwrites nothing that was not copied: a journal@p
that was killed is started again and goes on where the files end, under the names that the matcher
uses.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from appliance import notify
from appliance import topology as topo
from appliance.config import load
from appliance.journal import clock
from appliance.journal.errors import JournalError, JournalFailed, JournalFull
from appliance.journal.genesis import describe
from appliance.journal.writer import Writer
from appliance.layout import journal as lay
from appliance.layout import shared
from appliance.native import lib
from appliance.shm import region
from appliance.stages import rights, sandbox

FAILED_CODE = 3
SYNC_NS = 50_000_000
PAUSE_S, FULL_PAUSE_S = 20e-6, 0.02
LEVELS = {"process": lay.LEVEL_PROCESS, "disk": lay.LEVEL_DISK}


def open_journal(topology, partition, midnight_ns, keep_names=False) -> Writer:
    """The writer of a partition's day, and in `writer.instance` the instance of its session names.

    They go on unless something that was shown may be lost: below level "disk", when the machine has
    been started anew, or nobody emptied the ring. keep_names: whoever calls is about to empty it.
    JournalError when the day cannot go on.
    """
    config = topology.config
    zone = config.day.time_zone
    date = topo.date_of(zone, midnight_ns)

    def names(found):
        if found is None:
            return partition.instance
        if keep_names or found.clean or found.level == lay.LEVEL_DISK:
            return found.instance
        return max(found.instance + 1, partition.instance)

    def genesis(found):
        first = partition.instance if found is None else found.genesis["instance"]
        begun = topo.build(config, partition.instance, first).partitions[partition.idx]
        return describe(begun, topo.day_of_year(zone, midnight_ns), date=date,
                        midnight_ns=midnight_ns, time_zone=zone)

    return Writer(partition.journal_folder(config, date), genesis, names,
                  segment_sz=config.durability.segment_mb << 20,
                  level=LEVELS[config.durability.level])


class Copier:
    """Ring to file, block by block. `status` is the JOURNAL_STATUS row."""

    def __init__(self, writer, header, ring, status, each_synced):
        self.writer, self.header, self.ring, self.status = writer, header, ring, status
        self.each_synced, self.sync_due_ns = each_synced, 0

    def publish(self):
        """What the files have."""
        row, writer = self.status, self.writer
        row["durable_seq"], row["copied_seq"] = writer.durable_seq, writer.next_seq - 1
        row["segment"] = writer.number

    def waiting(self) -> int:
        """Records of the ring that are not in a file."""
        return int(self.header["ready_seq"]) - (self.writer.next_seq - 1)

    def turn(self, now_ns) -> int:
        """Copies what there is, at most a block's worth; how many records. Syncs when it is due."""
        row, writer = self.status, self.writer
        count = min(self.waiting(), lay.BLOCK_RECORDS_MAX)
        if count > self.ring.size:
            raise JournalFailed("copying", writer.path, "the ring has been overwritten",
                                "this is a mistake of the program: report it")
        if count > 0:
            mask = self.ring.size - 1
            start = writer.next_seq & mask
            part = self.ring[start:start + count]
            if len(part) < count:
                part = np.concatenate((part, self.ring[:count - len(part)]))
            writer.append(part)
            row["block_cnt"] += 1
            row["byte_cnt"] += lay.BLOCK_SZ + part.nbytes
        if writer.durable_seq < writer.next_seq - 1 and (
                self.each_synced or now_ns >= self.sync_due_ns):
            self.sync()
        self.publish()
        return max(0, count)

    def sync(self):
        """All to the disk."""
        row, begun = self.status, time.monotonic_ns()
        self.writer.sync()
        ended = time.monotonic_ns()
        row["sync_ns"], self.sync_due_ns = ended - begun, ended + SYNC_NS
        row["sync_max_ns"] = max(int(row["sync_max_ns"]), ended - begun)
        row["sync_cnt"] += 1

    def run(self, stopping) -> None:
        """Until `stopping` is not empty and the ring is empty. JournalFailed ends it."""
        row = self.status
        row["state"] = shared.JOURNAL_OPEN
        while True:
            now_ns = time.monotonic_ns()
            row["heartbeat_ns"] = now_ns
            try:
                done = self.turn(now_ns)
                row["state"] = shared.JOURNAL_OPEN
            except JournalFull as error:
                if row["state"] != shared.JOURNAL_FULL:
                    print(f"journal: {error}", file=sys.stderr, flush=True)
                row["state"], done = shared.JOURNAL_FULL, 0
                self.publish()
                if stopping:
                    return
                time.sleep(FULL_PAUSE_S)
                continue
            if not done:
                if stopping and self.waiting() <= 0:
                    return
                time.sleep(PAUSE_S)


def main(arguments=None) -> int:
    """Exit codes: 0 stopped, 1 could not start, 3 the journal failed for good (a line says why)."""
    parser = argparse.ArgumentParser(prog="appliance.stages.journal")
    parser.add_argument("--config", required=True)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--instance", type=int, default=0)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGTERM)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    topology = topo.build(load.thaw(options.config), instance=options.instance)
    partition = topology.partitions[options.partition]
    blocks, name = partition.blocks, f"journal@{options.partition}"
    try:
        header, ring, control = (region.attach(blocks[key], instance=options.instance)
                                 for key in ("journal_header", "journal", "control"))
        row = region.attach(blocks["journal_status"], True, options.instance)[0]
        row["pid"], row["state"] = os.getpid(), shared.JOURNAL_OPENING
    except region.RegionError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return 1
    is_successor = int(row["segment"]) != 0              # of one that had begun with this ring
    try:
        writer = open_journal(topology, partition, int(control[0]["midnight_ns"]), is_successor)
        _give(Path(writer.directory), partition.journal_uid)
    except (JournalError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        row["state"] = shared.JOURNAL_FAILED
        return FAILED_CODE
    found = writer.found
    if not is_successor:
        row["begin_seq"], row["name_instance"] = writer.next_seq - 1, writer.instance
        row["lost_tail"] = found is not None and writer.instance != found.instance
        row["cut_bytes"] = found.cut_bytes if found else 0
    copier = Copier(writer, header[0], ring, row, topology.config.durability.level == "disk")
    copier.publish()
    os.chdir(writer.directory)
    rights.drop(partition.journal_uid, deny_write_execute=True)
    writer.move(rights.reach(writer.directory))
    lib.wm_die_with_parent(signal.SIGTERM)
    row["state"] = shared.JOURNAL_OPEN           # first: the launcher waits for it, and reads the
    wanted = topology.config.process.sandbox     # mailbox, which may be full, only afterwards
    notify.ready(sandbox.text("journal", wanted))
    sandbox.enter("journal", wanted, ".")
    clock.Recorder(writer.directory).start()     # a thread of before would be outside of it
    try:
        copier.run(stopping)
        writer.close(clean=copier.waiting() <= 0)
    except JournalError as error:
        row["state"] = shared.JOURNAL_FAILED
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return FAILED_CODE
    return 0


def _give(folder, uid):
    """The day's folder and what is in it become the user's that this process is going to be. The
    thread that makes the next segment is at work meanwhile: what it makes belongs to the folder's
    owner, and what it takes away is gone, as is a snapshot that the shadow takes away."""
    if os.geteuid() == 0:
        os.chown(folder, uid, uid)
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, uid, uid)


if __name__ == "__main__":
    sys.exit(main())
