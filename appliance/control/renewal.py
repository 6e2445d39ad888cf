"""What comes next for a partition whose matcher is gone, whose journal is open, whose day is over.

    a matcher died     the others of the partition end; its journal is emptied; regions are made
                       anew; the journal is opened; matcher and recovery start
    a partition fails  the same up to the emptied journal, and it stays down
    the day is over    the same as for a matcher that died, with the next day's journal

Each step is begun and then asked after, tick by tick: a journal that takes its time holds up its
own partition and nobody else.
"""

import time

from . import launch, recorder
from .alarms import log

BOOT_FAILURES_MAX = 3        # in a row; one is enough at the first start
LOOK_S = 0.005               # between two looks at journals that are emptied when all ends
END_S = 300.0                # for all of them together
OK, FAILURE, CANNOT_RUN = 0, 1, 77


class Renewal:
    """`appliance` is the supervise.Appliance."""

    def __init__(self, appliance):
        self.appliance, self.next = appliance, {}

    def begin(self) -> None:
        """The first start: of those whose journals have to be opened it comes later."""
        for desk in self.appliance.desks:
            if not desk.stage:
                self._opened(desk)

    def look(self, desk, now, can_fork) -> None:
        """A tick of a partition that is neither up nor down."""
        try:
            if desk.stage == "opening":
                if desk.look_opened(now, can_fork):
                    self._opened(desk)
                return
            whole = desk.look_emptied(now, can_fork)
        except launch.LaunchError as error:
            self.take_down(desk, "journal-boot", f"partition {desk.idx} is not started: {error}")
            return
        if whole is not None:
            self._emptied(desk, whole)

    def _opened(self, desk):
        self.appliance.write_channel()
        desk.start()
        self.appliance.write_status()

    def _renew(self, desk, make):
        """Ends what is left of an instance; then make(), and its successor."""
        self.next[desk.idx] = make
        desk.kill()
        if not desk.stage:
            self._emptied(desk, True)
        self.appliance.write_status()

    def _emptied(self, desk, whole):
        make = self.next.pop(desk.idx, None)
        if desk.is_down or make is None:
            return
        if not whole:
            self.take_down(desk, "matcher-boot", f"matcher@{desk.idx} is not started again: its "
                           "journal is not whole")
            return
        make()
        self.appliance.create(desk)
        if not desk.stage:
            self._opened(desk)

    def matcher_died(self, desk) -> None:
        """Starts its successor, or takes the partition down."""
        name, how = f"matcher@{desk.idx}", desk.matcher.how()
        poisoned, command = desk.bury()
        kept = recorder.record(desk, how, command, desk.row(),
                               recorder.folder_of(self.appliance.config))
        if kept is not None:
            log(f"the last commands of {name} are in {kept}; see: wirematch inspect {kept}", 4)
        desk.boot_failures += not desk.was_ready
        if desk.matcher.code == CANNOT_RUN:
            self.appliance.fail(CANNOT_RUN, f"{name} cannot run here")
        elif desk.boot_failures >= (BOOT_FAILURES_MAX if desk.ever_ready else 1):
            self.take_down(desk, "matcher-boot", f"{name} does not start ({how}): see its words "
                           "above")
        elif poisoned:
            self.take_down(desk, "matcher-poisoned", f"{name} crashed {desk.crashes.count} times "
                           f"in the same way ({how}) after {command}; it is not started again; "
                           "find out what that command does, then start the appliance anew")
        else:
            try:
                instance = self.appliance.day_file.take(desk.idx)
            except launch.LaunchError as error:
                self.take_down(desk, "matcher-boot", f"{name} is gone ({how}) and not started "
                               f"again: {error}")
                return
            what = ("its book is lost; a new instance begins and participants must log in again"
                    if desk.journal is None else "its book comes back from its journal")
            desk.sound("matcher-died", f"{name} is gone ({how}) after {command}; {what}")
            self._renew(desk, lambda: desk.next_instance(instance))

    def take_down(self, desk, kind, text) -> None:
        """The partition stays down; the others trade on. Without any other one it is the end."""
        desk.sound(kind, text)
        desk.is_down = True
        desk.kill()
        if all(each.is_down for each in self.appliance.desks):
            self.appliance.fail(FAILURE, "no partition is left")
        self.appliance.write_channel()
        self.appliance.write_status()

    def next_day(self, desks) -> None:
        """The partitions begin the day that the appliance has begun, under its names."""
        for desk in desks:
            today = self.appliance.today
            self._renew(desk, lambda desk=desk: desk.next_day(
                today.midnight, today.day, self.appliance.day_file.take(desk.idx)))

    def end(self, in_hurry) -> None:
        """After the end of matchers and recoveries: every ring into the files, side by side, then a
        last snapshot of each. in_hurry: a function that says whether to leave that out."""
        desks = self.appliance.desks
        for desk in desks:
            desk.empty()
        waits, begun = [desk for desk in desks if desk.stage], time.monotonic()
        while waits and time.monotonic() - begun < END_S:
            waits = [desk for desk in waits if self._is_emptying(desk)]
            time.sleep(LOOK_S)
        if time.monotonic() - begun > 1.0:
            log(f"journals closed after {time.monotonic() - begun:.1f} s")
        for desk in desks:
            desk.end_shadow(in_hurry())

    def _is_emptying(self, desk):
        try:
            return desk.look_emptied(time.monotonic()) is None
        except launch.LaunchError as error:          # nobody is left who could start it again
            desk.sound("journal-failed", f"{desk.journal.name} could not save "
                       f"{desk.journal.left} commands of the ring: {error}")
            return False
