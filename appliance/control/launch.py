"""Making and ending what a running appliance is made of: the runtime folder and child processes.

The runtime folder is held by a lock as long as the launcher lives; one left behind by a launcher
that was killed is not locked, and is cleared before the next start. Children die with the launcher:
each asks the kernel for SIGTERM at its parent's death (who changes its user must ask again).
"""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..host.cores import WAIT_VARIABLE

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
INSTANCES_MAX = 36           # one base-36 character
_CREDENTIALS = struct.Struct("iII")
_OURS = re.compile(r"lock|p\d+|(portd|notify)\.sock|(status|channel)\.json(\.new)?|config\.json"
                   r"|port_counters")


class LaunchError(Exception):
    """The appliance cannot be started here; the text says what was tried and what to do."""


class RuntimeFolder:
    """Shared memory, sockets and status files; made, locked, and removed at the end."""

    def __init__(self, topology):
        self.path, self.lock_path = topology.runtime_dir, topology.lock_file
        self._make()
        self._refuse_foreign()
        self.lock = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self.lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self.lock)
            raise LaunchError(f"an appliance is running in {self.path} (process {owner}); stop it, "
                              "or give this one another name or runtime_dir") from error
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, f"{os.getpid()}\n".encode(), 0)
        self.was_left_behind = self._clear()

    def _make(self):
        try:
            os.makedirs(self.path.parent, exist_ok=True)
            try:
                os.mkdir(self.path, 0o711)
            except FileExistsError:
                found = os.lstat(self.path)
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                    raise LaunchError(f"runtime_dir {self.path} is not a folder of this user; "
                                      "remove it or choose another") from None
            os.chmod(self.path, 0o711)
        except OSError as error:
            raise LaunchError(f"making runtime_dir {self.path}: {error.strerror}; choose one that "
                              "this user may write, best on tmpfs") from error

    def _refuse_foreign(self):
        """Refuses a folder with files that are not ours: they are never removed."""
        names = sorted(path.name for path in self.path.iterdir())
        foreign = [name for name in names if not _OURS.fullmatch(name)]
        if foreign:
            raise LaunchError(f"runtime_dir {self.path} holds other files "
                              f"({', '.join(foreign[:3])}); choose a folder of its own")

    def _clear(self):
        """Removes everything of ours but the lock; True when there was something."""
        found = [path for path in self.path.iterdir()
                 if _OURS.fullmatch(path.name) and path != self.lock_path]
        for path in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return bool(found)

    def remove(self):
        """The end: the folder is gone, the lock with it."""
        self._clear()
        self.lock_path.unlink(missing_ok=True)
        os.close(self.lock)
        try:
            self.path.rmdir()
        except OSError:
            pass                    # somebody else's file: not ours to remove


class DayFile:
    """Which instance comes next today: `<runtime_dir>.day`, which outlives the runtime folder.

    A stream's name ends in its instance, so no name and number ever carry two contents on one day,
    also when the appliance is started again. It does not outlive a restart of the machine.
    """

    def __init__(self, topology, day: str):
        self.path, self.day = Path(f"{topology.runtime_dir}.day"), day

    def take(self) -> int:
        """The next instance, counted up in the file. LaunchError when today has no more names."""
        try:
            day, number = self.path.read_text().split()
            instance = int(number) if day == self.day else 0
        except (OSError, ValueError):
            instance = 0
        if instance >= INSTANCES_MAX:
            raise LaunchError(f"{instance} instances were started today: no session names are "
                              f"left; remove {self.path} if nobody remembers their streams")
        fresh = Path(f"{self.path}.new")
        fresh.write_text(f"{self.day} {instance + 1}\n")
        fresh.replace(self.path)
        return instance


class Mailbox:
    """The socket that children send their READY=1 and STATUS= lines to."""

    def __init__(self, path: str):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(path)
        os.chmod(path, 0o666)       # children have users of their own; who writes is checked by pid

    def read(self) -> list[tuple[int, dict[str, str]]]:
        """(sender's pid, its lines as a dict) of every message that waits."""
        messages = []
        while True:
            try:
                data, ancillary, _, _ = self.sock.recvmsg(
                    4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                return messages
            pid = 0
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid = _CREDENTIALS.unpack(content[:_CREDENTIALS.size])[0]
            lines = data.decode("utf-8", "replace").splitlines()
            messages.append((pid, dict(line.partition("=")[::2] for line in lines if "=" in line)))

    def close(self):
        """No more messages."""
        self.sock.close()


@dataclass
class Child:
    """One child process; times are of the monotonic clock in seconds, 0.0 not yet."""

    name: str
    process: subprocess.Popen
    cpus: tuple[int, ...]
    started_s: float
    ready_s: float = 0.0
    status: str = ""
    spoken: dict = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def ended(self) -> bool:
        """Whether it is gone (and reaped)."""
        return self.process.poll() is not None

    def how(self) -> str:
        """How it ended, in words."""
        code = self.process.poll()
        if code is None:
            return "still running"
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"

    def signal(self, number) -> None:
        """Sends a signal; nothing when it is gone."""
        if not self.ended():
            self.process.send_signal(number)

    def wait(self, patience_s: float) -> bool:
        """True when it ended within that time."""
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _prepare(cpus):
    """What a child does between fork and exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def before_exec():
        os.sched_setaffinity(0, cpus)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def start(name: str, arguments: list[str], cpus: tuple[int, ...], wait: str,
          notify_socket: str) -> Child:
    """Starts `python ARGUMENTS` as a child on these CPUs, in a process group of its own."""
    environment = os.environ | {"NOTIFY_SOCKET": notify_socket, WAIT_VARIABLE: wait,
                                "PYTHONPATH": str(PACKAGE_PARENT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", *arguments], env=environment, stdin=subprocess.DEVNULL,
        process_group=0, preexec_fn=_prepare(cpus), close_fds=True)
    return Child(name, process, tuple(cpus), time.monotonic())


def end(child: Child | None, patience_s: float) -> None:
    """SIGTERM, then SIGKILL when it has not gone within that time."""
    if child is None or child.ended():
        return
    child.signal(signal.SIGTERM)
    if not child.wait(patience_s):
        child.signal(signal.SIGKILL)
        child.wait(5.0)
