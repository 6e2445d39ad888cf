"""Which files a process may open from now on: a landlock domain (Linux 5.13 and newer).

    restrict([folder])        nothing is opened, made or removed outside these folders any more
    restrict([])              nothing at all

What is open stays open. Newer kernels also refuse TCP connections and ports (6.7), control of
devices (6.10), and signals and abstract UNIX sockets to whoever is outside (6.12): asked for where
they are there. Binds the calling thread and what it starts later: call it while there is no other.
"""

import ctypes
import os
import struct

from appliance.stages.seccomp import call

_VERSION = 1
_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_FILE, MAKE_REG, TRUNCATE = (
    1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8, 1 << 14)
FILES = WRITE_FILE | READ_FILE | READ_DIR | REMOVE_FILE | MAKE_REG | TRUNCATE
_RIGHTS = (13, 14, 15, 15, 16)         # bits of file rights by version 1, 2, ...; then the last
_NET_SINCE, _SCOPE_SINCE = 4, 6


def version() -> int:
    """The kernel's version of landlock, 0 when it has none."""
    try:
        return call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def handled(abi: int) -> bytes:
    """struct landlock_ruleset_attr: everything this version can refuse, as far as we know it."""
    files = (1 << _RIGHTS[min(abi, len(_RIGHTS)) - 1]) - 1
    words = [files, *([3] if abi >= _NET_SINCE else []), *([3] if abi >= _SCOPE_SINCE else [])]
    return struct.pack(f"={len(words)}Q", *words)


def restrict(folders) -> int:
    """Binds this thread; folders: where regular files may still be read, written, made, removed.

    Returns the version in use, 0 where the kernel has no landlock. OSError when it refuses.
    """
    abi = version()
    if not abi:
        return 0
    wanted = handled(abi)
    ruleset = call("landlock_create_ruleset", ctypes.c_char_p(wanted), len(wanted), 0)
    try:
        known = struct.unpack_from("=Q", wanted)[0]
        for folder in folders:
            beneath = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                row = struct.pack("=Qi", FILES & known, beneath)
                call("landlock_add_rule", ruleset, _PATH_BENEATH, ctypes.c_char_p(row), 0)
            finally:
                os.close(beneath)
        call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return abi
