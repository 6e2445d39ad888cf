"""One replay in its course: loops, the wait behind logins, pause and resume, progress, the end.

Signals: USR1 pauses, USR2 or CONT goes on, TSTP (Ctrl-Z) stops the process as usual and the time
it stood still counts as a pause, INT and TERM end it with the report.
"""

import contextlib
import os
import signal
import time

import numpy as np

from .report import LATE_NS, Report

SLICE_NS = 100_000_000       # a look at signals and the progress line at least this often
IDLE_S = 0.02
NEAR_NS = 20_000_000         # what is due at once begins so much later: an engine may be got ready


class Replay:
    """One replay: `run()` sends everything; `report` is filled meanwhile; `stop()` ends it soon.

    due_ns as of `pacing.schedule`. loops: 0 until stopped. logins: packets in front, behind which
    login_wait seconds pass at least. progress(report) is called when progress.due(), before_loop(n)
    before each loop from the second on. zero_ns: the time of the first packet of this loop.
    """

    def __init__(self, capture, engine, due_ns=None, loops=1, logins=0, login_wait=0.0,
                 progress=None, late_ns=LATE_NS, before_loop=None):
        self.capture, self.engine, self.due_ns = capture, engine, due_ns
        self.loops, self.logins, self.login_wait_ns = loops, logins, int(login_wait * 1e9)
        self.progress, self.before_loop = progress, before_loop
        self.report = Report(engine=engine.kind, late_ns=late_ns)
        self._bytes = np.concatenate(([0], np.cumsum(capture.lengths.astype(np.int64))))
        self._stopped, self._paused, self._begin_ns, self._idle_ns = False, False, 0, 0
        self.zero_ns, self._stood_ns, self._left = 0, 0, []

    def stop(self, *_):
        """Ends `run` at the next look, a tenth of a second at most."""
        self._stopped = True

    def pause(self, *_):
        """Sends nothing more until `resume`; times move on by as long."""
        self.report.paused += not self._paused
        self._paused = True

    def resume(self, *_):
        """Goes on after `pause`."""
        self._paused = False

    def stand_still(self, *_):
        """Stops the whole process until it is continued (job control)."""
        begin_ns = time.monotonic_ns()
        self.report.paused += 1
        os.kill(os.getpid(), signal.SIGSTOP)
        self._stood_ns += time.monotonic_ns() - begin_ns

    @contextlib.contextmanager
    def signals(self):
        """Obeys the signals inside the block."""
        wanted = {signal.SIGINT: self.stop, signal.SIGTERM: self.stop, signal.SIGUSR1: self.pause,
                  signal.SIGUSR2: self.resume, signal.SIGCONT: self.resume,
                  signal.SIGTSTP: self.stand_still}
        before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(self) -> Report:
        """Sends all loops. Raises SendError when the interface goes away."""
        count, report = len(self.capture), self.report
        self._begin_ns = time.monotonic_ns()
        while not self._stopped and count and (report.loops < self.loops or not self.loops):
            report.loops += 1
            if report.loops > 1 and self.before_loop:
                self.before_loop(report.loops)
                self.engine.reload()
            near_ns = NEAR_NS if self.due_ns is not None and report.loops == 1 else 0
            zero_ns = time.monotonic_ns() + near_ns
            self._idle_ns += near_ns
            if self.logins and report.loops == 1:
                zero_ns = self._span(0, self.logins, zero_ns)
                wait_ns = self.login_wait_ns - (0 if self.due_ns is None or self.logins >= count
                                                else int(self.due_ns[self.logins]))
                zero_ns += max(0, wait_ns)
                self._rest(zero_ns)        # with its own time kept, the capture waits by itself
            self._span(self.logins if report.loops == 1 else 0, count, zero_ns)
        report.dropped = self.engine.finish()
        self._note(last=True)
        report.stopped = self._stopped
        return report

    def _rest(self, until_ns):
        begin_ns = time.monotonic_ns()
        while not self._stopped and (left_ns := until_ns - time.monotonic_ns()) > 0:
            time.sleep(min(left_ns, SLICE_NS) * 1e-9)
            self._look()
        self._idle_ns += time.monotonic_ns() - begin_ns

    def _note(self, last=False):
        report, engine = self.report, self.engine
        if not last or not report.seconds:
            report.seconds = max(0, time.monotonic_ns() - self._begin_ns - self._idle_ns) * 1e-9
        report.failed, report.retries = engine.failed, engine.retries
        report.last_errno = engine.last_errno

    def _look(self):
        if self.progress and self.progress.due():
            self._judge()
            self.progress(self.report)

    def _wait_paused(self):
        """Waits while paused; how long."""
        begin_ns = time.monotonic_ns()
        while self._paused and not self._stopped:
            time.sleep(IDLE_S)
            self._look()
        waited_ns, self._stood_ns = time.monotonic_ns() - begin_ns, 0
        self._idle_ns += waited_ns
        return waited_ns

    def _span(self, start, stop, zero_ns):
        """Sends packets [start, stop), each at its time after zero_ns; the zero after pauses."""
        at, engine, report, self.zero_ns = start, self.engine, self.report, zero_ns
        while at < stop and not self._stopped:
            if self._stood_ns:
                zero_ns, self._idle_ns = zero_ns + self._stood_ns, self._idle_ns + self._stood_ns
                self._stood_ns = 0
            if self._paused:
                zero_ns += self._wait_paused()
                continue
            failed = engine.failed, engine.failed_bytes
            before_ns = time.monotonic_ns()
            end = engine.advance(self.due_ns, at, stop, zero_ns, before_ns + SLICE_NS)
            report.packets += end - at - (engine.failed - failed[0])
            report.bytes += (int(self._bytes[end] - self._bytes[at])
                             - (engine.failed_bytes - failed[1]))
            if self.due_ns is not None and end > at:
                self._left.append((at, end, zero_ns, before_ns))
            at = end
            self._note()
            report.point()
            self._look()
        self._judge()
        return zero_ns

    def _judge(self):
        """Takes the lateness of what has left since the last time; the next packet need not wait
        for that after each slice."""
        for at, end, zero_ns, before_ns in self._left:
            left_ns = self.engine.left_ns[at:end]
            self.report.lateness((left_ns - zero_ns - self.due_ns[at:end])[left_ns >= before_ns])
        self._left = []
