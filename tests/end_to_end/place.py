"""An appliance in a namespace with participants in another: for tests that trade with it directly.

    with Place(mode, folder, orders={"gap_hold_us": 200_000}) as place:
        session = place.login(0)
        feed = place.feed()

A symbol a partition, three accounts. Everything ends with the block, also when it fails.
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

PATIENCE_S = 60.0            # a busy machine is no failure
SYMBOL, PRICE, ACCOUNTS, ORDERS_PORT_FIRST = "ACME", 1_250_000, 3, 42001
SETTINGS = {
    "symbols": [{"name": SYMBOL, "tick_size": 100, "lot_size": 1, "reference_price": PRICE}],
    "accounts": [{"name": f"ACC{n}", "password": f"secret{n}", "firm": f"FRM{n}", "smp": "off",
                  "cancel_on_disconnect": False} for n in range(ACCOUNTS)]}


SMALL = {"pages": 256, "chunks": 256, "feed_bytes": 1 << 24, "feed_messages": 1 << 16,
         "lg_ladder": 12, "far_levels": 4096, "far_cap": 1024}


class Place:
    """`house` is the running appliance; participants' sockets are made in the market.

    partitions: how many, each with a symbol of its own. orders: more keys of [orders]. sizes: of
    [capacity]. extra: more of the config file, as text. configured: the mode in the file, where
    it is not the rung that is expected. queue: the receive queue where the first partition's orders
    arrive; nothing else does on any but the first. metrics: where its numbers are shown.
    """

    def __init__(self, mode, orders=None, *, partitions=1, layout="auto", sizes=None, extra="",
                 configured="", queue=0, metrics=""):
        self.configured = configured or mode
        self.mode, self.orders, self.stack = mode, orders or {}, contextlib.ExitStack()
        self.count, self.layout, self.extra, self.queue = partitions, layout, extra, queue
        self.metrics = metrics
        self.sizes = sizes if sizes is not None or partitions == 1 else SMALL
        self.opened = []

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            self.scene, why = scene.choose(
                self.queue + (self.count if self.layout == "own" else 1))
            self.scene.order_port += self.queue
            undo.callback(self.scene.close)
            assert not why, why
            people = [(row["name"], "", self.scene.source(n))
                      for n, row in enumerate(SETTINGS["accounts"])]
            symbols = [dict(SETTINGS["symbols"][0], name=self.symbol(p), partition=p)
                       for p in range(self.count)]
            self.config_path = house.write_config(
                self.scene, SETTINGS | {"symbols": symbols}, self.configured, people,
                partitions=self.count, layout=self.layout, sizes=self.sizes,
                metrics=self.metrics)
            self._edit(self.config_path)
            self.house = house.House(self.scene, self.config_path)
            undo.callback(self.stop)
            self.house.wait_ready()
            assert {row["mode"] for row in self.rows} == {self.mode}, self.house.words()
            self.stack = undo.pop_all()
        return self

    def _edit(self, path):
        """More keys for the config's [orders], and `extra` at its end."""
        with open(path) as file:
            text = file.read()
        kept = [line for line in text.splitlines(keepends=True)
                if line.partition(" = ")[0] not in self.orders]
        text = "".join(kept)
        more = "".join(f"{key} = {value}\n" for key, value in self.orders.items())
        with open(path, "w") as file:
            file.write(text.replace("[orders]\n", "[orders]\n" + more) + self.extra)

    def __exit__(self, *problem):
        if problem[0] is not None:               # pytest shows it with the failure
            print(self.house.words(), json.dumps(self.house.status))
        for each in self.opened:
            each.close()
        self.stack.close()

    def stop(self) -> int:
        """Ends the day, if that was not done before; the exit code."""
        if self.house.log.closed:
            return self.house.process.returncode
        return self.house.stop()

    # -- participants -----------------------------------------------------------------------------

    @staticmethod
    def symbol(partition) -> str:
        """The symbol of a partition."""
        return SYMBOL if partition == 0 else f"{SYMBOL}{partition}"

    @staticmethod
    def person(account) -> tuple[str, str]:
        """(name, password) of an account."""
        row = SETTINGS["accounts"][account]
        return row["name"], row["password"]

    def partition(self, number=0):
        """A partition as the channel file describes it now."""
        return load_channel(self.house.channel).partitions[number]

    def session(self, account, partition=0, **options) -> OrderSession:
        """A participant that has not logged in yet."""
        with self.scene.market():
            made = OrderSession(self.partition(partition), *self.person(account),
                                bind=(self.scene.market_ip, 0), **options)
        self.opened.append(made)
        made.caught_up = lambda: made.expected >= int(
            self.regions(partition)("sessions")[account]["sent_seq"])
        return made

    def login(self, account, requested=1, partition=0, **options) -> OrderSession:
        """A participant that has logged in."""
        made = self.session(account, partition, **options)
        made.login(requested, timeout=PATIENCE_S)        # a busy machine is no failure
        return made

    def feed(self, partition=0, **options) -> FeedHandler:
        """A subscriber of both feeds of a partition."""
        with self.scene.market():
            made = FeedHandler(self.partition(partition), self.scene.market_ip, **options)
        self.opened.append(made)
        made.caught_up = lambda: (
            made.session.decode() == self.partition(partition).feed_session
            and made.expected >= int(self.regions(partition)("feed_log")[0]["next_seq"]))
        return made

    # -- what the appliance says of itself ---------------------------------------------------------

    @property
    def rows(self) -> list:
        """Every partition's status."""
        return self.house.status["partitions"]

    @property
    def row(self) -> dict:
        """The first partition's status."""
        return self.rows[0]

    def pid(self, name) -> int:
        """The process id of portd, matcher@0, recovery@0 ..."""
        return {row["name"]: row["pid"] for row in self.house.status["processes"]}[name]

    def regions(self, partition=0):
        """attach(name): a shared block of the machine or of the partition's present instance."""
        config = config_loader.load(self.config_path)
        table = topology.build(config, [row["instance"] for row in self.rows])

        def attach(name):
            block = table.blocks.get(name) or table.partitions[partition].blocks[name]
            return region.attach(block)

        return attach

    def published(self) -> None:
        """Waits until portd has published all that it had to count by now."""
        status, turns = self.regions()("portd_status")[0], 0
        last, until = int(status["heartbeat_ns"]), time.monotonic() + 0.3
        deadline = time.monotonic() + PATIENCE_S
        while turns < 4 or time.monotonic() < until:     # it beats at least once a turn
            assert time.monotonic() < deadline, self.house.words()
            time.sleep(0.01)
            turns, last = turns + (status["heartbeat_ns"] != last), int(status["heartbeat_ns"])

    def until(self, condition, patience_s=PATIENCE_S):
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


def trade(buyer, seller, quantity=10, price=PRICE, symbol=SYMBOL) -> None:
    """Buyer and seller trade once; both see their execution."""
    sell = seller.enter("S", quantity, symbol, price)
    assert seller.wait(sell, PATIENCE_S)[-1].letter == "A"
    buy = buyer.enter("B", quantity, symbol, price)
    assert [answer.letter for answer in wait_for(buyer, buy, "E")][-2:] == ["A", "E"]
    assert wait_for(seller, sell, "E")[-1].quantity == quantity


def wait_for(session, number, letter, timeout=PATIENCE_S) -> list:
    """Polls until an answer of that kind to that order came; everything received until then."""
    deadline, seen = time.monotonic() + timeout, []
    while time.monotonic() < deadline:
        seen += session.poll(0.05)
        if any(r.letter == letter and r.get("user_ref_num") == number for r in seen):
            return seen
    raise TimeoutError(f"no {letter} for {number}; there came {[r.letter for r in seen]}")


def listen(*participants, seconds=0.3) -> None:
    """Polls everybody in turn for a while, and on until they have all that was sent."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds or (
            passed < PATIENCE_S and not all(each.caught_up() for each in participants)):
        for each in participants:
            each.poll(0.01)
