"""Alarms: what an operator must know, each kind once a place with a count, and a line in the log a
time.

The log is standard error with the priority prefixes that journald understands (`<3>` error, `<4>`
warning, `<6>` information) under systemd, with the time of day elsewhere.
"""

import os
import sys
import time
from dataclasses import dataclass, field

ERROR, WARNING, INFORMATION = 3, 4, 6
_REPEAT_S = 1.0             # a kind is logged once a place in this time at most; all are counted


def log(text: str, priority: int = INFORMATION) -> None:
    """One line to standard error; a reader that went away is no reason to stop."""
    stream = sys.stderr
    journal = "JOURNAL_STREAM" in os.environ
    prefix = f"<{priority}>" if journal else time.strftime("%H:%M:%S ")
    try:
        stream.write(f"{prefix}wirematch: {text}\n")
        stream.flush()
    except (OSError, ValueError):
        pass


@dataclass
class Alarm:
    """All alarms of one kind at one place: how many, first and last (seconds since 1970), the last
    text."""

    kind: str
    where: str
    text: str
    count: int
    first_s: float
    last_s: float
    logged_s: float = field(default=0.0, repr=False)


class Alarms:
    """The alarms of this run, newest kind last."""

    def __init__(self, clock=time.time):
        self.clock, self.by_place = clock, {}

    def sound(self, kind: str, text: str, where: str = "") -> None:
        """Counts one; kind is a short constant name, text says what happened and what to do.

        where: what there are several of and which of them it is (`of_partition`), so that none
        hides another's; "" of what there is one of."""
        now = self.clock()
        alarm = self.by_place.setdefault((kind, where), Alarm(kind, where, text, 0, now, now))
        alarm.count, alarm.text, alarm.last_s = alarm.count + 1, text, now
        if now - alarm.logged_s >= _REPEAT_S:
            alarm.logged_s = now
            log(f"ALARM {kind}: {text}", ERROR)

    def table(self) -> list[dict]:
        """JSON-ready rows."""
        return [{"kind": a.kind, "where": a.where, "text": a.text, "count": a.count,
                 "first": stamp(a.first_s), "last": stamp(a.last_s)}
                for a in self.by_place.values()]


def of_partition(idx: int) -> str:
    """The place of an alarm that is one partition's."""
    return f"partition {idx}"


def stamp(seconds: float) -> str:
    """A time in seconds since 1970 as UTC text."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
