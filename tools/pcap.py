"""Capture files: a memory-mapped reader with a compiled index, and a writer of classic pcap.

A classic file is a 24-byte header (magic, version, link type) and records of 16 bytes + frame:
seconds, fraction (µs or ns by the magic), captured length, original length, in the writer's byte
order. pcapng is read too (`pcapng`), and both in gzip and zstd. Files cut in the middle of a record
and frames cut by a capture's snap length are refused in words, as PcapError.
"""

import gzip
import importlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from appliance.hot.endian import copy_bytes, store_be32, store_le32

HEADER_SZ, RECORD_SZ = 24, 16
ETHERNET = 1
SNAP_SZ = 65535
MAX_FRAME_SZ = 1 << 20
MAGICS = {b"\xd4\xc3\xb2\xa1": (False, False), b"\x4d\x3c\xb2\xa1": (False, True),
          b"\xa1\xb2\xc3\xd4": (True, False), b"\xa1\xb2\x3c\x4d": (True, True)}
PCAPNG, GZIP, ZSTD = b"\x0a\x0d\x0d\x0a", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
OTHERS = {
    b"\x34\xcd\xb2\xa1": "is a pcap file of a modified kind; convert it with: "
                         "editcap -F pcap {0} {1}.pcap",
}
_CHUNK = 1 << 20
_READ_ONLY = numba.types.Array(numba.uint8, 1, "C", readonly=True)


class PcapError(ValueError):
    """The file cannot be used; the text names file, place and remedy."""


@dataclass(frozen=True)
class Pcap:
    """An indexed file. Packet i is data[offsets[i] : offsets[i] + lengths[i]].

    data: u8, the whole file, unpacked or mapped privately (what is written there stays in memory).
    offsets: i64. lengths: u32, captured bytes. times_ns: i64, since 1970.
    nanosecond, big_endian: as in the file's magic (pcapng: the first section's).
    link_type: 1 is Ethernet. snap_sz: the header's snap length. cut_tail: a last record that is
    not whole was left out.
    """

    path: Path
    data: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    times_ns: np.ndarray
    nanosecond: bool
    big_endian: bool
    link_type: int
    snap_sz: int
    cut_tail: bool = False

    def __len__(self):
        return len(self.offsets)

    def packet(self, number: int) -> memoryview:
        """The bytes of one packet, not copied."""
        off = int(self.offsets[number])
        return memoryview(self.data[off:off + int(self.lengths[number])])

    def __iter__(self):
        """(time in ns, bytes) of each packet in turn: for people and tests, not for speed."""
        return ((int(self.times_ns[i]), self.packet(i)) for i in range(len(self)))


@numba.njit("u4(u1[::1], i8, b1)", cache=True, inline="always")
def _word(data, off, big):
    a, b = numba.uint32(data[off]), numba.uint32(data[off + 1])
    c, d = numba.uint32(data[off + 2]), numba.uint32(data[off + 3])
    if big:
        return numba.uint32((a << 24) | (b << 16) | (c << 8) | d)
    return numba.uint32((d << 24) | (c << 16) | (b << 8) | a)


@numba.njit("i8(u1[::1], i8, b1, b1, u4, i8[::1], u4[::1], i8[::1], i8[::1])", cache=True)
def _index(data, off, big, nanosecond, max_sz, offsets, lengths, times_ns, state):
    """Fills the three arrays from the record at off on; returns how many it wrote.

    state[0]: where it stopped. state[1]: 0 the arrays are full or the file is done, 1 the record
    is cut by the end of the file, 2 its length is impossible, 3 the frame was cut at capture.
    """
    count, size, unit = 0, data.size, 1 if nanosecond else 1000
    state[1] = 0
    while off < size and count < offsets.size:
        if off + 16 > size:
            state[1] = 1
            break
        captured = _word(data, off + 8, big)
        if captured > max_sz:
            state[1] = 2
            break
        if off + 16 + numba.int64(captured) > size:
            state[1] = 1
            break
        if captured < _word(data, off + 12, big):
            state[1] = 3
            break
        times_ns[count] = (numba.int64(_word(data, off, big)) * 1_000_000_000
                           + numba.int64(_word(data, off + 4, big)) * unit)
        offsets[count] = off + 16
        lengths[count] = captured
        count += 1
        off += 16 + numba.int64(captured)
    state[0] = off
    return count


