"""Market and AsyncMarket against the real appliance: two partitions on loopback sockets."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.client.aio import AsyncMarket
from appliance.client.channel import ChannelError
from appliance.client.market import Market
from appliance.client.orders import LoginError
from tests.client.test_appliance import FILES, GROUP, HOME, PRICE, TICK, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.alone]

NAME = f"wm-t-market-{os.getpid()}"
RUNTIME = Path("/dev/shm") / NAME
SYMBOLS = ("ACME", "BOLT", "CORK")
PARTITIONS = """
[partitions]
count = 2
"""


class Appliance:
    """A running `wirematch run` with two partitions; BOLT alone is on the second one."""

    def __init__(self, folder):
        order, feed, rerequest = (port // 4 * 4 for port in free_ports(3))
        main = FILES["main.toml"].replace("cancel_on_disconnect = true",
                                          "cancel_on_disconnect = false")
        main = main.replace('{group}.2"', '{group}.130"')
        (folder / "main.toml").write_text(main.format(
            name=NAME, runtime=RUNTIME, order=order, feed=feed + 1, rerequest=rerequest + 1024,
            group=GROUP + 1) + PARTITIONS)
        (folder / "accounts.toml").write_text(FILES["accounts.toml"])
        (folder / "symbols.toml").write_text("".join(
            f'[[symbols]]\nname = "{name}"\ntick_size = {TICK}\nreference_price = {PRICE}\n'
            f"partition = {int(name == 'BOLT')}\n" for name in SYMBOLS))
        self.folder, self.log, self.channel = folder, folder / "log", RUNTIME / "channel.json"
        self.begin()

    def begin(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "--config",
                 self.folder / "main.toml"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.until(lambda status: status["state"] == "running")

    def status(self):
        try:
            return json.loads((RUNTIME / "status.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def until(self, condition, patience_s=900.0):
        deadline = time.monotonic() + patience_s
        while not ((status := self.status()) and condition(status)):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def kill_matcher(self, partition):
        pids = {row["name"]: row["pid"] for row in self.status()["processes"]}
        os.kill(pids[f"matcher@{partition}"], signal.SIGKILL)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def end(self):
        self.stop()
        shutil.rmtree(RUNTIME, ignore_errors=True)
        Path(f"{RUNTIME}.day").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def appliance(tmp_path_factory):
    made = Appliance(tmp_path_factory.mktemp("market"))
    try:
        yield made
    finally:
        made.end()


def until(market, condition, patience_s=60.0):
    """Polls until condition(events so far); the events."""
    seen, deadline = [], time.monotonic() + patience_s
    while not condition(seen):
        assert time.monotonic() < deadline, seen
        seen += market.poll(0.05)
    return seen


def answers(events, key):
    return "".join(event.record.letter for event in events
                   if event.kind == "answer" and event.key == key)


def test_orders_find_their_partition_and_books_follow(appliance):
    with (Market(appliance.channel, "A1", "pw1", feed_ip=HOME) as maker,
          Market(appliance.channel, "A2", "pw2") as taker):
        maker.login()
        taker.login()
        with pytest.raises(ChannelError, match="'NONE' is in no partition"):
            maker.enter("B", 1, "NONE", PRICE)
        keys = {name: maker.enter("S", 10, name, PRICE) for name in SYMBOLS}
        assert [keys[name].partition for name in SYMBOLS] == [0, 1, 0]
        until(maker, lambda seen: all(answers(seen, key) == "A" for key in keys.values()))
        bought = {name: taker.enter("B", 4, name, PRICE) for name in SYMBOLS}
        until(taker, lambda seen: all(answers(seen, key) == "AE" for key in bought.values()))
        until(maker, lambda _: all((book := maker.book(name)) is not None
                                   and book.depth(1, 9) == [(PRICE, 6)] for name in SYMBOLS))
        moved = maker.replace(keys["BOLT"], 10, PRICE + TICK)
        until(maker, lambda seen: answers(seen, moved).startswith("U"))
        assert {key.partition for key in maker.orders()} == {0, 1}
        maker.cancel(moved)
        maker.mass_cancel("ACME")
        maker.mass_cancel("CORK")
        until(maker, lambda _: not maker.orders())


def test_only_the_partitions_of_the_wanted_symbols(appliance):
    with Market(appliance.channel, "A3", "pw3", symbols=["BOLT"]) as market:
        market.login()
        assert list(market.lines) == [1]
        with pytest.raises(ChannelError, match="was not opened for"):
            market.enter("B", 1, "ACME", PRICE)
    with pytest.raises(ChannelError):
        Market(appliance.channel, "A3", "pw3", symbols=["NONE"])


def test_a_refused_login_is_told_once_and_not_repeated(appliance):
    with Market(appliance.channel, "A4", "wrong") as market:
        with pytest.raises(LoginError, match="reason A"):
            market.login()
        with pytest.raises(LoginError, match="reason A"):
            until(market, lambda _: False, 5.0)
        assert market.poll(0.1) == [] and not market.is_in


def test_after_an_instance_change_open_orders_are_void_and_trading_goes_on(appliance):
    with Market(appliance.channel, "A1", "pw1") as market:
        market.login()
        kept, gone = (market.enter("B", 5, name, PRICE - TICK) for name in ("ACME", "BOLT"))
        until(market, lambda seen: answers(seen, kept) == "A" and answers(seen, gone) == "A")
        done = market.enter("S", 5, "BOLT", PRICE - TICK)
        until(market, lambda seen: answers(seen, done).endswith("E"))
        open_one = market.enter("B", 7, "BOLT", PRICE - TICK)
        until(market, lambda seen: answers(seen, open_one) == "A")
        appliance.kill_matcher(1)
        seen = until(market, lambda seen: any(e.kind == "in" and e.partition == 1 for e in seen))
        voids = [event for event in seen if event.kind == "void"]
        assert [(event.key, event.order.open_qty) for event in voids] == [(open_one, 7)]
        assert {event.partition for event in seen if event.kind == "lost"} == {1}
        assert list(market.orders()) == [kept]
        with pytest.raises(KeyError, match="void"):
            market.cancel(open_one)
        again = market.enter("B", 3, "BOLT", PRICE)
        assert again.instance == open_one.instance + 1
        until(market, lambda seen: answers(seen, again) == "A")
        market.cancel(kept)
        market.cancel(again)
        until(market, lambda _: not market.orders())


def test_asyncio_trades_on_both_partitions_and_hears_of_a_lost_one(appliance):
    async def trade():
        async with AsyncMarket(appliance.channel, "A2", "pw2", feed_ip=HOME) as market:
            keys = [await market.enter("B", 2, name, PRICE - 2 * TICK) for name in SYMBOLS]
            found = await asyncio.gather(*(market.answer(key) for key in keys))
            assert [event.record.letter for event in found] == ["A"] * 3
            with pytest.raises(KeyError, match="told already"):
                await market.answer(keys[0])
            appliance.kill_matcher(1)
            kinds = []
            async for event in market.events():
                if event.partition == 1 and event.kind != "answer":
                    kinds.append(event.kind)
                if event.kind == "in" and "lost" in kinds:
                    break
            assert kinds == ["in", "lost", "void", "in"], "the first is the login's own"
            key = await market.enter("B", 2, "BOLT", PRICE)
            assert (await market.answer(key)).record.letter == "A"
            task = asyncio.ensure_future(market.answer(await market.enter("B", 1, "ACME", PRICE)))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            lines = market.market.lines.values()
            while market.market.orders() or any(line.pending for line in lines):
                for key in list(market.market.orders()):
                    market.cancel(key)
                await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(trade(), 60))


def test_a_restarted_appliance_is_found_again_and_what_was_open_is_void(appliance):
    with Market(appliance.channel, "A3", "pw3") as market:
        market.login()
        keys = [market.enter("B", 1, name, PRICE - 3 * TICK) for name in ("ACME", "BOLT")]
        until(market, lambda seen: all(answers(seen, key) == "A" for key in keys))
        appliance.stop()
        appliance.begin()
        seen = until(market, lambda seen: sum(e.kind == "in" for e in seen) == 2)
        told = {event.key for event in seen if event.kind == "void"} | {
            event.key for event in seen if event.kind == "answer" and event.record.letter == "C"}
        assert told == set(keys), "cancelled at the end of the day, or void"
        fresh = market.enter("B", 1, "ACME", PRICE)
        until(market, lambda seen: answers(seen, fresh) == "A")
