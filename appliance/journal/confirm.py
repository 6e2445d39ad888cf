"""Recorded hashes and snapshots of a journal, compared with a replay from its genesis.

What shadow@p wrote down while the matcher traded is found again here, or the first command behind
which it is not is named: at most CHECK_EVERY commands after the program, its kernels, the machine
or a bit of memory were others. A check's outputs are since the check before; where that is not the
one in the file (a shadow that was started anew), only its state is compared.
"""

from ..layout.journal import CHECK_LOOK
from . import samples, snapshot_file, state_hash
from .genesis import build_core
from .replay import apply
from .scan import read
from .sections import SnapshotError

WRONG_MAX = 10                  # after so many the rest is not looked at


def confirm(found, checks) -> dict:
    """found: of `scan`. checks: CHECK records. {"seq", "checks", "snapshots", "wrong": lines}."""
    core = build_core(found.genesis)
    said, from_seq, right, good, wrong = samples.Said(core), found.first_seq - 1, 0, 0, []
    known = {int(check["seq"]): check for check in checks}
    pictures = dict(snapshot_file.found(found.directory))
    for records in read(found.directory):
        first = int(records[0]["seq"])
        end, at = int(records[-1]["seq"]), first - 1
        for stop in _stops(at, end, known, pictures):
            apply(core, records[at + 1 - first:stop + 1 - first])
            at = stop
            if stop in known:
                said.look()
                texts = _differences(core, known[stop], from_seq, said.restart())
                from_seq, right, wrong = stop, right + (not texts), wrong + texts
            elif stop % CHECK_LOOK == 0:
                said.look()
            if stop in pictures:
                texts = _of_snapshot(core, pictures[stop])
                good, wrong = good + (not texts), wrong + texts
            if len(wrong) >= WRONG_MAX:
                return {"seq": at, "checks": right, "snapshots": good, "wrong": wrong}
    wrong += [f"{path}: it is of command {seq}, which the journal does not have"
              for seq, path in pictures.items() if seq > found.last_seq]
    return {"seq": found.last_seq, "checks": right, "snapshots": good, "wrong": wrong}


def _stops(after, end, known, pictures):
    """Commands of (after, end] behind which there is something to do, and the last."""
    stops = {*range(after // CHECK_LOOK * CHECK_LOOK + CHECK_LOOK, end + 1, CHECK_LOOK), end}
    stops |= {seq for table in (known, pictures) for seq in table if after < seq <= end}
    return sorted(stops)


def _differences(core, check, from_seq, outputs):
    seq = int(check["seq"])
    pairs = [("state", samples.state(core, seq), int(check["state_hash"]))]
    if int(check["from_seq"]) == from_seq:
        pairs.append((f"outputs since {from_seq}", outputs, int(check["output_hash"])))
    return [f"sequence {seq}: the hash of the {what} is {mine:016x}, recorded was {theirs:016x}"
            for what, mine, theirs in pairs if mine != theirs]


def _of_snapshot(core, path):
    try:
        snapshot = snapshot_file.read(path)
    except (SnapshotError, OSError) as error:
        return [str(error)]
    found = state_hash.of(core)
    if found == snapshot.state_hash:
        return []
    return [f"{path}: its state's hash is {snapshot.state_hash:016x}, the replay's {found:016x}"]
