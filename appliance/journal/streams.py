"""An account's acknowledgement stream of a whole day, made again from the journal.

A replay gives byte by byte what was appended to the stream: SoupBinTCP packets, two bytes of length
in front of each, message 1 first. What the journal does not hold was never shown at level "disk".
"""

import os

from ..layout.shared import CHUNK_SZ
from .genesis import build_core
from .recover import NoJournal
from .replay import BURST, apply
from .scan import read, scan


def made(directory, name):
    """(core behind the journal's last command, the account's index). NoJournal without a journal,
    ValueError for an account that the day does not have."""
    found = scan(directory)
    if found is None:
        raise NoJournal(f"{directory} holds no journal: name the folder of one partition's day, "
                        "<journal.directory>/<YYYYMMDD>/p<idx>")
    names = [account["name"] for account in found.genesis["accounts"]]
    if name not in names:
        raise ValueError(f"account {name!r}: the journal in {directory} has {', '.join(names[:8])}"
                         + (" ..." if len(names) > 8 else ""))
    core = build_core(found.genesis)
    for records in read(directory):
        apply(core, records, BURST)
    return core, names.index(name)


def pieces(core, account):
    """The stream's bytes, a chunk at a time."""
    streams, chunk = core.streams, int(core.accounts.sessions[account]["first_chunk"])
    while chunk:
        base = chunk * CHUNK_SZ
        yield streams.data[base:base + int(streams.heads[chunk]["data_off"])]
        chunk = int(streams.heads[chunk]["next"])


def write(directory, name, path) -> tuple[int, int]:
    """Writes the stream to a new file, on the disk when this returns: (messages, bytes)."""
    core, account = made(directory, name)
    count = 0
    with open(path, "xb") as file:
        for piece in pieces(core, account):
            count += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return int(core.accounts.sessions[account]["next_seq"]) - 1, count
