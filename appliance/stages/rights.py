"""Giving rights away: what a stage does between warming up and touching the first packet."""

import ctypes
import gc
import os
import signal

from appliance.native import lib
from appliance.stages.seccomp import call

_CAPBSET_DROP, _CAP_AMBIENT, _CLEAR_ALL = 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITY_MAX = 63


class RightsError(OSError):
    """Rights could not be dropped; a stage must not go on with them."""


def drop(uid: int, *, deny_write_execute: bool) -> dict:
    """Leave root for good: own uid, no groups, no capability in any set, no new privileges, no new
    executable memory.

    Returns what holds afterwards: uid, capabilities (must be 0), write_execute_denied. RightsError
    when anything that should hold does not.
    """
    if os.geteuid() == 0:
        _empty_bounds()
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if os.geteuid() == 0 or lib.wm_capabilities() != 0:
            raise RightsError(f"after setresuid({uid}) this process still has capabilities; "
                              "start it without ambient capabilities or keep-caps")
        lib.wm_die_with_parent(signal.SIGKILL)      # the kernel forgets it at a change of user
    _empty_sets()
    if lib.wm_no_new_privileges() < 0:
        raise RightsError("prctl(PR_SET_NO_NEW_PRIVS) failed: the kernel must be 3.5 or newer")
    denied = deny_write_execute and lib.wm_deny_write_execute() >= 0
    return {"uid": os.geteuid(), "capabilities": int(lib.wm_capabilities()),
            "write_execute_denied": bool(denied)}


def _empty_bounds():
    """What no program may get that is started from here; capabilities that this kernel does not
    know, or that we may not take away, stay as they are."""
    libc = ctypes.CDLL(None)
    for capability in range(_CAPABILITY_MAX + 1):
        libc.prctl(_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)


def _empty_sets():
    """The ambient, effective, permitted and inheritable capabilities: those of a user whom systemd
    gave some, and what root's own change of user leaves."""
    ctypes.CDLL(None).prctl(_CAP_AMBIENT, ctypes.c_ulong(_CLEAR_ALL), 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    try:
        call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))
    except OSError as error:
        raise RightsError(f"giving the capabilities away: {error.strerror}") from error


def reach(folder) -> str:
    """The folder, or "." where this user may not pass through those above it; the process must have
    gone there (os.chdir) while it had the rights."""
    return os.fspath(folder) if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else "."


def freeze() -> None:
    """No garbage collection from here on: what lives now lives to the end."""
    gc.collect()
    gc.freeze()
    gc.disable()
