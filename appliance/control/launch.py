"""What a running appliance is made of: its runtime folder, its day, the mailbox of its children.

The runtime folder is held by a lock as long as the launcher lives; one left behind by a launcher
that was killed is not locked, and is cleared before the next start.
"""

import array
import fcntl
import os
import re
import shutil
import socket
import stat
import struct
from pathlib import Path

INSTANCES_MAX = 36 * 36      # two base-36 characters
_CREDENTIALS = struct.Struct("iII")
_RIGHTS_MAX = 16
MESSAGES_MAX = 1024
_OURS = re.compile(r"lock|p\d+|crashes|(portd|notify|control)\.sock|(status|channel)\.json(\.new)?"
                   r"|config\.json|port(d)?_status")


class LaunchError(Exception):
    """The appliance cannot be started here; the text says what was tried and what to do."""


class RuntimeFolder:
    """Shared memory, sockets and status files; made, locked, and removed at the end."""

    def __init__(self, topology, before_clearing=lambda: None):
        """before_clearing: called where a folder was left behind, when its lock is held."""
        self.path, self.lock_path = topology.runtime_dir, topology.lock_file
        self._make()
        self._refuse_foreign()
        os.chmod(self.path, 0o711)       # not before: a folder of others stays as it is
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
        before_clearing()
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
    """Which instance of each partition comes next today: `<runtime_dir>.day`, which outlives the
    runtime folder.

    A stream's name ends in its instance, so no name and number ever carry two contents on one day,
    also when the appliance is started again. It does not outlive a restart of the machine.
    """

    def __init__(self, topology, day: str):
        self.path, self.day = Path(f"{topology.runtime_dir}.day"), day
        self.count = len(topology.partitions)

    def take(self, partition: int) -> int:
        """The partition's next instance, counted up in the file.

        LaunchError when today has no more names.
        """
        numbers = self._read()
        instance = numbers[partition]
        if instance >= INSTANCES_MAX:
            raise LaunchError(f"{instance} instances of partition {partition} were started today: "
                              f"no session names are left; remove {self.path} if nobody remembers "
                              "their streams")
        numbers[partition] = instance + 1
        fresh = Path(f"{self.path}.new")
        fresh.write_text(f"{self.day} {' '.join(map(str, numbers))}\n")
        fresh.replace(self.path)
        return instance

    def _read(self) -> list[int]:
        """Every partition's next instance; of more partitions than before, from 0 on."""
        try:
            day, *words = self.path.read_text().split()
            numbers = [int(word) for word in words] if day == self.day else []
        except (OSError, ValueError):
            numbers = []
        return (numbers + [0] * self.count)[:max(self.count, len(numbers))]


class Mailbox:
    """The socket that children send their READY=1 and STATUS= lines to.

    It also keeps descriptors for them (FDSTORE=1, FDNAME=; FDSTOREREMOVE=1), as systemd does:
    `kept` has them by name.
    """

    def __init__(self, path: str):
        self.kept: dict[str, int] = {}
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(path)
        os.chmod(path, 0o666)       # children have users of their own; who writes is checked by pid

    def read(self, keeper_pid: int = 0) -> list[tuple[int, dict[str, str]]]:
        """(sender's pid, its lines as a dict) of every message that waits.

        Descriptors are kept for process `keeper_pid` alone; other ones are closed. At most
        MESSAGES_MAX, more than the kernel lets wait (net.unix.max_dgram_qlen): any user may write
        here, and nobody shall keep the launcher reading.
        """
        messages = []
        for _ in range(MESSAGES_MAX):
            try:
                data, ancillary, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(
                    _CREDENTIALS.size) + socket.CMSG_SPACE(_RIGHTS_MAX * 4))
            except BlockingIOError:
                return messages
            pid, fds = 0, array.array("i")
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid = _CREDENTIALS.unpack(content[:_CREDENTIALS.size])[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
            words = data.decode("utf-8", "replace").splitlines()
            lines = dict(line.partition("=")[::2] for line in words if "=" in line)
            self._keep(lines, list(fds), pid == keeper_pid)
            messages.append((pid, lines))
        return messages

    def _keep(self, lines, fds, allowed):
        name = lines.get("FDNAME", "")
        if allowed and name and ("FDSTORE" in lines or "FDSTOREREMOVE" in lines):
            if name in self.kept:
                os.close(self.kept.pop(name))
            if "FDSTORE" in lines and fds:
                self.kept[name] = fds.pop(0)
        for fd in fds:
            os.close(fd)

    def close(self):
        """No more messages; what was kept is closed."""
        for fd in self.kept.values():
            os.close(fd)
        self.kept.clear()
        self.sock.close()
