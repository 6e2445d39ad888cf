"""Giving rights away: what a stage does between warming up and touching the first packet."""

import gc
import os
import signal

from appliance.native import lib


class RightsError(OSError):
    """Rights could not be dropped; a stage must not go on with them."""


def drop(uid: int, *, deny_write_execute: bool) -> dict:
    """Leave root for good: own uid, no groups, no new privileges, no new executable memory.

    Returns what holds afterwards: uid, capabilities (must be 0), write_execute_denied. Without root
    only no_new_privs and the last one are new. RightsError when anything that should hold does not.
    """
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if os.geteuid() == 0 or lib.wm_capabilities() != 0:
            raise RightsError(f"after setresuid({uid}) this process still has capabilities; "
                              "start it without ambient capabilities or keep-caps")
        lib.wm_die_with_parent(signal.SIGKILL)      # the kernel forgets it at a change of user
    if lib.wm_no_new_privileges() < 0:
        raise RightsError("prctl(PR_SET_NO_NEW_PRIVS) failed: the kernel must be 3.5 or newer")
    denied = deny_write_execute and lib.wm_deny_write_execute() >= 0
    return {"uid": os.geteuid(), "capabilities": int(lib.wm_capabilities()),
            "write_execute_denied": bool(denied)}


def reach(folder) -> str:
    """The folder, or "." where this user may not pass through those above it; the process must have
    gone there (os.chdir) while it had the rights."""
    return os.fspath(folder) if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else "."


def freeze() -> None:
    """No garbage collection from here on: what lives now lives to the end."""
    gc.collect()
    gc.freeze()
    gc.disable()
