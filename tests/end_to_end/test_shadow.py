"""shadow@p beside a running matcher: snapshots for its restart, and word of any divergence."""

import contextlib
import mmap
import os
import random
import signal
import time
from pathlib import Path

import pytest

from appliance import topology
from appliance.config import load as config_loader
from appliance.journal import checks, snapshot_file
from appliance.journal.recover import recover
from appliance.journal.scan import scan
from appliance.layout import shared
from appliance.layout.journal import STATE_MARK_EVERY
from tests.end_to_end.place import PRICE, SMALL, SYMBOL, listen, trade
from tests.end_to_end.test_comes_back import LOW, answer, journal_of, journalled, killed
from tests.end_to_end.test_late_joiners import join, orders_of
from tests.end_to_end.wire_kit import halted
from tests.netns import needs_namespaces
from tools.demo import house

pytestmark = [needs_namespaces, pytest.mark.slow]
LASTING = "[supervision]\ncrash_limit = 36\nhang_ms = 60_000\n"


def shadowed(folder, level="process", every=10, **more):
    """A place with a snapshot every so many commands."""
    return journalled(folder, level, extra=f"snapshot_commands = {every}\n" + LASTING, **more)


def shadow(place):
    """What status.json says of it."""
    return place.row["durability"]["shadow"]


def until(place, condition):
    """Waits until condition(the shadow's part of the status) is true."""
    return place.until(lambda content: (row := content["partitions"][0]["durability"]["shadow"])
                       and condition(row) and row)


def caught_up(place):
    """The shadow has everything that the matcher has applied."""
    def has_all(content):
        row = content["partitions"][0]
        seen = row["durability"]["shadow"]
        return seen and seen["seq"] == row["durability"]["durable_seq"] == row["commands"]

    place.until(has_all)


def await_orders(place, count):
    """The matcher says that so many orders live."""
    place.until(lambda content: content["partitions"][0]["live_orders"] == count)


def rest(session, count):
    """Orders that nothing meets; the number of the last."""
    numbers = [session.enter("B", 5, SYMBOL, LOW) for _ in range(count)]
    answer(session, numbers[-1], "A")
    return numbers[-1]


def how(place):
    """The words of each start from a journal so far: (snapshot, behind it)."""
    found = [line.partition("snapshot of ")[2].split() for line in place.house.words().splitlines()
             if "commands from" in line]
    return [(int(words[0]), int(words[2])) for words in found]


@contextlib.contextmanager
def successor_halted(place):
    """The shadow is killed; the one that comes in its place stands still inside the block."""
    old = place.pid("shadow@0")
    os.kill(old, signal.SIGKILL)
    place.until(lambda _: place.pid("shadow@0") != old)
    with halted(place.pid("shadow@0")):
        yield


