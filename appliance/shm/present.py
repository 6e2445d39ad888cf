"""A matcher's memory is made present behind its back, so that no first touch of a page is its own.

A log that grows touches a new page every 4 KiB. Its first touch is a fault of 1 to 3 us; where a
virtual machine has to ask its host for the memory, of 100 us and more. Making all of it present
before trading takes as long as that for every page, seconds for half a gigabyte; so trading begins
at once and a thread does it meanwhile, on the CPUs of everything but matchers: the first part of
every array, then the next. Its priority is everybody's: a thread that is put behind others is
interrupted inside the kernel for seconds, and whoever waits for the kernel's readers to leave
(RCU: closing a socket, taking a queue again) waits as long.

    Presence(arrays, cpus).start()      `done` turns True; nothing waits for it

Files on a disk stay as they are: all of them would have to be written back.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import threading

import numpy as np

PART_SZ = 4 << 20
LEAST_SZ = 1 << 18             # what is smaller is touched soon enough
_POPULATE_WRITE = 23           # MADV_POPULATE_WRITE, Linux 5.14
_TMPFS = 0x01021994
_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.statfs.argtypes = (ctypes.c_char_p, ctypes.c_void_p)


def is_in_memory(path) -> bool:
    """Whether files there are on tmpfs."""
    found = ctypes.create_string_buffer(256)              # struct statfs: the first word is f_type
    return (_libc.statfs(os.fsencode(path), found) == 0
            and ctypes.c_long.from_buffer(found).value == _TMPFS)


def arrays_of(value) -> list[np.ndarray]:
    """Every writable array of LEAST_SZ bytes or more in nested tuples, each once."""
    if isinstance(value, np.ndarray):
        return [value] if value.nbytes >= LEAST_SZ and value.flags.writeable else []
    found = {}
    for each in value if isinstance(value, tuple) else ():
        found |= {array.ctypes.data: array for array in arrays_of(each)}
    return list(found.values())


class Presence:
    """The thread, on these CPUs, or where its process is when there are none. `done`: it has ended,
    all is present or the kernel cannot do it."""

    def __init__(self, arrays: list[np.ndarray], cpus: set[int] = frozenset()):
        self.arrays, self.cpus, self.done = arrays, cpus, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """From now on, until the end of the last array or of the process."""
        self.thread.start()

    def _run(self):
        try:
            me = threading.get_native_id()
            os.sched_setscheduler(me, os.SCHED_OTHER, os.sched_param(0))
            if self.cpus:
                with contextlib.suppress(OSError):        # none of them may be used any more
                    os.sched_setaffinity(me, self.cpus)
            most = max((array.nbytes for array in self.arrays), default=0)
            for off in range(0, most, PART_SZ):
                for array in self.arrays:
                    if off < array.nbytes and not self._populate(array, off):
                        return
        finally:
            self.done = True

    @staticmethod
    def _populate(array, off) -> bool:
        """Makes the whole pages of a part present; False where the kernel does not know how."""
        first = -(-(array.ctypes.data + off) // mmap.PAGESIZE) * mmap.PAGESIZE
        end = array.ctypes.data + min(off + PART_SZ, array.nbytes)
        last = end // mmap.PAGESIZE * mmap.PAGESIZE
        if last <= first or _libc.madvise(first, last - first, _POPULATE_WRITE) == 0:
            return True
        return ctypes.get_errno() != errno.EINVAL
