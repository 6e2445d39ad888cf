"""What code that runs inside a stage's sandbox can still do: nothing that it was not made for."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys

import pytest

from appliance.stages import landlock, sandbox, seccomp
from tests.shared_data import ROOT

pytestmark = [
    pytest.mark.skipif(not seccomp.is_available(), reason="this kernel has no seccomp filters"),
    pytest.mark.skipif(not landlock.version(), reason="this kernel has no landlock")]
UID = 61_978
BEGIN = """
import ctypes, json, mmap, os, signal, socket, sys, threading
from appliance.stages import rights, sandbox, seccomp
stage, folder, deny, victim = sys.argv[1], sys.argv[2], sys.argv[3] == "deny", int(sys.argv[4])
libc = ctypes.CDLL(None, use_errno=True)
"""
ENTER = """
os.chdir(folder)
rights.drop(%d, deny_write_execute=deny)
sandbox.enter(stage, folder="." if stage in ("journal", "shadow") else None)
""" % UID
ATTEMPTS = """
def protect(protection):
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), protection):
        raise OSError(ctypes.get_errno(), "mprotect")
def thread():
    one = threading.Thread(target=lambda: open("/etc/passwd"))
    threading.excepthook = lambda given: seen.append(given.exc_type)
    seen = []
    one.start()
    one.join()
    if seen:
        raise seen[0]
def work():
    with open("a", "xb") as file:
        os.posix_fallocate(file.fileno(), 0, 8192)
        file.write(b"words")
        os.fdatasync(file.fileno())
    os.rename("a", "b")
    assert open("b", "rb").read(5) == b"words"
    os.unlink("b")
attempts = {
    "a file to read": lambda: open("/etc/passwd"),
    "a file to write": lambda: open("/dev/shm/of-a-sandbox", "w"),
    "the region of another": lambda: open(sys.argv[5], "rb"),
    "the memory of another": lambda: open(f"/proc/{victim}/mem", "rb"),
    "a file in a thread": thread,
    "its own folder": work,
    "a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "a TCP socket": lambda: socket.socket(socket.AF_INET),
    "a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "an AF_XDP socket": lambda: socket.socket(44, socket.SOCK_RAW),
    "a UNIX stream": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "a socket for portd": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).close(),
    "memory to write and run": lambda: mmap.mmap(-1, 4096, prot=7),
    "memory to run": lambda: mmap.mmap(-1, 4096, prot=5),
    "its memory made to run": lambda: protect(5),
    "a memory file": lambda: os.memfd_create("code"),
    "a new process": os.fork,
    "a signal to another": lambda: os.kill(victim, 0),
    "a signal to itself": lambda: os.kill(os.getpid(), 0),
}
answers = {}
for name, attempt in attempts.items():
    try:
        attempt()
        answers[name] = "done"
    except BaseException as error:
        answers[name] = type(error).__name__
print(json.dumps(answers), flush=True)
"""
JIT = """
import numba
late = numba.njit(lambda x: x + 1)
numba.njit(lambda x: x - 1)(1)
"""
NEVER = ("a file to read", "a file to write", "the region of another", "the memory of another",
         "a file in a thread", "a UDP socket", "a TCP socket", "a raw socket", "an AF_XDP socket",
         "a UNIX stream", "memory to write and run", "memory to run", "its memory made to run",
         "a memory file", "a new process", "a signal to another")


def run(program, stage, folder, region, deny="deny"):
    """A process that becomes a stage's sandbox and goes on; CompletedProcess."""
    if os.geteuid() == 0:
        os.chown(folder, UID, UID)
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            return subprocess.run(
                [sys.executable, "-P", "-c", BEGIN + program, stage, str(folder), deny,
                 str(victim.pid), str(region)], cwd=ROOT, text=True, capture_output=True,
                check=False, timeout=120, env={
                    key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"
                } | {"PYTHONPATH": str(ROOT)})
        finally:
            victim.kill()


@pytest.fixture
def region(tmp_path):
    """A file that anyone may read, as far as its mode goes."""
    path = tmp_path / "region"
    path.write_bytes(b"of another partition")
    path.chmod(0o644)
    return path


@pytest.fixture
def folder(tmp_path):
    """The stage's own folder."""
    path = tmp_path / "own"
    path.mkdir(0o700)
    return path


