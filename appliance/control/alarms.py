"""Alarms: what an operator must know, each kind once a place with a count, and a line in the log a
time.

The log is standard error. As "text" a line is the time of day and words; as "json" it is the
priority prefix that journald understands (`<3>` error, `<4>` warning, `<6>` information) and one
JSON object with the FIELDS, always in this order. "auto" is json under systemd (JOURNAL_STREAM).
A matcher's loop never writes here: it counts, and the launcher puts that into words.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, field

ERROR, WARNING, INFORMATION = 3, 4, 6
_REPEAT_S = 1.0             # a kind is logged once a place in this time at most; all are counted


FIELDS = ("time", "priority", "level", "process", "pid", "partition", "kind", "text")
LEVELS = {ERROR: "error", WARNING: "warning", INFORMATION: "information"}
_format = "auto"


def use_format(name: str) -> None:
    """How `log` writes from now on: "auto", "text" or "json"."""
    global _format
    _format = name


def line(text: str, priority: int = INFORMATION, kind: str = "log", where: str = "",
         now: float | None = None) -> str:
    """One line of the log. kind: an alarm's, else "log"; where: of which partition; now: seconds
    since 1970."""
    now = time.clock_gettime(time.CLOCK_REALTIME) if now is None else now
    if _format == "json" or _format == "auto" and "JOURNAL_STREAM" in os.environ:
        number = where.removeprefix("partition ")
        values = (f"{stamp(now)[:-1]}.{int(now % 1 * 1e6):06d}Z", priority,
                  LEVELS.get(priority, str(priority)), "supervisor", os.getpid(),
                  int(number) if number.isdigit() else None, kind, text)
        return f"<{priority}>{json.dumps(dict(zip(FIELDS, values, strict=True)))}"
    alarm = "" if kind == "log" else f"ALARM {kind}: "
    return f"{time.strftime('%H:%M:%S', time.localtime(now))} wirematch: {alarm}{text}"


def log(text: str, priority: int = INFORMATION, kind: str = "log", where: str = "") -> None:
    """One line to standard error; a reader that went away is no reason to stop."""
    try:
        sys.stderr.write(line(text, priority, kind, where) + "\n")
        sys.stderr.flush()
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
            log(text, ERROR, kind, where)

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
