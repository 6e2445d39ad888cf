"""What the service manager hears of the launcher: ready, a line of status, alive, on its way out.

    manager = Manager()
    manager.turn(now, "running", desks)       in every round
    manager.stopping()

READY=1 goes out when every partition has recovered and trades, once. Where systemd asks for a
watchdog (WatchdogSec, which it tells by WATCHDOG_USEC) it is fed four times in that span, but only
while a matcher makes progress: one that trades has looked up lately, or one is being started and
still has time for that. When no partition does, everything is started anew. Nothing of this happens
without NOTIFY_SOCKET.
"""

import os

from .. import notify

FEEDS = 4                    # in the span after which systemd gives us up
READY_STATES = ("running", "closed")


class Manager:
    """`boot_s`: how long a matcher may take to get ready."""

    def __init__(self, boot_s: float, environment=os.environ):
        self.boot_s, self.is_ready, self.text, self.due = boot_s, False, "", 0.0
        span_us = int(environment.get("WATCHDOG_USEC", "0") or 0)
        pid = environment.get("WATCHDOG_PID", str(os.getpid()))
        self.every_s = span_us / 1e6 / FEEDS if pid == str(os.getpid()) else 0.0

    def turn(self, now: float, state: str, desks) -> None:
        """Tells what has changed, and feeds the watchdog when it is due and deserved."""
        up = sum(desk.is_trading() for desk in desks)
        text = f"{state}: {up} of {len(desks)} partition(s) trading"
        if state in READY_STATES and not self.is_ready:
            self.is_ready, self.text = True, text
            notify.ready(text)
        elif text != self.text:
            self.text = text
            notify.status(text)
        if self.every_s and now >= self.due and any(self.progresses(desk, now) for desk in desks):
            self.due = now + self.every_s
            notify.send("WATCHDOG=1")

    def progresses(self, desk, now: float) -> bool:
        """Whether a partition trades, or may still come to it."""
        if desk.is_down:
            return False
        if desk.stage:                               # its journal has limits of its own
            return True
        if desk.is_trading():
            return desk.silent_s() * 1000 <= desk.config.supervision.hang_ms
        return now - desk.matcher.started_s <= self.boot_s

    def stopping(self) -> None:
        """From now on it is no failure that nothing trades."""
        notify.stopping("ending sessions, closing journals")