def spoil(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize("level", ["process", "disk"])
def test_a_killed_matcher_takes_the_snapshot_and_what_is_behind_it(warm, tmp_path, level):
    with shadowed(tmp_path / "journal", level) as place:
        buyer, seller, orders = place.login(0), place.login(1), 0
        trade(buyer, seller)
        for _ in range(3):
            rest(buyer, 25)
            orders += 25
            caught_up(place)
            row = until(place, lambda row: row["snapshots"] >= 2
                        and row["seq"] - row["snapshot_seq"] < 20)
            killed(place, "matcher@0")
            await_orders(place, orders)
            used, behind = how(place)[-1]
            assert used >= row["snapshot_seq"] and used + behind == place.row["durability"][
                "begin_seq"]
            assert behind < 20 <= used
        rest(buyer, 5)
        orders += 5
        assert until(place, lambda row: row["marks"] >= 1)["diverged_cnt"] == 0
        caught_up(place)
        folder = journal_of(tmp_path / "journal")
        with successor_halted(place):                        # nobody mends what follows
            (_, newest), (older, older_path) = snapshot_file.found(folder)
            spoil(newest)
            killed(place, "matcher@0")
            assert how(place)[-1][0] == older and "checksum is wrong" in place.house.words()
        until(place, lambda row: row["passed_over"] == 1 or row["begun_seq"] == older)
        with successor_halted(place):
            for _, path in snapshot_file.found(folder):
                spoil(path)
            killed(place, "matcher@0")
            assert how(place)[-1][0] == 0
        await_orders(place, orders)
        sell = seller.enter("S", 5 * orders, SYMBOL, LOW)
        answer(seller, sell, "E")
        assert place.stop() == 0, place.house.words()
        assert "was silent" not in place.house.words(), "a core that is being made is no silence"
    assert older_path.parent == snapshot_file.found(folder)[0][1].parent
    assert recover(folder).core.book.engine[0]["live_orders"] == 0


def test_a_deliberate_stop_leaves_a_snapshot_of_everything(warm, tmp_path):
    with shadowed(tmp_path / "journal", every=1_000_000) as place:
        rest(place.login(0), 25)
        assert place.house.stop() == 0
        folder = journal_of(tmp_path / "journal")
        last = scan(folder).last_seq
        assert [seq for seq, _ in snapshot_file.found(folder)] == [last]
        assert "ended with a snapshot" in place.house.words()
        place.house = house.House(place.scene, place.config_path)
        place.house.wait_ready()
        assert how(place) == [(last, 0)]
        await_orders(place, 25)
        assert place.stop() == 0, place.house.words()
    assert len(checks.read(folder, scan(folder).genesis)) >= 1


def test_a_killed_shadow_is_started_again_and_nobody_notices(warm, tmp_path):
    with shadowed(tmp_path / "journal") as place:
        buyer = place.login(0)
        rest(buyer, 25)
        before = until(place, lambda row: row["snapshots"] >= 2)
        pid = place.pid("shadow@0")
        os.kill(pid, signal.SIGKILL)
        rest(buyer, 25)
        place.until(lambda content: any(each["name"] == "shadow@0" and each["pid"] != pid
                                        for each in content["processes"]))
        row = until(place, lambda row: row["snapshot_seq"] >= before["snapshot_seq"] + 20)
        assert row["begun_seq"] >= before["snapshot_seq"] and row["diverged_cnt"] == 0
        alarms = {alarm["kind"] for alarm in place.house.status["alarms"]}
        assert "shadow-died" in alarms and "matcher-died" not in alarms
        assert place.row["instance"] == 0
        await_orders(place, 50)
        assert place.stop() == 0, place.house.words()


def poke(place, block, field, delta):
    """Adds to the first record of a live matcher's shared block: a flipped bit, so to say."""
    config = config_loader.load(place.config_path)
    table = topology.build(config, [row["instance"] for row in place.rows])
    found = table.partitions[0].blocks[block]
    off = shared.REGION.size + found.dtype.fields[field][1]
    with open(found.path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[off] ^= delta


@pytest.mark.parametrize("block, field, what", [
    ("engine", "next_match", "match"), ("engine", "free_chunk", "chunks"),
    ("journal_header", "checksum", "checksum")])
def test_one_flipped_bit_of_a_live_matcher_is_found(warm, tmp_path, block, field, what):
    with shadowed(tmp_path / "journal", every=1_000_000) as place:
        buyer = place.login(0)
        rest(buyer, 10)
        until(place, lambda row: row["marks"] >= 1 and not row["diverged_cnt"])
        poked_seq = int(place.regions()("journal_header")[0]["next_seq"])
        poke(place, block, field, 32)
        sent, found = 0, None
        deadline = time.monotonic() + 60
        while not found and time.monotonic() < deadline:
            for _ in range(200):
                buyer.enter("B", 5, SYMBOL, LOW)
                buyer.cancel(buyer.enter("B", 5, SYMBOL, LOW))
            sent += 600
            listen(buyer, seconds=0.05)
            found = shadow(place)["diverged_cnt"] and shadow(place)
        assert found["diverged_seq"] - poked_seq <= STATE_MARK_EVERY + 600
        assert f"had {what} " in found["diverged"]
        alarms = {alarm["kind"]: alarm["text"] for alarm in place.until(
            lambda content: [each for each in content["alarms"] if each["kind"] == "diverged"])}
        assert f"behind command {found['diverged_seq']} the matcher had {what}" in alarms[
            "diverged"]


def test_late_joiners_have_the_book_though_the_feed_has_forgotten_its_beginning(warm, tmp_path):
    small = {**SMALL, "feed_bytes": 1 << 20, "feed_messages": 1 << 12}
    with journalled(tmp_path / "journal", "process", extra=LASTING) as place:
        place.house.stop()
        path = Path(place.config_path)
        text = path.read_text()
        for name in ("feed_bytes", "feed_messages"):
            text = text.replace(f"{name} = {SMALL[name]}", f"{name} = {small[name]}")
        path.write_text(text.replace(str(tmp_path / "journal"), str(tmp_path / "other")))
        place.house = house.House(place.scene, place.config_path)
        place.house.wait_ready()
        buyer = place.login(0)
        for _ in range(60):
            for _ in range(40):
                buyer.enter("B", 5, SYMBOL, LOW)
                buyer.cancel(buyer.enter("B", 5, SYMBOL, PRICE))
            listen(buyer, seconds=0.03)
        kept = [buyer.enter("B", 1 + number, SYMBOL, LOW + 100 * (number % 7)) for number in
                range(40)]
        answer(buyer, kept[-1], "A")
        draw, port = random.Random(1), place.row["glimpse_port"]
        before, _ = join(place, port, draw)
        assert int(place.regions()("feed_log")[0]["oldest_seq"]) > 1
        killed(place, "matcher@0")
        after, number = join(place, place.row["glimpse_port"], draw)
        assert orders_of(after) and sorted(orders_of(after)) == sorted(orders_of(before))
        assert after.by_name[SYMBOL].levels == before.by_name[SYMBOL].levels
        buyer.cancel(kept[0])
        answer(buyer, kept[0], "C")
        assert number <= int(place.regions()("feed_log")[0]["next_seq"])
        place.until(lambda _: len(join(place, place.row["glimpse_port"], draw)[0].orders)
                    == len(after.orders) - 1)
        assert place.stop() == 0, place.house.words()
