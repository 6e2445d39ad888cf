"""With a journal nothing that was shown is lost, whoever dies: orders, numbers, sessions go on."""

import os
import signal
import time

import pytest

from appliance.journal.clock import Clock
from appliance.journal.recover import recover
from appliance.journal.scan import scan
from tests.end_to_end.place import PRICE, SMALL, SYMBOL, Place, listen, trade, wait_for
from tests.netns import needs_namespaces
from tools.demo import house

pytestmark = [needs_namespaces, pytest.mark.slow]

LOW = PRICE - 5_000


def journalled(folder, level, mode="native", **more):
    """A place whose journal lies in `folder`."""
    extra = (f'[durability]\nlevel = "{level}"\ndirectory = "{folder}"\nsegment_mb = 2\n'
             + more.pop("extra", ""))
    return Place(mode, more.pop("orders", None), sizes=SMALL, extra=extra, **more)


def journal_of(folder, partition=0):
    """The folder of the partition's only day."""
    (day,) = filter(str.isdigit, os.listdir(folder))     # beside it: crashes
    return os.path.join(folder, day, f"p{partition}")


def killed(place, name, ready=True):
    """Kills a process and waits for its successor."""
    pid, instance = place.pid(name), place.row["instance"]
    os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()

    def is_back(content):
        pids = {row["name"]: row["pid"] for row in content["processes"]}
        row = content["partitions"][0]
        return (pids.get(name, pid) != pid and row["state"] == "ready"
                and (not ready or row["instance"] > instance))

    place.until(is_back)
    return time.monotonic() - begun


def answer(session, number, letter):
    """The session's answer of that kind to that order."""
    return [each for each in wait_for(session, number, letter)
            if each.letter == letter and each.get("user_ref_num") == number][-1]


@pytest.mark.parametrize("level", ["process", "disk"])
def test_a_killed_matcher_comes_back_with_its_book(warm, tmp_path, level):
    with journalled(tmp_path / "journal", level) as place:
        buyer, seller, feed = place.login(0), place.login(1), place.feed()
        trade(buyer, seller)
        first, second = (buyer.enter("B", 5, SYMBOL, LOW) for _ in range(2))
        answer(buyer, second, "A")
        listen(feed)
        before, old = place.partition(), place.row
        assert old["durability"]["state"] == "open" and len(feed.books.orders) == 2

        killed(place, "matcher@0")
        alarms = {alarm["kind"]: alarm["text"] for alarm in place.house.status["alarms"]}
        assert "comes back" in alarms["matcher-died"] and "lost-tail" not in alarms
        after = place.partition()
        assert (after.feed_session, after.sessions) == (before.feed_session, before.sessions)
        place.until(lambda content: content["partitions"][0]["live_orders"] == 2
                    and content["partitions"][0]["live_sessions"] == 2)

        sell = seller.enter("S", 7, SYMBOL, LOW)
        assert answer(seller, sell, "E")
        fills = [(each.get("user_ref_num"), each.quantity)
                 for each in wait_for(buyer, second, "E") if each.letter == "E"]
        assert fills == [(first, 5), (second, 2)], "the older of the two comes first"
        late = place.feed()
        deadline = time.monotonic() + 60
        while feed.missing() or late.missing() or not late.books.orders:
            listen(feed, late, seconds=0.1)
            assert time.monotonic() < deadline
        for each in (feed, late):
            assert each.session.decode() == before.feed_session and each.missing() == 0
            assert each.books.trade_cnt == 3 and len(each.books.orders) == 1
        assert feed.counts["sessions"] == 1
        assert place.stop() == 0, place.house.words()
    found = scan(journal_of(tmp_path / "journal"))
    assert found.clean and found.cut_bytes == 0 and found.first_seq == 1
    core = recover(found.directory).core
    assert int(core.book.engine[0]["live_orders"]) == 1


@pytest.mark.parametrize("level", ["process", "disk"])
def test_a_killed_journal_loses_nothing_and_nobody_notices(warm, tmp_path, level):
    with journalled(tmp_path / "journal", level) as place:
        buyer, seller = place.login(0), place.login(1)
        for _ in range(3):
            trade(buyer, seller)
            killed(place, "journal@0", ready=False)
            trade(buyer, seller)
        row = place.until(lambda content: content["partitions"][0]["counters"]["trades"] == 6
                          and content["partitions"][0])
        assert row["instance"] == 0 and row["live_sessions"] == 2
        assert place.stop() == 0, place.house.words()
    found = scan(journal_of(tmp_path / "journal"))
    assert found.clean and recover(found.directory).core.book.engine[0]["next_match"] == 7
    readings = Clock.load(found.directory).readings      # one for each journal@p that there was
    assert len(readings) == 4 and readings[0].wall_ns <= found.segments[0].created_ns + 60 * 10**9
    assert {each.state for each in readings} <= {"synchronised", "not synchronised"}


@pytest.mark.parametrize("level", ["process", "disk"])
def test_an_appliance_that_is_stopped_goes_on_later(warm, tmp_path, level):
    with journalled(tmp_path / "journal", level) as place:
        buyer, seller = place.login(0), place.login(1)
        trade(buyer, seller)
        order = buyer.enter("B", 5, SYMBOL, LOW)
        answer(buyer, order, "A")
        names = place.partition().sessions
        assert place.house.stop() == 0
        place.house = house.House(place.scene, place.config_path)
        place.house.wait_ready()
        assert place.partition().sessions == names
        place.until(lambda content: content["partitions"][0]["live_orders"] == 1)
        sell = seller.enter("S", 5, SYMBOL, LOW)
        assert answer(seller, sell, "E").quantity == 5 == answer(buyer, order, "E").quantity
        assert place.stop() == 0, place.house.words()


@pytest.mark.parametrize("level", ["process", "disk"])
def test_an_appliance_of_which_all_was_killed_goes_on_too(warm, tmp_path, level):
    """The launcher and every child at once: what only the ring had is saved by the next start."""
    with journalled(tmp_path / "journal", level) as place:
        buyer, seller = place.login(0), place.login(1)
        os.kill(place.pid("journal@0"), signal.SIGSTOP)
        orders = [buyer.enter("B", 5, SYMBOL, LOW) for _ in range(50)]
        if level == "process":
            answer(buyer, orders[-1], "A")
        else:
            listen(buyer)
        pids = [row["pid"] for row in place.house.status["processes"]]
        for pid in (place.house.process.pid, *pids):
            os.kill(pid, signal.SIGKILL)
        place.house.process.wait()
        place.house.log.close()
        names = place.partition().sessions
        place.house = house.House(place.scene, place.config_path)
        place.house.wait_ready()
        assert "are in the journal now" in place.house.words()
        assert place.partition().sessions == names
        place.until(lambda content: content["partitions"][0]["live_orders"] == 50)
        sell = seller.enter("S", 250, SYMBOL, LOW)
        answer(seller, sell, "E")
        answer(buyer, orders[-1], "E")
        assert place.stop() == 0, place.house.words()
