"""The hours of a trading day by the wall clock: a pure function of [day] and the time.

A day runs from one local midnight to the next, 23, 24 or 25 hours. Its market is "pre-open" until
day.opens, "open" until day.closes, then "closed" until midnight; "" for either leaves its part out.
A local time that the clock skips on that day is the moment at which it skips; one that comes twice
is its first coming. So two times of day never change their order.
"""

import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..config.model import seconds_of

PRE_OPEN, OPEN, CLOSED = "pre-open", "open", "closed"
_NS = 1_000_000_000


class Hours(NamedTuple):
    """One day, wall clock in ns since 1970: begins <= opens <= closes <= ends, ends exclusive."""

    begins: int
    opens: int
    closes: int
    ends: int

    def phase(self, now_ns: int) -> str:
        """The market's phase at a time of this day."""
        return PRE_OPEN if now_ns < self.opens else OPEN if now_ns < self.closes else CLOSED


class DaySchedule:
    """The days of a [day] table (config.model.Day)."""

    def __init__(self, day):
        self.zone = ZoneInfo(day.time_zone)
        self.opens = seconds_of(day.opens) if day.opens else None
        self.closes = seconds_of(day.closes) if day.closes else None

    def hours(self, now_ns: int) -> Hours:
        """The day in which `now_ns` lies. Without opens or closes they are its two ends."""
        date = datetime.datetime.fromtimestamp(now_ns // _NS, self.zone).date()
        begins, ends = self._instant(date, 0), self._instant(date + datetime.timedelta(1), 0)
        return Hours(begins, begins if self.opens is None else self._instant(date, self.opens),
                     ends if self.closes is None else self._instant(date, self.closes), ends)

    def phase(self, now_ns: int) -> str:
        """The market's phase: "pre-open", "open" or "closed"."""
        return self.hours(now_ns).phase(now_ns)

    def next_change_ns(self, now_ns: int) -> int | None:
        """When the phase is another one for the first time; None when it never changes."""
        today = self.hours(now_ns)
        moments = (*today, *self.hours(today.ends))
        return next((moment for moment in moments
                     if moment > now_ns and self.phase(moment) != today.phase(now_ns)), None)

    def _instant(self, date, seconds):
        """Wall clock in ns of a local time; see the module for skipped and repeated ones."""
        local = datetime.datetime.combine(date, datetime.time(), self.zone)
        local = local.replace(hour=seconds // 3600, minute=seconds // 60 % 60, second=seconds % 60)
        moment = int(local.timestamp())
        if self._offset(moment) != local.utcoffset():       # skipped: find where the clock skips
            low, high = int(local.replace(fold=1).timestamp()), moment
            while high - low > 1:
                middle = (low + high) // 2
                skipped = self._offset(middle) == self._offset(high)
                low, high = (low, middle) if skipped else (middle, high)
            moment = high
        return moment * _NS

    def _offset(self, moment):
        return datetime.datetime.fromtimestamp(moment, self.zone).utcoffset()
