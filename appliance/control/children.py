"""Child processes: made by the fork server, signalled and waited for by the launcher.

Children die with the launcher: each asks the kernel for SIGTERM at its parent's death (who changes
its user must ask again). The launcher is a subreaper: what the fork server forks twice becomes its
child, and the fork server may die without harm; it is started again.
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ..host.cores import WAIT_VARIABLE, YIELD
from ..stages import link
from .launch import LaunchError

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
READY_S = 900.0              # a cold compilation on a busy machine takes minutes
ANSWER_S = 10.0
STACK_S = 0.05               # for a hung process to write where it is
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """One child process; times are of the monotonic clock in seconds, 0.0 not yet."""

    def __init__(self, name: str, pid: int, pidfd: int, cpus):
        self.name, self.pid, self.pidfd, self.cpus = name, pid, pidfd, tuple(cpus)
        self.started_s, self.ready_s, self.status, self.code = time.monotonic(), 0.0, "", None
        self.doomed = False          # told to end at once, which it cannot refuse

    def ended(self) -> bool:
        """Whether it is gone (and reaped)."""
        if self.code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 1 << 8       # somebody else has reaped it
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                os.close(self.pidfd)
        return self.code is not None

    def how(self) -> str:
        """How it ended, in words."""
        if not self.ended():
            return "still running"
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"killed by signal {-self.code}"

    def signal(self, number) -> None:
        """Sends a signal; nothing when it is gone."""
        if not self.ended():
            try:
                signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                pass

    def wait(self, patience_s: float) -> bool:
        """True when it ended within that time."""
        if not self.ended():
            waiter = select.poll()
            waiter.register(self.pidfd, select.POLLIN)
            waiter.poll(max(0.0, patience_s) * 1000)
        return self.ended()


def end(child: Child | None, patience_s: float) -> None:
    """SIGTERM, then SIGKILL when it has not gone within that time."""
    if child is None or child.ended():
        return
    child.signal(signal.SIGTERM)
    if not child.wait(patience_s):
        child.signal(signal.SIGKILL)
        child.wait(5.0)


def end_hung(child: Child) -> str:
    """SIGKILL to a process that does not answer, which is `doomed` from now on: one that waits
    inside the kernel ends only afterwards. What the kernel says of its threads, for the alarm. Its
    Python stack goes to the log first, where it still takes signals."""
    child.signal(signal.SIGUSR2)
    time.sleep(STACK_S)
    where = whereabouts(child.pid)
    child.signal(signal.SIGKILL)
    child.doomed = True
    return where


def whereabouts(pid: int) -> str:
    """Each thread's state (R runs, S sleeps, D waits inside the kernel) and what it waits in, from
    the kernel's stack (root only) or its top."""
    found = []
    for thread in sorted(Path(f"/proc/{pid}/task").glob("*")):
        try:
            state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
            calls = [line.split()[-1].partition("+")[0]
                     for line in (thread / "stack").read_text().splitlines()]
        except (OSError, IndexError):
            continue
        found.append(f"{thread.name} {state} {' < '.join(calls[:6]) or 'outside the kernel'}")
    return "; ".join(found) or "nothing to be seen"


