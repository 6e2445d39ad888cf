"""pcapng: the index of a file's packets, for `pcap.read` (draft-ietf-opsawg-pcapng).

A file is blocks: type, length, body, length again, in multiples of four bytes. A Section Header
decides the byte order of what follows; Interface Descriptions give link type, snap length and the
unit and origin of time stamps; packets lie in Enhanced (6), obsolete (2) and Simple (3) blocks.
A Simple block has no time: it gets that of the packet before it. Other blocks are passed over.
"""

import numba
import numpy as np

from .pcap import ETHERNET, MAX_FRAME_SZ, Pcap, PcapError, _word

SECTION, INTERFACE, SIMPLE, ENHANCED, OBSOLETE = 0x0A0D0D0A, 1, 3, 6, 2
BIG, LITTLE = 0x1A2B3C4D, 0x4D3C2B1A
OPTION_END, IF_TSRESOL, IF_TSOFFSET = 0, 9, 14
INTERFACES_MAX, BLOCK_MAX = 4096, 1 << 26
DONE, CUT, DAMAGED, SNAPPED, STRANGER = range(5)      # how the walk stopped: state[1]
_CHUNK = 1 << 20


@numba.njit("i8(u1[::1], i8, b1, u8[:,::1], i8, i8[::1], u4[::1], i8[::1], i8[::1])", cache=True)
def _walk(data, off, big, units, unit_cnt, offsets, lengths, times_ns, state):
    """Fills the three arrays from the block at off on; returns how many packets it wrote.

    units[i]: ticks a second, a divisor of what is left of a second first, origin in s, snap length,
    of interface i. state[0]: the block it stopped at, with state[1] DONE a Section Header or an
    Interface Description, or the arrays are full, or the data ends. state[2]: the last time.
    """
    count, size = 0, data.size
    state[1] = DONE
    while off < size and count < offsets.size:
        if off + 12 > size:
            state[1] = CUT
            break
        kind, total = _word(data, off, big), numba.int64(_word(data, off + 4, big))
        if kind == SECTION or kind == INTERFACE:
            break
        if total < 12 or total % 4 or total > BLOCK_MAX:
            state[1] = DAMAGED
            break
        if off + total > size:
            state[1] = CUT
            break
        if numba.int64(_word(data, off + total - 4, big)) != total:
            state[1] = DAMAGED
            break
        if kind == ENHANCED or kind == OBSOLETE or kind == SIMPLE:
            head = 12 if kind == SIMPLE else 28
            if total < head + 4:
                state[1] = DAMAGED
                break
            interface = numba.int64(0)
            if kind == ENHANCED:
                interface = numba.int64(_word(data, off + 8, big))
            elif kind == OBSOLETE:
                first, second = numba.int64(data[off + 8]), numba.int64(data[off + 9])
                interface = first << 8 | second if big else second << 8 | first
            if interface >= unit_cnt:
                state[1] = STRANGER
                break
            original = numba.int64(_word(data, off + head - 4, big))
            captured = original
            if kind == SIMPLE:
                snap_sz = numba.int64(units[interface, 3])
                captured = min(original, snap_sz) if snap_sz else original
            else:
                captured = numba.int64(_word(data, off + 20, big))
                ticks = (numba.uint64(_word(data, off + 12, big)) << numba.uint64(32)
                         | numba.uint64(_word(data, off + 16, big)))
                part = ticks % units[interface, 0] // units[interface, 1]
                whole = numba.int64(ticks // units[interface, 0] + units[interface, 2])
                per = units[interface, 0] // units[interface, 1]
                state[2] = whole * 1_000_000_000 + numba.int64(
                    part * numba.uint64(1_000_000_000) // per)
            if captured > MAX_FRAME_SZ or captured > total - head - 4:
                state[1] = DAMAGED
                break
            if captured < original:
                state[1] = SNAPPED
                break
            times_ns[count], offsets[count], lengths[count] = state[2], off + head, captured
            count += 1
        off += total
    state[0] = off
    return count


def _number(data, off, size, big):
    return int.from_bytes(data[off:off + size].tobytes(), "big" if big else "little")


def _unit(data, off, total, big):
    """(link type, [ticks a second, divisor, origin in s, snap length]) of the Interface block."""
    per, origin, at, end = 1_000_000, 0, off + 16, off + total - 4
    while at + 4 <= end:
        option, size = _number(data, at, 2, big), _number(data, at + 2, 2, big)
        if option == OPTION_END:
            break
        if option == IF_TSRESOL and size == 1:
            power = int(data[at + 4])
            per = 1 << (power & 0x7F) if power & 0x80 else 10 ** power
        if option == IF_TSOFFSET and size == 8:
            origin = _number(data, at + 4, 8, big)
        at += 4 + -(-size // 4) * 4
    return _number(data, off + 8, 2, big), (per, max(1, per // (1 << 30)), origin,
                                            _number(data, off + 12, 4, big))


class _Reader:
    """The walk from section to section."""

    def __init__(self, path, data):
        self.path, self.data, self.off = path, data, 0
        self.big, self.first_big, self.links = False, None, set()
        self.units, self.unit_cnt = np.zeros((INTERFACES_MAX, 4), np.uint64), 0
        self.snap_sz = 0

    def header(self):
        """Takes the Section Header or Interface Description at off; False when it is neither."""
        data, off = self.data, self.off
        if off + 12 > data.size:
            return False
        kind = _number(data, off, 4, self.big)
        if kind == SECTION:
            magic = _number(data, off + 8, 4, False)
            if magic not in (BIG, LITTLE):
                raise PcapError(f"{self.path}: the section at byte {off} begins with the byte "
                                f"order {magic:08x}, which is none; the file is damaged there")
            self.big, self.unit_cnt = magic == LITTLE, 0
            self.first_big = self.big if self.first_big is None else self.first_big
        elif kind != INTERFACE:
            return False
        total = _number(data, off + 4, 4, self.big)
        if total < 20 or total % 4 or off + total > data.size:
            raise PcapError(f"{self.path}: the block at byte {off} says that it has {total} bytes; "
                            "the file is cut or damaged there")
        if kind == INTERFACE:
            self._interface(off, total)
        self.off += total
        return True

    def _interface(self, off, total):
        link, unit = _unit(self.data, off, total, self.big)
        if self.unit_cnt == INTERFACES_MAX or unit[0] >= 1 << 64:
            raise PcapError(f"{self.path}: the interface at byte {off} has time stamps of "
                            f"{unit[0]:.3g} ticks a second, or is more than number "
                            f"{INTERFACES_MAX}")
        self.units[self.unit_cnt] = unit
        self.unit_cnt += 1
        self.links.add(link)
        self.snap_sz = max(self.snap_sz, unit[3])

    def trouble(self, code, count):
        """The error for the block that the walk stopped at."""
        where = f"{self.path}: the block at byte {self.off}, after {count} packets,"
        return PcapError({
            CUT: f"{where} is cut by the end of the file. The packets before it are whole; keep "
                 f"them with: editcap {self.path} whole.pcapng",
            DAMAGED: f"{where} has impossible lengths; the file is damaged there",
            SNAPPED: f"{where} holds a frame cut at capture by a snap length; capture again with "
                     "-s 0 to have whole frames",
            STRANGER: f"{where} names an interface that its section does not describe"}[code])


def index(path, data, limit=None, drop_cut_tail=False) -> Pcap:
    """The packets of a pcapng file's bytes, in file order; of all its interfaces and sections.

    Raises PcapError, also for interfaces of different link types: they cannot go out of one.
    """
    reader, parts, count = _Reader(path, data), [], 0
    state, cut = np.zeros(3, np.int64), False
    while reader.off < data.size and (limit is None or count < limit):
        if reader.header():
            continue
        room = _CHUNK if limit is None else min(_CHUNK, limit - count)
        chunk = (np.empty(room, np.int64), np.empty(room, np.uint32), np.empty(room, np.int64))
        done = _walk(data, reader.off, reader.big, reader.units, reader.unit_cnt, *chunk, state)
        parts.append(tuple(array[:done] for array in chunk))
        count, reader.off = count + done, int(state[0])
        if state[1] == CUT and drop_cut_tail:
            cut = True
            break
        if state[1]:
            raise reader.trouble(int(state[1]), count)
    if len(reader.links) > 1:
        raise PcapError(f"{path} has packets of the link types {sorted(reader.links)}; take one "
                        "interface out of it with: tshark -r IN -Y frame.interface_id==0 -w OUT")
    kinds = (np.int64, np.uint32, np.int64)
    columns = [np.concatenate([part[i] for part in parts]) if parts else np.empty(0, kind)
               for i, kind in enumerate(kinds)]
    return Pcap(path, data, *columns, True, bool(reader.first_big),
                reader.links.pop() if reader.links else ETHERNET, reader.snap_sz, cut_tail=cut)
