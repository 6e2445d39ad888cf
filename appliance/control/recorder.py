"""The flight recorder: what a dead matcher left in shared memory, kept as a folder.

A matcher's journal ring, counters, words, sessions and status outlive it in the runtime folder. At
a crash the launcher copies them, before the regions are made anew, to
`<crashes>/<UTC time>-matcher@p/`; `wirematch inspect` reads such a folder, and with `--live` the
runtime folder of an appliance that runs. Nothing is recorded on a packet's way: the ring is there
anyway. Folders are bounded in number and size; the oldest goes first.

    about.json   when, which, how it ended, after which command, its row of the status
    feed.json    the newest feed messages, at most MESSAGES_MAX: [number, type, hexadecimal bytes]
    ring.bin     the newest JOURNAL_RECORDs, at most COMMANDS_MAX, oldest first
    NAME.bin     a block of BLOCKS as it was
"""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np

from ..layout import shared
from ..layout.record import JOURNAL_RECORD
from ..shm import region
from .alarms import WARNING, log

FOLDERS_MAX, COMMANDS_MAX, MESSAGES_MAX = 16, 4096, 256
BLOCK_BYTES_MAX = 1 << 20
FEED = ("feed_log", "feed", "feed_index")
BLOCKS = ("status", "counters", "engine", "control", "journal_header", "journal_status", "sessions")


def folder_of(config) -> Path:
    """Where crashes of an appliance are kept: with its journals, so a boot does not clear it; of
    one without a journal in its runtime folder, whose end is theirs."""
    return Path(config.runtime_dir if config.durability.level == "none"
                else config.durability.directory) / "crashes"


def newest(header, ring, count=COMMANDS_MAX) -> np.ndarray:
    """The last `count` records of a journal ring, oldest first. header: JOURNAL_HEADER[1]."""
    stop = int(header[0]["next_seq"])
    first = max(1, stop - min(count, ring.size))
    return ring[[seq & (ring.size - 1) for seq in range(first, stop)]]


def messages(log, data, index, count=MESSAGES_MAX) -> list:
    """[number, type, hexadecimal bytes] of the newest feed messages, oldest first.

    log: FEED_LOG[1]; data: the ring's bytes; index: offset of each number. Empty ones are left out.
    """
    stop = int(log[0]["next_seq"])
    first = max(int(log[0]["oldest_seq"]), stop - count, 1)
    found = []
    for seq in range(first, stop):
        place = int(index[seq & (index.size - 1)]) & (data.size - 1)
        length = int.from_bytes(data[place:place + 2].tobytes(), "big")
        body = data[place + 2:place + 2 + length].tobytes()
        if body:
            found.append([seq, chr(body[0]), body.hex()])
    return found


def record(desk, how: str, command: str, row: dict, folder) -> Path | None:
    """Keeps what the desk's dead matcher left; the new folder, or None when it cannot be written
    (told in the log: a full disk is no reason not to trade on)."""
    folder, now = Path(folder), time.gmtime()
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', now)}-matcher@{desk.idx}"
    fresh = folder / f".{name}.new"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        newest(*desk.ring).tofile(fresh / "ring.bin")
        for block in BLOCKS:
            if block in desk.part.blocks:
                region.attach(desk.part.blocks[block]).tofile(fresh / f"{block}.bin")
                os.truncate(fresh / f"{block}.bin", min(
                    BLOCK_BYTES_MAX, (fresh / f"{block}.bin").stat().st_size))
        feed = [region.attach(desk.part.blocks[block]) for block in FEED]
        (fresh / "feed.json").write_text(json.dumps(messages(*feed)) + "\n")
        about = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", now), "partition": desk.idx,
                 "instance": desk.part.instance, "pid": desk.matcher.pid, "how": how,
                 "command": command, "fault": int(desk.engine[0]["fault"]), "status": row}
        (fresh / "about.json").write_text(json.dumps(about, indent=1) + "\n")
        final, number = folder / name, 1
        while final.exists():
            number += 1
            final = folder / f"{name}.{number}"
        fresh.rename(final)
        for old in folders(folder)[:-FOLDERS_MAX]:
            shutil.rmtree(old, ignore_errors=True)
        return final
    except (OSError, region.RegionError) as error:
        log(f"the record of the crash of matcher@{desk.idx} cannot be kept in {folder}: {error}",
            WARNING)
        return None


def folders(folder) -> list[Path]:
    """Crash folders, oldest first."""
    return sorted(path for path in Path(folder).glob("*-matcher@*")
                  if path.is_dir() and not path.name.startswith("."))


def live(part, status) -> dict:
    """The same of a partition that runs. status: its row of status.json."""
    array = {name: region.attach(part.blocks[name])
             for name in ("journal_header", "journal", "counters", "status", "engine", *FEED)}
    return {"about": {"partition": part.idx, "instance": part.instance, "how": "runs",
                      "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                      "status": status, "fault": int(array["engine"][0]["fault"])},
            "feed": messages(*(array[name] for name in FEED)),
            "ring": newest(array["journal_header"], array["journal"]),
            "counters": {name: int(array["counters"][i])
                         for i, (name, _) in enumerate(shared.COUNTERS)},
            "status": array["status"], "engine": array["engine"]}


def load(folder) -> dict:
    """A crash folder: {"about", "feed", "ring" (JOURNAL_RECORDs), "counters", "status", "engine"}.

    ValueError when it is none or is damaged."""
    folder = Path(folder)
    try:
        about = json.loads((folder / "about.json").read_text())
        found = {"about": about, "feed": json.loads((folder / "feed.json").read_text()),
                 "ring": np.fromfile(folder / "ring.bin", JOURNAL_RECORD.dtype)}
        counters = np.fromfile(folder / "counters.bin", np.uint64)
        found["counters"] = {name: int(counters[i]) for i, (name, _) in
                             enumerate(shared.COUNTERS) if i < counters.size}
        found["status"] = np.fromfile(folder / "status.bin", shared.MATCHER_STATUS.dtype)
        found["engine"] = np.fromfile(folder / "engine.bin", shared.ENGINE.dtype)
        return found
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: not a record of a crash: {error}") from error
