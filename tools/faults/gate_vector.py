"""The model of gate_model.py for many frames at once, in numpy: the same answers, much sooner. The
plain one decides; the fuzzer holds the two equal on a part of every portion.

Sources may be unlimited or have a fixed number of messages (rate 0): time plays no part here.
"""

import numpy as np

from tools.faults.gate_model import LONGEST, METADATA_SZ, VERDICTS, Gate


def text_number(ip: str) -> int:
    """An address as a number, first byte highest."""
    return int.from_bytes(bytes(map(int, ip.split("."))), "big")


class VectorGate:
    """The gate of a world; reasons: their names in the order of the numbers that `judge` gives."""

    def __init__(self, world, reasons):
        self.gate, self.code = Gate(world), {name: code for code, name in enumerate(reasons)}
        self.verdict = np.array([VERDICTS[name.split("_")[0]] for name in reasons], np.uint8)
        self.owner = np.full(65536, -1, np.int64)
        for port, partition in world.ports.items():
            self.owner[port] = partition
        rows = max(world.sites) + 1
        self.ip, self.ifindex, self.queue = (np.zeros(rows, np.int64) for _ in range(3))
        self.stamped, self.has_socket = np.zeros(rows, bool), np.zeros(rows, bool)
        for partition, site in world.sites.items():
            self.ip[partition] = text_number(site.ip)
            self.ifindex[partition], self.queue[partition] = site.ifindex, site.queue
            self.stamped[partition], self.has_socket[partition] = site.stamped, site.has_socket
        self.sources = np.sort(np.array([text_number(ip) for ip in world.sources], np.int64))
        self.limited = {text_number(ip): ip for ip, limit in world.sources.items() if limit}

    def refill(self) -> None:
        """Every source has all its messages again."""
        self.gate.refill()

    def judge(self, frames, lengths, places) -> tuple:
        """(verdicts, reasons, metadata bytes) of frames[i, :lengths[i]], zeros behind, that arrived
        on places[i] = (ifindex, queue). Charges limited sources in the frames' order."""
        count = len(frames)
        rows, reason = np.arange(count), np.full(count, -1, np.int64)
        open_ = np.ones(count, bool)

        def leave(name, which):
            leaving = open_ & which
            reason[leaving] = self.code[name]
            open_[leaving] = False

        def byte(at):
            return frames[rows, np.minimum(at, frames.shape[1] - 1)].astype(np.int64)

        def word(at):
            return byte(at) << 8 | byte(at + 1)

        tagged = word(rows * 0 + 12) == 0x8100
        leave("pass_truncated", (lengths < 14) | tagged & (lengths < 18))
        ip = np.where(tagged, 18, 14)
        leave("pass_other_ether", word(ip - 2) != 0x0800)
        left = lengths - ip
        leave("pass_truncated", left < 20)
        first = byte(ip)
        words = first & 15
        leave("pass_not_ipv4", (first >> 4 != 4) | (words < 5))
        leave("pass_not_udp", byte(ip + 9) != 17)
        fragment = word(ip + 6)
        leave("pass_later_fragment", fragment & 0x1FFF != 0)
        leave("pass_truncated", left - words * 4 < 4)
        udp = ip + words * 4
        partition = np.where(open_, self.owner[word(udp + 2)], -1)
        leave("pass_not_ours", (partition < 0)
              | (self.ip[partition] != (word(ip + 16) << 16 | word(ip + 18))))

        leave("pass_vlan", tagged & (word(rows * 0 + 14) & 0xFFF != 0))
        total = sum(word(ip + at) for at in range(0, 20, 2))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        leave("drop_ip_header", (words > 5) | (total != 0xFFFF))
        leave("drop_fragment", fragment & 0x2000 != 0)
        leave("drop_too_long", left > LONGEST)
        size = word(ip + 2)
        leave("drop_length", (left < 28) | (size < 28) | (size > left)
              | (word(ip + 24) != size - 20))
        source = word(ip + 12) << 16 | word(ip + 14)
        at = np.minimum(np.searchsorted(self.sources, source), len(self.sources) - 1)
        unknown, top = self.sources[at] != source, source >> 24
        leave("drop_bogon_source", unknown & ((top == 0) | (top == 127) | (top >= 224)
                                              | (source == self.ip[partition])))
        leave("drop_unknown_source", unknown)

        leave("pass_no_socket", self.ifindex[partition] == 0)
        leave("pass_wrong_queue", (self.ifindex[partition] != places[:, 0])
              | (self.queue[partition] != places[:, 1]))
        self._charge(leave, open_, source, word(ip + 46), size - 48)
        metadata = np.where(open_ & self.stamped[partition], METADATA_SZ, 0).astype(np.uint8)
        leave("redirected", self.has_socket[partition])
        leave("pass_no_socket", open_)
        return self.verdict[reason], reason, metadata

    def _charge(self, leave, open_, source, claimed, room):
        """room: payload bytes behind a MoldUDP64 header."""
        most = np.maximum(room // 2, 0)
        charge = np.where(room <= 0, 1, np.maximum(1, np.minimum(claimed, most)))
        paying = open_ & np.isin(source, list(self.limited))
        refused = np.zeros(len(source), bool)
        for i in np.flatnonzero(paying):
            bucket = self.gate.buckets[self.limited[int(source[i])]]
            refused[i] = not bucket.take(int(charge[i]), 0)
        leave("drop_flood", refused)
