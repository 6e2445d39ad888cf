"""Answers of an appliance against a recording of such answers, line by line, in order.

Answers are what the order ports send to participants (accepted, executed, cancelled, rejected ...);
the feed is none. What cannot be equal is left out or translated, and said: time stamps and session
names are not compared, nor are System Events and answers to Account Queries; UserRefNums are moved
back as the replay had moved them; order references and match numbers must be renamed alike wherever
they occur. Everything else is compared field by field.
"""

import struct
from dataclasses import dataclass, field

import numpy as np

from appliance.layout.codec import WireError, decode
from appliance.layout.datagram import build_mold, parse_mold
from tools.pcap import PcapError, Writer
from tools.record import frame
from tools.rewrite import Mold
from tools.sender import ip_text, payloads

NOT_COMPARED = "the feed, time stamps, session names, System Events, answers to Account Queries"
LEFT_OUT = (b"S", b"Q")              # System Events, answers to Account Queries
TRANSLATED = "UserRefNum, order reference and match numbers"
REFS = ("user_ref_num", "orig_user_ref_num")
NAMES = {"order_reference_number": "order", "match_number": "match"}
SECONDARY_TAG = 1                    # SecondaryOrdRefNum, a reference too
RESYNC, TOLD = 64, 10
_RECORD = struct.Struct("<IIII")


@dataclass
class Verdict:
    """compared: messages of the recording; equal: of those; missing: in the recording alone; extra:
    in the answers alone; differences: the first ones, in words. lines: compared; left_over: of the
    recording alone, all of whose answers are missing."""

    lines: int = 0
    left_over: int = 0
    compared: int = 0
    equal: int = 0
    missing: int = 0
    extra: int = 0
    differences: list = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all of it is equal."""
        return bool(self.lines) and self.equal == self.compared and not self.extra

    def facts(self) -> dict:
        """What --json prints."""
        return {**vars(self), "good": self.good, "not_compared": NOT_COMPARED,
                "translated": TRANSLATED}

    def text(self) -> str:
        """For people."""
        head = (f"verify: {self.equal:,} of {self.compared:,} recorded answers equal on "
                f"{self.lines} lines, {self.missing:,} missing, {self.extra:,} extra"
                f"{f'; {self.left_over} recorded lines not replayed' if self.left_over else ''}")
        return "\n".join([head, *("  " + each for each in self.differences),
                          f"  not compared: {NOT_COMPARED}; translated: {TRANSLATED}"])


def answers_of(capture) -> dict:
    """{(client end, server end): OUCH messages in order} of a recording; each number once.

    Raises PcapError when there are none, or numbers are missing."""
    mold, found = Mold(capture), payloads(capture)
    streams = {}
    for at in np.flatnonzero((mold.seqs > 0) & (mold.counts > 0) & (mold.counts < 65535)).tolist():
        start = int(found.starts[at])
        packet = parse_mold(capture.data[start:start + int(found.sizes[at])].tobytes())
        blocks = [(packet.sequence + i, block[1:]) for i, block in enumerate(packet.blocks)
                  if block[:1] == b"S"]
        if len(blocks) < len(packet.blocks):
            continue
        client, server = ((ip_text(ip), port) for ip, port in (
            found.targets[at].tolist(), found.sources[at].tolist()))
        streams.setdefault((client, server), {}).update(blocks)
    if not streams:
        raise PcapError(f"{capture.path} holds no answers of order sessions: no MoldUDP64 packet "
                        "with blocks that begin with S (wire-spec 6)")
    for (client, _), stream in streams.items():
        missing = max(stream) - min(stream) + 1 - len(stream)
        if missing:
            raise PcapError(f"{capture.path}: {missing} answers to {client[0]}:{client[1]} are "
                            "missing between the first and the last; record again without loss")
    return {ends: [stream[number] for number in sorted(stream)]
            for ends, stream in streams.items()}


def write_answers(path, lines) -> int:
    """Writes the answers of every line as a capture that `answers_of` reads, one message a packet,
    to the ends as recorded; how many."""
    rows = []
    for line in lines:
        client, server = line.recorded
        for number, (time_ns, message) in enumerate(line.answers, 1):
            data = frame(build_mold(line.session.session, number, [b"S" + message]), server, client)
            rows.append((time_ns, data))
    rows.sort(key=lambda row: row[0])
    with Writer(path) as writer:
        writer.write_records(b"".join(
            _RECORD.pack(time_ns // 10**9, time_ns % 10**9, len(data), len(data)) + data
            for time_ns, data in rows), len(rows))
    return len(rows)


class Pairs:
    """Names of the recording and of the answers that go together, one to one."""

    def __init__(self):
        self.there, self.back = {}, {}

    def agree(self, kind, recorded, answered, bind) -> bool:
        """Whether the two go together; unknown ones do from now on when `bind`."""
        ours, theirs = (kind, recorded), (kind, answered)
        known, known_back = self.there.get(ours), self.back.get(theirs)
        if known is None and known_back is None:
            if bind:
                self.there[ours], self.back[theirs] = theirs, ours
            return True
        return known == theirs and known_back == ours


def _read(message):
    try:
        return decode("ouch", "out", message)
    except WireError:
        return None


def differences(recorded, answered, shift, pairs, bind=True) -> list:
    """The fields in which two messages differ, in words; [] when they are equal."""
    ours, theirs = _read(recorded), _read(answered)
    if ours is None or theirs is None:
        return [] if recorded == answered else ["bytes that are no OUCH message"]
    if ours.letter != theirs.letter:
        return [f"type {ours.letter} became {theirs.letter}"]
    found = []
    for name in dict.fromkeys((*ours, *theirs)):
        before, after = ours.get(name), theirs.get(name)
        if name == "timestamp":
            continue
        if name in REFS and isinstance(after, int) and after:
            after -= shift
        if name == "tags" and before and after and SECONDARY_TAG in before \
                and SECONDARY_TAG in after:
            same = pairs.agree("order", before[SECONDARY_TAG], after[SECONDARY_TAG], bind)
            before, after = ({key: value for key, value in tags.items() if key != SECONDARY_TAG
                              or not same} for tags in (before, after))
        same = (pairs.agree(NAMES[name], before, after, bind) if name in NAMES
                else before == after)
        if not same:
            found.append(f"{name} {before!r} became {after!r}")
    return found


def _comparable(stream):
    return [message for message in stream if message[:1] not in LEFT_OUT]


def compare(recorded, answered, shift, verdict, where, pairs) -> None:
    """Adds one line's comparison to the verdict. recorded, answered: OUCH messages."""
    recorded, answered = _comparable(recorded), _comparable(answered)
    verdict.lines += 1
    verdict.compared += len(recorded)
    i = j = 0
    while i < len(recorded) and j < len(answered):
        found = differences(recorded[i], answered[j], shift, pairs, bind=False)
        if not found:
            differences(recorded[i], answered[j], shift, pairs)
            verdict.equal, i, j = verdict.equal + 1, i + 1, j + 1
            continue
        skip_i, skip_j = _resync(recorded, answered, i, j, shift, pairs)
        if len(verdict.differences) < TOLD:
            what = ("; ".join(found) if skip_i == skip_j else f"{skip_i} missing" if skip_i
                    else f"{skip_j} more than recorded")
            verdict.differences.append(f"{where}, answer {i + 1}: {what}")
        verdict.missing += max(0, skip_i - skip_j)
        verdict.extra += max(0, skip_j - skip_i)
        i, j = i + skip_i, j + skip_j
    left_i, left_j = len(recorded) - i, len(answered) - j
    verdict.missing, verdict.extra = verdict.missing + left_i, verdict.extra + left_j
    if (left_i or left_j) and len(verdict.differences) < TOLD:
        verdict.differences.append(f"{where}: {left_i} at the end are missing" if left_i else
                                   f"{where}: {left_j} at the end are more than recorded")


