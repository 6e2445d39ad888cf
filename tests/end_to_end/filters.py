"""The seccomp filter that the kernel holds a running process to, read back by a tracer."""

import ctypes
import os

import pytest

_SEIZE, _INTERRUPT, _DETACH, _GET_FILTER = 0x4206, 0x4207, 17, 0x420C
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def _trace(request, pid, address=0, data=None):
    result = _libc.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {pid}")
    return result


def filter_of(pid: int) -> bytes:
    """Its newest filter's instructions; the process stands still for a moment. Skips the test where
    the kernel does not tell (CONFIG_CHECKPOINT_RESTORE)."""
    _trace(_SEIZE, pid)
    try:
        _trace(_INTERRUPT, pid)
        os.waitpid(pid, 0x40000000)                      # __WALL
        code = ctypes.create_string_buffer(8 * 4096)
        try:
            count = _trace(_GET_FILTER, pid, 0, code)
        except OSError as error:
            pytest.skip(f"this kernel does not tell filters: {error}")
        return code.raw[:8 * count]
    finally:
        _trace(_DETACH, pid)
