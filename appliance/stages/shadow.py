"""shadow@p: follows one partition's journal with its own core: snapshots, a second opinion.

    run as    python -m appliance.stages.shadow --config FILE --partition P --instance N, or by the
              fork server
    boot      the newest snapshot or the genesis, then whatever is durable in the journal's files
    loop      every PAUSE_S what has become durable since, applied to a core in private memory;
              journal/replica.py has what it records and compares on the way
    end       SIGTERM: the rest of the journal and a last snapshot. The journal must be closed then
    failure   exit code 1 and a line; the launcher starts it again. Nothing waits for it

The matcher pays a few stores for each 4,096 commands. This process runs where the launcher does and
sleeps when there is nothing to do.
"""

import argparse
import os
import signal
import sys
import time

from appliance import notify
from appliance import topology as topo
from appliance.config import load
from appliance.journal.errors import JournalError
from appliance.journal.watermark import boot_id
from appliance.native import lib
from appliance.shm import cache, region
from appliance.stages import rights, sandbox

PAUSE_S = 0.01


def run(replica, row, journal, stopping) -> None:
    """Until `stopping` is not empty; `journal` is the JOURNAL_STATUS row. Raises JournalError."""
    while not stopping:
        row["heartbeat_ns"] = lib.wm_monotonic_ns()
        if int(journal["durable_seq"]) == replica.seq or not replica.turn():
            time.sleep(PAUSE_S)
        row["cpu_ns"] = time.process_time_ns()
    replica.finish()


def begin(make, stopping):
    """What make() gives, as soon as there is a journal; None when it is to stop before that."""
    while not stopping:
        try:
            return make()
        except FileNotFoundError:
            time.sleep(PAUSE_S)
    return None


def main(arguments=None) -> int:
    """Exit codes: 0 stopped, 1 failure (a line says which)."""
    parser = argparse.ArgumentParser(prog="appliance.stages.shadow")
    parser.add_argument("--config", required=True)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--instance", type=int, default=0)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGTERM)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cache.use_cache()
    from appliance.journal import warm                # compiles or loads kernels
    from appliance.journal.replica import Replica
    topology = topo.build(load.thaw(options.config), instance=options.instance)
    config, partition = topology.config, topology.partitions[options.partition]
    name, wanted = f"shadow@{options.partition}", config.durability
    try:
        control, journal, marks = (region.attach(partition.blocks[key], instance=options.instance)
                                   for key in ("control", "journal_status", "state_marks"))
        row = region.attach(partition.blocks["shadow_status"], True, options.instance)[0]
        row["pid"] = os.getpid()
        folder = partition.journal_folder(
            config, topo.date_of(config.day.time_zone, int(control[0]["midnight_ns"])))
        warm.load()
        boot_id()                                # read once; the sandbox would refuse it
        os.chdir(folder)
        rights.drop(partition.journal_uid, deny_write_execute=True)
        folder = rights.reach(folder)
        notify.ready(sandbox.text("shadow", config.process.sandbox))
        sandbox.enter("shadow", config.process.sandbox, ".")
        replica = begin(lambda: Replica(
            folder, row, every=wanted.snapshot_commands, kept=wanted.snapshots_kept, marks=marks,
            say=lambda text: print(f"{name}: {text}", file=sys.stderr, flush=True)), stopping)
        if replica is not None:
            run(replica, row, journal[0], stopping)
    except (region.RegionError, JournalError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