def _resync(recorded, answered, i, j, shift, pairs):
    """How far to go on in each stream after a difference: (1, 1), or to where they agree again."""
    def agree(a, b):
        return (a < len(recorded) and b < len(answered)
                and not differences(recorded[a], answered[b], shift, pairs, bind=False))
    if agree(i + 1, j + 1):
        return 1, 1
    for step in range(1, RESYNC):
        if agree(i + step, j):
            return step, 0
        if agree(i, j + step):
            return 0, step
    return 1, 1


def judge(recording, lines) -> Verdict:
    """The verdict on the answers of all lines. Raises PcapError when the recording is of others."""
    wanted, verdict, pairs = answers_of(recording), Verdict(), {}
    for line in lines:
        stream = wanted.pop(line.recorded, None)
        where = f"{line.recorded[0][0]}:{line.recorded[0][1]}"
        if stream is None:
            known = ", ".join(f"{ip}:{port}" for (ip, port), _ in list(wanted)[:5])
            raise PcapError(f"{recording.path} has no answers of {line.recorded[1][0]}:"
                            f"{line.recorded[1][1]} to {where}; it has some to {known or 'nobody'}")
        shared = pairs.setdefault(line.recorded[1], Pairs())    # one book: references are shared
        compare(stream, [message for _, message in line.answers], line.shift, verdict, where,
                shared)
    for (client, _), stream in sorted(wanted.items()):
        if count := len(_comparable(stream)):
            verdict.left_over += 1
            verdict.compared, verdict.missing = verdict.compared + count, verdict.missing + count
            if len(verdict.differences) < TOLD:
                verdict.differences.append(f"{client[0]}:{client[1]}: {count} recorded answers, "
                                           "and nobody was replayed there")
    return verdict
