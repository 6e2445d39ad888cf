"""A core made again from its journal: records in, the same bytes out.

    core = build_core(genesis)
    apply(core, records)              # JOURNAL_RECORD arrays, in order, however they are cut

What comes out does not depend on `burst`, how many records are handed over at once.
"""

import numpy as np

from ..layout.record import COMMAND, JOURNAL_RECORD
from ..layout.shared import COUNTER_INDEX
from .errors import JournalError

BURST = 4000
_OVERRUN = COUNTER_INDEX["feed_overrun"]


class ReplayError(JournalError):
    """A record that the core cannot take: `seq` is the number that was expected."""

    def __init__(self, seq, why):
        super().__init__(f"command {seq}: {why}")
        self.seq, self.why = seq, why


def apply(core, records, burst: int = BURST) -> None:
    """Applies an array of JOURNAL_RECORDs; ReplayError at the first one that does not fit.

    Nothing is transmitted meanwhile, so what the feed's log forgets is not counted as unsent.
    """
    from ..hot.replay import replay               # a kernel: not to be loaded with this module
    records = np.require(records, JOURNAL_RECORD.dtype, ("C", "W", "O"))
    overrun = core.counters[_OVERRUN]
    for first in range(0, len(records), burst):
        part = records[first:first + burst]
        done = int(replay(core, part, len(part)))
        core.counters[_OVERRUN] = overrun
        if done < len(part):
            raise ReplayError(next_seq(core), _why(core, part[done]))


def next_seq(core) -> int:
    """Number of the command that the core waits for."""
    return int(core.journal.header[0]["next_seq"])


def _why(core, record):
    header = core.journal.header[0]
    if record["seq"] != header["next_seq"]:
        return f"the journal goes on with {int(record['seq'])}; a part of it is missing"
    if record["time_ns"] < header["last_ns"]:
        return f"its time {int(record['time_ns'])} is before {int(header['last_ns'])}, the last"
    command = record["command"].view(COMMAND.dtype)[0]
    return (f"kind {command['kind']}, account {command['account']}, symbol {command['symbol']}: "
            "not of this partition; is the journal another configuration's?")


def all_sent(core, now_ns=None) -> None:
    """Transmission goes on behind everything that there is: participants and subscribers ask for
    what they miss. A replay leaves the cursors where logins have put them, and the feed's at 1.

    now_ns: record time, at which all count as heard and told; None: of the last command.
    """
    sessions, log = core.accounts.sessions, core.feed.log[0]
    now_ns = core.book.engine[0]["time_ns"] if now_ns is None else now_ns
    sessions["sent_seq"] = sessions["released_seq"] = sessions["next_seq"]
    sessions["dirty"] = 0
    sessions["heard_ns"] = sessions["sent_ns"] = now_ns
    log["sent_seq"] = log["twin_seq"] = log["released_seq"] = log["next_seq"]
    log["sent_ns"] = now_ns


def from_ring(core) -> np.ndarray:
    """The records that a core's own journal ring still holds, oldest first."""
    header, ring = core.journal.header, core.journal.ring
    following = int(header[0]["next_seq"])
    numbers = np.arange(max(1, following - len(ring)), following)
    return ring[numbers & (len(ring) - 1)]