@pytest.mark.parametrize("deny", ["deny", "leave"])
@pytest.mark.parametrize("stage", ["matcher", "recovery", "journal", "shadow"])
def test_nothing_is_opened_made_or_reached_from_inside(stage, deny, folder, region):
    """deny: with PR_SET_MDWE; leave: as on a kernel that has none, where the filter alone holds."""
    done = run(ENTER + ATTEMPTS, stage, folder, region, deny)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    files = stage in ("journal", "shadow")
    for name in NEVER:
        assert answers[name] == "PermissionError", name
    assert answers["a socket for portd"] == ("done" if stage == "matcher" else "PermissionError")
    assert answers["its own folder"] == ("done" if files else "PermissionError")
    assert answers["a signal to itself"] == "done"


def test_without_the_sandbox_all_of_it_works(folder, region):
    """The attempts are attempts: outside they succeed, so it is the sandbox that refuses."""
    if os.geteuid() != 0:
        pytest.skip("raw and AF_XDP sockets need root")
    done = run("os.chdir(folder)\n" + ATTEMPTS.replace("os.fork,", "lambda: None,"),
               "matcher", folder, region)
    os.unlink("/dev/shm/of-a-sandbox")
    assert set(json.loads(done.stdout).values()) == {"done"}, done.stdout


@pytest.mark.parametrize("attempt", [
    'os.execv("/bin/true", ["true"])',
    "libc.ptrace(16, victim, 0, 0)",
    "libc.syscall(310, victim, 0, 0, 0, 0, 0)" if platform.machine() == "x86_64"
    else "libc.syscall(270, victim, 0, 0, 0, 0, 0)",
    "libc.unshare(0x10000000)",
    "libc.setns(0, 0)",
    'libc.mount(b"none", b"/", b"tmpfs", 0, None)',
])
@pytest.mark.parametrize("stage", ["matcher", "driver", "recovery", "journal"])
def test_what_only_an_intruder_does_ends_the_process(stage, attempt, folder, region):
    done = run(ENTER + attempt + "\nprint('alive')", stage, folder, region)
    assert done.returncode == -signal.SIGSYS, done.stderr
    assert "alive" not in done.stdout


def test_nothing_can_be_compiled_any_more(folder, region):
    """LLVM does not survive that its memory is not made executable; nothing of it has run then."""
    done = run(JIT + ENTER + "print(late(41))", "matcher", folder, region, "leave")
    assert done.returncode != 0 and "42" not in done.stdout
    assert run(JIT + "print(late(41))", "matcher", folder, region).stdout == "42\n"


def test_numbers_of_another_architecture_end_the_process(folder, region):
    if platform.machine() != "x86_64":
        pytest.skip("x32 is x86-64's")
    done = run(ENTER + "libc.syscall(0x40000000 + 39)\nprint('alive')", "matcher", folder, region)
    assert done.returncode == -signal.SIGSYS and "alive" not in done.stdout


def test_off_leaves_everything_as_it_is(folder, region):
    program = ENTER.replace("(stage, ", "(stage, 'off', ") + "print(open('/etc/passwd').read(4))"
    assert run(program, "matcher", folder, region).stdout == "root\n"
    assert sandbox.text("matcher", "off") == "sandbox off by configuration"


@pytest.mark.parametrize(("compiler", "column"), [("cc", 0), ("aarch64-linux-gnu-gcc", 1)])
def test_call_numbers_are_those_of_the_kernels_headers(compiler, column):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    if compiler == "cc" and platform.machine() != "x86_64":
        pytest.skip("cc compiles for another machine")
    names = list(seccomp.NUMBERS)
    source = "#include <sys/syscall.h>\n" + "".join(
        f"#ifdef SYS_{name}\n@{name} SYS_{name}\n#endif\n" for name in names)
    out = subprocess.run([compiler, "-E", "-P", "-x", "c", "-"], input=source, text=True,
                         capture_output=True, check=True).stdout
    words = out[out.index("@"):].replace("@", " ").split()
    found = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert {name: found.get(name, seccomp.NO) for name in names} == {
        name: numbers[column] for name, numbers in seccomp.NUMBERS.items()}


def test_a_machine_without_known_numbers_is_named():
    with pytest.raises(OSError, match="riscv64"):
        seccomp.build(sandbox.policy("matcher"), "riscv64")


def test_every_policy_fits_both_machines():
    for stage in ("matcher", "driver", "journal", "shadow", "recovery"):
        for machine in seccomp.MACHINES:
            assert 0 < len(seccomp.build(sandbox.policy(stage), machine)) // 8 < 4096
