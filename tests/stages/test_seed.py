"""The image that a matcher leaves which came back is the one that the whole feed gives."""

import numpy as np
import pytest

from appliance.hot import image as hot_image
from appliance.journal.genesis import build_core
from appliance.journal.replay import apply
from appliance.journal.restore import restore
from appliance.journal.snapshot import canonical
from appliance.journal.writer import Writer
from appliance.layout.shared import IMAGE_SYMBOL
from appliance.layout.wire_itch import ITCH
from appliance.stages.recovery import FeedReader
from appliance.stages.seed import remake, seed
from appliance.stages.snapshots import Snapshots
from tests.hot.test_replay import played

TIME = ITCH["A"]["timestamp"].off
SMALL = {"feed_bytes": 1 << 14, "feed_messages": 1 << 9}
ROOMY = {"feed_bytes": 1 << 17, "feed_messages": 1 << 12}      # for what one command says at most


@pytest.fixture(scope="module", params=[(31, {}), (32, {"window": 1_000_000})])
def day(request):
    number, options = request.param
    return played(number, 6_000, **options)


def image_of(core, sizes):
    feed = core.feed
    return hot_image.build_image(sizes, feed.log, feed.ring, feed.index)


def snapshot(core, image):
    """The packets of a snapshot of everything, and the number to go on with."""
    core.feed.log[0]["sent_seq"] = core.feed.log[0]["next_seq"]
    reader = FeedReader(core.feed.log, core.feed.ring, core.feed.index)
    data, next_seq = Snapshots(reader, image, 1001).take(0.0)
    return bytes(data), next_seq


def messages(data):
    """ITCH messages of SoupBinTCP packets, without their times."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 2], "big")
        body = data[at + 3:at + 2 + size]
        found.append(body if body[:1] == b"G" else body[:TIME] + body[TIME + 6:])
        at += 2 + size
    return found


def small_core(day, sizes=SMALL):
    """(genesis, a core of it) whose feed's log is small."""
    genesis = day.genesis()
    genesis["sizes"] = {**genesis["sizes"], **sizes}
    return genesis, build_core(genesis)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_seeded_image_gives_the_snapshot_that_the_whole_feed_gives(day, cut):
    records = day.records()
    some = records[:int(len(records) * cut)]
    whole = day.twin()
    apply(whole, some)
    wanted, wanted_seq = snapshot(whole, image_of(whole, day.venue.sizes))
    genesis, core = small_core(day)
    apply(core, some)
    core = restore(genesis, canonical(core))
    assert int(core.feed.log[0]["oldest_seq"]) > 1
    image = image_of(core, day.venue.sizes)
    seed(image, core, genesis, records[:1])
    got, got_seq = snapshot(core, image)
    assert got_seq == wanted_seq
    got, wanted, replaced = messages(got), messages(wanted), replacements(whole)
    assert sorted(map(plain, got)) == sorted(map(plain, wanted))
    assert {each for each in got if each[5:13] not in replaced} == {
        each for each in wanted if each[5:13] not in replaced}, "attribution too"
    assert sum(each[:1] in b"AF" for each in got) > 5
    assert priorities(got) == priorities(wanted)


def plain(message):
    """An A or F without its attribution."""
    return b"A" + message[1:30] if message[:1] in b"AF" else message


def replacements(core):
    """The references of all orders that ever stood in the place of another (U)."""
    feed, found = core.feed, set()
    for seq in range(1, int(feed.log[0]["next_seq"])):
        at = int(feed.index[seq & len(feed.index) - 1]) % len(feed.ring) + 2
        if feed.ring[at] == ord("U"):
            found.add(feed.ring[at + 19:at + 27].tobytes())
    return found


def priorities(found):
    """{(symbol, side, price): references in order} of displayed orders."""
    levels = {}
    for each in found:
        if each[:1] in b"AF":
            ref, side, price = each[5:13], each[13:14], each[26:30]
            levels.setdefault((each[1:3], side, price), []).append(ref)
    return levels


@pytest.mark.parametrize("torn_at", ["following", "seeding"])
def test_a_torn_image_is_made_anew_from_the_journal(day, tmp_path, torn_at):
    """Recovery was killed inside the image, and the feed's log has forgotten the beginning."""
    records, cut = day.records(), len(day.records()) * 2 // 3
    genesis, core = small_core(day, ROOMY)
    apply(core, records[:cut])
    assert int(core.feed.log[0]["oldest_seq"]) > 1
    image = image_of(core, day.venue.sizes)
    seed(image, core, genesis, records[:1])
    image.head[0]["busy"] = 1                                  # as a kill leaves it
    image.orders["shares"][5:9], image.chains[:100] = 77, 9
    with Writer(tmp_path, genesis, 0, segment_sz=256 << 10) as writer:
        for first in range(0, cut, 500):
            writer.append(records[first:min(first + 500, cut)])
        writer.sync()
        reader = FeedReader(core.feed.log, core.feed.ring, core.feed.index)
        snapshots = Snapshots(reader, image, 1001)
        assert "killed" in snapshots.why_not
        if torn_at == "seeding":                               # and once more, in the middle of it
            remake(snapshots, tmp_path)
            image.head[0]["busy"], image.head[0]["next_seq"] = 1, 1
            snapshots = Snapshots(reader, image, 1001)
            assert snapshots.why_not
        assert remake(snapshots, tmp_path) == cut
    assert snapshots.why_not == "" and not image.head[0]["busy"]
    for first in range(cut, len(records)):                     # and goes on with the live log
        apply(core, records[first:first + 1])
        hot_image.follow(image, int(core.feed.log[0]["next_seq"]), 1 << 30)
        assert not image.head[0]["fault"]
    whole = day.twin()
    apply(whole, records)
    wanted, wanted_seq = snapshot(whole, image_of(whole, day.venue.sizes))
    got, got_seq = snapshot(core, image)
    assert got_seq == wanted_seq
    assert sorted(map(plain, messages(got))) == sorted(map(plain, messages(wanted)))


def test_without_commands_in_the_journal_a_torn_image_stays(day, tmp_path):
    genesis, core = small_core(day)
    image = image_of(core, day.venue.sizes)
    snapshots = Snapshots(FeedReader(core.feed.log, core.feed.ring, core.feed.index), image, 1001)
    assert remake(snapshots, tmp_path) == 0


def test_a_seeded_image_goes_on_with_the_feed(day):
    """Every message behind it is applied without a contradiction, to the same book."""
    records, genesis, core = day.records(), day.genesis(), day.twin()
    half = len(records) // 2
    apply(core, records[:half])
    image = image_of(core, day.venue.sizes)
    seed(image, core, genesis, records[:1])
    for first in range(half, len(records), 50):
        apply(core, records[first:first + 50])
        hot_image.follow(image, int(core.feed.log[0]["next_seq"]), 1 << 30)
        assert not image.head[0]["fault"]
    whole = day.twin()
    apply(whole, records)
    full = image_of(whole, day.venue.sizes)
    full.head[0]["next_seq"], full.head[0]["first_locate"] = 1, 1001
    hot_image.follow(full, int(whole.feed.log[0]["next_seq"]), 1 << 30)
    assert not full.head[0]["fault"] and full.head[0]["live_cnt"] == image.head[0]["live_cnt"]

    def book(seen):
        rows = seen.orders[seen.orders["shares"] != 0]
        rows = rows[np.argsort(rows["ref"])]
        return [rows[name].tolist() for name in (
            "ref", "price", "shares", "symbol", "side")]

    assert book(image) == book(full)
    assert IMAGE_SYMBOL.size == 64