def waits_in_kernel(pid: int) -> bool:
    """Whether the process waits where no signal reaches it (state D), such as for all CPUs to leave
    the network code: it cannot be ended before that is over, and a successor would wait there too.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"
    except (OSError, IndexError):
        return False


class Silence:
    """How long a heartbeat has stood still under our eyes. What passed while we did not look (the
    whole machine was halted, or the launcher was busy) does not count: nobody is ended for that."""

    LOOK_S = 0.1                 # counted at most for the time between two looks

    def __init__(self, clock=time.monotonic):
        self.clock, self.beat, self.seconds, self.looked = clock, None, 0.0, clock()

    def look(self, beat: int) -> float:
        """Seconds since the beat was another one; 0.0 before the first one (0)."""
        now = self.clock()
        passed, self.looked = min(now - self.looked, self.LOOK_S), now
        self.seconds = self.seconds + passed if beat == self.beat and beat else 0.0
        self.beat = beat
        return self.seconds

    def forgive(self) -> None:
        """Begins to count anew."""
        self.seconds = 0.0


class ForkServer:
    """stages/forkserver.py as the launcher's child. `fork` makes a stage."""

    def __init__(self, cpus, notify_socket: str):
        self.cpus, self.notify_socket = tuple(cpus), notify_socket
        self.child = self.sock = None
        self.is_ready, self.compiled = False, 0
        if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise LaunchError("prctl(PR_SET_CHILD_SUBREAPER) failed: the kernel must be 3.4 or "
                              "newer")
        self.start()

    def start(self) -> None:
        """Starts it, also again; it gets ready by itself."""
        self._close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = os.environ | {WAIT_VARIABLE: YIELD, "PYTHONPATH": str(PACKAGE_PARENT),
                                    "PYTHONUNBUFFERED": "1"}
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "appliance.stages.forkserver", str(theirs.fileno())],
                env=environment, stdin=subprocess.DEVNULL, process_group=0,
                pass_fds=[theirs.fileno()], preexec_fn=_prepare(self.cpus))
        process.returncode = 0                   # reaped by Child, not by subprocess
        self.child = Child("forkserver", process.pid, os.pidfd_open(process.pid), self.cpus)
        self.sock, self.is_ready = ours, False

    def ended(self) -> bool:
        """Whether it is gone."""
        return self.child.ended()

    def look(self) -> bool:
        """Whether it is ready; never waits."""
        if not self.is_ready and self._readable(0):
            self._receive_ready()
        return self.is_ready

    def _readable(self, seconds):
        waiter = select.poll()
        waiter.register(self.sock, select.POLLIN)
        return bool(waiter.poll(seconds * 1000))

    def _receive_ready(self):
        message, _ = link.receive(self.sock)
        if message.get("op") == "ready":
            self.is_ready, self.compiled = True, int(message["compiled"])
            self.child.ready_s = time.monotonic()

    def wait_ready(self, interrupted=lambda: False) -> None:
        """Waits until it is ready. LaunchError when it ends before, or is interrupted."""
        deadline = time.monotonic() + READY_S
        while not self.is_ready:
            if self._readable(0.05):
                self._receive_ready()
                if not self.is_ready:
                    self.child.wait(5.0)
            if self.ended() and not self.is_ready:
                raise LaunchError(f"the fork server did not start ({self.child.how()}): see its "
                                  "words above")
            if interrupted() or time.monotonic() > deadline:
                raise LaunchError("the fork server was not ready in time")

    def fork(self, stage: str, name: str, arguments, cpus, wait: str, kept=None,
             realtime: int = 0) -> Child:
        """A new stage. kept: descriptors by name that it takes over; they stay open here.
        realtime: its priority in SCHED_FIFO, 0 none.

        LaunchError when there is no fork server any more.
        """
        kept = kept or {}
        for attempt in range(2):
            try:
                self.wait_ready()
                link.send(self.sock, {
                    "stage": stage, "name": name, "arguments": list(arguments),
                    "cpus": list(cpus), "wait": wait, "realtime": realtime,
                    "notify": self.notify_socket, "names": list(kept)}, list(kept.values()))
                if self._readable(ANSWER_S):
                    answer, fds = link.receive(self.sock)
                    if answer.get("op") == "forked":
                        return Child(name, answer["pid"], fds[0], cpus)
                    if answer:
                        raise LaunchError(f"the fork server did not make {name}: "
                                          f"{answer.get('why', answer)}")
            except OSError:
                pass
            if attempt == 0:
                self.child.signal(signal.SIGKILL)
                self.child.wait(5.0)
                self.start()
        raise LaunchError(f"the fork server did not make {name}")

    def _close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def stop(self) -> None:
        """Ends it."""
        self._close()
        end(self.child, 2.0)


def _prepare(cpus):
    """What the fork server does between fork and exec."""
    parent = os.getpid()

    def before_exec():
        os.sched_setaffinity(0, cpus)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
