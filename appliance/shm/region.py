"""Region files: create, attach, check. One file = one REGION header line, then one array.

The writer maps its block writable and holds a lock on the file, so a second writer is refused;
everyone else gets a read-only mapping. Both check that they were built from the same declarations
before they touch a byte.

    region.create(block, instance)            the launcher, before any process starts
    array = region.attach(block)              a reader
    array = region.attach(block, write=True)  the writer, or either end of a link

`block` is anything with name, dtype, count, path and shared_writer (topology.Block).
"""

import ctypes
import errno
import fcntl
import mmap
import os
import time

import numpy as np

from ..layout import shared
from ..layout.digest import layout_digest

HEADER_SZ = shared.REGION.size
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                       ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_MAP_FAILED = ctypes.c_void_p(-1).value
_kept: dict[str, list[int]] = {}     # path -> descriptors that hold the writer's lock, for life


class RegionError(Exception):
    """A region cannot be made or used; the text says which, why and what to do."""


def size_of(block) -> int:
    """Bytes of the block's file."""
    return HEADER_SZ + np.dtype(block.dtype).itemsize * block.count


def create(block, instance: int = 0) -> None:
    """Makes the block's file, all zero behind its header; only the launcher's user may open it.

    A process of another user attaches before it drops its rights, and keeps no descriptor that
    could write: so it cannot cut the file either, which would end whoever has it mapped with
    SIGBUS. RegionError when the file is there already or memory is short.
    """
    header = np.zeros(1, shared.REGION.dtype)
    header["magic"], header["layout_digest"] = shared.MAGIC, layout_digest()
    header["record_sz"], header["record_cnt"] = np.dtype(block.dtype).itemsize, block.count
    header["instance"], header["created_ns"] = instance, time.time_ns()
    name = block.name.encode("ascii")[:24]
    header["name"][0, :len(name)] = np.frombuffer(name, np.uint8)
    try:
        fd = os.open(block.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RegionError(f"creating region {block.path}: {error.strerror}; "
                          "is the appliance running already?") from error
    try:
        os.write(fd, header.tobytes())
        os.posix_fallocate(fd, 0, size_of(block))
    except OSError as error:
        os.unlink(block.path)
        raise RegionError(f"sizing region {block.path} to {size_of(block)} bytes: "
                          f"{error.strerror}; see [capacity] and runtime_dir") from error
    finally:
        os.close(fd)


def header_of(path) -> np.ndarray:
    """The REGION record a file begins with, whatever it holds; RegionError when too short."""
    try:
        with open(path, "rb") as file:
            raw = file.read(HEADER_SZ)
    except OSError as error:
        raise RegionError(f"reading region {path}: {error.strerror}; is the appliance running, and "
                          "may this user read it?") from error
    if len(raw) < HEADER_SZ:
        raise RegionError(f"region {path} has {len(raw)} bytes, a header has {HEADER_SZ}")
    return np.frombuffer(raw, shared.REGION.dtype)[0]


def check(block, instance: int | None = None) -> None:
    """RegionError unless the file is this block, made from our declarations and of our size."""
    header, where = header_of(block.path), f"region {block.path}"
    if int(header["magic"]) != shared.MAGIC:
        raise RegionError(f"{where} is no region: magic {int(header['magic']):#018x}, "
                          f"expected {shared.MAGIC:#018x}")
    if int(header["layout_digest"]) != layout_digest():
        raise RegionError(f"{where} was made with layout {int(header['layout_digest']):016x}, this "
                          f"program has {layout_digest():016x}: two versions are mixed; stop all "
                          "processes and start again")
    name = bytes(header["name"]).rstrip(b"\0").decode("ascii", "replace")
    shape = (name, int(header["record_sz"]), int(header["record_cnt"]))
    wanted = (block.name, np.dtype(block.dtype).itemsize, block.count)
    if shape != wanted:
        raise RegionError(f"{where} holds {shape[0]}[{shape[2]}] of {shape[1]} bytes, expected "
                          f"{wanted[0]}[{wanted[2]}] of {wanted[1]}: has the config changed since "
                          "the start?")
    size = os.stat(block.path).st_size
    if size != size_of(block):
        raise RegionError(f"{where} has {size} bytes, expected {size_of(block)}: it was cut")
    if instance is not None and int(header["instance"]) != instance:
        raise RegionError(f"{where} belongs to instance {int(header['instance'])}, "
                          f"this process is instance {instance}")


def attach(block, write: bool = False, instance: int | None = None) -> np.ndarray:
    """The block's array: dtype[count], living as long as it is referenced; read-only by default.

    RegionError when the file is not what we declare, is of another instance than the one given, or
    has a writer already.
    """
    check(block, instance)
    if write and not block.shared_writer:
        fd = _open(block.path, os.O_RDONLY)      # to hold the lock; it can write nothing
        try:
            _lock(fd, block.path)
        except BaseException:
            os.close(fd)
            raise
        _kept.setdefault(str(block.path), []).append(fd)
    fd = _open(block.path, os.O_RDWR if write else os.O_RDONLY)
    try:
        mapping = _Mapping(fd, size_of(block), write)
    finally:
        os.close(fd)
    return np.asarray(mapping)[HEADER_SZ:].view(block.dtype)


def _open(path, mode):
    try:
        return os.open(path, os.O_CLOEXEC | mode)
    except OSError as error:
        raise RegionError(f"opening region {path} for "
                          f"{'reading' if mode == os.O_RDONLY else 'writing'}: "
                          f"{error.strerror}") from error




class _Mapping:
    """A file in memory for as long as an array of it lives. Unlike mmap.mmap it keeps no duplicate
    of the descriptor."""

    def __init__(self, fd, size, write):
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        address = _libc.mmap(None, size, protection, mmap.MAP_SHARED, fd, 0)
        if address == _MAP_FAILED:
            error = ctypes.get_errno()
            raise OSError(error, f"mapping {size} bytes: {os.strerror(error)}")
        self.address, self.size = address, size
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,),
                                    "data": (address, not write)}

    def __del__(self):
        if hasattr(self, "address"):
            _libc.munmap(self.address, self.size)


def _lock(fd, path):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise RegionError(f"region {path} has a writer already; a block has exactly one") \
                from error
        raise


def release(path) -> None:
    """Gives up the writer's lock on a file (arrays stay mapped: stop writing first)."""
    for fd in _kept.pop(str(path), []):
        os.close(fd)


def maker(blocks: dict, write: bool = False, instance: int | None = None):
    """A `make(name, dtype, count)` for hot/state.py build: arrays of the named blocks.

    A name, dtype or count that the table does not have raises RegionError.
    """
    def make(name, dtype, count):
        block = blocks.get(name)
        if block is None or np.dtype(dtype) != block.dtype or int(count) != block.count:
            has = "no such block" if block is None else f"{block.dtype}[{block.count}]"
            raise RegionError(f"block {name}: asked for {np.dtype(dtype)}[{int(count)}], the "
                              f"topology has {has}")
        return attach(block, write, instance)

    return make
