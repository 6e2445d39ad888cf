"""The machine as `configure` sees it: files below a root, tools, and what is found and wanted.

A `Machine` reads /proc and /sys below `root`; another root than "/" is a recorded machine, whose
tools' words lie in `<root>/commands/<words of the command>`. Nothing here changes anything but
`Change.do` and `Change.undo`.
"""

import ctypes
import json
import os
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

GOOD, WRONG, UNSEEN, NONE = "good", "wrong", "unseen", "none"
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_SYS_ADMIN": 21,
                "CAP_SYS_NICE": 23, "CAP_BPF": 39}
_STA_UNSYNC = 0x40


class MachineError(Exception):
    """A setting that cannot be made; the text says what was tried and what came back."""


@dataclass(frozen=True)
class Wants:
    """What a configuration wants of a machine; counts are whole numbers, memory is in bytes."""

    interface: str
    interface_b: str             # feed B's own, "" when it has none
    mode: str                    # interface.mode
    queues: int                  # receive queues the layout needs
    frames: int                  # receive frames of a matcher
    steering: bool               # several partitions, each on a queue of its own
    matchers: tuple[int, ...]    # their CPUs
    rest: tuple[int, ...]        # CPUs of everything else
    spins: bool
    realtime: int
    huge_pages: int              # of 2 MiB, 0: none are used
    huge_needed: bool            # port.huge_pages = "always"
    memory: int                  # locked, in all

    @property
    def needs_xdp(self) -> bool:
        """Whether it does not start without AF_XDP."""
        return self.mode in ("zero-copy", "native", "generic")

    @property
    def uses_xdp(self) -> bool:
        """Whether it tries AF_XDP."""
        return self.needs_xdp or self.mode == "auto"


@dataclass(frozen=True)
class Change:
    """How a value is set and set back: a file's content, or a tool's two command lines."""

    path: str = ""
    old: str = ""
    new: str = ""
    do: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One thing looked at. state: GOOD, WRONG, UNSEEN (cannot be seen without root), NONE (this
    machine has no such thing). command: by which it is set, "" where none sets it. cost: of not
    having it. change: what `init` does, None where it cannot do it."""

    stage: str
    name: str
    found: str
    wanted: str
    state: str
    cost: str
    command: str = ""
    required: bool = False
    change: Change | None = None

    def row(self) -> dict:
        """JSON-ready."""
        return {"stage": self.stage, "name": self.name, "found": self.found,
                "wanted": self.wanted, "state": self.state, "required": self.required,
                "cost": self.cost, "command": self.command, "init": self.change is not None}


class Machine:
    """This machine, or one that was recorded below a folder."""

    def __init__(self, root="/"):
        self.root = Path(root)
        self.is_real = self.root == Path("/")

    def path(self, name: str) -> Path:
        """Where an absolute path of the machine lies."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str | None:
        """A file's text without blanks at its ends, None when it cannot be read."""
        try:
            return self.path(name).read_text().strip()
        except (OSError, ValueError):
            return None

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted; none where it is not there."""
        try:
            return sorted(os.listdir(self.path(folder)))
        except OSError:
            return []

    def tool(self, *command: str) -> tuple[int, str]:
        """(exit code, output) of a command that changes nothing; 127 without the tool."""
        if not self.is_real:
            text = self.read("commands/" + " ".join(command).replace("/", "_"))
            return (127, "") if text is None else (0, text)
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  timeout=10, env=os.environ | {"LC_ALL": "C"})
        except (OSError, subprocess.TimeoutExpired):
            return 127, ""
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def has(self, capability: str) -> bool:
        """Whether this process has a capability of CAPABILITIES."""
        for line in (self.read("/proc/self/status") or "").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> CAPABILITIES[capability] & 1)
        return False

    def lock_limit(self) -> int:
        """Bytes that this process may lock, -1 without a limit (also with CAP_IPC_LOCK)."""
        if self.has("CAP_IPC_LOCK"):
            return -1
        if self.is_real:
            limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
            return -1 if limit == resource.RLIM_INFINITY else limit
        for line in (self.read("/proc/self/limits") or "").splitlines():
            if line.startswith("Max locked memory"):
                word = line.split()[3]
                return -1 if word == "unlimited" else int(word)
        return 0

    def clock(self) -> dict | None:
        """adjtimex(2), which anybody may ask: {"synchronised", "offset_us", "maxerror_us", "tai"};
        None where it does not answer."""
        if not self.is_real:
            text = self.read("commands/adjtimex")
            return json.loads(text) if text else None
        row = _Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(row))
        if state < 0:
            return None
        nano = bool(row.status & 0x2000)
        return {"synchronised": not row.status & _STA_UNSYNC and state != 5,
                "offset_us": row.offset / (1000 if nano else 1), "maxerror_us": row.maxerror,
                "tai": row.tai}

    def make(self, change: Change) -> None:
        """Sets a value. MachineError when it did not take."""
        if change.path:
            self._write(change.path, change.new)
        else:
            self._command(change.do)

    def restore(self, change: Change) -> None:
        """Sets it back. MachineError when that did not take."""
        if change.path:
            self._write(change.path, change.old)
        else:
            self._command(change.undo)

    def _write(self, name, text):
        try:
            self.path(name).write_text(text + "\n")
        except OSError as error:
            raise MachineError(f"writing {text!r} to {name}: {error.strerror}"
                               + ("; try as root" if os.geteuid() else "")) from error

    def _command(self, command):
        code, words = self.tool(*command)
        if code:
            raise MachineError(f"{' '.join(command)}: "
                               f"{words.strip() or 'is not installed' if code == 127 else words}")


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = [("modes", ctypes.c_uint), *((name, ctypes.c_long) for name in (
        "offset", "freq", "maxerror", "esterror")), ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance", "sec", "usec",
                                             "tick", "ppsfreq", "jitter")),
        ("shift", ctypes.c_int), *((name, ctypes.c_long) for name in (
            "stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")), ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11)]


def of_file(stage, name, path, machine, wanted, cost, *, required=False, accepts=None) -> Item:
    """An item that is one file's value. accepts(value): whether it will do, else equal."""
    found = machine.read(path)
    if found is None:
        exists = machine.path(path).exists()
        return Item(stage, name, "cannot see without root" if exists else "not on this machine",
                    wanted, UNSEEN if exists else NONE, cost, required=required and exists)
    shown = found.partition("[")[2].partition("]")[0] or found       # always [madvise] never
    good = accepts(shown) if accepts else shown == wanted
    return Item(stage, name, shown, wanted, GOOD if good else WRONG, cost,
                f"echo {wanted} > {path}", required, Change(path, shown, wanted))
