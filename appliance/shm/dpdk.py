"""The DPDK port from the cold side: is there a DPDK, and a Port over one device of it.

    why_not()          "" where the shim appliance/_dpdk.so can be loaded, else why and what to do
    open_port(plan)    (Port, MAC): EAL, the device, its pool; once a process, and with rights
    close_port(port)   lets the device go; EAL cannot be had again in this process

The shim is built where libdpdk is installed (native/build.py) and is loaded only here. A process
has one EAL and an EAL one device: each matcher is a primary process of its own, which shares
nothing with another. EAL makes threads; new privileges are denied before, so that they inherit it.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from appliance.hot import port_state as ps
from appliance.hot.port_state import Port
from appliance.native import check, ffi, lib
from appliance.shm.umem import empty_port, set_words

SHIM = Path(__file__).resolve().parent.parent / "_dpdk.so"
REMEDY = ("install Debian's libdpdk-dev and build anew: WIREMATCH_DPDK=1 make setup "
          "(or: apt-get install libdpdk-dev; .venv/bin/python native/build.py)")
STATISTICS = ("received", "sent", "missed", "receive_errors", "send_errors", "no_frame")
FRAME_BYTES = 4608              # of memory: 2 KiB, headers, and what is lost at the ends of pages
MORE_MB = 32                    # for EAL itself
LOG_SZ, WORDS_MAX = 1 << 16, 600
NO_FD = (1 << 64) - 1         # nothing to wait for: ppoll passes over -1 and sleeps
FOLDER_VARIABLE = "RUNTIME_DIRECTORY"


class DpdkError(RuntimeError):
    """A DPDK port that cannot be had: what was tried and what EAL or the driver said."""


class Plan(NamedTuple):
    """What a port is made of. device: of EAL's --vdev (net_...), or --allow (a PCI address)."""

    device: str
    huge_pages: bool
    rx_frame_cnt: int
    tx_frame_cnt: int
    arguments: tuple            # more of EAL's own
    folder: str                 # where EAL may have a folder while it starts


def why_not() -> str:
    """Why there is no DPDK port here, "" where there is one."""
    if not SHIM.exists():
        return f"{SHIM.name} is not built, because libdpdk was not found; {REMEDY}"
    try:
        _load()
    except DpdkError as error:
        return str(error)
    return ""


def _load():
    log, out = ffi.new("char[]", LOG_SZ), ffi.new("wm_dpdk **")
    if lib.wm_dpdk_load(os.fsencode(SHIM), out, log, LOG_SZ) < 0:
        raise DpdkError(f"{SHIM.name} cannot be loaded: {ffi.string(log).decode()}; {REMEDY}")
    return out[0]


def memory_mb(rx_frame_cnt: int, tx_frame_cnt: int) -> int:
    """What a port's process gives EAL, in MiB."""
    return MORE_MB + ((rx_frame_cnt + tx_frame_cnt) * FRAME_BYTES >> 20)


def arguments(plan: Plan, cpus) -> list[str]:
    """The command line for EAL. cpus: those that this process may use; one lcore runs on them."""
    listed = ",".join(map(str, sorted(cpus)))
    if plan.huge_pages:
        memory = ["--in-memory"]
    else:
        needed = memory_mb(plan.rx_frame_cnt, plan.tx_frame_cnt)
        memory = ["--no-huge", "--no-shconf", "-m", str(needed)]
    device = (["--no-pci", f"--vdev={plan.device}"] if plan.device.startswith("net_")
              else [f"--allow={plan.device}"])
    return ["wirematch", *memory, f"--file-prefix=wm{os.getpid()}", "--no-telemetry",
            f"--lcores=0@({listed})", "--log-level=warning", *device, *plan.arguments]


@contextlib.contextmanager
def _folder(place):
    """EAL's runtime folder while it starts; nobody looks at it afterwards."""
    before = os.environ.get(FOLDER_VARIABLE)
    try:
        with tempfile.TemporaryDirectory(prefix="eal-", dir=place) as folder:
            os.environ[FOLDER_VARIABLE] = folder
            yield
    finally:
        os.environ.pop(FOLDER_VARIABLE, None)
        if before is not None:
            os.environ[FOLDER_VARIABLE] = before


def open_port(plan: Plan) -> tuple[Port, bytes]:
    """Starts EAL in this process and opens the device. DpdkError with EAL's words."""
    shim = _load()
    given = arguments(plan, os.sched_getaffinity(0))
    log, out = ffi.new("char[]", LOG_SZ), ffi.new("uint64_t[3]")
    stack = np.zeros(plan.tx_frame_cnt, np.uint64)
    check(lib.wm_no_new_privileges(), "prctl(PR_SET_NO_NEW_PRIVS)")
    with _folder(plan.folder):
        result = lib.wm_dpdk_open(
            shim, ffi.new("char[]", "\n".join(given).encode()), plan.rx_frame_cnt,
            plan.tx_frame_cnt, out, ffi.cast("uint64_t *", stack.ctypes.data), log, LOG_SZ)
    if result < 0:
        words = " ".join(ffi.string(log).decode(errors="replace").split())[-WORDS_MAX:]
        raise DpdkError(f"opening {plan.device} with {' '.join(given[1:])}: "
                        f"{os.strerror(-result)}: {words or 'no word from EAL'}")
    frames = np.frombuffer(ffi.buffer(ffi.cast("uint8_t *", out[0]), out[1]), np.uint8)
    depth = 1 << (plan.tx_frame_cnt - 1).bit_length()
    port = empty_port(frames, stack, fill_addrs=np.zeros(ps.BURST_MAX, np.uint64),
                      tx_descs=np.zeros(2 * depth, np.uint64))
    set_words(port, KIND=ps.DPDK, RX_FD=NO_FD, SHIM=int(ffi.cast("uintptr_t", shim)),
              FRAME_SZ=2048, TX_FRAME_CNT=plan.tx_frame_cnt, TX_MASK=depth - 1,
              STACK_CNT=plan.tx_frame_cnt)
    return port, bytes(ffi.buffer(out))[16:22]


def _shim_of(port: Port):
    return ffi.cast("wm_dpdk *", int(port.state[ps.SHIM]))


def statistics(port: Port) -> dict[str, int]:
    """The driver's own counters, by STATISTICS; what each counts is the driver's matter."""
    out = ffi.new("uint64_t[6]")
    check(lib.wm_dpdk_statistics(_shim_of(port), out), "reading the statistics of a DPDK device")
    return dict(zip(STATISTICS, out, strict=True))


def close_port(port: Port) -> None:
    """Lets go of device and pool; nothing of the port may be touched afterwards."""
    check(lib.wm_dpdk_close(_shim_of(port)), "closing a DPDK device")
