"""A journal played from its genesis to its end, everything it says counted on the way."""

import time

from . import snapshot_file, state_hash
from .genesis import build_core
from .outputs import Outputs
from .recover import NoJournal
from .replay import apply, next_seq
from .scan import read, scan
from .snapshot import canonical


class Differs(Exception):
    """The core is not in the state that the journal recorded."""


def play(directory, burst, last_seq=None, write_snapshot=False) -> dict:
    """What `wirematch journal replay` prints. Raises NoJournal, JournalError, ReplayError, Differs.

    last_seq: of the last command wanted, None: of the journal. write_snapshot: keep the state.
    """
    found = scan(directory)
    if found is None:
        raise NoJournal(f"{directory} holds no journal: name the folder of one partition's day, "
                        "<journal.directory>/<YYYYMMDD>/p<idx>")
    began = time.perf_counter()
    core = build_core(found.genesis)
    outputs, checked = Outputs(core), 0
    stop = found.last_seq if last_seq is None else min(last_seq, found.last_seq)
    check_seq = found.check[0]
    for records in read(directory):
        for first in range(0, len(records), burst):
            part = records[first:first + burst]
            part = part[:max(0, stop + 1 - int(part["seq"][0]))]
            if len(part) and int(part["seq"][0]) <= check_seq <= int(part["seq"][-1]):
                split = check_seq + 1 - int(part["seq"][0])
                apply(core, part[:split], burst)
                outputs.follow()
                checked, part = _checked(core, outputs, found.check), part[split:]
            apply(core, part, burst)
            outputs.follow()
    sections = canonical(core)
    if write_snapshot:
        snapshot_file.write(directory, found.genesis, sections)
    return {"seq": next_seq(core) - 1, "state_hash": f"{state_hash.sections(sections):016x}",
            "outputs": f"{outputs.digest():016x}", "checked_seq": checked,
            "seconds": round(time.perf_counter() - began, 3)}


def _checked(core, outputs, check):
    """The sequence of a journal's CHECK, when state and outputs have the hashes that it recorded
    behind it; 0 when it recorded none (a hash of 0 is none)."""
    seq, *expected = check
    found = [state_hash.of(core), outputs.digest()]
    for what, mine, theirs in zip(("state", "outputs"), found, expected, strict=True):
        if theirs not in (0, mine):
            raise Differs(f"sequence {seq}: the hash of the {what} is {mine:016x}, the journal "
                          f"recorded {theirs:016x}: this program or its kernels are not what wrote "
                          "it, or one of the two is wrong")
    return seq if any(expected) else 0
