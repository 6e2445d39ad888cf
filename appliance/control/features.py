"""What this machine can do for the appliance: versions and kernel features, each really tried.

Nothing is changed: a feature that works only for good (write-execute denial) is tried in a child
that ends at once. Used by `wirematch version`.
"""

import ctypes
import importlib.metadata
import os
import platform
import socket
from pathlib import Path

AF_XDP, SOL_XDP = 44, 283
XDP_UMEM_REG = 4
_MDWE, _MDWE_REFUSE_EXEC_GAIN = 65, 1
YES, NO = "yes", "no"


def versions() -> dict[str, str]:
    """Version of the appliance, its Python and the packages that decide how fast it is."""
    found = {"wirematch": _version("wirematch"), "python": platform.python_version(),
             "kernel": platform.release()}
    return found | {name: _version(name)
                    for name in ("numba", "llvmlite", "numpy", "cffi", "msgspec")}


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def simd() -> str:
    """The instruction set of the price scan, as the C library chose it when it was loaded."""
    from .. import native
    return native.SCAN_VARIANTS[native.lib.wm_scan_best()]


def table() -> list[tuple[str, str, str]]:
    """(feature, "yes" | "no: why", what it is for) for every probed feature."""
    return [
        ("AF_XDP", _af_xdp(), "mode = native: frames without the kernel's network stack"),
        ("BPF", _bpf(), "loading the steering program (root)"),
        ("DPDK", _dpdk(), "mode = dpdk: a DPDK device for each matcher"),
        ("libbpf", _libbpf(), "built into the C library; without it only mode = socket"),
        ("steer program", _steer(), "the compiled XDP program, bpf/steer.bpf.o"),
        ("seccomp", _seccomp(), "unprivileged processes keep only the calls of their loops"),
        ("landlock", _landlock(), "they open no file any more (kernel 5.13)"),
        ("write-execute denial", _denial(), "no new executable memory after warm-up (kernel 6.3)"),
        ("AF_XDP take-over", _at_least(6, 4), "a restarted matcher maps the old socket's rings"),
        ("huge pages", _huge(), "fewer TLB misses in the UMEM"),
    ]


def _reason(error):
    return f"{NO}: {error.strerror}"


def _af_xdp():
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW, 0).close()
    except OSError as error:
        return _reason(error) + (" (needs CAP_NET_RAW)" if os.geteuid() else "")
    return YES


def _bpf():
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = (ctypes.c_uint32 * 32)(2, 4, 4, 1)      # an array map of one u32
    numbers = {"x86_64": 321, "aarch64": 280}
    if platform.machine() not in numbers:
        return f"{NO}: not known on {platform.machine()}"
    fd = libc.syscall(numbers[platform.machine()], 0, ctypes.byref(attributes), 128)
    if fd < 0:
        return f"{NO}: {os.strerror(ctypes.get_errno())}"
    os.close(fd)
    return YES


def _libbpf():
    from .. import native
    out = native.ffi.new("wm_bpf **")
    result = native.lib.wm_bpf_open(b"/nonexistent.o", out, native.ffi.NULL, 0)
    return f"{NO}: built without its headers" if result == -38 else YES


def _dpdk():
    from ..shm import dpdk
    why = dpdk.why_not()
    return f"{NO}: {why}" if why else YES


def _steer():
    path = Path(__file__).resolve().parents[2] / "bpf" / "steer.bpf.o"
    return YES if path.exists() else f"{NO}: not built (make -C bpf needs clang)"


def _seccomp():
    from ..stages import seccomp
    return YES if seccomp.is_available() else f"{NO}: not in this kernel, or not known here"


def _landlock():
    from ..stages import landlock
    abi = landlock.version()
    return f"{YES}: version {abi}" if abi else f"{NO}: not in this kernel, or not enabled (lsm=)"


def _denial():
    child = os.fork()
    if child == 0:
        result = ctypes.CDLL(None).prctl(_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
        os._exit(0 if result == 0 else 1)
    return YES if os.waitpid(child, 0)[1] == 0 else f"{NO}: the kernel has no PR_SET_MDWE"


def _at_least(major, minor):
    numbers = platform.release().split(".")
    try:
        here = int(numbers[0]), int(numbers[1].split("-")[0])
    except (IndexError, ValueError):
        return f"{NO}: release {platform.release()!r} is not understood"
    return f"{YES}: by version" if here >= (major, minor) else f"{NO}: kernel {major}.{minor}"


def _huge():
    path = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
    try:
        free = int(path.read_text())
    except (OSError, ValueError):
        return f"{NO}: unknown"
    return f"{YES}: {free} of 2 MB free" if free else f"{NO}: none reserved"
