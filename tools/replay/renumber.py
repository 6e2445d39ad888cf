"""The compiled half of `sessions`: what an order datagram holds, and new numbers in its place."""

import numba
import numpy as np

from appliance.layout.codec import PLANS
from tools.rewrite import mend, poke

LOGIN_PACKET, UNSEQUENCED = ord("L"), ord("U")
_NUMBERED = "OUCDE"             # requests that use up a UserRefNum
_INBOUND = {chr(letter): plan.declared for (protocol, way, letter), plan in PLANS.items()
            if (protocol, way) == ("ouch", "in")}


def _places():
    """(own, other): by letter, where a request's own UserRefNum and the one it speaks of stand in
    the message, 0 where there is none."""
    own, other = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for letter, declared in _INBOUND.items():
        for each in declared.fields:
            if each.name == "orig_user_ref_num" or (each.name == "user_ref_num"
                                                    and letter not in _NUMBERED):
                other[ord(letter)] = each.off
            elif each.name == "user_ref_num":
                own[ord(letter)] = each.off
    return own, other


OWN, OTHER = _places()


@numba.njit("u8(u1[::1], i8)", cache=True)
def _word32(data, at):
    value = numba.uint64(0)
    for byte in range(4):
        value = (value << numba.uint64(8)) | numba.uint64(data[at + byte])
    return value


@numba.njit("void(u1[::1], i8[::1], u4[::1], i8[::1], i8[::1], i8[::1], i8[::1], u1[::1])",
            cache=True)
def look(data, starts, sizes, counts, own, firsts, lasts, kinds):
    """Of each MoldUDP64 packet with messages: the letter of its first block that is not empty, and
    the least and greatest own UserRefNum (0 where it has none)."""
    for i in range(starts.size):
        firsts[i] = lasts[i] = kinds[i] = 0
        off, end = starts[i] + 20, starts[i] + numba.int64(sizes[i])
        for _ in range(max(0, counts[i])):
            sz = numba.int64(data[off]) << 8 | numba.int64(data[off + 1])
            off += 2
            if sz and not kinds[i]:
                kinds[i] = data[off]
            if sz > 1 and data[off] == UNSEQUENCED:
                at = own[data[off + 1]]
                if at and at + 4 < sz and off + sz <= end:
                    number = numba.int64(_word32(data, off + 1 + at))
                    firsts[i] = number if not firsts[i] else min(firsts[i], number)
                    lasts[i] = max(lasts[i], number)
            off += sz


@numba.njit("i8(u1[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], u1[:,::1],"
            "i8[::1], i8[::1])", cache=True)
def renumber(data, starts, counts, owners, seqs, shifts, floors, tokens, own, other):
    """Writes token, number and UserRefNums of every packet; how many named an order from before
    the recording: those name 0 from now on."""
    strangers = 0
    for i in range(starts.size):
        at, line = starts[i], owners[i]
        more = numba.uint64(0)
        for byte in range(10):
            more += poke(data, at + byte, numba.uint64(tokens[line, byte]), 1, at)
        more += poke(data, at + 10, numba.uint64(seqs[i]), 8, at)
        off = at + 20
        for _ in range(counts[i]):
            sz = numba.int64(data[off]) << 8 | numba.int64(data[off + 1])
            off += 2
            if sz > 1 and data[off] == UNSEQUENCED:
                for table in (own, other):
                    place = table[data[off + 1]]
                    if place == 0 or place + 4 >= sz:
                        continue
                    number = numba.int64(_word32(data, off + 1 + place))
                    if number < floors[line]:
                        strangers += number != 0
                        number = 0
                    else:
                        number += shifts[line]
                    more += poke(data, off + 1 + place, numba.uint64(number), 4, at)
            off += sz
        mend(data, at - 2, more, True)
    return strangers
