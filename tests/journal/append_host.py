"""A process that only appends: what the tests of crashes start, stop, kill and cut the power of.

    append_host.py FOLDER BLOCKS [SEGMENT_SZ [ahead]]

Appends BLOCKS blocks (0: without end) of kit.records, 1 to 40 records each, to the journal in
FOLDER. After each append it prints "appended SEQ", after each sync, every third block, "durable
SEQ". When the journal fails it prints "failed TEXT", tries append and sync again and prints
"accepted" when one of them does anything but refuse; a full disk it prints as "full SEQ" and ends.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from appliance.journal.errors import JournalFailed, JournalFull  # noqa: E402
from appliance.journal.writer import Writer  # noqa: E402
from tests.journal import kit  # noqa: E402


def say(*words):
    """One line, at once: what has been said counts."""
    print(*words, flush=True)


def play(writer, blocks):
    """Appends and syncs until it is done or the journal fails."""
    number = 0
    while not blocks or number < blocks:
        number += 1
        say("appended", writer.append(kit.records(writer.next_seq, 1 + number * 7 % 40)))
        if number % 3 == 0:
            say("durable", writer.sync())


def main(folder, blocks, segment_sz=256 << 10, ahead=""):
    """The exit status."""
    writer = None
    try:
        writer = Writer(folder, kit.GENESIS, 0, segment_sz=int(segment_sz), ahead=bool(ahead))
        say("open", writer.next_seq - 1)
        play(writer, int(blocks))
        writer.close()
        say("closed", writer.durable_seq)
    except JournalFull:
        say("full", 0 if writer is None else writer.next_seq - 1)
    except JournalFailed as error:
        say("failed", error)
        for again in () if writer is None else (
                lambda: writer.append(kit.records(writer.next_seq, 1)), writer.sync):
            try:
                again()
            except JournalFailed as same:
                if same is error:
                    continue
            say("accepted")
        if writer is not None:
            writer.close()
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
