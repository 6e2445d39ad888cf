"""Account streams: blocks in chunks, found by number, over chunk borders and when all is full."""

import random

import numpy as np
import pytest
from numba import njit

from appliance.hot import state, streams
from appliance.layout.shared import CHUNK_SZ, COUNTER_INDEX
from tests.hot.core_kit import split

SIZES = dict(accounts=3, pages=4, lg_ladder=12, far_cap=4, far_levels=4, feed_bytes=1 << 12,
             feed_messages=1 << 8, journal=1 << 8)
FULL = COUNTER_INDEX["stream_full"]


@njit
def put(core, account, message):
    place = streams.append_begin(core, account, message.size)
    for i in range(message.size if place >= 0 else 0):
        core.streams.data[place + i] = message[i]
    return place


class Written:
    """A core and, beside it, what was written to each account."""

    def __init__(self, chunks):
        self.core = state.build(state.Sizes(chunks=chunks, **SIZES))
        self.told = [[], [], []]

    def put(self, account, message):
        place = put(self.core, account, np.frombuffer(message, np.uint8))
        if place >= 0:
            self.told[account].append(message)
        return place

    def gather(self, account, seq, room=1452):
        off, size, count = streams.gather(self.core.streams, self.core.accounts.sessions, account,
                                          seq, room)
        return split(self.core.streams.data[off:off + size].tobytes()), size, count

    def read_all(self, account):
        seq, found = 1, []
        while True:
            messages, size, count = self.gather(account, seq)
            if count == 0:
                return found
            assert len(messages) == count and size <= 1452
            found += [message[1:] for message in messages]
            seq += count


@pytest.fixture(scope="module")
def written():
    dice, written = random.Random(5), Written(200)
    for number in range(60000):
        account = dice.choice((0, 0, 0, 0, 1, 2))
        written.put(account, number.to_bytes(8, "big") + bytes(dice.randrange(10, 100)))
    return written


def test_every_message_is_read_back_over_all_chunks(written):
    for account in range(3):
        assert written.core.accounts.sessions[account]["chunk_cnt"] > 10
        assert written.read_all(account) == written.told[account]
        assert written.core.accounts.sessions[account]["next_seq"] == len(written.told[account]) + 1
        assert written.core.accounts.sessions[account]["dirty"] == 1
    assert written.core.counters[FULL] == 0


def test_any_number_is_found(written):
    dice = random.Random(6)
    for _ in range(3000):
        account = dice.randrange(3)
        seq, room = dice.randint(1, len(written.told[account])), dice.randint(120, 3000)
        messages, size, count = written.gather(account, seq, room)
        assert 0 < size <= room
        assert [m[1:] for m in messages] == written.told[account][seq - 1:seq - 1 + count]
        following = written.told[account][seq - 1 + count:seq + count]
        chunk_end = written.gather(account, seq, CHUNK_SZ)[2] == count
        assert chunk_end or size + len(following[0]) + 3 > room


def test_search_takes_few_steps_in_a_long_list(written):
    heads, steps = written.core.streams.heads, 0
    chunk = int(written.core.accounts.sessions[0]["last_chunk"])
    while heads[chunk]["first_seq"] > 1:
        jump = int(heads[chunk]["jump"]) & 0xFFFFFFFF
        chunk = jump if heads[jump]["first_seq"] > 1 else int(heads[chunk]["prev"])
        steps += 1
    assert written.core.accounts.sessions[0]["chunk_cnt"] > 30 and steps <= 12


def test_numbers_outside_the_stream_give_nothing(written):
    for seq in (-1, 0, len(written.told[1]) + 1, 1 << 62):
        assert written.gather(1, seq)[2] == 0
    assert written.gather(1, 1, 5)[1:] == (0, 0)


def test_room_for_exactly_the_first_blocks(written):
    sizes = [len(message) + 3 for message in written.told[2][:4]]
    for count in (1, 2, 3, 4):
        assert written.gather(2, 1, sum(sizes[:count]))[1:] == (sum(sizes[:count]), count)
        assert written.gather(2, 1, sum(sizes[:count]) - 1)[2] == count - 1


def test_full_pool_is_counted_and_takes_no_number():
    written = Written(3)
    while written.put(0, bytes(97)) >= 0:
        pass
    told = len(written.told[0])
    assert written.core.counters[FULL] == 1
    assert told == 2 * (CHUNK_SZ // 104)
    assert written.core.accounts.sessions[0]["next_seq"] == told + 1
    assert written.put(1, b"x") == -1 and written.gather(1, 1)[2] == 0
    assert written.read_all(0) == written.told[0]


def test_chunks_hold_blocks_and_offsets_without_touching():
    written = Written(6)
    for _ in range(3000):
        written.put(0, b"\xff" * 30)
    for chunk in range(1, 3):
        head = written.core.streams.heads[chunk]
        assert head["data_off"] + 4 * head["message_cnt"] <= CHUNK_SZ
    assert written.read_all(0) == written.told[0]