def _refusal(path, start: bytes) -> PcapError:
    """Says what a file with these first bytes is, and how to make a classic pcap of it."""
    for magic, text in OTHERS.items():
        if start.startswith(magic):
            return PcapError(f"{path} " + text.format(path, Path(path).stem))
    return PcapError(f"{path} is not a pcap file: it begins with {start[:4].hex() or 'nothing'}, "
                     "a pcap file with d4c3b2a1, 4d3cb2a1, a1b2c3d4 or a1b23c4d, pcapng 0a0d0d0a")


def _trouble(path, code, count, off, data, big) -> PcapError:
    """The error for a record that `_index` stopped at."""
    where = f"{path}: record {count + 1}, at byte {off},"
    if code == 1:
        left = data.size - off
        wanted = RECORD_SZ + (int(_word(data, off + 8, big)) if left >= RECORD_SZ else 0)
        return PcapError(f"{where} is cut: it needs {wanted} bytes or more and the file has {left} "
                         f"left. The {count} records before it are whole; keep them with: "
                         f"editcap -F pcap {path} whole.pcap")
    captured, original = (int(_word(data, off + at, big)) for at in (8, 12))
    if code == 2:
        return PcapError(f"{where} says that it has {captured} bytes; the file is damaged there")
    return PcapError(f"{where} has {captured} of the frame's {original} bytes: the capture was "
                     "made with a snap length; capture again with -s 0 to have whole frames")


def _content(path) -> np.ndarray:
    """The bytes of the file, unpacked where it is compressed."""
    with open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        try:
            if start.startswith(GZIP):
                return np.frombuffer(bytearray(gzip.decompress(file.read())), np.uint8)
            if start == ZSTD:
                return np.frombuffer(bytearray(_unpack_zstd(path, file)), np.uint8)
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise PcapError(f"{path} is compressed and cannot be unpacked: {problem}; copy the "
                            "file again") from problem
    return np.memmap(path, np.uint8, "c").view(np.ndarray) if start else np.empty(0, np.uint8)


def _unpack_zstd(path, file):
    try:
        zstandard = importlib.import_module("zstandard")
    except ModuleNotFoundError as missing:
        raise PcapError(f"{path} is compressed with zstd, which needs the package zstandard: pip "
                        "install 'wirematch[tools]', or unpack it first: zstd -d") from missing
    try:
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as reader:
            return reader.read()
    except zstandard.ZstdError as problem:
        raise PcapError(f"{path} is compressed and cannot be unpacked: {problem}; copy the file "
                        "again") from problem


def read(path, limit: int | None = None, drop_cut_tail: bool = False) -> Pcap:
    """Maps (or unpacks) the file and indexes its records, or the first `limit` of them.

    drop_cut_tail leaves out a last record that the end of the file cuts, which is otherwise an
    error (a capture that was killed, or a sample made with head, ends so). Raises PcapError (see
    above), and OSError when the file cannot be opened.
    """
    path = Path(path)
    data = _content(path)
    header = data[:HEADER_SZ].tobytes()
    if header[:4] == PCAPNG:
        from . import pcapng
        return pcapng.index(path, data, limit, drop_cut_tail)
    if header[:4] not in MAGICS:
        raise _refusal(path, header)
    if len(header) < HEADER_SZ:
        raise PcapError(f"{path}: the file header is cut: {len(header)} of {HEADER_SZ} bytes")
    big, nanosecond = MAGICS[header[:4]]
    order = "big" if big else "little"
    snap_sz, link = (int.from_bytes(header[at:at + 4], order) for at in (16, 20))
    parts, count, off, state = [], 0, HEADER_SZ, np.zeros(2, np.int64)
    while off < data.size and (limit is None or count < limit):
        room = _CHUNK if limit is None else min(_CHUNK, limit - count)
        chunk = (np.empty(room, np.int64), np.empty(room, np.uint32), np.empty(room, np.int64))
        done = _index(data, off, big, nanosecond, MAX_FRAME_SZ, *chunk, state)
        parts.append(tuple(array[:done] for array in chunk))
        count, off = count + done, int(state[0])
        if state[1] == 1 and drop_cut_tail:
            break
        if state[1]:
            raise _trouble(path, int(state[1]), count, off, data, big)
    kinds = (np.int64, np.uint32, np.int64)
    columns = [np.concatenate([part[i] for part in parts]) if parts else np.empty(0, kind)
               for i, kind in enumerate(kinds)]
    return Pcap(path, data, *columns, nanosecond, big, link & 0x0FFFFFFF, snap_sz,
                cut_tail=bool(state[1]))


