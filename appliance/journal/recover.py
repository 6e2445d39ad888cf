"""A core from a partition's folder: the newest usable snapshot, and the journal behind it.

A snapshot is used when it is whole, of the journal's own genesis, and of a command that the journal
has: one that is ahead of it was taken of commands that a power cut has lost. Without one the
journal is replayed from its beginning, to the same state.
"""

from dataclasses import dataclass

from ..hot.state import private
from . import snapshot_file
from .errors import Corrupt, JournalError
from .follow import follow, genesis_of
from .genesis import build_core
from .replay import BURST, apply, next_seq
from .restore import restore
from .scan import Found, read, scan
from .sections import SnapshotError


class NoJournal(JournalError):
    """The folder holds no journal."""


@dataclass(frozen=True)
class Recovered:
    """`core` has taken every command of the journal, or those up to the one that was asked for."""

    core: object
    found: Found | None         # None: `resume` did not look at all of it
    snapshot_seq: int           # of the snapshot it was begun with, 0: from the genesis
    replayed: int               # commands behind it
    passed_over: tuple          # texts: snapshots that could not be used, and why


def recover(directory, make=private, *, last_seq=None, snapshots=True, burst=BURST) -> Recovered:
    """The core of a journal; `make` as in state.build. last_seq: of the last command wanted.

    Raises NoJournal, Corrupt, JournalFailed, ReplayError, SnapshotError.
    """
    found = scan(directory)
    if found is None:
        raise NoJournal(f"{directory} holds no journal: name the folder of one partition's day, "
                        "<journal.directory>/<YYYYMMDD>/p<idx>")
    last_seq = found.last_seq if last_seq is None else min(last_seq, found.last_seq)
    usable, passed_over = newest(directory, found.genesis, found.last_seq, last_seq) \
        if snapshots else (None, [])
    if usable is None:
        core, seq = build_core(found.genesis, make), found.first_seq - 1
    else:
        core, seq = restore(found.genesis, usable.sections, make), usable.seq
    for records in read(directory, seq + 1) if seq < last_seq else ():
        apply(core, records[:max(0, last_seq + 1 - int(records["seq"][0]))], burst)
    return Recovered(core, found, usable.seq if usable else 0, last_seq - seq,
                     tuple(why for _, why in passed_over))


def resume(directory, last_seq, make=private) -> Recovered:
    """The core behind command last_seq of a journal that a writer has just opened: that has checked
    every byte and synced it all, so only what is behind the snapshot is read again.

    Raises Corrupt, JournalFailed, ReplayError, SnapshotError.
    """
    genesis = genesis_of(directory)
    usable, passed_over = newest(directory, genesis, last_seq, last_seq)
    core = restore(genesis, usable.sections, make) if usable else build_core(genesis, make)
    begun = seq = next_seq(core) - 1
    with follow(directory, seq + 1) as cursor:
        while seq < last_seq:
            records = cursor.take(last_seq - seq)
            if not len(records):
                raise Corrupt(cursor.path, cursor.off, seq + 1, "the watermark covers it, but not "
                              f"command {last_seq}, up to which a writer has read it")
            apply(core, records)
            seq = int(records[-1]["seq"])
    return Recovered(core, None, usable.seq if usable else 0, last_seq - begun,
                     tuple(why for _, why in passed_over))


def newest(directory, genesis, end_seq, last_seq):
    """(the newest snapshot of a genesis up to last_seq or None, (path, why) of newer ones that
    cannot be used). end_seq: where the journal ends."""
    passed_over = []
    for seq, path in snapshot_file.found(directory):
        if seq > end_seq:
            passed_over.append((path, f"{path}: the journal ends at {end_seq}, before it"))
        elif seq <= last_seq:
            try:
                snapshot = snapshot_file.read(path, hashed=False)
            except (SnapshotError, OSError) as error:
                passed_over.append((path, str(error)))
                continue
            if snapshot.genesis == genesis:
                return snapshot, passed_over
            passed_over.append((path, f"{path}: it is of another genesis"))
    return None, passed_over
