"""A core made of a snapshot goes on with the same bytes; equal states give equal bytes."""

import time

import numpy as np
import pytest

from appliance.hot import burst
from appliance.journal import snapshot_file, state_hash
from appliance.journal.genesis import build_core
from appliance.journal.replay import apply
from appliance.journal.restore import restore
from appliance.journal.sections import ROWS, UNHASHED, SnapshotError
from appliance.journal.snapshot import canonical, feed_pieces
from appliance.layout import record
from appliance.layout.record import EXTRA, ORDER, ORDER_COLD, PAGE, SYMBOL, TRADE_LOG
from appliance.layout.shared import (
    CHUNK, ENGINE, FEED_LOG, JOURNAL_HEADER, LINK_END_DAY, SESSION,
)
from tests.hot.book_validate import validate
from tests.hot.core_kit import enter
from tests.hot.test_replay import compare, outputs, played
from tests.hot.wire_day import SIZES, SYMBOLS, WireDay
from tools.bench import recovery_day
from tools.workload import ADD
from tools.workload_maker import make

SMALL = dict(far_cap=24, pages=40, chunks=48)


@pytest.fixture(scope="module")
def days():
    """Days that are over: a usual one, one that is mostly far, one whose pools are too small."""
    return [played(11, 6_000), played(12, 6_000, window=10_000),
            played(13, 6_000, window=1_000_000, **SMALL)]


def same(one, other):
    """The hashed sections of two canonical states are equal, named where they are not."""
    for name in ROWS:
        if name not in UNHASHED:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert state_hash.sections(one) == state_hash.sections(other)


@pytest.mark.parametrize("which", range(3))
def test_a_restored_core_goes_on_byte_for_byte(days, which):
    day, rng = days[which], np.random.default_rng(which)
    records, core, at = day.records(), days[which].twin(), 0
    for cut in sorted(rng.integers(1, len(records), 12).tolist()):
        apply(core, records[at:cut])
        at, taken = cut, canonical(core)
        again = restore(day.genesis(), taken)
        validate(again.book)
        same(canonical(again), taken)
        apply(again, records[at:])
        compare(day.venue.core, again, ("first_page", "last_page", "first_chunk", "last_chunk"))
        same(canonical(again), canonical(day.venue.core))


def test_restored_again_and_again_through_a_day(days):
    """Each part of the day by a core made of a snapshot of the one before: nothing wears off."""
    day = days[0]
    records, core = day.records(), day.twin()
    for first in range(0, len(records), 400):
        apply(core, records[first:first + 400])
        core = restore(day.genesis(), canonical(core))
    assert outputs(core) == outputs(day.venue.core)
    same(canonical(core), canonical(day.venue.core))


