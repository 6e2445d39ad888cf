"""The course of the trading days of a running appliance: open, close, and on to the next day.

Before the market opens and closes, and while a symbol is in quotation, imbalance messages are due
every day.imbalance_every seconds.

A phase never goes back within a day, whatever the clock does. Without day.closes a day has no end:
midnight passes and everything keeps its names and its time stamps.
"""

import time

from .. import topology as topo
from .alarms import log
from .day import CLOSED, OPEN, PRE_OPEN, DaySchedule

SECOND_NS = 1_000_000_000
_ORDER = (PRE_OPEN, OPEN, CLOSED)


class TradingDay:
    """The present day. midnight: its beginning, wall clock in ns; day: 1 to 366; date: its own word
    in the day file."""

    def __init__(self, config, now_ns):
        self.zone, self.has_end = config.day.time_zone, bool(config.day.closes)
        self.lead_ns = config.day.imbalance_from * SECOND_NS
        self.pause_ns = config.day.imbalance_every * SECOND_NS
        self.schedule = DaySchedule(config.day)
        self.begin(now_ns)

    def begin(self, now_ns: int) -> None:
        """Makes the day of `now_ns` the present one."""
        self.hours = self.schedule.hours(now_ns)
        self.midnight, self.phase = self.hours.begins, PRE_OPEN
        self.told = {}
        self.day = topo.day_of_year(self.zone, self.midnight)
        self.date = f"{self.midnight // 1_000_000_000}-{self.day:03d}"
        self.phase = self._phase(now_ns)

    @property
    def opens_later(self) -> bool:
        """Whether an instance that begins now must wait for the market's opening."""
        return self.phase != OPEN

    def look(self, now_ns: int, desks) -> bool:
        """Opens and closes the market of ready desks; True when the next day is to begin."""
        phase = self._phase(now_ns)
        if phase != self.phase:
            log(f"the market is {phase} now{self._until(now_ns)}")
        self.phase = phase
        for desk in desks:
            if desk.is_trading():
                if phase == OPEN:
                    desk.open_market()
                elif phase == CLOSED:
                    desk.end_day()
        if self.lead_ns and self.pause_ns:
            self._tell_imbalances(now_ns, [desk for desk in desks if desk.is_trading()])
        return phase == CLOSED and now_ns >= self.hours.ends

    def _tell_imbalances(self, now_ns, desks):
        """Before each cross, and while a symbol waits for its halt cross, at whole pauses."""
        if self.phase == PRE_OPEN:
            self._tell("O", now_ns - (self.hours.opens - self.lead_ns), desks)
        elif self.phase == OPEN:
            if self.has_end:
                self._tell("C", now_ns - (self.hours.closes - self.lead_ns), desks)
            self._tell("H", now_ns - self.midnight, [desk for desk in desks if desk.quoting])

    def _tell(self, letter, since_ns, desks):
        """Once a pause from `since_ns` = 0 on."""
        turn = since_ns // self.pause_ns
        if turn < 0 or self.told.get(letter) == turn:
            return
        self.told[letter] = turn
        for desk in desks:
            desk.imbalance(letter)

    def is_over(self, desks) -> bool:
        """Whether every partition that is up has ended this day."""
        up = [desk for desk in desks if not desk.is_down]
        return self.phase == CLOSED and all(desk.day_over and desk.has_ended() for desk in up)

    def row(self, now_ns: int) -> dict:
        """Its part of status.json."""
        return {"phase": self.phase, "next_change_ns": self._change_ns(now_ns)}

    def _phase(self, now_ns):
        phase = self.hours.phase(now_ns)
        if phase == CLOSED and not self.has_end:
            phase = OPEN
        return max(self.phase, phase, key=_ORDER.index)

    def _change_ns(self, now_ns):
        """The market's next change, None when it stays as it is."""
        stays = self.phase == OPEN and not self.has_end
        return None if stays else self.schedule.next_change_ns(now_ns)

    def _until(self, now_ns):
        change = self._change_ns(now_ns)
        if change is None:
            return ""
        return time.strftime(", until %Y-%m-%d %H:%M:%S UTC", time.gmtime(change // 1_000_000_000))
