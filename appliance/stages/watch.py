"""portd's watchdog: link, program, device and sockets, looked at when the kernel has news of a
device, and ten times a second.

    link down, up            counted and told; sockets, program and maps survive it
    program taken off        put on again at once
    another program there    told with its number; plain sockets until it is gone
    feed B's own interface   down and up are told; where it was made anew, B leaves by it again
    device deleted           plain sockets; when one of that name and address is there again, AF_XDP
    socket lost              plain sockets, then AF_XDP anew

Nothing of this tells anybody by itself: an AF_XDP reader whose program is gone waits for ever.
"""

import os
import socket
import sys
import time

from appliance.host import nic
from appliance.layout import shared
from appliance.shm import steer

AF_XDP = 44
RETRY_S = 1.0                   # between two tries to come back from plain sockets
PROGRAM_S = 0.1                 # between two looks at which program the device has
DYING_S = 0.02                  # from the loss of its program to the loss of its name
EVENTS = shared.PORT_EVENT_INDEX


def say(text: str) -> None:
    """One line for the log."""
    print(f"portd: {text}", file=sys.stderr, flush=True)


class Watch:
    """Looks at a PortDesk's wire; `portd` is told what was lost and what came back."""

    def __init__(self, portd):
        self.portd, self.wire, self.name = portd, portd.wire, portd.wire.name
        self.had_device, self.was_up, self.foreign = True, True, 0
        self.up_b, self.ifindex_b = True, 0
        self.groups_lost = False                 # the feed's socket still leaves by the old device
        self.retry_due = self.program_due = 0.0

    def look(self, now: float) -> None:
        """One look at everything that is due. What a device that goes meanwhile does not answer is
        no error: the next look finds it gone."""
        try:
            self._look(now)
        except OSError as error:
            if str(error) != self.portd.last_reason:
                self.portd.last_reason = str(error)
                say(f"looking at {self.name}: {error}")

    def _look(self, now):
        ifindex = nic.ifindex_of(self.name)
        self._link()
        if self.portd.feed_b is not None:
            self._feed_b(self.portd.name_b)
        if self._device(ifindex) and self.portd.on_wire:
            if now >= self.program_due:
                self.program_due = now + PROGRAM_S
                self._sockets()
                self._program()
        elif ifindex and now >= self.retry_due:
            self.retry_due = now + RETRY_S
            if self.portd.wants_wire:
                self._come_back()
            elif self.groups_lost:
                nic.leave_by(self.portd.multicast, self.portd.ip)
                self.groups_lost = False
        self.portd.status["ifindex"], self.portd.status["link"] = ifindex, self.was_up

    def _link(self):
        up = nic.is_up(self.name)
        if up != self.was_up:
            self.portd.count("link_up" if up else "link_down")
            say(f"interface {self.name} is {'up again' if up else 'down: orders cannot arrive; '}"
                + ("" if up else f"see: ip link show {self.name}"))
        self.was_up = up

    def _feed_b(self, name):
        """Feed B's own interface, which no socket says anything about."""
        ifindex, up = nic.ifindex_of(name), nic.is_up(name)
        if up and ifindex != self.ifindex_b:
            try:
                nic.leave_by(self.portd.feed_b, self.portd.ip_b)
                self.ifindex_b = ifindex
            except OSError:                      # made again, and its address is not there yet
                up = False
        if up != self.up_b:
            self.up_b = up
            self.portd.count("twin_up" if up else "twin_down")
            say(f"interface {name} is " + ("up again: feed B leaves" if up else
                                           f"down: no feed B; see: ip addr show {name}"))

    def _device(self, ifindex) -> bool:
        """False while the device that we are on is gone."""
        if ifindex == 0:
            if self.had_device:
                self.had_device = False
                self.portd.count("device_gone")
                self.portd.lost(f"interface {self.name} was deleted; waiting for one of that name "
                                f"with the address {self.portd.ip}")
            return False
        if not self.had_device or (self.portd.on_wire and ifindex != self.wire.ifindex):
            if self.had_device:
                self.portd.count("device_gone")
                self.portd.lost(f"interface {self.name} was deleted and made again")
            self.had_device, self.groups_lost = True, True
            self.portd.count("device_back")
            say(f"interface {self.name} is there again, index {ifindex}")
            self.retry_due = 0.0
        return True

    def _sockets(self):
        for partition, holder in list(self.portd.holders.items()):
            if holder.holding is None or not holder.bound:
                continue
            with socket.socket(AF_XDP, socket.SOCK_RAW, 0,
                               fileno=os.dup(holder.holding.xsk_fd)) as probe:
                error = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.portd.count("socket_lost")
                self.portd.lost(f"the AF_XDP socket of partition {partition} reports "
                                f"{os.strerror(error)}")
                return

    def _program(self):
        if not self.portd.on_wire:
            return
        if self.wire.is_attached() and not self.wire.foreign_program():
            return
        if not self._stays():
            return                               # it goes with its device: the next look says so
        self.portd.count("program_detached")
        say(f"our XDP program was taken off {self.name}; putting it on again")
        try:
            self.wire.attach_again()
        except OSError as error:
            if not self._stays():
                return
            self._stranger()
            self.portd.lost(f"our XDP program cannot be put on {self.name} again: {error}")
            return
        self.portd.count("program_attached")

    def _stays(self) -> bool:
        """Whether the device is still the same one a moment later: one that is being deleted loses
        its program before its name."""
        time.sleep(DYING_S)
        return nic.ifindex_of(self.name) == self.wire.ifindex

    def _stranger(self):
        """Names another program on the device, once."""
        found = self.wire.foreign_program() if self.wire.ifindex or self.had_device else 0
        if found and found != self.foreign:
            self.portd.count("program_foreign")
            say(f"another XDP program (number {found}) is on {self.name}, so ours cannot be; "
                f"see: bpftool prog show id {found}; take it off with: ip link set dev "
                f"{self.name} xdp off")
        self.foreign = found

    def _come_back(self):
        """Tries the ladder again; on success every partition gets a new port."""
        if nic.look_up(self.name).ip == "" or not nic.is_up(self.name):
            return
        self._stranger()
        if self.foreign:
            return
        try:
            nic.leave_by(self.portd.multicast, self.portd.ip)
            self.wire.climb()
        except (OSError, RuntimeError, ValueError) as error:
            if str(error) != self.portd.last_reason:
                self.portd.last_reason = str(error)
                say(f"still on plain sockets: {error}")
            return
        self.portd.regained()


def reasons(wire) -> dict[str, int]:
    """Frames by reason of the program that is in use, none without one."""
    return wire.steering.counters() if wire.steering is not None else dict.fromkeys(
        steer.REASONS, 0)