def test_the_cuts_have_every_kind_of_order(days):
    """What the tests above restore: each group of sides, reserves, timers, far levels, trades."""
    groups, seen = set(), set()
    for day in days:
        core, records = day.twin(), day.records()
        for first in range(0, len(records), 250):
            apply(core, records[first:first + 250])
            rows = canonical(core)["orders"]
            groups |= set((rows["owner"] // (2 * len(SYMBOLS))).tolist())
            seen |= {name for name in ("reserve", "floor", "least", "number", "due_ns")
                     if rows[name].any()}
            if core.book.sides["far_cnt"][:2 * len(SYMBOLS)].any():
                seen.add("far")
    assert groups == set(range(record.GROUPS))
    assert seen == {"reserve", "floor", "least", "number", "due_ns", "far"}


def test_live_and_replayed_states_are_equal_all_through_a_day(days):
    """What the live path does beside the journal leaves no trace in a state."""
    day = WireDay(14, 2_500)
    core, done, compared = day.twin(), 0, 0
    for number, _ in enumerate(day.play()):
        if number % 20 == 0:
            records = day.records()
            apply(core, records[done:])
            done, compared = len(records), compared + 1
            same(canonical(core), canonical(day.venue.core))
    assert compared > 15


def test_a_feed_that_has_turned_its_ring_over_is_restored():
    """Messages that were pushed out stay out, the others lie where they lay."""
    day = played(15, 6_000, feed_bytes=1 << 14, feed_messages=1 << 9)
    records, core, turned = day.records(), day.twin(), 0
    cuts = [*range(0, len(records), 300), len(records)]
    for first, stop in zip(cuts, cuts[1:]):
        apply(core, records[first:stop])
        taken = canonical(core)
        again = restore(day.genesis(), taken)
        same(canonical(again), taken)
        held = range(int(core.feed.log[0]["oldest_seq"]), int(core.feed.log[0]["next_seq"]))
        turned += held[0] > 1
        places = np.array(held) & len(core.feed.index) - 1
        np.testing.assert_array_equal(again.feed.index[places], core.feed.index[places])
        for seq in (held[0], held[len(held) // 2], held[-1]):
            assert b"".join(map(bytes, feed_pieces(again.feed, seq)[3:])) \
                == b"".join(map(bytes, feed_pieces(core.feed, seq)[3:]))
        if stop == cuts[-3]:
            late = again
    apply(late, records[cuts[-3]:])
    same(canonical(late), canonical(day.venue.core))
    assert turned > 5


def test_every_part_of_a_state_counts_in_its_hash(days):
    day = days[0]
    core, records = day.twin(), day.records()
    apply(core, records[:len(records) // 2])
    taken = canonical(core)
    assert len(taken["orders"]) > 20 and len(taken["trades"]) > 20
    whole = state_hash.sections(taken)
    for name, rows in taken.items():
        fields = rows.dtype.names or (None,)
        for field in fields if len(rows) else ():              # those in LATER: test_risk_state
            spoilt = {**taken, name: rows.copy()}
            target = spoilt[name] if field is None else spoilt[name][field]
            place = target[-1:] if target.ndim == 1 else target[-1, -1:]
            np.bitwise_xor(place, 1, out=place)
            assert (state_hash.sections(spoilt) == whole) == (name in UNHASHED), field


@pytest.mark.parametrize("name, spoil, why", [
    ("orders", lambda rows: rows["user_ref_num"].__setitem__(3, 1 << 31), "number 3 cannot"),
    ("orders", lambda rows: rows["account"].__setitem__(3, 77), "an account"),
    ("sessions", lambda rows: rows["live_cnt"].__setitem__(0, 9999), "live_cnt is"),
    ("engine", lambda rows: rows["free_far"].__setitem__(0, 3), "free_far is"),
    ("engine", lambda rows: rows["partition"].__setitem__(0, 3), "another partition"),
    ("streams", lambda rows: rows.__setitem__(0, 255), "chunk 0"),
    ("messages", lambda rows: rows.__setitem__(0, 255), "messages"),
    ("feed", lambda rows: rows["end"].__setitem__(0, 1 << 40), "pieces do not fit")])
def test_a_snapshot_that_cannot_be_is_refused(days, name, spoil, why):
    day = days[0]
    core, records = day.twin(), day.records()
    apply(core, records[:len(records) // 2])
    taken = canonical(core)
    spoil(taken[name])
    with pytest.raises(SnapshotError, match=why):
        restore(day.genesis(), taken)


def test_the_names_of_the_sections_say_what_is_left_out():
    """No section holds a pointer: a handle, page, far slot or chunk by number."""
    fields = {name for dtype in ROWS.values() for name in dtype.names or ()}
    assert not fields & {"handle", "first_page", "last_page", "first_chunk", "last_chunk", "next",
                         "prev", "level", "jump", "sent_seq", "gap_end_seq", "heard_ns"}
    assert SIZES["feed_bytes"] > 1 << 20


@pytest.fixture
def written(days, tmp_path):
    """(path, genesis, sections) of a snapshot file from the middle of a day."""
    core, records, genesis = days[0].twin(), days[0].records(), days[0].genesis()
    apply(core, records[:len(records) // 2])
    taken = canonical(core)
    return snapshot_file.write(tmp_path, genesis, taken), genesis, taken


def test_a_file_gives_the_state_and_the_genesis_back(written, days, tmp_path):
    path, genesis, taken = written
    got = snapshot_file.read(path)
    assert got.seq == len(days[0].records()) // 2 and got.genesis == genesis
    assert path.name == f"snapshot-{got.seq:012d}.wms" and got.state_hash == \
        state_hash.sections(taken)
    same(got.sections, taken)
    core = restore(got.genesis, got.sections)
    before = path.read_bytes()
    assert snapshot_file.write(tmp_path, got.genesis, canonical(core)).read_bytes() == before
    assert snapshot_file.found(tmp_path) == [(got.seq, path)]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_every_bit_of_a_file_is_checked(written):
    path = written[0]
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    for place in [*range(0, 64), *rng.integers(64, len(whole), 300).tolist()]:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        with pytest.raises(SnapshotError, match=path.name):
            snapshot_file.read(path)
    for length in (0, 1, 63, 64, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match=path.name):
            snapshot_file.read(path)


@pytest.mark.alone
def test_a_hundred_thousand_live_orders_take_less_than_a_second():
    """CPU time, the best of ten: a busy neighbour on the same core makes it longer, too."""
    messages, _, _ = make("w2", 400_000)
    genesis = recovery_day.genesis(messages)
    core, best = build_core(genesis), 9.0
    records = recovery_day.records(messages[messages["op"] == ADD], 8)
    apply(core, records)
    for _ in range(10):
        began = time.process_time()
        again = restore(genesis, canonical(core))
        best = min(best, time.process_time() - began)
        if best < 0.7:
            break
    assert again.book.engine[0]["live_orders"] > 100_000
    same(canonical(again), canonical(core))
    assert best < 1.0


@pytest.mark.parametrize("hidden_first", (True, False))
def test_who_comes_first_in_a_cross_is_restored(hidden_first):
    """A hidden order and one that waits for the cross, at one price: their age decides."""
    day = WireDay(1, 0)
    venue, names = day.venue, day.names
    burst.start_day(venue.core, venue.port, venue.io, venue.params)
    for name in names[:3]:
        venue.login(name)
    sells = [(names[0], dict(display=b"N")), (names[1], dict(cross=b"C"))]
    for name, options in sells if hidden_first else sells[::-1]:
        venue.send(name, [enter(1, b"S", 100, b"AAA     ", 1_000_000, **options)])
        venue.run()
    venue.send(names[2], [enter(1, b"B", 100, b"AAA     ", 1_000_000, cross=b"C")])
    venue.run()
    records = day.records()
    core = day.twin()
    apply(core, records)
    again = restore(day.genesis(), canonical(core))
    venue.tell(kind=LINK_END_DAY)
    venue.run()
    apply(again, day.records()[len(records):])
    assert outputs(again) == outputs(venue.core)
    told = [[message[:1] for message in venue.acks(name)] for name in names[:2]]
    assert (b"E" in told[0], b"E" in told[1]) == (hidden_first, not hidden_first)


# Fields of the state that a snapshot leaves out: rebuilt, without effect on an output, or no state.
LEFT_OUT = {
    SYMBOL: {"guard", "rest"},       # guard: in symbol_risk; rest: the index of names
    SESSION: {"mac", "heard_ns", "sent_ns", "sent_seq", "first_page", "last_page", "gap_ns",
              "asked_ns", "held_cnt", "first_chunk", "last_chunk", "asked_down_ns", "dirty",
              "ended_cnt", "gap_end_seq", "released_seq", "tcp_epoch", "limits", "rest"},
    ENGINE: {"far_scans", "windows_moved", "symbol_cnt", "account_cnt", "lg_ladder", "far_cap",
             "event_cap", "unfinished", "resume_at", "resume_owner", "spare_events", "next_far",
             "free_block", "killed", "slots", "outcome", "asked", "asked_seq", "rest"},
    JOURNAL_HEADER: {"block_cnt", "ready_seq", "pad"},
    FEED_LOG: {"sent_seq", "sent_ns", "twin_seq", "released_seq", "pad"},
    TRADE_LOG: {"pad", "rest"}, CHUNK: {"first_seq", "next", "prev", "pad", "jump"},
    EXTRA: {"pad"}, ORDER: {"next", "prev", "level", "pad"}, ORDER_COLD: set(),
    PAGE: {"next", "prev", "live_cnt"}}
ROW_OF = {SYMBOL: "symbols", SESSION: "sessions", ENGINE: "engine", JOURNAL_HEADER: "journal",
          FEED_LOG: "feed", TRADE_LOG: "trades", CHUNK: "chunks", EXTRA: "orders",
          ORDER: "orders", ORDER_COLD: "orders", PAGE: "pages"}


@pytest.mark.parametrize("struct", LEFT_OUT, ids=lambda struct: struct.name)
def test_every_field_of_the_state_is_in_or_left_out_on_purpose(struct):
    """Whoever adds a field to the state decides here whether an output depends on it."""
    kept = set(ROWS[ROW_OF[struct]].names)
    fields = {field.name for field in struct.fields}
    assert fields - kept == LEFT_OUT[struct]
