"""A disk in memory, with what an operating system keeps in front of it.

    write --> cache (what every process reads) --sync--> disk (what a power cut leaves)

`Disk` stands where the journal's modules have imported `os`: the names and results of the calls are
the same. A power cut keeps what was synced; of the rest each sector of 512 bytes is old or new by
chance, and of the changes of names a beginning. A sync that fails forgets what it had to write, as
Linux does: the cache goes on to show it, the next sync says that all is well.

Each call that changes something is a *point*: one in the count may be set as the place where the
process dies or the power goes (`arm`), before the call, after it, or in the middle of a write.
"""

import errno
import os
from types import SimpleNamespace

import numpy as np

from appliance.layout import journal as lay

SECTOR = 512
_HEAD = lay.JOURNAL_BLOCK.dtype
_MAGIC = int(lay.BLOCK_MAGIC).to_bytes(4, "little")


class Crash(BaseException):
    """The process that called has died (`power`: everything has). No handler of errors sees it."""

    def __init__(self, power):
        super().__init__("power cut" if power else "killed")
        self.power = power


class File:
    """Content in the cache and on the disk. dirty: sectors that differ by writes not yet synced."""

    def __init__(self):
        self.data, self.disk, self.dirty = bytearray(), bytearray(), set()
        self.blocks = []                  # (offset, size, last sequence) of blocks not known safe

    def write(self, off, piece):
        """Into the cache."""
        end = off + len(piece)
        if end > len(self.data):
            self.data.extend(bytes(end - len(self.data)))
        self.data[off:end] = piece
        self.dirty.update(range(off // SECTOR, -(-end // SECTOR)))
        if piece[:4] == _MAGIC and len(piece) >= lay.BLOCK_SZ:
            row = np.frombuffer(bytes(piece[:lay.BLOCK_SZ]), _HEAD)[0]
            self.blocks.append((off, len(piece), int(row["first_seq"]) + int(row["count"]) - 1))

    def bring(self, sectors):
        """These sectors to the disk, and the size."""
        if len(self.disk) < len(self.data):
            self.disk.extend(bytes(len(self.data) - len(self.disk)))
        del self.disk[len(self.data):]
        for sector in sectors:
            span = slice(sector * SECTOR, min((sector + 1) * SECTOR, len(self.data)))
            self.disk[span] = self.data[span]


class Disk:
    """picked: random.Random; note: called with what happened."""

    O_RDONLY, O_RDWR, O_CREAT, O_EXCL = os.O_RDONLY, os.O_RDWR, os.O_CREAT, os.O_EXCL
    O_CLOEXEC, O_NOFOLLOW, O_DIRECTORY = os.O_CLOEXEC, os.O_NOFOLLOW, os.O_DIRECTORY
    fspath, strerror, getpid = os.fspath, os.strerror, staticmethod(lambda: 1)
    geteuid = staticmethod(lambda: 1)

    def __init__(self, picked, note):
        self.picked, self.note = picked, note
        self.names, self.durable, self.pending, self.folders = {}, {}, [], {"/"}
        self.handles, self.following = {}, 1000
        self.safe_seq, self.boot = 0, bytes(15) + b"\1"
        self.full, self.failing, self.crashed = False, 0, None
        self.armed, self.points = None, {}
        self.path = SimpleNamespace(
            join=os.path.join, dirname=os.path.dirname, abspath=os.path.abspath,
            basename=os.path.basename,
            lexists=lambda path: os.fspath(path) in self.names or self._is_folder(path))

    # -- crashes ----------------------------------------------------------------------------------

    def arm(self, countdown, power, how) -> None:
        """At the countdown-th point from here; how: "before", "after", "within"."""
        self.armed = [countdown, power, how]

    def revive(self) -> None:
        """The next process; those who died have no handles any more."""
        self.crashed, self.armed = None, None
        self.handles.clear()

    def _point(self, what, path, effect, within=None):
        """Makes the effect, unless somebody dies here."""
        if self.crashed:
            raise self.crashed
        armed = self.armed
        kind = f"{what} {os.path.basename(path).partition('-')[0].partition('.')[0]}"
        self.points[kind] = self.points.get(kind, 0) + 1
        if armed is not None:
            armed[0] -= 1
            if armed[0] <= 0:
                how = armed[2]
                if how == "after":
                    effect()
                elif how == "within" and within is not None:
                    within()
                self.crashed, self.armed = Crash(armed[1]), None
                self.note("crash", kind, how, "power" if armed[1] else "process")
                raise self.crashed
        effect()

    def found(self, last_seq) -> None:
        """A journal was opened that ends there: safe, when the disk has all that the cache has."""
        if all(file.data == file.disk for name, file in self.names.items() if "segment-" in name):
            self.safe_seq = max(self.safe_seq, last_seq)

    def power_cut(self) -> None:
        """Everything that was in memory is gone; another boot begins."""
        share = self.picked.choice((0.0, 0.3, 0.7, 1.0))
        kept = self.picked.randint(0, len(self.pending))
        for change in self.pending[:kept]:
            change(self.durable)
        self.pending, self.names = [], dict(self.durable)
        for file in self.names.values():
            grown = len(file.data) != len(file.disk)
            if file.dirty or grown:
                chosen = [each for each in sorted(file.dirty) if self.picked.random() < share]
                if chosen or not grown or self.picked.random() < share:
                    file.bring(chosen)
            file.data, file.dirty, file.blocks = bytearray(file.disk), set(), []
        self.boot = self.picked.randbytes(16)
        self.failing, self.full = 0, False
        self.revive()

    # -- names ------------------------------------------------------------------------------------

    def _is_folder(self, path):
        return os.fspath(path) in self.folders

    def listdir(self, path) -> list:
        """Names in a folder."""
        before = os.fspath(path) + "/"
        return [name[len(before):] for name in self.names if name.startswith(before)]

    def makedirs(self, path, mode=0o777, exist_ok=False) -> None:
        """Makes a folder and those above it."""
        path = os.fspath(path)
        while path not in self.folders:
            self.folders.add(path)
            path = os.path.dirname(path)

    def _rename(self, change):
        change(self.names)
        self.pending.append(change)

    def _at(self, path, folder):
        """The path of a name in a folder that is given by its descriptor, or None."""
        path = os.fspath(path)
        return path if folder is None else os.path.join(self.handles[folder][1], path)

    def unlink(self, path, dir_fd=None) -> None:
        """Takes a name away."""
        path = self._at(path, dir_fd)
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._point("unlink", path, lambda: self._rename(lambda names: names.pop(path, None)))

    def rename(self, source, target, src_dir_fd=None, dst_dir_fd=None) -> None:
        """Gives a file another name, in one step."""
        source, target = self._at(source, src_dir_fd), self._at(target, dst_dir_fd)

        def change(names):
            if source in names:
                names[target] = names.pop(source)
        self._point("rename", target, lambda: self._rename(change))

    # -- handles ----------------------------------------------------------------------------------

    def open(self, path, flags=0, mode=0o600, dir_fd=None) -> int:
        """A descriptor."""
        path = self._at(path, dir_fd)
        if self.crashed:
            raise self.crashed
        if flags & self.O_DIRECTORY:
            return self._handle(None, path)
        if path not in self.names:
            if not flags & self.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            file = File()
            self._point("create", path,
                        lambda: self._rename(lambda names: names.__setitem__(path, file)))
        elif flags & self.O_EXCL:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        return self._handle(self.names[path], path)

    def _handle(self, file, path):
        self.following += 1
        self.handles[self.following] = file, path
        return self.following

    def close(self, fd) -> None:
        """Gives the descriptor back."""
        self.handles.pop(fd, None)

    def fstat(self, fd):
        """Its size."""
        return SimpleNamespace(st_size=len(self.handles[fd][0].data))

    def pread(self, fd, size, off) -> bytes:
        """Bytes of the cache."""
        return bytes(self.handles[fd][0].data[off:off + size])

    def preadv(self, fd, views, off) -> int:
        """Bytes of the cache into one array."""
        piece = self.handles[fd][0].data[off:off + len(views[0])]
        views[0][:len(piece)] = np.frombuffer(piece, np.uint8)
        return len(piece)

    def write(self, fd, view) -> int:
        """Behind what the file has, into the cache."""
        return self.pwrite(fd, view, len(self.handles[fd][0].data))

    def pwrite(self, fd, view, off) -> int:
        """Into the cache."""
        (file, path), piece = self.handles[fd], bytes(view)
        self._point("write", path, lambda: file.write(off, piece),
                    lambda: file.write(off, piece[:self.picked.randint(0, len(piece))]))
        return len(piece)

    def posix_fallocate(self, fd, off, size) -> None:
        """Takes the room, or says that there is none."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file, path = self.handles[fd]
        more = off + size - len(file.data)
        self._point("allocate", path, lambda: file.data.extend(bytes(max(0, more))))

    def ftruncate(self, fd, size) -> None:
        """Cuts a file."""
        file, path = self.handles[fd]

        def cut():
            del file.data[size:]
            file.dirty = {each for each in file.dirty if each * SECTOR < size}
        self._point("cut", path, cut)

    def fsync(self, fd) -> None:
        """Brings a file, or the names of a folder, to the disk."""
        file, path = self.handles[fd]
        if self.failing:
            self.failing -= 1
            if not self.failing:
                if file is not None:
                    file.bring(())
                    file.dirty = set()
                self.note("sync-fails", path)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._point("sync", path, lambda: self._bring(file))

    fdatasync = fsync

    def _bring(self, file):
        if file is None:
            self.durable, self.pending = dict(self.names), []
            return
        file.bring(sorted(file.dirty))
        file.dirty = set()
        while file.blocks:
            off, size, seq = file.blocks[0]
            if file.disk[off:off + size] != file.data[off:off + size]:
                return
            self.safe_seq = max(self.safe_seq, seq)
            file.blocks.pop(0)


class Locks:
    """Stands for `fcntl`: in here nobody starts a second writer."""

    LOCK_EX, LOCK_NB = 2, 4

    @staticmethod
    def flock(fd, what) -> None:
        """Granted."""


class Stream:
    """What `open(path, "rb" or "wb")` gives, over a Disk."""

    def __init__(self, disk, path, mode):
        self.disk, path = disk, os.fspath(path)
        if "w" in mode and path in disk.names:
            disk.unlink(path)
        self.fd = disk.open(path, disk.O_RDWR | (disk.O_CREAT if "w" in mode else 0))
        self.at = 0

    def write(self, piece):
        """Behind what was written."""
        self.at += self.disk.pwrite(self.fd, memoryview(piece).cast("B"), self.at)

    def readinto(self, array) -> int:
        """From its beginning, as much as there is room for."""
        return self.disk.preadv(self.fd, [array], 0)

    def flush(self):
        """Nothing is kept here."""

    def fileno(self) -> int:
        """Its descriptor."""
        return self.fd

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disk.close(self.fd)
