"""A journal replayed gives every byte again, however it is cut, with the compiler or without."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.journal.replay import ReplayError, apply, from_ring
from appliance.layout import record
from appliance.layout.shared import LINK_DISCONNECT, SESSION
from tests.hot.harness import Venue, mold
from tests.hot.test_against_oracle import stream_of
from tests.hot.wire_day import ACCOUNTS, WireDay

ROOT = Path(__file__).resolve().parents[2]
BURSTS = (1, 7, 64, 4000)
# Of a session: where transmission stands, and what was heard of it, are no business of a replay.
OUTSIDE = {"heard_ns", "sent_ns", "sent_seq", "released_seq", "gap_ns", "asked_ns", "held_cnt",
           "asked_down_ns", "dirty", "ended_cnt", "gap_end_seq"}
EVERY_KIND = set(range(record.ENTER, record.IGNORE + 1)) | set(
    range(record.LOGIN, record.IMBALANCE + 1)) | {record.GRACE_OVER}


def played(seed, count, **options):
    """A day that is over."""
    day = WireDay(seed, count, **options)
    for _ in day.play():
        pass
    return day


def outputs(core):
    """Every byte that was ever appended for somebody: streams by account, then the feed."""
    log = core.feed.log[0]
    assert log["oldest_seq"] == 1, "the test's feed ring is too small for its day"
    return [stream_of(core, account) for account in range(len(ACCOUNTS))] + [
        core.feed.ring[:int(log["write_off"])].tobytes()]


def compare(live, again, besides=()):
    """The same bytes, the same sessions, the same journal; besides: fields that may differ."""
    assert outputs(again) == outputs(live)
    for name in {field.name for field in SESSION.fields} - OUTSIDE - set(besides):
        np.testing.assert_array_equal(again.accounts.sessions[name], live.accounts.sessions[name],
                                      err_msg=name)
    for name in ("next_seq", "last_ns", "checksum"):
        assert again.journal.header[0][name] == live.journal.header[0][name], name
    for name in ("next_order_ref", "next_match", "time_ns", "live_orders", "phase", "free_page",
                 "free_far", "free_chunk", "timer_cnt", "parts_owed", "fault"):
        assert again.book.engine[0][name] == live.book.engine[0][name], name


@pytest.fixture(scope="module")
def day():
    return played(1, 8_000)


def test_the_day_has_everything(day):
    commands = day.records()["command"].view(record.COMMAND.dtype)
    assert set(commands["kind"].ravel().tolist()) == EVERY_KIND
    counters = day.venue.counters
    for name in ("messages_skipped", "rx_duplicate", "rx_held", "orders_expired", "trades",
                 "rejects", "capacity_rejects"):
        assert (counters[name] > 0) == (name != "capacity_rejects"), name
    assert min(map(len, outputs(day.venue.core))) > 1_000


@pytest.mark.parametrize("burst", BURSTS)
def test_a_replayed_day_has_the_same_bytes(day, burst):
    core = day.twin()
    apply(core, day.records(), burst)
    compare(day.venue.core, core)


@pytest.mark.parametrize("seed, options", [(2, {}), (3, dict(window=10_000)), (
    4, dict(window=1_000_000, far_cap=24, pages=40, chunks=48))])
def test_other_days_too(seed, options):
    day = played(seed, 6_000, **options)
    core = day.twin()
    apply(core, day.records(), 64)
    compare(day.venue.core, core)
    assert seed != 4 or day.venue.counters["capacity_rejects"] > 0


def test_a_replay_can_stop_anywhere_and_go_on(day):
    core, records = day.twin(), day.records()
    rng = np.random.default_rng(1)
    cuts = [0, *sorted(rng.integers(0, len(records), 40).tolist()), len(records)]
    for first, stop in zip(cuts, cuts[1:]):
        apply(core, records[first:stop])
    compare(day.venue.core, core)


def test_a_record_that_does_not_fit_is_refused_where_it_stands(day):
    records = day.records()
    for spoil, why in ((lambda rows: rows["seq"].__setitem__(10, 12), "goes on with 12"),
                       (lambda rows: rows["time_ns"].__setitem__(10, 0), "is before"),
                       (lambda rows: rows["command"].__setitem__((10, 0), 99), "kind 99"),
                       (lambda rows: rows["command"].__setitem__((10, 0), 0), "kind 0"),
                       (lambda rows: rows["command"].__setitem__((10, slice(24, 28)), 255),
                        "symbol 65535")):
        rows, core = records.copy(), day.twin()
        spoil(rows)
        with pytest.raises(ReplayError, match=why) as caught:
            apply(core, rows)
        assert caught.value.seq == 11
        apply(core, records[10:])                 # what came before it has been applied
        compare(day.venue.core, core)


def upstream_course(venue):
    """Yields after each thing that moves a session's next upstream number, or must not."""
    yield venue.login("ALPHA")
    yield venue.send("ALPHA", [b"Q", b"Q"])
    yield venue.blocks_from("ALPHA", [b""])
    yield venue.blocks_from("ALPHA", [b"U", b"?"])
    venue.clients["ALPHA"].seq += 3
    yield venue.send("ALPHA", [b"Q"])
    venue.advance(10_000_000)
    yield venue.run()
    yield venue.blocks_from("ALPHA", [b"O"])
    yield venue.login("ALPHA")
    yield venue.send("ALPHA", [b"Q", b"Q", b"Q"])
    yield venue.login("ALPHA")
    yield venue.send("ALPHA", [b"Q"])
    client = venue.clients["ALPHA"]
    yield venue.payload("ALPHA", mold(client.token, client.seq, [], count=0xFFFF))
    yield venue.login("BETA")
    yield venue.send("BETA", [b"Q"])
    yield venue.tell(kind=LINK_DISCONNECT, account=1)


@pytest.mark.parametrize("burst", (1, 4000))
def test_the_next_upstream_number_is_always_the_live_one(burst):
    venue, seen = Venue(gap_hold_ns=1_000_000), []
    for _ in upstream_course(venue):
        venue.run()
        core = Venue(opened=False).core
        apply(core, from_ring(venue.core), burst)
        expected = venue.core.accounts.sessions["next_upstream_seq"].tolist()
        assert core.accounts.sessions["next_upstream_seq"].tolist() == expected
        seen.append(expected[0])
    assert seen == [1, 3, 4, 6, 6, 10, 11, 1, 4, 1, 2, 2, 2, 2, 2]


def sample():
    """A short day for the run without the compiler."""
    day = played(5, 700)
    for burst in (7, 4000):
        core = day.twin()
        apply(core, day.records(), burst)
        compare(day.venue.core, core)


def test_a_sample_without_the_compiler():
    code = "import numba; assert numba.config.DISABLE_JIT; " \
           "from tests.hot import test_replay; test_replay.sample()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=1800,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-4000:]
