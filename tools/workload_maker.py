"""Makes files of the common workload; the standard ones come out the same bytes everywhere.

    python -m tools.workload_maker w1 [FILE] [--messages N] [--seed N]

A name and a seed stand for the same bytes on every machine, and fewer messages for a prefix of
them. `STANDARD` has each standard file's hash, and its trades and their checksum, which the market
that made it counted and other engines agree with.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tools import workload_market


class Standard(NamedTuple):
    """A standard file: the market that makes it, and what it must be and give."""

    kind: int               # 1, 2, 3; the market's seed is SEED + kind
    messages: int
    symbols: int
    target: float           # resting orders aimed at in a book
    trades: int
    checksum: str           # of the trades, 16 hex digits
    sha256: str             # of the file


SEED = 20_240_613
STANDARD = {
    "w1": Standard(1, 8_000_000, 1, 8_000.0, 952_455, "e8bcaee770631c27",
                   "05f85e6953fd3f39b492475fbacabfdb3549108d41d850c41bb009ffa3fa6357"),
    "w2": Standard(2, 8_000_000, 100, 1_500.0, 851_713, "a52fd7a109dc7ae6",
                   "87e1142cecf686b15a37b717f3b4a4d63707be7e4932ea87df40719070bfb553"),
    "w3": Standard(3, 5_000_000, 1, 20_000.0, 792_317, "36eef0867456d9c2",
                   "af48d0eb34306353bb342a4dff8d4e2a0b098a1ce19a9302ab7c8bcc9f58b567"),
}


class MakeError(RuntimeError):
    """A file could not be made; the text says what to do."""


def make(name, messages=None, seed=None):
    """(records, trades, checksum as 16 hex digits); by default the standard file's."""
    known = STANDARD[name]
    return workload_market.play(known.kind, known.messages if messages is None else messages,
                                known.symbols, known.target,
                                SEED + known.kind if seed is None else seed)


def write(name, path, messages=None, seed=None):
    """Makes a file in one step, whole or not at all; (trades, checksum). A standard file's hash is
    checked. Raises MakeError, OSError."""
    path = Path(path)
    records, trades, checksum = make(name, messages, seed)
    if len(records) == STANDARD[name].messages and seed is None:
        found = hashlib.sha256(records).hexdigest()
        if found != STANDARD[name].sha256:
            raise MakeError(f"{name} came out as {found}, not as the standard file "
                            f"{STANDARD[name].sha256}: this machine's logarithm or power function "
                            "rounds otherwise; copy the file from another machine")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            records.tofile(file)
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
    return trades, checksum


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=STANDARD)
    parser.add_argument("file", nargs="?", help="default: NAME.bin here")
    parser.add_argument("--messages", type=int, help="default: as many as the standard file has")
    parser.add_argument("--seed", type=int, help="default: the standard file's")
    options = parser.parse_args(arguments)
    path = options.file or f"{options.name}.bin"
    try:
        trades, checksum = write(options.name, path, options.messages, options.seed)
    except (MakeError, OSError) as error:
        print(f"workload_maker: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {trades} trades, checksum {checksum}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
