"""Snapshots on the disk: snapshot-<sequence>.wms in the folder of the partition's day.

A file is whole or not there: it is written under another name, synced and renamed. It names the
last command that is in it, and is checked by CRC32C and by the hash of the state before it is used.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import faultpoint
from ..layout.digest import layout_digest
from ..layout.snapshot import SNAPSHOT, SNAPSHOT_FORMAT, SNAPSHOT_MAGIC
from ..native import ffi, lib
from . import state_hash
from .segments import sync_folder
from .sections import LATER, ROWS, SnapshotError

STEP = 4 << 20                 # bytes between two syncs: more would hold up the journal's own
_NAME = re.compile(r"snapshot-(\d{12,})\.wms")
_CRC_END = SNAPSHOT["format"].off


@dataclass(frozen=True)
class Snapshot:
    """What a file holds; `restore(genesis, sections)` makes the core."""

    path: str
    seq: int
    state_hash: int
    genesis: dict
    sections: dict


def path_of(directory, seq: int) -> Path:
    """Where the snapshot that covers command `seq` lies."""
    return Path(directory) / f"snapshot-{seq:012d}.wms"


def found(directory) -> list:
    """(sequence, path) of the snapshots in a folder, newest first."""
    matches = [(_NAME.fullmatch(name), name) for name in os.listdir(directory)]
    return sorted(((int(match[1]), Path(directory) / name) for match, name in matches if match),
                  reverse=True)


def forget_after(directory, last_seq: int) -> None:
    """Removes snapshots of commands that the journal has lost: others will have their numbers, and
    such a snapshot would then pass for theirs. OSError when the disk does not take it."""
    lost = [path for seq, path in found(directory) if seq > last_seq]
    for path in lost:
        os.unlink(path)
    if lost:
        sync_folder(directory)


def pieces(genesis: dict, sections: dict) -> list:
    """The bytes of the file, piece by piece."""
    named = [name for name in ROWS if len(sections[name]) or name not in LATER]
    text = json.dumps({"genesis": genesis, "sections": [
        [name, _shape(ROWS[name]), len(sections[name])] for name in named]},
        sort_keys=True, separators=(",", ":")).encode()
    body = [sections[name].view(np.uint8).reshape(-1) for name in named]
    head = np.zeros(1, SNAPSHOT.dtype)
    row = head[0]
    row["magic"], row["format"], row["layout_digest"] = (
        SNAPSHOT_MAGIC, SNAPSHOT_FORMAT, layout_digest())
    row["seq"] = int(sections["journal"]["next_seq"][0]) - 1
    row["state_hash"], row["partition"] = state_hash.sections(sections), genesis["partition"]
    row["text_sz"], row["body_sz"] = len(text), sum(map(len, body))
    whole = [head.view(np.uint8), np.frombuffer(text, np.uint8), *body]
    row["crc"] = _crc(whole)
    return whole


def _shape(dtype):
    """A dtype as JSON can hold it."""
    return [list(field) for field in dtype.descr]


def _crc(whole):
    """CRC32C over all pieces but the first bytes of the head, up to the checksum's own end."""
    value = 0
    for piece in [whole[0][_CRC_END:], *whole[1:]]:
        if len(piece):
            value = lib.wm_crc32c(value, ffi.from_buffer(piece), len(piece))
    return value


def write(directory, genesis: dict, sections: dict) -> Path:
    """Writes the snapshot of a state; its path. OSError when the disk does not take it."""
    whole = pieces(genesis, sections)
    path = path_of(directory, int(sections["journal"]["next_seq"][0]) - 1)
    fresh = path.with_suffix(".new")
    try:
        with open(fresh, "wb", buffering=0) as file:
            for piece in whole:
                _write(file.fileno(), memoryview(piece))
                faultpoint.at("snapshot-middle")
            os.fsync(file.fileno())
        faultpoint.at("snapshot-rename")
        os.rename(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(directory)
    return path


def _write(fd, view):
    """All of it, synced step by step."""
    while len(view):
        view = view[os.write(fd, view[:STEP]):]
        os.fdatasync(fd)


def unfinished(directory) -> list:
    """What a process that was killed left half written; nothing reads it."""
    return sorted(Path(directory).glob("snapshot-*.new"))


def thin_out(directory, kept: int) -> list:
    """Takes all but the newest `kept` snapshots away, oldest first; their paths."""
    spare = [path for _, path in found(directory)[kept:]][::-1] if kept > 0 else []
    for path in spare:
        path.unlink(missing_ok=True)
    return spare


def read(path, hashed=True) -> Snapshot:
    """The snapshot of a file, checked. SnapshotError says what is wrong with it; OSError.

    hashed: compare the hash of the state too, not only the checksum of the file.
    """
    with open(path, "rb") as file:
        data = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        file.readinto(data)
    head = data[:SNAPSHOT.size]
    if len(head) < SNAPSHOT.size:
        raise SnapshotError(f"{path}: it is cut off after {len(data)} bytes")
    row = head.view(SNAPSHOT.dtype)[0]
    if row["magic"] != SNAPSHOT_MAGIC:
        raise SnapshotError(f"{path}: it is no snapshot, its magic is wrong")
    if row["format"] != SNAPSHOT_FORMAT:
        raise SnapshotError(f"{path}: it has format {row['format']}, this program reads "
                            f"{SNAPSHOT_FORMAT}; use the release that wrote it")
    text_end = SNAPSHOT.size + int(row["text_sz"])
    if text_end + int(row["body_sz"]) != len(data):
        raise SnapshotError(f"{path}: it has {len(data)} bytes where its head names "
                            f"{text_end + int(row['body_sz'])}")
    if _crc([head, data[SNAPSHOT.size:]]) != row["crc"]:
        raise SnapshotError(f"{path}: its checksum is wrong; take an older one")
    text = json.loads(data[SNAPSHOT.size:text_end].tobytes())
    sections = _sections(path, text["sections"], data[text_end:])
    if hashed and state_hash.sections(sections) != row["state_hash"]:
        raise SnapshotError(f"{path}: its state has another hash than its head names")
    return Snapshot(str(path), int(row["seq"]), int(row["state_hash"]), text["genesis"], sections)


def _sections(path, listed, body):
    there = {name for name, _, _ in listed}
    if [[name, shape] for name, shape, _ in listed] != [
            [name, json.loads(json.dumps(_shape(dtype)))] for name, dtype in ROWS.items()
            if name in there or name not in LATER]:
        raise SnapshotError(f"{path}: its sections are another release's; use the release that "
                            "wrote it, or replay the journal from its beginning")
    sections, at = {name: np.zeros(0, ROWS[name]) for name in LATER}, 0
    for name, _, count in listed:
        size = count * ROWS[name].itemsize
        sections[name] = body[at:at + size].view(ROWS[name])
        at += size
    return sections
