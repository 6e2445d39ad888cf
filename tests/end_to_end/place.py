"""An appliance in a namespace with participants in another: for tests that trade with it directly.

    with Place(mode, folder, orders={"gap_hold_us": 200_000}) as place:
        session = place.login(0)
        feed = place.feed()

One symbol, three accounts. Everything ends with the block, also when it fails.
"""

import contextlib
import json
import time

from appliance import topology
from appliance.client.channel import load as load_channel
from appliance.client.feed import FeedHandler
from appliance.client.orders import OrderSession
from appliance.config import load as config_loader
from appliance.layout import shared
from appliance.shm import region
from tools.demo import house, scene

SYMBOL, PRICE, ACCOUNTS, ORDERS_PORT_FIRST = "ACME", 1_250_000, 3, 42001
SETTINGS = {
    "symbols": [{"name": SYMBOL, "tick_size": 100, "lot_size": 1, "reference_price": PRICE}],
    "accounts": [{"name": f"ACC{n}", "password": f"secret{n}", "firm": f"FRM{n}", "smp": "off",
                  "cancel_on_disconnect": False} for n in range(ACCOUNTS)]}


class Place:
    """`house` is the running appliance; participants' sockets are made in the market."""

    def __init__(self, mode, orders=None):
        self.mode, self.orders, self.stack = mode, orders or {}, contextlib.ExitStack()
        self.opened = []

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            self.scene, why = scene.choose()
            undo.callback(self.scene.close)
            assert not why, why
            people = [(row["name"], "", self.scene.source(n))
                      for n, row in enumerate(SETTINGS["accounts"])]
            self.config_path = house.write_config(self.scene, SETTINGS, self.mode, people)
            self._orders(self.config_path)
            self.house = house.House(self.scene, self.config_path)
            undo.callback(self.stop)
            self.house.wait_ready()
            assert self.row["mode"] == self.mode, self.house.words()
            self.stack = undo.pop_all()
        return self

    def _orders(self, path):
        """More keys for the config's [orders]."""
        with open(path) as file:
            text = file.read()
        kept = [line for line in text.splitlines(keepends=True)
                if line.partition(" = ")[0] not in self.orders]
        text = "".join(kept)
        more = "".join(f"{key} = {value}\n" for key, value in self.orders.items())
        with open(path, "w") as file:
            file.write(text.replace("[orders]\n", "[orders]\n" + more))

    def __exit__(self, *problem):
        for each in self.opened:
            each.close()
        self.stack.close()

    def stop(self) -> int:
        """Ends the day, if that was not done before; the exit code."""
        if self.house.log.closed:
            return self.house.process.returncode
        return self.house.stop()

    # -- participants -----------------------------------------------------------------------------

    @property
    def partition(self):
        """The partition as the channel file describes it now."""
        return load_channel(self.house.channel).partitions[0]

    def session(self, account, **options) -> OrderSession:
        """A participant that has not logged in yet."""
        person = SETTINGS["accounts"][account]
        with self.scene.market():
            made = OrderSession(self.partition, person["name"], person["password"],
                                bind=(self.scene.market_ip, 0), **options)
        self.opened.append(made)
        return made

    def login(self, account, requested=1, **options) -> OrderSession:
        """A participant that has logged in."""
        made = self.session(account, **options)
        made.login(requested)
        return made

    def feed(self, **options) -> FeedHandler:
        """A subscriber of both feeds."""
        with self.scene.market():
            made = FeedHandler(self.partition, self.scene.market_ip, **options)
        self.opened.append(made)
        return made

    # -- what the appliance says of itself ---------------------------------------------------------

    @property
    def row(self) -> dict:
        """The partition's status."""
        return self.house.status["partitions"][0]

    def pid(self, name) -> int:
        """The process id of portd, matcher@0 or recovery@0."""
        return {row["name"]: row["pid"] for row in self.house.status["processes"]}[name]

    def regions(self):
        """attach(name): the shared block of the matcher's present instance, read-only."""
        config = config_loader.load(self.config_path)
        table = topology.build(config, self.row["instance"])

        def attach(name):
            block = table.blocks.get(name) or table.partitions[0].blocks[name]
            return region.attach(block)

        return attach

    def until(self, condition, patience_s=20.0):
        """Waits until condition(status) is true; gives what it gave."""
        deadline = time.monotonic() + patience_s
        while True:
            content = self.house.status
            if content and (found := condition(content)):
                return found
            assert self.house.process.poll() is None, self.house.words()
            assert time.monotonic() < deadline, (self.house.words(), json.dumps(content))
            time.sleep(0.02)


def counts(counters) -> dict:
    """The matcher's counters by name."""
    return {name: int(counters[idx]) for idx, (name, _) in enumerate(shared.COUNTERS)}


def trade(buyer, seller, quantity=10, price=PRICE) -> None:
    """Buyer and seller trade once; both see their execution."""
    sell = seller.enter("S", quantity, SYMBOL, price)
    assert seller.wait(sell)[-1].letter == "A"
    buy = buyer.enter("B", quantity, SYMBOL, price)
    assert [answer.letter for answer in wait_for(buyer, buy, "E")][-2:] == ["A", "E"]
    assert wait_for(seller, sell, "E")[-1].quantity == quantity


def wait_for(session, number, letter, timeout=5.0) -> list:
    """Polls until an answer of that kind to that order came; everything received until then."""
    deadline, seen = time.monotonic() + timeout, []
    while time.monotonic() < deadline:
        seen += session.poll(0.05)
        if any(r.letter == letter and r.get("user_ref_num") == number for r in seen):
            return seen
    raise TimeoutError(f"no {letter} for {number}; there came {[r.letter for r in seen]}")


def listen(*participants, seconds=0.3) -> None:
    """Polls everybody in turn for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for each in participants:
            each.poll(0.01)
