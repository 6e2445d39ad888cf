"""The poison guard: a matcher that crashes in the same way again and again is not started again.

What a participant sends may crash a matcher and, sent again to its successor, crash that too. Two
crashes are the same when they ended the same way, at the same broken invariant and after the same
last command (as the book saw it, read from the dead instance's journal ring). To be killed from
outside (SIGKILL, SIGTERM) is no crash of its own.
"""

import hashlib
import signal

import numpy as np

from ..layout import record

OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)
CALM_S = 60.0                     # trading this long makes an earlier crash forgotten
KINDS = {getattr(record, name): name for name in (
    "ENTER", "CANCEL", "REPLACE", "MODIFY", "MASS_CANCEL", "DISABLE", "ENABLE", "QUERY", "REJECT",
    "IGNORE", "LOGIN", "LOGOUT", "DISCONNECT", "SKIP", "FILLER", "CLOCK", "DAY_START", "DAY_END",
    "MARKET_OPEN", "HALT", "BUST", "IMBALANCE", "GRACE_OVER")}


def last_command(header, ring) -> tuple[str, str]:
    """(digest, words) of the newest record in a journal ring; ("", "nothing") when there is none.

    header: JOURNAL_HEADER[1]; ring: JOURNAL_RECORD[a power of two].
    """
    number = int(header[0]["next_seq"]) - 1
    if number < 1:
        return "", "nothing"
    raw = ring[number & (ring.size - 1)]["command"].tobytes()
    command = np.frombuffer(raw, record.COMMAND.dtype)[0]
    kind = KINDS.get(int(command["kind"]), f"kind {int(command['kind'])}")
    return (hashlib.sha256(raw).hexdigest()[:16],
            f"{kind} of account {int(command['account'])}, command {number} of the day")


class Crashes:
    """The crashes of one partition's matchers, in a row."""

    def __init__(self, limit: int):
        self.limit, self.signature, self.count = limit, None, 0

    def note(self, code: int, fault: int, digest: str, lived_s: float) -> bool:
        """Takes one end (exit code, negative for a signal); True when it was one too many."""
        if code in OUTSIDE or code == 0:
            return False
        signature = (code, fault, digest)
        if signature != self.signature or lived_s > CALM_S:
            self.signature, self.count = signature, 0
        self.count += 1
        return self.count >= self.limit
