"""A Debian machine with the package installed, booted for real by systemd-nspawn.

    tree = installed(package)                       a bare tree, kept in build/machine
    with Machine(tree) as machine:                  its own network, joined by veth to `market`
        machine.run("systemctl", "start", "wirematch.target")

The tree is never written: what a machine changes lies in memory and goes with it. It dies with this
process, however that ends: nspawn alone would leave it running, so both live in a process namespace
whose first process is told to.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.netns import Namespace, veth_pair
from tests.package import kernels
from tests.shared_data import ROOT

CACHE = ROOT / "build" / "machine"
PLACE = "/usr/lib/wirematch"
BARE = ("systemd", "systemd-sysv", "dbus", "python3", "libbpf1", "libelf1", "zlib1g", "tzdata",
        "iproute2", "procps")
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
BOOT_S, IP, MARKET_IP = 60.0, "10.77.0.1", "10.77.0.2"
_PDEATHSIG = 1


def why_not() -> str:
    """Why no machine can be booted here, or an empty string."""
    if os.geteuid():
        return "booting a machine needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(missing)} not installed; WIREMATCH_TESTS=1 make setup" if missing else ""


@contextlib.contextmanager
def _alone():
    """One process at a time makes trees."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def bare() -> Path:
    """A Debian tree with the packages of BARE and nothing else."""
    key = hashlib.sha256(" ".join(BARE).encode()).hexdigest()[:8]
    tree = CACHE / f"bookworm-{key}"
    if not tree.exists():
        fresh = CACHE / f"{tree.name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase",
                        f"--include={','.join(BARE)}", "bookworm", str(fresh)], check=True,
                       capture_output=True)
        fresh.rename(tree)
    return tree


def installed(package: Path) -> Path:
    """A tree where the package was installed, and its kernels lie compiled if they are here."""
    with _alone():
        key = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
        tree = CACHE / f"installed-{key}"
        if not tree.exists():
            for old in CACHE.glob("installed-*"):
                shutil.rmtree(old)
            fresh = CACHE / "new"
            shutil.rmtree(fresh, ignore_errors=True)
            subprocess.run(["cp", "-a", "--reflink=auto", str(bare()), str(fresh)], check=True)
            shutil.copy(package, fresh / "tmp")
            within(fresh, "dpkg", "-i", f"/tmp/{package.name}")
            fresh.rename(tree)
        folder = within(tree, "env", f"PYTHONPATH={PLACE}", "python3", "-P", "-m",
                        "appliance.shm.cache").strip()
        if not (tree / folder[1:] / "warm").exists():
            kernels.copy(PLACE, tree / folder[1:])
    return tree


def within(tree: Path, *command: str) -> str:
    """A command's output in a tree that is not booted."""
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "sh", "-c",
         'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', str(tree), *command],
        check=True, text=True, stdout=subprocess.PIPE).stdout


def _below(pid):
    """The processes that come from one, as far as they still do."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _below(int(child))


def _remove(cgroup):
    """A control group and those in it, as far as nobody is in them."""
    for path, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _end_with_parent():
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Machine:
    """`market`: the network namespace of participants at MARKET_IP; the machine has wm0 and IP."""

    def __init__(self, tree: Path):
        self.tree, self.name = tree, f"wm-{os.getpid()}"
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            inside = undo.enter_context(Namespace())
            self.market = undo.enter_context(Namespace())
            veth_pair(inside, "wm0", IP, self.market, "wm1", MARKET_IP)
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc",
                 "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
                 "--capability=all", "--system-call-filter=bpf", "--volatile=overlay",
                 f"--directory={self.tree}", f"--machine={self.name}",
                 f"--network-namespace-path=/proc/self/fd/{inside.fd}", "--console=pipe",
                 "--kill-signal=SIGRTMIN+3"], preexec_fn=_end_with_parent, pass_fds=[inside.fd],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            undo.callback(self._kill)
            self.leader = self._await_leader()
            self._await_boot()
            self.stack = undo.pop_all()
        return self

    def __exit__(self, *problem):
        self.stack.close()

    def _kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        for folder in ("payload", "supervisor"):         # nspawn leaves its cgroups behind
            for parent in Path("/sys/fs/cgroup").glob(f"*/{folder}"):
                _remove(parent)

    def _await_leader(self):
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            for pid in _below(self.process.pid):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                        return pid
            time.sleep(0.02)
        self._kill()
        raise TimeoutError(f"no machine: {self.process.returncode}")

    def _await_boot(self):
        deadline = time.monotonic() + BOOT_S
        while (state := self.run("systemctl", "is-system-running", check=False).strip()) not in (
                "running", "degraded"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the machine is {state} after {BOOT_S:.0f} s")
            time.sleep(0.05)

    def run(self, *command: str, check=True, text=None) -> str:
        """A command inside; its output, errors with it."""
        done = subprocess.run(["nsenter", "-t", str(self.leader), "-a", *command], text=True,
                              input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        assert not check or done.returncode == 0, (command, done.stdout)
        return done.stdout

    def code(self, *command: str) -> int:
        """A command's exit code inside."""
        return subprocess.run(["nsenter", "-t", str(self.leader), "-a", *command],
                              capture_output=True, check=False).returncode

    def path(self, path: str) -> Path:
        """A file of the machine as seen from here."""
        return Path(f"/proc/{self.leader}/root{path}")

    def show(self, unit: str, key: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", key, unit).strip()

    def power_off(self) -> int:
        """Ends it as a switch would; nspawn's exit code."""
        self.run("systemctl", "poweroff", check=False)
        return self.process.wait(BOOT_S)