def file_header(*, nanosecond=True, big_endian=False, link_type=ETHERNET, snap_sz=SNAP_SZ) -> bytes:
    """The 24 bytes that begin a pcap file."""
    order = "big" if big_endian else "little"
    magic = 0xA1B23C4D if nanosecond else 0xA1B2C3D4
    return b"".join(value.to_bytes(width, order) for value, width in
                    ((magic, 4), (2, 2), (4, 2), (0, 8), (snap_sz, 4), (link_type, 4)))


@numba.njit(numba.void(numba.uint8[::1], numba.int64[::1], _READ_ONLY, *[numba.int64[::1]] * 3,
                       numba.int64, numba.boolean), cache=True)
def _lay_out(out, out_offs, frames, offsets, lengths, times_ns, unit_ns, big):
    """Writes the records: header fields in the wanted byte order, frame behind it."""
    for i in range(offsets.size):
        off, sz = out_offs[i], lengths[i]
        second, fraction = times_ns[i] // 1_000_000_000, times_ns[i] % 1_000_000_000 // unit_ns
        if big:
            store_be32(out, off, second)
            store_be32(out, off + 4, fraction)
            store_be32(out, off + 8, sz)
            store_be32(out, off + 12, sz)
        else:
            store_le32(out, off, second)
            store_le32(out, off + 4, fraction)
            store_le32(out, off + 8, sz)
            store_le32(out, off + 12, sz)
        copy_bytes(out, off + 16, frames, offsets[i], sz)


class Writer:
    """Writes a pcap file; `write` as often as wanted, then `close` (or use it in a `with`).

    `count` is the number of packets written. The file is whole after every `write`.
    """

    def __init__(self, path, *, nanosecond=True, big_endian=False, link_type=ETHERNET):
        self.path, self.count = Path(path), 0
        self._unit_ns, self._big = (1 if nanosecond else 1000), big_endian
        self._file = open(path, "wb", buffering=0)
        self._put(file_header(nanosecond=nanosecond, big_endian=big_endian, link_type=link_type))

    def _put(self, content):
        """All of the bytes, however the system divides them."""
        view = memoryview(content).cast("B")
        while view:
            view = view[self._file.write(view):]

    def write(self, times_ns, frames, offsets, lengths):
        """Appends packets: packet i is frames[offsets[i] : offsets[i] + lengths[i]] (u8 array)."""
        offsets, lengths, times_ns = (np.ascontiguousarray(values, np.int64)
                                      for values in (offsets, lengths, times_ns))
        frames = np.ascontiguousarray(frames, np.uint8)
        if not len(offsets) == len(lengths) == len(times_ns):
            raise ValueError(f"{len(times_ns)} times, {len(offsets)} offsets and {len(lengths)} "
                             "lengths: one of each is needed for a packet")
        if len(offsets) and (offsets.min() < 0 or lengths.min() < 0 or times_ns.min() < 0
                             or (offsets + lengths).max() > frames.size):
            raise ValueError("a packet lies outside of the frames, or its time is before 1970")
        ends = np.cumsum(lengths + RECORD_SZ)
        out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
        _lay_out(out, ends - lengths - RECORD_SZ, frames, offsets, lengths, times_ns,
                 self._unit_ns, self._big)
        self.write_records(out, len(offsets))

    def write_records(self, records, count):
        """Appends records already in the file's form (16-byte header and frame each)."""
        self._put(records)
        self.count += count

    def close(self):
        """Closes the file; harmless when repeated."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def write(path, packets, **kind) -> int:
    """Writes (time in ns, bytes) pairs as a file; keywords as for Writer. Returns the count."""
    times_ns, frames = [], []
    for time_ns, frame in packets:
        times_ns.append(time_ns)
        frames.append(bytes(frame))
    lengths = np.array([len(frame) for frame in frames], np.int64)
    with Writer(path, **kind) as writer:
        writer.write(times_ns, np.frombuffer(b"".join(frames), np.uint8),
                     np.cumsum(lengths) - lengths, lengths)
        return writer.count
